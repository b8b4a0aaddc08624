use super::RouteId;
use crate::{
    topic::TopicFilter,
    wire::{RouteDifference, RoutePosition},
};

/// Most filters, and most ids, in one part, well below what a frame may hold.
const MOST: usize = 16_384;
/// Bytes of an id.
const ID: usize = 8;

/// Sends what a reader lacks and what it has too much, part by part: additions in the order of the filters, then the ids of
/// what goes.
#[derive(Debug)]
pub struct DifferenceCursor {
    to: RoutePosition,
    adds: std::vec::IntoIter<TopicFilter>,
    removes: std::vec::IntoIter<RouteId>,
    part: u32,
    done: bool,
}

impl DifferenceCursor {
    pub(super) fn new(to: RoutePosition, adds: Vec<TopicFilter>, removes: Vec<RouteId>) -> Self {
        Self { to, adds: adds.into_iter(), removes: removes.into_iter(), part: 0, done: false }
    }

    /// The state to which it leads.
    pub fn position(&self) -> RoutePosition {
        self.to
    }

    /// How many routes differ, of those that are not sent yet.
    pub fn left(&self) -> usize {
        self.adds.len() + self.removes.len()
    }

    /// The next part, of about `max_bytes` and never without anything to come; `None` after the last one.
    pub fn next_part(&mut self, max_bytes: usize) -> Option<RouteDifference> {
        if self.done {
            return None;
        }
        let (mut adds, mut bytes) = (Vec::new(), 0);
        while let Some(next) = self.adds.as_slice().first() {
            bytes += next.as_str().len() + 4;
            if !adds.is_empty() && (bytes > max_bytes || adds.len() >= MOST) {
                break;
            }
            adds.extend(self.adds.next());
        }
        let room = if self.adds.len() == 0 { max_bytes.saturating_sub(bytes) / ID } else { 0 };
        let room = if adds.is_empty() { room.max(1) } else { room };
        let removes: Vec<RouteId> = self.removes.by_ref().take(room.min(MOST)).collect();
        self.done = self.left() == 0;
        let part = self.part;
        self.part = self.part.saturating_add(1);
        Some(RouteDifference { to: self.to, part, last: self.done, adds, removes })
    }
}
