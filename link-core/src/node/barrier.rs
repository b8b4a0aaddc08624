//! The subscribe barrier: when every chosen peer knows of an interest.
//!
//! ```text
//!  host          node                      peer
//!  subscribe --> seq 8: +t/1  -- delta -->
//!  barrier   --> waits for 8               counts t/1, publishes its table
//!            <-- done         <-- ack 8 --
//! ```
//!
//! A barrier waits for a position of each link's route log: the one at which it began. From there on the announced set
//! matches all of the filter while somebody is subscribed to it, whether the filter is announced itself or hidden by one
//! that covers it. A node of the peer's cluster has acknowledged it when it holds that position or a later one, in this
//! node's present life towards it and with the right digest; from then on it forwards, whatever the connection does.
//!
//! Nothing is acknowledged while this node is warming up. What a peer has by then has no position: it counts there, but one
//! that loses it does not say so, and no later HELLO would tell.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use thiserror::Error;

use super::{Node, Output, PeerId, Timer, input::BarrierId};
use crate::{
    interest::InterestChange,
    link::{ClusterName, Link, LinkId, NodeName},
    mutant::{self, Mutant},
    topic::TopicFilter,
};

/// Whose acknowledgement a barrier waits for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum AckFrom {
    /// Every link that is enabled and whose topics have anything in common with the filter.
    #[default]
    All,
    /// The links to these clusters.
    Clusters(BTreeSet<ClusterName>),
}

/// The nodes that have a route, by their clusters.
pub type AckedNodes = BTreeMap<ClusterName, Vec<NodeName>>;

/// Every chosen peer knows of the interest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Acked {
    /// The nodes that have acknowledged it, which are all that are connected.
    pub by: AckedNodes,
    /// Chosen links whose topics have nothing in common with the filter: their peers never send such messages.
    pub outside: BTreeSet<ClusterName>,
}

/// Who has not acknowledged an interest, and why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unacked {
    /// No node of the cluster is connected.
    NotConnected {
        /// The cluster.
        cluster: ClusterName,
        /// Why not, as the status of the link says it.
        reason: String,
    },
    /// A connected node has not acknowledged it yet.
    NotAcknowledged {
        /// Its cluster.
        cluster: ClusterName,
        /// The node.
        node: NodeName,
    },
    /// This node is warming up: a connected node counts the interest, and has not proven yet that it holds it.
    WarmingUp {
        /// Its cluster.
        cluster: ClusterName,
        /// The node.
        node: NodeName,
    },
}

impl fmt::Display for Unacked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotConnected { cluster, reason } => write!(f, "`{cluster}` is not connected ({reason})"),
            Self::NotAcknowledged { cluster, node } => write!(f, "node `{node}` of `{cluster}` has not answered yet"),
            Self::WarmingUp { cluster, node } => {
                write!(f, "node `{node}` of `{cluster}` is not asked while this node is warming up")
            }
        }
    }
}

/// Why it is not known that every chosen peer knows of an interest. The subscription stays in each case but
/// [`Ended`](Self::Ended), and peers go on to learn of it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AckError {
    /// The time is over.
    #[error("not acknowledged in time: {}", .waiting.iter().map(Unacked::to_string).collect::<Vec<_>>().join(", "))]
    Timeout {
        /// Who has not acknowledged it.
        waiting: Vec<Unacked>,
        /// Who has, up to now.
        acked: AckedNodes,
    },
    /// There is no link to a chosen cluster, or it was deleted meanwhile.
    #[error("there is no link `{0}`")]
    Unknown(ClusterName),
    /// Nobody is subscribed to the filter, or not any more.
    #[error("nobody is subscribed to the filter any more")]
    Ended,
    /// So many barriers wait already.
    #[error("{limit} barriers wait already")]
    TooMany {
        /// Most that may wait.
        limit: usize,
    },
    /// The linker has stopped.
    #[error("the linker has stopped")]
    Stopped,
}

/// The barriers that wait.
#[derive(Debug, Default)]
pub(super) struct Barriers {
    waiting: BTreeMap<BarrierId, Waiting>,
    /// What each link still has to reach, the nearest first.
    due: BTreeSet<(LinkId, u64, BarrierId)>,
    by_filter: BTreeSet<(TopicFilter, BarrierId)>,
}

#[derive(Debug)]
struct Waiting {
    filter: TopicFilter,
    from: AckFrom,
    links: BTreeMap<LinkId, Need>,
}

/// What a barrier needs of a link.
#[derive(Debug)]
enum Need {
    Outside,
    /// A position of its log, and who has acknowledged it once all had that were connected.
    At(u64, Option<Vec<NodeName>>),
}

/// How a link stands to a position of its log.
enum Standing {
    /// No node is connected.
    Away,
    /// These have not acknowledged it.
    Waits(Vec<NodeName>),
    /// All that are connected have: these.
    Acked(Vec<NodeName>),
}

