//! TLS and mTLS with certificates made on the spot.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]
mod support;

use std::sync::Arc;

use link_core::{
    link::{Secret, TlsSettings},
    transport::{Accepted, Class, Connection, DialError, Transport},
};
use link_mqtt::{AcceptorLimits, MqttTransport};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use support::{
    broker::{Sessions, serve},
    *,
};
use tokio::{net::TcpListener, time::timeout};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
        server::WebPkiClientVerifier,
    },
};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate for this name and its key, in PEM.
fn certificate(authority: &Authority, name: &str) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new([name.to_owned()]).unwrap();
    (params.signed_by(&key, authority).unwrap().pem(), key.serialize_pem())
}

/// A broker whose certificate is for this name. With `clients`, it wants certificates signed by that authority.
async fn broker(authority: &Authority, name: &str, clients: Option<&Authority>) -> (MqttTransport, u16) {
    let (chain, key) = certificate(authority, name);
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
    let builder = match clients {
        Some(clients) => {
            let mut roots = RootCertStore::empty();
            roots.add(clients.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        }
        None => builder.with_no_client_auth(),
    };
    let config = builder
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(chain.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        )
        .unwrap();
    let tls = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let sessions = Arc::new(Sessions::default());
    let (transport, acceptor) = MqttTransport::accepting_within(sessions.clone(), AcceptorLimits::default());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (tls, sessions, acceptor) = (tls.clone(), sessions.clone(), acceptor.clone());
            tokio::spawn(async move {
                if let Ok(stream) = tls.accept(stream).await {
                    let names =
                        stream.get_ref().1.peer_certificates().map_or(Vec::new(), |_| vec!["eu.example".to_owned()]);
                    serve(stream, sessions, acceptor, names).await;
                }
            });
        }
    });
    (transport, port)
}

async fn dial(port: u16, tls: TlsSettings) -> Result<Connection, DialError> {
    let mut settings = link();
    settings.tls = Some(tls);
    let dial = dial_to(endpoint("mqtts", port), settings);
    timeout(LONG, MqttTransport::new().dial(&dial)).await.unwrap()
}

fn trust(authority: &Authority) -> TlsSettings {
    TlsSettings { ca: authority.pem().into_bytes(), ..TlsSettings::default() }
}

fn unreachable(dialled: Result<Connection, DialError>) -> String {
    match dialled.err().expect("the dial succeeded") {
        DialError::Unreachable { reason, .. } => reason,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn the_right_authority_and_name_connect() {
    let ca = authority();
    let (transport, port) = broker(&ca, "127.0.0.1", None).await;
    let mut dialled = dial(port, trust(&ca)).await.unwrap();
    assert_eq!(dialled.identity.certificate_names, ["127.0.0.1"]);
    let Accepted::Connection(mut accepted) = transport.accept().await else { panic!("refused") };
    dialled.control.send(frame("x")).await.unwrap();
    assert_eq!(accepted.receiver.recv().await, Ok((Class::Control, frame("x"))));
}

#[tokio::test]
async fn an_unknown_authority_is_not_trusted() {
    let (_transport, port) = broker(&authority(), "127.0.0.1", None).await;
    let reason = unreachable(dial(port, trust(&authority())).await);
    assert!(reason.contains("invalid peer certificate"), "{reason}");
}

#[tokio::test]
async fn a_wrong_name_is_not_trusted_and_the_override_decides() {
    let ca = authority();
    let (_transport, port) = broker(&ca, "us.example", None).await;
    let reason = unreachable(dial(port, trust(&ca)).await);
    assert!(reason.contains("certificate not valid for name \"127.0.0.1\""), "{reason}");

    let named = |name: &str| TlsSettings { server_name: Some(name.into()), ..trust(&ca) };
    let dialled = dial(port, named("us.example")).await.unwrap();
    assert_eq!(dialled.identity.certificate_names, ["us.example"]);
    let reason = unreachable(dial(port, named("eu.example")).await);
    assert!(reason.contains("certificate not valid for name \"eu.example\""), "{reason}");
    let other = TlsSettings { server_name: Some("us.example".into()), ..trust(&authority()) };
    let reason = unreachable(dial(port, other).await);
    assert!(reason.contains("invalid peer certificate"), "{reason}");
}

#[tokio::test]
async fn mutual_tls_wants_a_certificate_of_the_right_authority() {
    let (ca, clients) = (authority(), authority());
    let (transport, port) = broker(&ca, "127.0.0.1", Some(&clients)).await;
    let with = |authority| {
        let (certificate, key) = certificate(authority, "eu.example");
        TlsSettings { certificate: Some(certificate.into_bytes()), key: Some(Secret::new(key)), ..trust(&ca) }
    };
    let _dialled = dial(port, with(&clients)).await.unwrap();
    let Accepted::Connection(accepted) = transport.accept().await else { panic!("refused") };
    assert_eq!(accepted.identity.certificate_names, ["eu.example"]);

    let reason = unreachable(dial(port, trust(&ca)).await);
    assert!(reason.contains("CertificateRequired"), "{reason}");
    let reason = unreachable(dial(port, with(&authority())).await);
    assert!(reason.contains("alert"), "{reason}");
}

#[tokio::test]
async fn a_plain_port_dialled_as_tls_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let plain = tokio::spawn(async move {
        let mut wire = Wire::new(listener.accept().await.unwrap().0);
        wire.bytes(b"\x20\x02\x00\x84").await;
        wire
    });
    let reason = unreachable(dial(port, trust(&authority())).await);
    assert!(reason.contains("corrupt message"), "{reason}");
    drop(plain.await);
}
