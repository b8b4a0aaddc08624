use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use link_core::wire::kind;

/// What travels on a line.
#[derive(Debug, Clone)]
pub(crate) enum Item {
    Frame(Bytes),
    /// The sender has closed the connection.
    End,
}

impl Item {
    fn len(&self) -> usize {
        match self {
            Self::Frame(frame) => frame.len(),
            Self::End => 0,
        }
    }
}

/// One class of a connection in one direction. What arrives keeps its order.
#[derive(Debug, Default)]
pub(crate) struct Line {
    waiting: VecDeque<Item>,
    waiting_bytes: usize,
    flight: VecDeque<Item>,
    flight_bytes: usize,
    /// The transport writes until then.
    busy: Duration,
    /// When the last item arrives.
    last: Duration,
    /// Nothing arrives before this.
    pub(crate) stalled: Duration,
    /// Whether somebody will look at what waits.
    pub(crate) pumped: bool,
    /// What the carrier does to the next frame.
    pub(crate) lose: bool,
    pub(crate) truncate: Option<u16>,
    pub(crate) repeat: Option<usize>,
    repeats: Vec<(usize, Bytes)>,
}

/// What an arrival at the end of a line brings.
#[derive(Debug)]
pub(crate) enum Arrival {
    Frame(Bytes),
    Lost,
    End,
}

/// How often it is looked whether a line that stands still moves again.
pub(crate) const AGAIN: Duration = Duration::from_millis(100);

/// What the systems at both ends keep on a line that stands still, in bytes.
const KEPT: usize = 64 * 1024;

impl Line {
    pub(crate) fn push(&mut self, item: Item) {
        self.waiting_bytes += item.len();
        self.waiting.push_back(item);
    }

    /// Lets the transport take the next item. Gives its length, when it is written and when it arrives; or when to ask
    /// again, if it can't be taken now and something waits.
    pub(crate) fn take(&mut self, now: Duration, rate: u64, delay: Duration, still: Duration) -> Taken {
        let Some(front) = self.waiting.front() else { return Taken::Nothing };
        if self.busy > now {
            return Taken::Later(self.busy);
        }
        let still = still.max(self.stalled);
        if still > now && self.flight_bytes > KEPT {
            return Taken::Later(still.min(now + AGAIN));
        }
        let length = front.len();
        self.busy = now + Duration::from_micros((length as u64).saturating_mul(1_000_000) / rate.max(1));
        self.last = self.last.max(self.busy + delay);
        if let Some(item) = self.waiting.pop_front() {
            self.waiting_bytes -= length;
            self.flight_bytes += length;
            self.flight.push_back(item);
        }
        Taken::Item { length, written: self.busy, arrives: self.last }
    }

    /// The next item arrives.
    pub(crate) fn arrive(&mut self) -> Vec<Arrival> {
        let Some(item) = self.flight.pop_front() else { return Vec::new() };
        self.flight_bytes -= item.len();
        let Item::Frame(frame) = item else { return vec![Arrival::End] };
        let mut arrivals = Vec::new();
        let mut repeats = std::mem::take(&mut self.repeats);
        if let Some(later) = self.repeat.take() {
            repeats.push((later, frame.clone()));
        }
        if let Some(at) = self.truncate.take() {
            arrivals.push(Arrival::Frame(frame.slice(..frame.len() * usize::from(at) / 1000)));
        } else if self.lose && frame.first() != Some(&kind::HEARTBEAT) {
            self.lose = false;
            arrivals.push(Arrival::Lost);
        } else {
            arrivals.push(Arrival::Frame(frame));
        }
        for (later, frame) in repeats {
            match later.checked_sub(1) {
                None => arrivals.push(Arrival::Frame(frame)),
                Some(later) => self.repeats.push((later, frame)),
            }
        }
        arrivals
    }

    /// What the transport has not taken is gone.
    pub(crate) fn forget_waiting(&mut self) {
        self.waiting_bytes = 0;
        self.waiting.clear();
    }

    /// The carrier is sound from now on.
    pub(crate) fn heal(&mut self) {
        (self.lose, self.truncate, self.repeat) = (false, None, None);
        self.repeats.clear();
        self.stalled = Duration::ZERO;
    }

    /// Frames that arrive before the connection breaks under the others: the first `kept`.
    pub(crate) fn cut_behind(&mut self, kept: usize) {
        self.forget_waiting();
        self.flight.truncate(kept);
        self.flight_bytes = self.flight.iter().map(Item::len).sum();
    }

    /// Bytes that the transport has not taken.
    pub(crate) fn waits(&self) -> usize {
        self.waiting_bytes
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.flight.len()
    }
}

/// What became of [`Line::take`].
#[derive(Debug)]
pub(crate) enum Taken {
    Item { length: usize, written: Duration, arrives: Duration },
    Later(Duration),
    Nothing,
}
