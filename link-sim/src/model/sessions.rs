//! Who is subscribed where, and what of it is on a disk.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    broker::OLD_BY,
    plan::{Disk, Site},
};

type Filters = BTreeMap<String, BTreeSet<String>>;

/// The sessions of all nodes.
#[derive(Debug)]
pub(crate) struct Sessions {
    nodes: Vec<Node>,
}

#[derive(Debug, Default)]
struct Node {
    sessions: Filters,
    durable: BTreeSet<String>,
    /// What is on the disk after each change, the latest last.
    disk: Vec<Filters>,
}

impl Sessions {
    pub(crate) fn new(sites: usize) -> Self {
        Self { nodes: (0..sites).map(|_| Node::default()).collect() }
    }

    /// A client has a filter. Says whether it is new.
    pub(crate) fn subscribe(&mut self, site: Site, client: &str, filter: &str, durable: bool) -> bool {
        let node = &mut self.nodes[site];
        let new = node.sessions.entry(client.to_owned()).or_default().insert(filter.to_owned());
        if durable {
            node.durable.insert(client.to_owned());
        }
        node.write();
        new
    }

    /// A client has a filter no more. Says whether it had it.
    pub(crate) fn unsubscribe(&mut self, site: Site, client: &str, filter: &str) -> bool {
        let node = &mut self.nodes[site];
        let had = node.sessions.get_mut(client).is_some_and(|filters| filters.remove(filter));
        node.write();
        had
    }

    /// A client is gone. Gives the filters that it had.
    pub(crate) fn leave(&mut self, site: Site, client: &str) -> Vec<String> {
        let node = &mut self.nodes[site];
        node.durable.remove(client);
        let gone = node.sessions.remove(client).unwrap_or_default();
        node.write();
        gone.into_iter().collect()
    }

    /// A node dies, and will come back with what its disk has. Gives the filters before and after, one for each client
    /// that has it.
    pub(crate) fn crash(&mut self, site: Site, disk: Disk) -> (Vec<String>, Vec<String>) {
        let node = &mut self.nodes[site];
        let before = node.filters();
        let back = match disk {
            Disk::Kept => 0,
            Disk::Torn => 1,
            Disk::Old => OLD_BY,
            Disk::Lost => usize::MAX,
        };
        let at = node.disk.len().checked_sub(1).and_then(|last| last.checked_sub(back));
        node.sessions = at.and_then(|at| node.disk.get(at)).cloned().unwrap_or_default();
        node.durable = node.sessions.keys().cloned().collect();
        node.disk.clear();
        node.write();
        (before, node.filters())
    }

    /// Every subscription at a node, as the host must have it.
    pub(crate) fn all(&self, site: Site) -> BTreeSet<(String, String)> {
        let one = |(client, filters): (&String, &BTreeSet<String>)| {
            filters.iter().map(|filter| (client.clone(), filter.clone())).collect::<Vec<_>>()
        };
        self.nodes[site].sessions.iter().flat_map(one).collect()
    }

    /// The clients of a node that a message on a topic is for.
    pub(crate) fn wanting(&self, site: Site, topic: &str) -> Vec<String> {
        let wants = |filters: &BTreeSet<String>| filters.iter().any(|filter| super::matches(filter, topic));
        let sessions = self.nodes[site].sessions.iter();
        sessions.filter(|(_, filters)| wants(filters)).map(|(client, _)| client.clone()).collect()
    }

    /// The filters of a client at a node.
    pub(crate) fn of(&self, site: Site, client: &str) -> Vec<String> {
        self.nodes[site].sessions.get(client).into_iter().flatten().cloned().collect()
    }
}

impl Node {
    fn write(&mut self) {
        let durable = self.sessions.iter().filter(|(client, _)| self.durable.contains(*client));
        let now: Filters = durable.map(|(client, filters)| (client.clone(), filters.clone())).collect();
        if self.disk.last() != Some(&now) {
            self.disk.push(now);
        }
        if self.disk.len() > OLD_BY + 1 {
            self.disk.remove(0);
        }
    }

    fn filters(&self) -> Vec<String> {
        self.sessions.values().flatten().cloned().collect()
    }
}