impl Node {
    /// Begins to wait until chosen peers know of an interest.
    pub(super) fn on_barrier(&mut self, id: BarrierId, filter: &TopicFilter, from: AckFrom, deadline: Duration) {
        let filter = filter.without_share();
        let unknown = match &from {
            AckFrom::All => None,
            AckFrom::Clusters(names) => names.iter().find(|name| !self.names.contains_key(*name)).cloned(),
        };
        let limit = self.config.max_barriers;
        let refused = if let Some(name) = unknown {
            Some(AckError::Unknown(name))
        } else if !self.interest.contains(&filter) {
            Some(AckError::Ended)
        } else if self.barriers.waiting.len() >= limit {
            Some(AckError::TooMany { limit })
        } else {
            None
        };
        if let Some(error) = refused {
            return self.outputs.push_back(Output::BarrierDone { barrier: id, result: Err(error) });
        }
        self.barriers.by_filter.insert((filter.clone(), id));
        self.barriers.waiting.insert(id, Waiting { filter, from, links: BTreeMap::new() });
        self.timers.set(Timer::Barrier(id), deadline);
        let links: Vec<LinkId> = self.links.keys().copied().collect();
        for link in &links {
            self.need(id, *link);
        }
        for link in links {
            self.check_barriers(link);
        }
        self.finish_barrier(id);
        if self.now >= deadline {
            self.barrier_is_due(id);
        }
    }

    /// Nobody waits for a barrier any more.
    pub(super) fn on_cancel_barrier(&mut self, id: BarrierId) {
        self.end_barrier(id);
    }

    /// The time of a barrier is over.
    pub(super) fn barrier_is_due(&mut self, id: BarrierId) {
        let Some(barrier) = self.end_barrier(id) else { return };
        let (mut waiting, mut acked) = (Vec::new(), AckedNodes::new());
        for (link, need) in &barrier.links {
            let (Some(link), Need::At(seq, done)) = (self.links.get(link), need) else { continue };
            let cluster = link.name.clone();
            match (self.standing(link, *seq), done) {
                (Standing::Acked(nodes), _) => drop(acked.insert(cluster, nodes)),
                (Standing::Away, Some(nodes)) => drop(acked.insert(cluster, nodes.clone())),
                (Standing::Away, None) => waiting.push(Unacked::NotConnected { cluster, reason: link.reason.clone() }),
                (Standing::Waits(nodes), _) => {
                    let one = |node| {
                        let cluster = cluster.clone();
                        let peer = self.peer_named(link, Some(&node)).and_then(|peer| self.session(peer));
                        if peer.is_some_and(|session| session.routes.warming) {
                            Unacked::WarmingUp { cluster, node }
                        } else {
                            Unacked::NotAcknowledged { cluster, node }
                        }
                    };
                    waiting.extend(nodes.into_iter().map(one));
                }
            }
        }
        self.outputs.push_back(Output::BarrierDone { barrier: id, result: Err(AckError::Timeout { waiting, acked }) });
    }

    /// Interest that has ended has nothing to wait for.
    pub(super) fn end_barriers_of(&mut self, changes: &[InterestChange]) {
        if self.barriers.waiting.is_empty() {
            return;
        }
        for change in changes {
            let InterestChange::Removed(filter) = change else { continue };
            let from = (filter.clone(), BarrierId(0));
            let ended = self.barriers.by_filter.range(from..).take_while(|(other, _)| other == filter);
            for (_, id) in ended.cloned().collect::<Vec<_>>() {
                self.end_barrier(id);
                self.outputs.push_back(Output::BarrierDone { barrier: id, result: Err(AckError::Ended) });
            }
        }
    }

    /// A link was deleted.
    pub(super) fn barriers_forget(&mut self, link: LinkId, name: &ClusterName) {
        let named = |barrier: &Waiting| matches!(&barrier.from, AckFrom::Clusters(names) if names.contains(name));
        let ended = self.barriers.waiting.iter().filter(|(_, barrier)| named(barrier)).map(|(id, _)| *id);
        for id in ended.collect::<Vec<_>>() {
            self.end_barrier(id);
            let result = Err(AckError::Unknown(name.clone()));
            self.outputs.push_back(Output::BarrierDone { barrier: id, result });
        }
        self.barriers_need(link);
    }

    /// A link was made, changed or deleted: what is needed of it is something else.
    pub(super) fn barriers_need(&mut self, link: LinkId) {
        for id in self.barriers.waiting.keys().copied().collect::<Vec<_>>() {
            self.need(id, link);
        }
        self.check_barriers(link);
        for id in self.barriers.waiting.keys().copied().collect::<Vec<_>>() {
            self.finish_barrier(id);
        }
    }

