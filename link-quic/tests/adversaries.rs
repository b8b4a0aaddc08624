//! Peers that may not come in, or break the rules: refused with a reason, bounded, and nobody else notices.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

mod support;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use link_core::{
    link::{LinkState, TlsSettings},
    transport::{Accepted, Class, ConnectionError, Transport},
};
use link_quic::{QuicSettings, QuicTransport};
use quinn::crypto::rustls::QuicClientConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use support::*;
use tokio::time::timeout;

/// A client that speaks QUIC and is no link.
struct Raw {
    alpn: &'static [u8],
    certificate: Option<TlsSettings>,
}

impl Raw {
    async fn connect(self, ca: &Authority, to: SocketAddr) -> Result<(quinn::Endpoint, quinn::Connection), String> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&ca.pem()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match self.certificate {
            Some(tls) => builder
                .with_client_auth_cert(
                    vec![CertificateDer::from_pem_slice(&tls.certificate.unwrap()).unwrap()],
                    PrivateKeyDer::from_pem_slice(tls.key.unwrap().reveal().as_bytes()).unwrap(),
                )
                .unwrap(),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![self.alpn.to_vec()];
        let config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(config).unwrap()));
        let endpoint = quinn::Endpoint::client(LOOPBACK).unwrap();
        let connection = endpoint.connect_with(config, to, "us").unwrap().await.map_err(|e| e.to_string())?;
        Ok((endpoint, connection))
    }

    /// With the certificate of a peer.
    async fn peer(ca: &Authority, to: SocketAddr) -> (quinn::Endpoint, quinn::Connection) {
        Self { alpn: b"mqtt-link/1", certificate: Some(ca.settings(&["eu"])) }.connect(ca, to).await.unwrap()
    }
}

/// What the first bytes of a dialler are: 8 channels, frames of 16 MiB.
const PREFACE: [u8; 10] = [b'M', b'Q', b'L', b'1', 0, 8, 1, 0, 0, 0];

