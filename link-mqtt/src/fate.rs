//! How a connection ended: set once, seen by all its parts.

use std::sync::Arc;

use link_core::transport::ConnectionError;
use tokio::sync::watch;

/// The first end counts; later ones change nothing. Cloning shares it.
#[derive(Debug, Clone)]
pub(crate) struct Fate(Arc<watch::Sender<Option<ConnectionError>>>);

impl Fate {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }

    /// Ends the connection, unless it has ended.
    pub(crate) fn end(&self, error: ConnectionError) {
        self.0.send_if_modified(|fate| {
            let first = fate.is_none();
            if first {
                *fate = Some(error);
            }
            first
        });
    }

    /// How it ended, if it has.
    pub(crate) fn error(&self) -> Option<ConnectionError> {
        self.0.borrow().clone()
    }

    /// Waits for the end. Safe to cancel.
    pub(crate) async fn ended(&self) -> ConnectionError {
        let mut watch = self.0.subscribe();
        match watch.wait_for(Option::is_some).await {
            Ok(fate) => fate.clone(),
            Err(_) => None,
        }
        .unwrap_or_else(|| ConnectionError::Lost("the connection is gone".to_owned()))
    }
}