    /// A peer of a link has acknowledged something, or is gone: looks at the barriers that wait for that.
    pub(super) fn check_barriers(&mut self, link: LinkId) {
        loop {
            let nearest = self.barriers.due.range((link, 0, BarrierId(0))..).next().copied();
            let Some((_, seq, id)) = nearest.filter(|(of, ..)| *of == link) else { return };
            let Some(record) = self.links.get(&link) else { return };
            let Standing::Acked(nodes) = self.standing(record, seq) else { return };
            self.barriers.due.remove(&(link, seq, id));
            if let Some(barrier) = self.barriers.waiting.get_mut(&id) {
                barrier.links.insert(link, Need::At(seq, Some(nodes)));
            }
            self.finish_barrier(id);
        }
    }

    /// Notes what a barrier needs of a link.
    fn need(&mut self, id: BarrierId, link: LinkId) {
        let Some(barrier) = self.barriers.waiting.get_mut(&id) else { return };
        if let Some(Need::At(seq, _)) = barrier.links.remove(&link) {
            self.barriers.due.remove(&(link, seq, id));
        }
        let Some(record) = self.links.get(&link) else { return };
        let chosen = match &barrier.from {
            AckFrom::All => record.config.enabled,
            AckFrom::Clusters(names) => names.contains(&record.name),
        };
        if !chosen {
            return;
        }
        let need = if record.log.imports().iter().any(|import| import.intersect(&barrier.filter).is_some()) {
            let seq = record.log.position().seq;
            self.barriers.due.insert((link, seq, id));
            Need::At(seq, None)
        } else {
            Need::Outside
        };
        barrier.links.insert(link, need);
    }

    /// Ends a barrier that waits for nothing more.
    fn finish_barrier(&mut self, id: BarrierId) {
        let Some(barrier) = self.barriers.waiting.get(&id) else { return };
        let is_due = |(link, need): (&LinkId, &Need)| match need {
            Need::At(seq, _) => self.barriers.due.contains(&(*link, *seq, id)),
            Need::Outside => false,
        };
        if barrier.links.iter().any(is_due) {
            return;
        }
        let (mut done, mut again) = (Acked::default(), Vec::new());
        for (link, need) in &barrier.links {
            let Some(record) = self.links.get(link) else { continue };
            match need {
                Need::Outside => drop(done.outside.insert(record.name.clone())),
                Need::At(seq, nodes) => match self.standing(record, *seq) {
                    Standing::Acked(nodes) => drop(done.by.insert(record.name.clone(), nodes)),
                    // It goes on to hold what it acknowledged.
                    Standing::Away => drop(done.by.insert(record.name.clone(), nodes.clone().unwrap_or_default())),
                    // One came back without its memory, or another one came, while others were waited for.
                    Standing::Waits(_) => again.push((*link, *seq, id)),
                },
            }
        }
        if again.is_empty() {
            self.end_barrier(id);
            self.outputs.push_back(Output::BarrierDone { barrier: id, result: Ok(done) });
        } else if let Some(barrier) = self.barriers.waiting.get_mut(&id) {
            barrier.links.extend(again.iter().map(|(link, seq, _)| (*link, Need::At(*seq, None))));
            self.barriers.due.extend(again);
        }
    }

    fn end_barrier(&mut self, id: BarrierId) -> Option<Waiting> {
        let barrier = self.barriers.waiting.remove(&id)?;
        self.timers.clear(Timer::Barrier(id));
        self.barriers.by_filter.remove(&(barrier.filter.clone(), id));
        for (link, need) in &barrier.links {
            if let Need::At(seq, _) = need {
                self.barriers.due.remove(&(*link, *seq, id));
            }
        }
        Some(barrier)
    }

    fn standing(&self, link: &Link, seq: u64) -> Standing {
        let (mut acked, mut waits) = (Vec::new(), Vec::new());
        for id in &link.peers {
            let Some(peer) = self.peers.get(id) else { continue };
            if peer.session.as_ref().is_some_and(|session| session.is_live()) {
                let reached =
                    self.acked_by(link, *id).is_some_and(|reached| reached >= seq) || mutant::on(Mutant::EarlyAck);
                if reached { &mut acked } else { &mut waits }.push(peer.node.clone());
            }
        }
        match (acked.is_empty(), waits.is_empty()) {
            (true, true) => Standing::Away,
            (_, false) => Standing::Waits(waits),
            (false, true) => Standing::Acked(acked),
        }
    }

    /// Up to where every connected peer of a link holds this side's route set; `None` if none is connected or one holds
    /// nothing of it.
    pub(super) fn acked_by_all(&self, link: &Link) -> Option<u64> {
        let is_live = |id: &&PeerId| self.session(**id).is_some_and(|session| session.is_live());
        let acked = link.peers.iter().filter(is_live).map(|id| self.acked_by(link, *id));
        acked.collect::<Option<Vec<u64>>>()?.into_iter().min()
    }

    /// Up to where a connected peer holds this side's route set.
    fn acked_by(&self, link: &Link, id: PeerId) -> Option<u64> {
        let peer = self.peers.get(&id)?;
        let confirmed = peer.session.as_ref()?.routes.confirmed;
        let held = link.held_in(peer.life, confirmed).filter(|held| link.log.agrees(held))?;
        Some(held.seq)
    }
}
