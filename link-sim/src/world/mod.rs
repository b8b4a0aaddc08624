//! Clusters of nodes in virtual time.
//!
//! ```text
//!            plan ──▶ clients, faults
//!                        │
//!   Broker ◀── Deliver ┌─▼────┐ Transmit ──▶ network ──▶ Frame ┌──────┐
//!   Broker ──▶ reports │ Node │                                │ Node │ …
//!                      └─┬────┘                                └──────┘
//!                        ▼
//!            model: what must be known, what must arrive ──▶ laws
//! ```
//!
//! There is one queue of events and one seed. Events of one moment happen in the order in which they were made, and
//! nothing iterates over a hash table, so a plan is run the same way each time.

mod act;
mod carry;
mod drive;
mod harm;
mod host;
mod hostile;
mod laws;
mod life;
mod observe;
mod queue;
mod settle;
mod site;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use link_core::message::Message;

use self::{
    queue::{Event, Queue},
    site::SiteState,
};
use crate::{
    broker::{Broker, ModelBroker},
    model::{Copies, Knowledge, Sessions},
    network::Network,
    plan::{Action, Disk, Noticed, Plan, Site, clients, fleet, is_durable, topics},
    rng::{Rng, Source},
    trace::Trace,
};

/// A law that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub law: Law,
    /// When it was seen.
    pub at: Duration,
    /// What was seen.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {:.3} s: {}", self.law, self.at.as_secs_f64(), self.what)
    }
}

impl std::error::Error for Violation {}

/// What always holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Law {
    /// A message is taken by the host of each peer that it was accepted for, or counted as expired or dropped.
    NothingLost,
    /// It is taken once, but for a receiver that died before the sender knew; and from nobody that did not accept it.
    OnceAndFromItsSender,
    /// Messages of one publisher keep their order.
    Order,
    /// What is acknowledged was taken.
    AcknowledgedIsTaken,
    /// What arrives is what was published.
    Integrity,
    /// Whoever must know of an interest forwards.
    InterestIsKnown,
    /// Nothing is forwarded without interest, but for a short while.
    NoInterestNoMessage,
    /// What is handed on matches the topics of the link.
    Imports,
    /// Route sets are equal at both ends soon after the last fault.
    Convergence,
    /// What a node holds of a peer's routes is what the peer announced at that point, and never an earlier point.
    Routes,
    /// Every ledger balances, and both ends agree.
    Ledger,
    /// Memory stays within the limits.
    Memory,
    /// Without events there are only heartbeats.
    Silence,
    /// Attempts to connect have pauses.
    Retry,
    /// The broker reports what its clients do.
    Host,
    /// Nothing panics.
    NoPanic,
}

/// What a run did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Simulated time.
    pub time: Duration,
    /// Messages that were published.
    pub published: u64,
    /// Messages that were accepted, once for each peer.
    pub accepted: u64,
    /// Messages that hosts took.
    pub taken: u64,
    /// How often a subscriber heard that a peer knows what it wants, and nothing else made that certain before.
    pub acked: u64,
    /// Frames that arrived.
    pub frames: u64,
    /// Faults that were injected.
    pub faults: u64,
}

impl Stats {
    /// Adds what another run did.
    pub fn add(&mut self, other: &Self) {
        self.time += other.time;
        self.published += other.published;
        self.accepted += other.accepted;
        self.taken += other.taken;
        self.acked += other.acked;
        self.frames += other.frames;
        self.faults += other.faults;
    }
}

/// Clusters, a network between them, and what happens to them.
pub struct World {
    plan: Plan,
    now: Duration,
    queue: Queue,
    sites: Vec<SiteState>,
    network: Network,
    rng: Rng,
    clients: Vec<Client>,
    hostile: bool,
    sessions: Sessions,
    knowledge: Knowledge,
    copies: Copies,
    originals: BTreeMap<u64, Message>,
    history: observe::History,
    idle: Option<settle::Idle>,
    trace: Trace,
    stats: Stats,
    violation: Option<Violation>,
}

#[derive(Debug, Default)]
struct Client {
    name: String,
    /// Where it is.
    at: Option<Site>,
    /// What it wants to be subscribed to.
    filters: BTreeSet<String>,
    durable: bool,
    published: u64,
}

/// How often the laws are checked.
const LOOK_EVERY: Duration = Duration::from_millis(500);

impl World {
    /// A world in which a plan will happen, with brokers of the model.
    pub fn new(plan: Plan) -> Self {
        let refuse_every = plan.settings.refuse_every;
        Self::with_brokers(plan, |_| Box::new(ModelBroker::new(refuse_every)))
    }

