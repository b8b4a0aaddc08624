//! What is known of earlier connections: with it the next one needs no certificates.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use link_core::link::TlsSettings;
use quinn::crypto::rustls::QuicClientConfig;

use crate::tls;

/// TLS settings that have been used for dialling, the latest last.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<Vec<(TlsSettings, Arc<Known>)>>);

/// One kind of TLS settings and the sessions that were had with them.
pub(crate) struct Known {
    pub(crate) config: Arc<QuicClientConfig>,
    /// The last early data was not taken.
    refused: AtomicBool,
}

/// So many links with TLS settings of their own are remembered.
const MOST: usize = 32;

impl Sessions {
    /// What is known for these settings; made if nothing is.
    pub(crate) fn of(&self, settings: &TlsSettings, early_data: bool) -> Result<Arc<Known>, String> {
        // A panic elsewhere leaves the list whole: each call changes it in one step.
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = list.iter().position(|(of, _)| of == settings) {
            let entry = list.remove(at);
            let known = entry.1.clone();
            list.push(entry);
            return Ok(known);
        }
        let config = Arc::new(tls::client(settings, early_data)?);
        let known = Arc::new(Known { config, refused: AtomicBool::new(false) });
        if list.len() >= MOST {
            list.remove(0);
        }
        list.push((settings.clone(), known.clone()));
        Ok(known)
    }
}

impl Known {
    /// Early data was not taken: another node may have answered. The next dial does without.
    pub(crate) fn early_data_refused(&self) {
        self.refused.store(true, Ordering::Relaxed);
    }

    /// Whether early data is worth a try.
    pub(crate) fn may_be_early(&self) -> bool {
        !self.refused.swap(false, Ordering::Relaxed)
    }
}
