use crate::{
    topic::TopicFilter,
    wire::{RoutePosition, RouteSnapshot},
};

/// Most filters in one part, well below what a frame may hold.
const MAX_FILTERS: usize = 16_384;

/// Sends a whole route set, part by part, as it was when the cursor was made. Changes after that follow as deltas.
///
/// It holds the filters (their texts are shared with the log), 40 bytes each.
#[derive(Debug)]
pub struct SnapshotCursor {
    to: RoutePosition,
    filters: Vec<TopicFilter>,
    sent: usize,
    part: u32,
}

impl SnapshotCursor {
    pub(super) fn new(to: RoutePosition, filters: Vec<TopicFilter>) -> Self {
        Self { to, filters, sent: 0, part: 0 }
    }

    /// The next part, of about `max_bytes` of filters. The one that is `last` ends the snapshot.
    pub fn next_part(&mut self, max_bytes: usize) -> RouteSnapshot {
        let mut bytes = 0;
        let rest = self.filters.get(self.sent..).unwrap_or_default();
        let fits = |filter: &&TopicFilter| {
            bytes += filter.as_str().len() + 4;
            bytes <= max_bytes
        };
        // One at least, however long.
        let count = rest.iter().take(MAX_FILTERS).take_while(fits).count().max(1).min(rest.len());
        let filters = rest[..count].to_vec();
        self.sent += count;
        let part = self.part;
        self.part += 1;
        RouteSnapshot { to: self.to, part, last: self.sent == self.filters.len(), filters }
    }

    /// The state that the snapshot gives.
    pub fn position(&self) -> RoutePosition {
        self.to
    }
}