    /// As [`new`](Self::new), with a broker of your own for each node, by its name.
    pub fn with_brokers(plan: Plan, mut broker: impl FnMut(&str) -> Box<dyn Broker>) -> Self {
        let topology = &plan.topology;
        let sites: Vec<SiteState> = (0..topology.sites())
            .map(|site| {
                let name = topology.node_name(site);
                SiteState {
                    cluster: topology.cluster_of(site).0.name,
                    running: None,
                    broker: broker(&name),
                    life: 0,
                    starts: 0,
                    disk: Disk::Kept,
                    silent: false,
                    frozen: Duration::ZERO,
                    each: plan.settings.host,
                    parked: Vec::new(),
                    eras: BTreeMap::new(),
                    receptions: BTreeMap::new(),
                    name,
                }
            })
            .collect();
        let clients = (0..clients(topology)).map(|client| Client {
            name: format!("c{client}"),
            at: Some(client % sites.len().max(1)),
            durable: is_durable(topology, client),
            ..Client::default()
        });
        // The device fleet of a node is one more client of it.
        let fleets = (0..sites.len()).map(|site| Client {
            name: format!("fleet{site}"),
            at: Some(site),
            filters: fleet(plan.settings.fleet).collect(),
            durable: true,
            published: 0,
        });
        let clients = clients.chain(fleets);
        let hostile = plan.steps.iter().any(|step| matches!(step.action, Action::Attack { .. }));
        let faults = plan.faults() as u64;
        Self {
            now: Duration::ZERO,
            queue: Queue::default(),
            network: Network::default(),
            rng: Rng::new(plan.seed).fork(2),
            clients: clients.collect(),
            hostile,
            sessions: Sessions::new(sites.len()),
            knowledge: Knowledge::new(topology, topics(), plan.settings.news(), plan.settings.linger()),
            copies: Copies::default(),
            originals: BTreeMap::new(),
            history: observe::History::default(),
            idle: None,
            trace: Trace::new(false),
            stats: Stats { faults, ..Stats::default() },
            violation: None,
            sites,
            plan,
        }
    }

    /// Keeps the text of the trace, not only its digest.
    pub fn keep_trace(mut self) -> Self {
        self.trace = Trace::new(true);
        self
    }

    /// Lets everything happen, heals everything, and checks every law.
    ///
    /// # Errors
    /// The first law that was broken.
    pub fn run(&mut self) -> Result<(), Violation> {
        for site in 0..self.sites.len() {
            let at = self.rng.between(Duration::ZERO, Duration::from_millis(50));
            self.queue.push(at, Event::Start(site));
        }
        for step in 0..self.plan.steps.len() {
            self.queue.push(self.plan.steps[step].at, Event::Step(step));
        }
        self.queue.push(LOOK_EVERY, Event::Look);
        self.run_until(self.plan.length);
        if self.violation.is_none() {
            self.settle();
        }
        self.stats.time = self.now;
        self.stats.accepted = self.copies.total;
        match self.violation.clone() {
            Some(violation) => Err(violation),
            None => Ok(()),
        }
    }

    /// What happened so far.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// How much happened so far.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Lets events happen up to a moment, unless a law is broken.
    fn run_until(&mut self, end: Duration) {
        while self.violation.is_none() && self.queue.next_at().is_some_and(|at| at <= end) {
            let Some((at, event)) = self.queue.pop() else { break };
            self.now = self.now.max(at);
            self.dispatch(event);
        }
        if self.violation.is_none() {
            self.now = self.now.max(end);
        }
    }

    fn dispatch(&mut self, event: Event) {
        match event {
            Event::Step(step) => self.step(step),
            Event::Wake(site, life) => self.wake(site, life),
            Event::Drain(site, life) => self.drain_late(site, life),
            Event::Dialled { site, life, dial, to, begun } => self.dialled(site, life, dial, to, begun),
            Event::Pump { wire, way, line } => self.pump_again(wire, way, line),
            Event::Written { wire, way, line, bytes } => self.written(wire, way, line, bytes),
            Event::Arrive { wire, way, line } => self.arrive(wire, way, line),
            Event::Gone { wire, end } => self.gone(wire, end),
            Event::Host { site, life, peer } => self.host_done(site, life, peer),
            Event::Start(site) => self.start(site),
            Event::Return(site) => self.clients_return(site),
            Event::Restored(site, life) => self.restored(site, life),
            Event::Moved { client, leaves, enters } => self.moved(client, leaves, enters),
            Event::Restore(site, link) => self.restore_link(site, link),
            Event::HostHeals(site) => self.sites[site].each = self.plan.settings.host,
            Event::Break(wire) => self.break_wire(wire, Noticed::ByBoth),
            Event::Thaw(site) => self.thaw(site),
            Event::Look => {
                self.queue.push(self.now + LOOK_EVERY, Event::Look);
                self.look();
            }
        }
    }

    fn violate(&mut self, law: Law, what: impl Into<String>) {
        if self.violation.is_none() {
            let what = what.into();
            self.trace.line(self.now, format_args!("VIOLATION {law:?}: {what}"));
            self.violation = Some(Violation { law, at: self.now, what });
        }
    }

    /// The site of a node's name.
    fn site_named(&self, node: &str) -> Option<Site> {
        self.sites.iter().position(|site| site.name == node)
    }

    /// The life of the link of a node to the cluster of another one.
    fn era(&self, site: Site, to: Site) -> u32 {
        self.sites[site].eras.get(self.sites[to].cluster).copied().unwrap_or_default()
    }

    /// Where the plan's link `number` of a node leads, if it has any.
    fn link_number(&self, site: Site, number: usize) -> Option<usize> {
        let links = self.plan.topology.cluster_of(site).0.links.len();
        number.checked_rem(links)
    }

    /// Whether something is to wait until a node goes on; it is put off then.
    fn put_off(&mut self, site: Site, event: Event) -> bool {
        let until = self.sites[site].frozen;
        let waits = until > self.now;
        if waits {
            self.sites[site].parked.push(event);
        }
        waits
    }
}
