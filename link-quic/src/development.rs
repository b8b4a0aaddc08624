//! Certificates for trials.

use link_core::link::{ClusterName, Secret, TlsSettings};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use thiserror::Error;

/// A certificate authority that lives in this process: for trials and tests.
///
/// **It protects nothing.** Its key is in memory and in the hands of whoever runs this program; each process has one of
/// its own, so it can only link clusters that run in one process or hand their certificates around. Each use of it is
/// logged as a warning. For anything else make certificates with the tools of your organisation, each with the name of
/// its cluster as a DNS name.
pub struct DevelopmentCa(CertifiedIssuer<'static, KeyPair>);

/// A certificate could not be made.
#[derive(Debug, Error)]
#[error("no certificate for `{name}`: {reason}")]
pub struct CertificateError {
    name: String,
    reason: String,
}

impl DevelopmentCa {
    /// Makes an authority with a new key.
    ///
    /// # Errors
    /// If the system gives no random numbers.
    pub fn new() -> Result<Self, CertificateError> {
        const NAME: &str = "mqtt-link development CA, protects nothing";
        let failed = |e: rcgen::Error| CertificateError { name: NAME.to_owned(), reason: e.to_string() };
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, NAME);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().map_err(failed)?).map_err(failed)?;
        tracing::warn!("a development CA was made: links that trust it are NOT protected");
        Ok(Self(ca))
    }

    /// TLS settings of one cluster: a certificate with its name, its key, and this authority as the only one trusted.
    ///
    /// # Errors
    /// If the name of the cluster can't be a DNS name.
    pub fn settings(&self, cluster: &ClusterName) -> Result<TlsSettings, CertificateError> {
        let failed = |e: rcgen::Error| CertificateError { name: cluster.to_string(), reason: e.to_string() };
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = CertificateParams::new([cluster.to_string()]).map_err(failed)?;
        let certificate = certificate.signed_by(&key, &self.0).map_err(failed)?;
        tracing::warn!(%cluster, "a certificate of the development CA is in use: the link is NOT protected");
        Ok(TlsSettings {
            ca: self.0.pem().into_bytes(),
            certificate: Some(certificate.pem().into_bytes()),
            key: Some(Secret::new(key.serialize_pem())),
            server_name: None,
        })
    }
}
