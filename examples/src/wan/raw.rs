//! Plain streams: what the path and the transport's own library give.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use link_core::link::ClusterName;
use link_quic::{Congestion, QuicSettings, development::DevelopmentCa};
use quinn::{
    Endpoint,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};
use rustls::{
    RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use super::{end::Ends, links::quic_settings, sink::Sink, way::Way};
use crate::bench::{Failure, PATIENCE};

const CHUNK: usize = 64 << 10;

/// Fills one stream from a to b until the ends are dropped; returns when it is open.
pub(super) fn start(ends: &Ends, way: Way, sink: Arc<Sink>) -> Result<(), Failure> {
    let address = SocketAddr::from((ends.net.b().address(), 14567));
    match way {
        Way::TcpCubic | Way::TcpBbr => {
            ends.b(async move {
                let listener = TcpListener::bind(address).await?;
                tokio::spawn(async move {
                    let (mut stream, _) = listener.accept().await?;
                    let mut chunk = vec![0; CHUNK];
                    while let size @ 1.. = stream.read(&mut chunk).await? {
                        sink.count(size);
                    }
                    Ok::<_, std::io::Error>(())
                });
                Ok(())
            })?;
            ends.a(async move {
                let mut stream = timeout(PATIENCE, TcpStream::connect(address)).await??;
                tokio::spawn(async move { while stream.write_all(&[b'x'; CHUNK]).await.is_ok() {} });
                Ok(())
            })
        }
        _ => quinn(ends, address, quic_settings(way), sink),
    }
}

fn quinn(ends: &Ends, address: SocketAddr, settings: QuicSettings, sink: Arc<Sink>) -> Result<(), Failure> {
    let (mut client, mut server) = tls()?;
    let transport = Arc::new(transport(&settings));
    client.transport_config(Arc::clone(&transport));
    server.transport_config(transport);
    ends.b(async move {
        let endpoint = Endpoint::server(server, address)?;
        tokio::spawn(async move {
            let connection = endpoint.accept().await.ok_or("no peer")?.await?;
            let mut stream = connection.accept_uni().await?;
            while let Some(chunk) = stream.read_chunk(usize::MAX, true).await? {
                sink.count(chunk.bytes.len());
            }
            Ok::<_, Failure>(())
        });
        Ok(())
    })?;
    ends.a(async move {
        let endpoint = Endpoint::client((Ipv4Addr::UNSPECIFIED, 0).into())?;
        let connection = timeout(PATIENCE, endpoint.connect_with(client, address, "eu")?).await??;
        let mut stream = connection.open_uni().await?;
        tokio::spawn(async move {
            let _keeps = endpoint;
            while stream.write_all(&[b'x'; CHUNK]).await.is_ok() {}
        });
        Ok(())
    })
}

/// As `link-quic` sets it.
fn transport(settings: &QuicSettings) -> quinn::TransportConfig {
    let mut config = quinn::TransportConfig::default();
    config
        .stream_receive_window(settings.stream_window.into())
        .receive_window(settings.connection_window.into())
        .send_window(settings.send_window)
        .keep_alive_interval(Some(Duration::from_secs(15)));
    match settings.congestion {
        Congestion::Cubic => {
            config.congestion_controller_factory(Arc::new(quinn::congestion::CubicConfig::default()));
        }
        Congestion::Bbr => {
            config.congestion_controller_factory(Arc::new(quinn::congestion::BbrConfig::default()));
        }
    }
    config
}

fn tls() -> Result<(quinn::ClientConfig, quinn::ServerConfig), Failure> {
    let settings = DevelopmentCa::new()?.settings(&ClusterName::new("eu")?)?;
    let (Some(certificate), Some(key)) = (&settings.certificate, &settings.key) else {
        return Err("the development CA made no certificate".into());
    };
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(&settings.ca) {
        roots.add(authority?)?;
    }
    let chain = CertificateDer::pem_slice_iter(certificate).collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(key.reveal().as_bytes())?;
    let provider = Arc::new(ring::default_provider());
    let versions = &[&rustls::version::TLS13];
    let client = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let server = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    let client = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(client)?));
    Ok((client, quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(server)?))))
}
