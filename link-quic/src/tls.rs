//! Certificates: who may be at the other end.

use std::sync::Arc;

use link_core::{link::TlsSettings, transport::SignedBy};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::{
    RootCertStore,
    client::{
        WebPkiServerVerifier,
        danger::{ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    server::{
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    version::TLS13,
};

/// What both sides must speak (RFC 7301).
pub(crate) const ALPN: &[u8] = b"mqtt-link/1";

/// Makes the TLS settings of a link usable for dialling. The error says which setting is wrong.
///
/// Sessions can be resumed by whoever uses what this returns again.
///
/// With it comes what verifies certificates by these settings, for [`verify_acceptor`].
pub(crate) fn client(
    settings: &TlsSettings,
    early_data: bool,
) -> Result<(QuicClientConfig, Arc<WebPkiServerVerifier>), String> {
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots(&settings.ca)?), provider.clone())
        .build()
        .map_err(|e| format!("tls.ca: {e}"))?;
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(|e| format!("tls: {e}"))?
        .with_webpki_verifier(verifier.clone());
    let (chain, key) = own(settings)?;
    let mut config = builder.with_client_auth_cert(chain, key).map_err(|e| format!("tls.certificate: {e}"))?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.enable_early_data = early_data;
    Ok((QuicClientConfig::try_from(config).map_err(|e| format!("tls: {e}"))?, verifier))
}

/// The same for accepting: who dials must have a certificate that the `ca` has signed.
///
/// Sessions are kept in memory and resumed once each, so that early data is taken once; another configuration knows none
/// of them, so that each certificate is looked at anew.
pub(crate) fn server(
    settings: &TlsSettings,
    early_data: bool,
) -> Result<(QuicServerConfig, Arc<dyn ClientCertVerifier>), String> {
    let provider = Arc::new(ring::default_provider());
    let verifier = dialler_verifier(&settings.ca, provider.clone())?;
    let (chain, key) = own(settings)?;
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(|e| format!("tls: {e}"))?
        .with_client_cert_verifier(verifier.clone())
        .with_single_cert(chain, key)
        .map_err(|e| format!("tls.certificate: {e}"))?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    // QUIC knows all and nothing (RFC 9001, section 4.6.1).
    config.max_early_data_size = if early_data { u32::MAX } else { 0 };
    Ok((QuicServerConfig::try_from(config).map_err(|e| format!("tls: {e}"))?, verifier))
}

/// Verifies the certificate of a dialler, now: a session that is resumed has that of its first handshake, at which nobody
/// has looked since.
pub(crate) fn verify_dialler(connection: &quinn::Connection, verifier: &dyn ClientCertVerifier) -> Result<(), String> {
    verify_chain(&chain(connection), verifier, UnixTime::now())
}

fn verify_chain(
    chain: &[CertificateDer<'static>],
    verifier: &dyn ClientCertVerifier,
    now: UnixTime,
) -> Result<(), String> {
    let Some((own, rest)) = chain.split_first() else { return Err("it showed no certificate".to_owned()) };
    let verified: Result<ClientCertVerified, _> = verifier.verify_client_cert(own, rest, now);
    verified.map(|_| ()).map_err(|e| e.to_string())
}

/// Verifies the certificate of a dialler by the authorities of one link, as of now: the port trusts those of all links.
pub(crate) fn signed_by(connection: &quinn::Connection) -> SignedBy {
    let (chain, now) = (chain(connection), UnixTime::now());
    SignedBy::new(move |ca| {
        let verifier = dialler_verifier(ca, Arc::new(ring::default_provider()))?;
        verify_chain(&chain, verifier.as_ref(), now)
    })
}

fn dialler_verifier(ca: &[u8], provider: Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, String> {
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots(ca)?), provider)
        .build()
        .map_err(|e| format!("tls.ca: {e}"))
}

/// The same as [`verify_dialler`] for the certificate of an acceptor.
pub(crate) fn verify_acceptor(
    connection: &quinn::Connection,
    verifier: &WebPkiServerVerifier,
    name: &ServerName<'_>,
) -> Result<(), String> {
    let chain = chain(connection);
    let Some((own, rest)) = chain.split_first() else { return Err("it showed no certificate".to_owned()) };
    let verified: Result<ServerCertVerified, _> = verifier.verify_server_cert(own, rest, name, &[], UnixTime::now());
    verified.map(|_| ()).map_err(|e| e.to_string())
}

/// The certificates that the other end has shown, its own first.
fn chain(connection: &quinn::Connection) -> Vec<CertificateDer<'static>> {
    let chain = connection.peer_identity().and_then(|any| any.downcast::<Vec<CertificateDer<'static>>>().ok());
    chain.map(|chain| *chain).unwrap_or_default()
}

/// The DNS names in the certificate of the other end, which has been verified.
pub(crate) fn names(connection: &quinn::Connection) -> Vec<String> {
    let chain = chain(connection);
    let Some(Ok(certificate)) = chain.first().map(webpki::EndEntityCert::try_from) else { return Vec::new() };
    certificate.valid_dns_names().map(str::to_owned).collect()
}

fn roots(ca: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("tls.ca", ca)? {
        roots.add(certificate).map_err(|e| format!("tls.ca: {e}"))?;
    }
    Ok(roots)
}

fn own(settings: &TlsSettings) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), String> {
    let (Some(certificate), Some(key)) = (&settings.certificate, &settings.key) else {
        return Err("tls.certificate and tls.key are needed: both ends of a QUIC link show who they are".to_owned());
    };
    let chain = certificates("tls.certificate", certificate)?;
    let key = PrivateKeyDer::from_pem_slice(key.reveal().as_bytes()).map_err(|e| format!("tls.key: {e}"))?;
    Ok((chain, key))
}

fn certificates(setting: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates: Vec<_> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|e| format!("{setting}: {e}"))?;
    if certificates.is_empty() {
        return Err(format!("{setting} has no certificate"));
    }
    Ok(certificates)
}
