//! What is known of earlier connections: with it the next one needs no certificates.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use link_core::link::TlsSettings;
use quinn::crypto::rustls::QuicClientConfig;
use rustls::client::WebPkiServerVerifier;

use crate::tls;

/// TLS settings that have been used for dialling, the latest last.
#[derive(Clone, Default)]
pub(crate) struct Sessions(Arc<Mutex<Vec<Kept>>>);

type Kept = (TlsSettings, Arc<Known>);

/// One kind of TLS settings and the sessions that were had with them.
pub(crate) struct Known {
    pub(crate) config: Arc<QuicClientConfig>,
    pub(crate) verifier: Arc<WebPkiServerVerifier>,
    /// Which address has answered last, unless early data was not taken there.
    answered: Mutex<Option<SocketAddr>>,
}

/// So many links with TLS settings of their own are remembered.
const MOST: usize = 32;

impl Sessions {
    /// What is known for these settings; made if nothing is.
    pub(crate) fn of(&self, settings: &TlsSettings, early_data: bool) -> Result<Arc<Known>, String> {
        let mut list = self.list();
        if let Some(at) = list.iter().position(|(of, _)| of == settings) {
            let entry = list.remove(at);
            let known = entry.1.clone();
            list.push(entry);
            return Ok(known);
        }
        let (config, verifier) = tls::client(settings, early_data)?;
        let known = Arc::new(Known { config: Arc::new(config), verifier, answered: Mutex::default() });
        if list.len() >= MOST {
            list.remove(0);
        }
        list.push((settings.clone(), known.clone()));
        Ok(known)
    }

    /// What was known is no longer good: the next connection shows all its certificates.
    pub(crate) fn forget(&self, known: &Arc<Known>) {
        self.list().retain(|(_, of)| !Arc::ptr_eq(of, known));
    }

    fn list(&self) -> MutexGuard<'_, Vec<Kept>> {
        // A panic elsewhere leaves the list whole: each call changes it in one step.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// A connection to this address is there.
    pub(crate) fn has_answered(&self, address: SocketAddr) {
        *self.answered() = Some(address);
    }

    /// Early data was not taken: another node may have answered, or none. The next dial does without.
    pub(crate) fn early_data_refused(&self) {
        *self.answered() = None;
    }

    /// Whether early data is worth a try.
    pub(crate) fn may_be_early(&self, address: SocketAddr) -> bool {
        *self.answered() == Some(address)
    }

    fn answered(&self) -> MutexGuard<'_, Option<SocketAddr>> {
        // It is set in one step.
        self.answered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
