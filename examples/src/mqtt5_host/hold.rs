//! Holds a SUBACK until the peers know of the subscription.
//!
//! ```text
//!  client      broker                          linker                peers
//!  SUBSCRIBE ─▶ authorize_subscribe ─ Hold ──▶ subscribe, acked ───▶ route
//!               (waits)             ◀───────── done, or time-out ◀── ack
//!               routes, stores
//!  SUBACK    ◀─
//!               on_client_subscribe ─────────▶ the client's own subscription takes the place of the held one
//! ```
//!
//! The broker's event for a subscription comes after its SUBACK, which an event handler can't hold. What the broker
//! asks and waits for before is whether the client may subscribe. It asks once for each filter of a SUBSCRIBE, one after
//! the other, and reads nothing of that client meanwhile: a keep-alive has to be longer than the time-out. After a
//! time-out the client is not held again for as long, so that many filters do not add up.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use link_core::{driver::Linker, node::AckFrom, topic::TopicFilter};
use tokio::{sync::OnceCell, time::Instant};
use tracing::warn;

/// Set once the linker runs, if SUBACKs are to be held.
pub(super) type Holding = Arc<OnceCell<Hold>>;

/// The subscriptions that are held, each in a name that no client has, so that one that is not granted in the end
/// leaves nothing behind.
pub(super) struct Hold {
    linker: Linker,
    patience: Duration,
    held: Mutex<BTreeMap<String, Held>>,
}

#[derive(Default)]
struct Held {
    filters: BTreeSet<TopicFilter>,
    late: Option<Instant>,
}

impl Hold {
    pub(super) fn new(linker: Linker, patience: Duration) -> Self {
        Self { linker, patience, held: Mutex::default() }
    }

    /// Returns when every peer that is to know of the filter has acknowledged it, or the time is over.
    pub(super) async fn wait(&self, client_id: &str, filter: TopicFilter) {
        let was_late = {
            let mut held = self.held();
            let held = held.entry(client_id.to_owned()).or_default();
            held.filters.insert(filter.clone());
            held.late.is_some_and(|at| at.elapsed() < self.patience)
        };
        self.linker.subscribe(&name(client_id), &filter);
        if was_late {
            return;
        }
        if let Err(error) = self.linker.acked(&filter, AckFrom::All, self.patience).await {
            warn!(client_id, filter = filter.as_str(), %error, "SUBACK goes out before all peers know");
            self.held().entry(client_id.to_owned()).or_default().late = Some(Instant::now());
        }
    }

    /// The broker has granted or refused a filter, and told the linker.
    pub(super) fn settled(&self, client_id: &str, filter: &TopicFilter) {
        if let Some(held) = self.held().get_mut(client_id) {
            held.filters.remove(filter);
        }
        self.linker.unsubscribe(&name(client_id), filter);
    }

    /// The client has no connection any more.
    pub(super) fn gone(&self, client_id: &str) {
        self.held().remove(client_id);
        self.linker.remove_subscriber(&name(client_id));
    }

    /// What is held now, as the linker knows it.
    pub(super) fn subscriptions(&self) -> Vec<(String, TopicFilter)> {
        let held = self.held();
        let all =
            held.iter().flat_map(|(client, held)| held.filters.iter().map(|filter| (name(client), filter.clone())));
        all.collect()
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<String, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// No client of this broker begins with `$`.
fn name(client_id: &str) -> String {
    format!("$held/{client_id}")
}
