//! What happens in a run, and when.

use std::{collections::BTreeMap, sync::Mutex, time::Duration};

use link_core::link::LinkState;

use crate::world::End;

/// A life of the host at one end; the first is 1.
pub type Life = u32;

/// A message: who published it, in which life, and its number, which rises from life to life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Published {
    pub life: Life,
    pub publisher: u32,
    pub number: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Started,
    Accepted(Published),
    Delivered(Published),
    /// Also whether the other side wants messages.
    State(LinkState, bool),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    pub at: Duration,
    pub end: End,
    pub life: Life,
    pub what: What,
}

/// All that is compared between two runs of one seed.
#[derive(Debug, Default, PartialEq, Eq, Clone)]
pub struct Record {
    pub events: Vec<Event>,
    /// Packets that were sent: when, by whom, of how many bytes.
    pub packets: Vec<(Duration, End, usize)>,
}

#[derive(Default)]
pub struct Recorder(Mutex<Record>);

impl Recorder {
    /// Begins the next life of an end.
    pub fn start(&self, end: End) -> Life {
        let life = self.read(|record| record.life(end)) + 1;
        self.note(end, life, What::Started);
        life
    }

    pub fn note(&self, end: End, life: Life, what: What) {
        self.0.lock().unwrap().events.push(Event { at: now(), end, life, what });
    }

    pub fn packet(&self, end: End, len: usize) {
        self.0.lock().unwrap().packets.push((now(), end, len));
    }

    pub fn read<T>(&self, read: impl FnOnce(&Record) -> T) -> T {
        read(&self.0.lock().unwrap())
    }
}

fn now() -> Duration {
    turmoil::sim_elapsed().unwrap_or_default()
}

impl Record {
    /// The present life of an end; 0 before it has started.
    pub fn life(&self, end: End) -> Life {
        let started = |event: &&Event| event.end == end && event.what == What::Started;
        self.events.iter().filter(started).count() as Life
    }

    /// Whether the link was last seen live and its messages wanted at an end, in its present life.
    pub fn is_live(&self, end: End) -> bool {
        let last = self.events.iter().rev().find(|e| e.end == end && matches!(e.what, What::State(..) | What::Started));
        last.is_some_and(|event| event.what == What::State(LinkState::Live, true))
    }

    /// What publishers at an end had accepted, by publisher and life.
    pub fn accepted(&self, end: End) -> BTreeMap<(u32, Life), Vec<(Duration, u64)>> {
        self.by_publisher(|event| match event.what {
            What::Accepted(published) if event.end == end => Some(published),
            _ => None,
        })
    }

    /// What came at an end in one of its lives.
    pub fn delivered(&self, end: End, life: Life) -> BTreeMap<(u32, Life), Vec<(Duration, u64)>> {
        self.by_publisher(|event| match event.what {
            What::Delivered(published) if event.end == end && event.life == life => Some(published),
            _ => None,
        })
    }

    fn by_publisher(
        &self,
        choose: impl Fn(&Event) -> Option<Published>,
    ) -> BTreeMap<(u32, Life), Vec<(Duration, u64)>> {
        let mut lists = BTreeMap::<_, Vec<_>>::new();
        for (at, one) in self.events.iter().filter_map(|event| Some((event.at, choose(event)?))) {
            lists.entry((one.publisher, one.life)).or_default().push((at, one.number));
        }
        lists
    }
}
