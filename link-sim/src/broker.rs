//! The host of a simulated node: the model's own, or that of somebody who tests his.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use link_core::{host::Origin, interest::Subscriptions, message::Message, topic::TopicFilter};

use crate::plan::Disk;

/// What a broker reports to its linker. It stands for the calls of a `link_core::driver::Linker` of the same
/// names.
pub struct Reports<'a> {
    pub(crate) subscriptions: &'a mut Subscriptions,
    pub(crate) published: Vec<(String, Message)>,
}

impl Reports<'_> {
    /// A local client is subscribed from now on.
    pub fn subscribe(&mut self, client: &str, filter: &TopicFilter) {
        self.subscriptions.subscribe(client, filter);
    }

    /// A local client is no longer subscribed.
    pub fn unsubscribe(&mut self, client: &str, filter: &TopicFilter) {
        self.subscriptions.unsubscribe(client, filter);
    }

    /// A local client is gone.
    pub fn remove_subscriber(&mut self, client: &str) {
        self.subscriptions.remove_subscriber(client);
    }

    /// A local client has published.
    pub fn publish(&mut self, client: &str, message: &Message) {
        self.published.push((client.to_owned(), message.clone()));
    }
}

/// What a broker does with a message of a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It took it, and gave it to these clients.
    Taken(Vec<String>),
    /// It never will.
    Refused,
    /// Not now; again after this time.
    Busy(Duration),
}

/// A broker that is simulated as the host of a node. It has no clock, thread or randomness of its own.
///
/// The world calls it as clients and linker would. What it must do is in [`link_core::host::Host`]; what it did wrong is a
/// violation of a law.
pub trait Broker {
    /// The process starts, with what is left of the disk of the one before. Sessions that were kept are reported here.
    fn start(&mut self, disk: Disk, linker: &mut Reports<'_>);

    /// A client subscribes. `durable` says that its session outlives the process, if the disk does.
    fn subscribe(&mut self, client: &str, filter: &TopicFilter, durable: bool, linker: &mut Reports<'_>);

    /// A client unsubscribes.
    fn unsubscribe(&mut self, client: &str, filter: &TopicFilter, linker: &mut Reports<'_>);

    /// A client leaves, and its session ends.
    fn leave(&mut self, client: &str, linker: &mut Reports<'_>);

    /// A client publishes.
    fn publish(&mut self, client: &str, message: &Message, linker: &mut Reports<'_>);

    /// A message comes from a peer.
    fn deliver(&mut self, message: &Message, origin: &Origin) -> Verdict;

    /// Every subscription that exists now.
    fn subscriptions(&self) -> Vec<(String, TopicFilter)>;
}

/// The broker of the model: sessions, durable ones on a disk, and a scan for whom a message is.
#[derive(Debug, Default)]
pub struct ModelBroker {
    sessions: BTreeMap<String, BTreeSet<TopicFilter>>,
    durable: BTreeSet<String>,
    /// The durable sessions after each change, the latest last.
    disk: VecDeque<BTreeMap<String, BTreeSet<TopicFilter>>>,
    refuse_every: u64,
}

/// How many changes an old disk is behind.
pub(crate) const OLD_BY: usize = 4;

impl ModelBroker {
    /// A broker without clients. It refuses messages whose number, the first eight bytes of the payload, is divisible
    /// by `refuse_every`; none if that is 0.
    pub fn new(refuse_every: u64) -> Self {
        Self { refuse_every, ..Self::default() }
    }

    fn write(&mut self) {
        let durable = self.sessions.iter().filter(|(client, _)| self.durable.contains(*client));
        let now = durable.map(|(client, filters)| (client.clone(), filters.clone())).collect();
        if self.disk.back() != Some(&now) {
            self.disk.push_back(now);
        }
        if self.disk.len() > OLD_BY + 1 {
            self.disk.pop_front();
        }
    }
}

impl Broker for ModelBroker {
    fn start(&mut self, disk: Disk, linker: &mut Reports<'_>) {
        let back = match disk {
            Disk::Kept => 0,
            Disk::Torn => 1,
            Disk::Old => OLD_BY,
            Disk::Lost => usize::MAX,
        };
        let written = self.disk.len().checked_sub(1).and_then(|last| last.checked_sub(back));
        self.sessions = written.and_then(|at| self.disk.get(at)).cloned().unwrap_or_default();
        self.durable = self.sessions.keys().cloned().collect();
        self.disk.clear();
        self.write();
        for (client, filter) in self.subscriptions() {
            linker.subscribe(&client, &filter);
        }
    }

    fn subscribe(&mut self, client: &str, filter: &TopicFilter, durable: bool, linker: &mut Reports<'_>) {
        self.sessions.entry(client.to_owned()).or_default().insert(filter.clone());
        if durable {
            self.durable.insert(client.to_owned());
        }
        self.write();
        linker.subscribe(client, filter);
    }

    fn unsubscribe(&mut self, client: &str, filter: &TopicFilter, linker: &mut Reports<'_>) {
        if let Some(filters) = self.sessions.get_mut(client) {
            filters.remove(filter);
        }
        self.write();
        linker.unsubscribe(client, filter);
    }

    fn leave(&mut self, client: &str, linker: &mut Reports<'_>) {
        self.sessions.remove(client);
        self.durable.remove(client);
        self.write();
        linker.remove_subscriber(client);
    }

    fn publish(&mut self, client: &str, message: &Message, linker: &mut Reports<'_>) {
        linker.publish(client, message);
    }

    fn deliver(&mut self, message: &Message, _origin: &Origin) -> Verdict {
        if is_refused(&message.payload, self.refuse_every) {
            return Verdict::Refused;
        }
        let wants = |filters: &BTreeSet<TopicFilter>| filters.iter().any(|filter| filter.matches(&message.topic));
        Verdict::Taken(self.sessions.iter().filter(|(_, f)| wants(f)).map(|(client, _)| client.clone()).collect())
    }

    fn subscriptions(&self) -> Vec<(String, TopicFilter)> {
        let one = |(client, filters): (&String, &BTreeSet<TopicFilter>)| {
            filters.iter().map(|filter| (client.clone(), filter.clone())).collect::<Vec<_>>()
        };
        self.sessions.iter().flat_map(one).collect()
    }
}

/// Whether the hosts of a world refuse a message, by its number.
pub(crate) fn is_refused(payload: &[u8], every: u64) -> bool {
    number(payload).is_some_and(|number| every > 0 && number % every == 0)
}

/// The number of a message, in the first eight bytes of its payload.
pub(crate) fn number(payload: &[u8]) -> Option<u64> {
    payload.first_chunk().map(|first| u64::from_be_bytes(*first))
}
