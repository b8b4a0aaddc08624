//! Certificates of a development CA as files, for regions that are processes of their own.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use link_core::link::{ClusterName, Secret, TlsSettings};
use link_quic::development::DevelopmentCa;

use super::Failed;

/// A folder with `ca.pem`, and `NAME.pem` and `NAME.key` for each cluster.
#[derive(Debug, Clone)]
pub struct Certificates(PathBuf);

impl Certificates {
    /// A folder that has them, or will have them.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// Makes an authority, certificates of these clusters, and the files; the key of the authority is thrown away.
    ///
    /// **They protect nothing**: see [`DevelopmentCa`].
    ///
    /// # Errors
    /// If a file can't be written, or a cluster's name can't be that of a certificate.
    pub fn make(&self, clusters: &[&ClusterName]) -> Result<(), Failed> {
        let wrong = |error: &dyn std::error::Error| Failed::Wrong(error.to_string());
        let ca = DevelopmentCa::new().map_err(|error| wrong(&error))?;
        fs::create_dir_all(&self.0)?;
        for cluster in clusters {
            let tls = ca.settings(cluster).map_err(|error| wrong(&error))?;
            fs::write(self.0.join("ca.pem"), &tls.ca)?;
            fs::write(self.file(cluster, "pem"), tls.certificate.unwrap_or_default())?;
            fs::write(self.file(cluster, "key"), tls.key.unwrap_or_default().reveal())?;
        }
        Ok(())
    }

    /// The settings of one cluster.
    ///
    /// # Errors
    /// If a file can't be read; it says which.
    pub fn of(&self, cluster: &ClusterName) -> Result<TlsSettings, Failed> {
        let read = |file: PathBuf| {
            fs::read_to_string(&file)
                .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", file.display())))
        };
        Ok(TlsSettings {
            ca: read(self.0.join("ca.pem"))?.into_bytes(),
            certificate: Some(read(self.file(cluster, "pem"))?.into_bytes()),
            key: Some(Secret::new(read(self.file(cluster, "key"))?)),
            server_name: None,
        })
    }

    fn file(&self, cluster: &ClusterName, extension: &str) -> PathBuf {
        self.0.join(format!("{cluster}.{extension}"))
    }
}
