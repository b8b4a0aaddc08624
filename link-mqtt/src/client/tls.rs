use std::sync::Arc;

use link_core::link::TlsSettings;
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
};

/// Makes the TLS settings of a link usable, with the ring provider whatever the process default is.
///
/// The error says which setting is wrong. Parsing costs some 100 µs, once per dial.
pub(crate) fn client_config(settings: &TlsSettings) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(ring::default_provider());
    let mut roots = RootCertStore::empty();
    for certificate in certificates("tls.ca", &settings.ca)? {
        roots.add(certificate).map_err(|e| format!("tls.ca: {e}"))?;
    }
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|e| format!("tls: {e}"))?;
    let builder = match &settings.server_name {
        Some(name) => {
            let name =
                ServerName::try_from(name.clone()).map_err(|_| format!("tls.server_name: `{name}` is not a name"))?;
            builder.dangerous().with_custom_certificate_verifier(Arc::new(NamedVerifier::new(roots, provider, name)?))
        }
        None => builder.with_root_certificates(roots),
    };
    let config = match (&settings.certificate, &settings.key) {
        (Some(certificate), Some(key)) => {
            let chain = certificates("tls.certificate", certificate)?;
            let key = PrivateKeyDer::from_pem_slice(key.reveal().as_bytes()).map_err(|e| format!("tls.key: {e}"))?;
            builder.with_client_auth_cert(chain, key).map_err(|e| format!("tls.certificate: {e}"))?
        }
        (None, None) => builder.with_no_client_auth(),
        (Some(_), None) => return Err("tls.certificate needs tls.key".to_owned()),
        (None, Some(_)) => return Err("tls.key needs tls.certificate".to_owned()),
    };
    Ok(Arc::new(config))
}

fn certificates(setting: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates: Vec<_> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|e| format!("{setting}: {e}"))?;
    if certificates.is_empty() {
        return Err(format!("{setting} has no certificate"));
    }
    Ok(certificates)
}

/// The verifier of WebPKI, with the configured name in place of the host of the address: rumqttc hands the host that
/// it dials to TLS, and has no other place for a name. SNI still carries the host.
#[derive(Debug)]
struct NamedVerifier {
    inner: Arc<WebPkiServerVerifier>,
    name: ServerName<'static>,
}

impl NamedVerifier {
    fn new(roots: RootCertStore, provider: Arc<CryptoProvider>, name: ServerName<'static>) -> Result<Self, String> {
        let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|e| format!("tls.ca: {e}"))?;
        Ok(Self { inner, name })
    }
}

impl ServerCertVerifier for NamedVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _dialled: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.inner.verify_server_cert(end_entity, intermediates, &self.name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use link_core::link::Secret;

    use super::*;

    #[test]
    fn wrong_settings_are_named() {
        let ca = rcgen::generate_simple_self_signed(["x".to_owned()]).unwrap();
        let good = TlsSettings { ca: ca.cert.pem().into_bytes(), ..TlsSettings::default() };
        assert!(client_config(&good).is_ok());
        let cut = "-----BEGIN CERTIFICATE-----\nMIIB\n";
        for (settings, reason) in [
            (TlsSettings::default(), "tls.ca has no certificate"),
            (TlsSettings { ca: cut.into(), ..good.clone() }, "tls.ca: "),
            (TlsSettings { key: Some(Secret::new("k")), ..good.clone() }, "tls.key needs tls.certificate"),
            (TlsSettings { certificate: Some(good.ca.clone()), ..good.clone() }, "tls.certificate needs tls.key"),
            (TlsSettings { server_name: Some("a b".into()), ..good.clone() }, "tls.server_name: `a b` is not a name"),
            (
                TlsSettings { certificate: Some(good.ca.clone()), key: Some(Secret::new("no PEM")), ..good.clone() },
                "tls.key: ",
            ),
        ] {
            let error = client_config(&settings).unwrap_err();
            assert!(error.starts_with(reason), "{error}");
        }
    }
}