async fn closed(connection: &quinn::Connection) -> String {
    timeout(PATIENCE, connection.closed()).await.expect("nobody closed the connection").to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_connect_is_told_why_and_who_may_is_not_disturbed() {
    let (authority, other) = (Authority::new(), Authority::new());
    let us = Node::listening("us", "eu", &authority);
    let good = Node::dialling("eu", "us", us.address(), authority.settings(&["eu"]));
    good.wait_live("us").await;
    let live = std::time::Instant::now();

    let trusting = |tls: TlsSettings| TlsSettings { ca: authority.pem(), ..tls };
    let cases = [
        (
            "a certificate of another authority",
            trusting(other.settings(&["eu"])),
            "unknown certificate authority|UnknownCA|unknown CA|BadSignature|decrypt error|unknown issuer",
        ),
        ("a certificate that has expired", authority.expired("eu"), "expired|certificate_expired"),
        ("a certificate of another cluster", authority.settings(&["ap"]), "may not speak for cluster `eu`"),
        (
            "an authority that did not sign the acceptor",
            TlsSettings { ca: other.pem(), ..authority.settings(&["eu"]) },
            "UnknownIssuer|invalid peer certificate|BadSignature",
        ),
        (
            "another cluster than the one that answers",
            TlsSettings { server_name: Some("ap".to_owned()), ..authority.settings(&["eu"]) },
            "not valid for name|invalid peer certificate",
        ),
        (
            "no certificate",
            TlsSettings { ca: authority.pem(), ..TlsSettings::default() },
            "tls.certificate and tls.key are needed",
        ),
    ];
    for (who, tls, reasons) in cases {
        let bad = Node::dialling("eu", "us", us.address(), tls);
        let status = bad.wait("us", "refused", |status| status.state == LinkState::Refused).await;
        let reason = status.last_refusal.clone().unwrap_or_default();
        assert!(reasons.split('|').any(|part| reason.contains(part)), "{who}: {reason}");
        bad.linker.shutdown().await;
    }
    let lived = live.elapsed();
    let status = good.wait_live("us").await;
    assert!(status.since >= lived, "the good link was disturbed: {status:?}");
}

/// The next peer that was turned away.
async fn refusal(transport: &QuicTransport) -> String {
    loop {
        if let Accepted::Refused { reason, .. } = timeout(PATIENCE, transport.accept()).await.unwrap() {
            return reason;
        }
    }
}

fn listening(authority: &Authority, settings: QuicSettings) -> QuicTransport {
    QuicTransport::listen(LOOPBACK, &authority.settings(&["us"]), settings).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_are_reported_with_a_reason() {
    let authority = Authority::new();
    let us = listening(&authority, QuicSettings { handshake_time: Duration::from_secs(3), ..QuicSettings::default() });
    let at = us.local_address().unwrap();

    let error = Raw { alpn: b"h3", certificate: Some(authority.settings(&["eu"])) }.connect(&authority, at).await;
    let error = error.map(drop).expect_err("another protocol is let in");
    assert!(error.contains("protocol"), "{error}");
    assert!(refusal(&us).await.contains("protocol"));

    // Its own handshake succeeds; then it hears that it may not come in.
    let (_endpoint, connection) =
        Raw { alpn: b"mqtt-link/1", certificate: None }.connect(&authority, at).await.unwrap();
    let heard = closed(&connection).await;
    assert!(heard.contains("certificate"), "{heard}");
    assert!(refusal(&us).await.contains("certificate"));

    let (_endpoint, connection) = Raw::peer(&authority, at).await;
    let (mut send, _receive) = connection.open_bi().await.unwrap();
    send.write_all(b"GET / HTTP").await.unwrap();
    let heard = closed(&connection).await;
    assert!(heard.contains("the control stream begins with"), "{heard}");
    assert!(refusal(&us).await.contains("the control stream begins with"));

    // A handshake that is over, and then nothing.
    let (_endpoint, connection) = Raw::peer(&authority, at).await;
    assert!(refusal(&us).await.contains("no handshake within"));
    closed(&connection).await;
}

/// Each of them would be a line in the log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_strangers_are_counted() {
    let authority = Authority::new();
    let us = listening(&authority, QuicSettings::default());
    let at = us.local_address().unwrap();
    for _ in 0..20 {
        let peer = Raw { alpn: b"h3", certificate: Some(authority.settings(&["eu"])) };
        peer.connect(&authority, at).await.map(drop).unwrap_err();
    }
    let mut reports = Vec::new();
    while let Ok(Accepted::Refused { reason, .. }) = timeout(Duration::from_millis(100), us.accept()).await {
        reports.push(reason);
    }
    assert!(reports.len() < 10, "{} reports", reports.len());
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let peer = Raw { alpn: b"h3", certificate: Some(authority.settings(&["eu"])) };
    peer.connect(&authority, at).await.map(drop).unwrap_err();
    let reason = refusal(&us).await;
    assert!(reason.contains("others before it"), "{reason}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handshakes_that_never_end_keep_nobody_out() {
    let authority = Authority::new();
    let us = listening(
        &authority,
        QuicSettings { handshakes: 8, handshake_time: Duration::from_millis(300), ..QuicSettings::default() },
    );
    let at = us.local_address().unwrap();
    let attacker = tokio::net::UdpSocket::bind(LOOPBACK).await.unwrap();
    // First packets of clients that never go on: what they are made of does not matter, as long as they are of QUIC.
    let initial = |n: u32| {
        let mut packet = vec![0xc3, 0, 0, 0, 1, 8];
        packet.extend(u64::from(n).to_be_bytes());
        packet.extend([0, 0, 0x44, 0xd0]);
        packet.resize(1200, 0x5a);
        packet
    };
    for n in 0..2_000 {
        attacker.send_to(&initial(n), at).await.unwrap();
    }
    // Those that are real, and stop in the middle.
    let mut idle = Vec::new();
    for _ in 0..16 {
        if let Ok(Ok(connection)) = timeout(
            Duration::from_millis(500),
            Raw { alpn: b"mqtt-link/1", certificate: Some(authority.settings(&["eu"])) }.connect(&authority, at),
        )
        .await
        {
            idle.push(connection);
        }
    }
    let good = async {
        loop {
            let peer = Raw { alpn: b"mqtt-link/1", certificate: Some(authority.settings(&["eu"])) };
            let Ok((_endpoint, connection)) = peer.connect(&authority, at).await else { continue };
            let Ok((mut send, mut receive)) = connection.open_bi().await else { continue };
            let _ = send.write_all(&PREFACE).await;
            let mut answer = [0; 10];
            if receive.read_exact(&mut answer).await.is_ok() {
                return answer;
            }
        }
    };
    let accepting = async {
        loop {
            if let Accepted::Connection(connection) = us.accept().await {
                return connection;
            }
        }
    };
    let (answer, _connection) = timeout(PATIENCE, async { tokio::join!(good, accepting) }).await.unwrap();
    assert_eq!(answer[..6], PREFACE[..6]);
}

/// A long pause is for those who may not come in, not for those who come at the wrong time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acceptor_that_is_busy_is_unreachable_and_has_refused_nobody() {
    let authority = Authority::new();
    let us = listening(&authority, QuicSettings { handshakes: 0, ..QuicSettings::default() });
    let eu = Node::dialling("eu", "us", us.local_address().unwrap(), authority.settings(&["eu"]));
    let status = eu.wait("us", "tried thrice", |status| status.attempts >= 3).await;
    assert_eq!((status.state, status.last_refusal), (LinkState::Connecting, None));
}

/// A connection that was let in, from both ends.
async fn let_in(
    us: &QuicTransport,
    authority: &Authority,
) -> (link_core::transport::Connection, quinn::Endpoint, quinn::Connection, quinn::SendStream, quinn::RecvStream) {
    let at = us.local_address().unwrap();
    let peer = async {
        let (endpoint, connection) = Raw::peer(authority, at).await;
        let (mut send, mut receive) = connection.open_bi().await.unwrap();
        send.write_all(&PREFACE).await.unwrap();
        receive.read_exact(&mut [0; 10]).await.unwrap();
        (endpoint, connection, send, receive)
    };
    let (accepted, (endpoint, connection, send, receive)) = tokio::join!(us.accept(), peer);
    let Accepted::Connection(ours) = accepted else { panic!("refused") };
    (ours, endpoint, connection, send, receive)
}

async fn error_of(connection: &mut link_core::transport::Connection) -> ConnectionError {
    loop {
        if let Err(error) = timeout(PATIENCE, connection.receiver.recv()).await.unwrap() {
            return error;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_breaks_the_rules_ends_its_connection_with_a_reason() {
    let authority = Authority::new();
    let us = listening(&authority, QuicSettings { max_frame: 1 << 20, ..QuicSettings::default() });
    let record = |length: u32| [&[1, 0, 0][..], &length.to_be_bytes()].concat();
    let cases: [(&str, Vec<Vec<u8>>, &str); 7] = [
        ("a giant frame", vec![record(0x7fff_ffff)], "over the limit of 1048576"),
        ("a giant frame elsewhere", vec![[record(0xffff_ffff), vec![0; 8]].concat()], "over the limit of 1048576"),
        ("a channel that is not there", vec![vec![1, 0, 8]], "there is no channel 8"),
        ("a channel twice", vec![vec![1, 0, 3], vec![1, 0, 3]], "channel 3 was opened twice"),
        ("a stream of no kind", vec![vec![9]], "a stream begins with 0x09"),
        ("large frames that nobody asked for", vec![vec![2]; 17], "more large frames are under way"),
        ("a stream that ends in a record", vec![record(5)], "ended a stream"),
    ];
    for (what, streams, reason) in cases {
        let (mut ours, _endpoint, connection, _send, _receive) = let_in(&us, &authority).await;
        let mut open = Vec::new();
        for bytes in &streams {
            let mut stream = connection.open_uni().await.unwrap();
            stream.write_all(bytes).await.unwrap();
            if reason == "ended a stream" {
                stream.finish().unwrap();
            }
            open.push(stream);
        }
        let error = error_of(&mut ours).await.to_string();
        assert!(error.contains(reason), "{what}: {error}");
    }
    // A giant control frame.
    let (mut ours, _endpoint, _connection, mut send, _receive) = let_in(&us, &authority).await;
    send.write_all(&0x7fff_ffff_u32.to_be_bytes()).await.unwrap();
    assert!(matches!(error_of(&mut ours).await, ConnectionError::TooLarge { .. }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_streams_are_not_opened() {
    let authority = Authority::new();
    let us = listening(&authority, QuicSettings::default());
    let (mut ours, _endpoint, connection, mut control, _receive) = let_in(&us, &authority).await;
    let mut opened = Vec::new();
    while opened.len() < 10_000 {
        match timeout(Duration::from_millis(300), connection.open_uni()).await {
            Ok(stream) => opened.push(stream.unwrap()),
            Err(_) => break,
        }
    }
    assert!(opened.len() <= 8 + 16, "{} streams", opened.len());
    assert!(timeout(Duration::from_millis(300), connection.open_bi()).await.is_err(), "a second control stream");
    // Those that say nothing disturb nothing.
    control.write_all(&[0, 0, 0, 3, b'a', b'b', b'c']).await.unwrap();
    let (class, frame) = timeout(PATIENCE, ours.receiver.recv()).await.unwrap().unwrap();
    assert_eq!((class, &frame[..]), (Class::Control, &b"abc"[..]));
}

/// Handshakes of a client without a certificate that go no further than the acceptor's first answer.
async fn stall(authority: &Authority, at: SocketAddr) {
    loop {
        let near = tokio::net::UdpSocket::bind(LOOPBACK).await.unwrap();
        let far = tokio::net::UdpSocket::bind(LOOPBACK).await.unwrap();
        far.connect(at).await.unwrap();
        let here = near.local_addr().unwrap();
        let relay = async {
            let (mut up, mut down) = (vec![0; 1 << 16], vec![0; 1 << 16]);
            let (mut client, mut answered) = (None, false);
            loop {
                tokio::select! {
                    Ok((length, from)) = near.recv_from(&mut up) => {
                        client = Some(from);
                        if !answered {
                            let _ = far.send(&up[..length]).await;
                        }
                    }
                    Ok(length) = far.recv(&mut down) => match client {
                        // A Retry is passed on: the address is a real one.
                        Some(client) if down[0] & 0xf0 == 0xf0 => drop(near.send_to(&down[..length], client).await),
                        _ => answered = true,
                    }
                }
            }
        };
        let peer = Raw { alpn: b"mqtt-link/1", certificate: None };
        tokio::select! {
            () = relay => {}
            _ = timeout(Duration::from_millis(250), peer.connect(authority, here)) => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handshakes_of_one_host_that_stall_keep_no_link_out() {
    let authority = Arc::new(Authority::new());
    let tls = authority.settings(&["us"]);
    let settings = QuicSettings { handshakes: 16, ..QuicSettings::default() };
    let transport = QuicTransport::listen(LOOPBACK, &tls, settings).unwrap();
    let acceptor = Node::start("us", transport, vec![link("eu", None, tls)]);
    let at = acceptor.address();
    let mut attackers = tokio::task::JoinSet::new();
    for _ in 0..24 {
        let authority = authority.clone();
        attackers.spawn(async move { stall(&authority, at).await });
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let eu = Node::dialling("eu", "us", at, authority.settings(&["eu"]));
    let us = cluster("us");
    let live = eu.linker.wait_for(&us, |status| status.state == LinkState::Live);
    let live = timeout(Duration::from_secs(8), live).await;
    assert!(live.is_ok(), "{:?}", eu.linker.link(&us).await);
}

/// Whoever has a certificate of the authority, and is no link: a frame on each channel that lacks its last byte.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_that_are_never_whole_take_a_bounded_memory() {
    const FRAME: usize = 1 << 20;
    let authority = Authority::new();
    let settings = QuicSettings {
        max_frame: FRAME as u32,
        connection_window: FRAME as u32,
        stream_window: 256 << 10,
        ..QuicSettings::default()
    };
    let us = listening(&authority, settings);
    let at = us.local_address().unwrap();
    let peer = async {
        let (endpoint, connection) = Raw::peer(&authority, at).await;
        let (mut send, mut receive) = connection.open_bi().await.unwrap();
        send.write_all(&[b'M', b'Q', b'L', b'1', 0, 64, 1, 0, 0, 0]).await.unwrap();
        receive.read_exact(&mut [0; 10]).await.unwrap();
        (endpoint, connection, send, receive)
    };
    let (accepted, (_endpoint, connection, _send, _receive)) = tokio::join!(us.accept(), peer);
    let Accepted::Connection(_ours) = accepted else { panic!("refused") };
    let (mut taken, mut open) = (0, Vec::new());
    for channel in 0..64_u16 {
        let mut stream = connection.open_uni().await.unwrap();
        let head = [&[1][..], &channel.to_be_bytes(), &(FRAME as u32).to_be_bytes()].concat();
        let frame = vec![0; FRAME - 1];
        let mut rest = &[head, frame].concat()[..];
        while !rest.is_empty() {
            let Ok(written) = timeout(Duration::from_millis(300), stream.write(rest)).await else { break };
            let written = written.unwrap();
            (taken, rest) = (taken + written, &rest[written..]);
        }
        open.push(stream);
        if taken > 16 * FRAME || !rest.is_empty() && open.len() > 16 {
            break;
        }
    }
    assert!(taken < 8 * FRAME, "{taken} bytes were taken");
    // The first control frame is HELLO: nobody needs more for it.
    let (mut ours, _endpoint, _connection, mut send, _receive) =
        let_in(&listening(&authority, QuicSettings::default()), &authority).await;
    send.write_all(&(2_u32 << 20).to_be_bytes()).await.unwrap();
    assert!(matches!(error_of(&mut ours).await, ConnectionError::TooLarge { .. }));
}

/// A port that trusts the authorities of two links: each may speak for the cluster of its own link only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_authority_of_one_link_can_not_speak_for_another() {
    let (for_eu, for_asia) = (Authority::new(), Authority::new());
    let own = for_eu.settings(&["us"]);
    let port = TlsSettings { ca: [for_eu.pem(), for_asia.pem()].concat(), ..own.clone() };
    let transport = QuicTransport::listen(LOOPBACK, &port, QuicSettings::default()).unwrap();
    let pinned = |ca: &Authority| TlsSettings { ca: ca.pem(), ..own.clone() };
    let links = vec![link("eu", None, pinned(&for_eu)), link("asia", None, pinned(&for_asia))];
    let us = Node::start("us", transport, links);

    // All of them trust the certificate of `us`.
    let dials = |tls: TlsSettings| TlsSettings { ca: for_eu.pem(), ..tls };
    let asia = Node::dialling("asia", "us", us.address(), dials(for_asia.settings(&["asia"])));
    asia.wait_live("us").await;
    let forged = Node::dialling("eu", "us", us.address(), dials(for_asia.settings(&["eu"])));
    let refused = forged.wait("us", "refused", |status| status.state == LinkState::Refused).await;
    assert!(refused.reason.contains("not of an authority of its link"), "{}", refused.reason);
    let seen = us.wait("eu", "refused", |status| status.last_refusal.is_some()).await;
    assert!(seen.last_refusal.unwrap().contains("the certificate of `eu` is not of an authority of its link"));
    drop(forged);
    let eu = Node::dialling("eu", "us", us.address(), for_eu.settings(&["eu"]));
    eu.wait_live("us").await;
}
