//! One node and what surrounds it: its host, its clock, its disk.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use link_core::{
    host::Origin,
    interest::Subscriptions,
    link::{ClusterName, LinkConfig, NodeName},
    message::Message,
    node::{BarrierId, Node, NodeConfig, PeerId, Publisher, Ticket},
    topic::TopicFilter,
    transport::Endpoint,
};

use super::queue::{Event, Numbers};
use crate::{
    broker::Broker,
    plan::{Disk, Settings, Site, Topology},
    rng::{Rng, Source},
};

/// One node, running or not.
pub(super) struct SiteState {
    pub(super) name: String,
    pub(super) cluster: &'static str,
    pub(super) running: Option<Running>,
    pub(super) broker: Box<dyn Broker>,
    /// Rises with each start.
    pub(super) life: u32,
    /// How often the disk says that it was started.
    pub(super) starts: u64,
    /// What the next start finds.
    pub(super) disk: Disk,
    /// It stands still until then.
    pub(super) frozen: Duration,
    /// What happened meanwhile.
    pub(super) parked: Vec<Event>,
    /// Time that the host takes for a message.
    pub(super) each: Duration,
    /// Life of each of its links: rises when it starts, and when the link is made.
    pub(super) eras: BTreeMap<&'static str, u32>,
    /// How often it forgot what it had received of another node.
    pub(super) receptions: BTreeMap<Site, u32>,
    /// It died without a word, and nobody answers for it.
    pub(super) silent: bool,
}

/// One life of a node.
pub(super) struct Running {
    pub(super) node: Node,
    pub(super) publisher: Publisher,
    pub(super) subscriptions: Subscriptions,
    pub(super) numbers: Numbers,
    pub(super) hosts: BTreeMap<PeerId, HostQueue>,
    pub(super) peers: BTreeMap<PeerId, Option<Site>>,
    /// When its clock showed zero, and by how much it was set ahead.
    pub(super) started: Duration,
    pub(super) ahead: Duration,
    pub(super) wake: Option<Duration>,
    pub(super) undrained: bool,
    /// Its host does not have its durable sessions yet.
    pub(super) restoring: bool,
    /// It announced additions only when it was last looked at.
    pub(super) warming: bool,
    /// Subscriptions so far, and the filters of which somebody waits to hear that they are acknowledged.
    pub(super) subscribed: u32,
    pub(super) barriers: BTreeMap<BarrierId, String>,
    /// Attempts to connect, by link, with the time of each of the last ones.
    pub(super) attempts: BTreeMap<String, VecDeque<Duration>>,
}

/// What waits for a host, of one peer.
#[derive(Default)]
pub(super) struct HostQueue {
    pub(super) waiting: VecDeque<(Ticket, Message, Arc<Origin>)>,
    pub(super) bytes: usize,
    pub(super) busy: bool,
}

impl Running {
    /// What a node's clock shows at a moment.
    pub(super) fn clock(&self, now: Duration) -> Duration {
        now.saturating_sub(self.started) + self.ahead
    }

    /// When the clock shows a time.
    pub(super) fn at(&self, clock: Duration) -> Duration {
        (clock + self.started).saturating_sub(self.ahead)
    }
}

/// A node that has started, without links.
pub(super) fn start(
    topology: &Topology,
    settings: &Settings,
    site: Site,
    starts: u64,
    now: Duration,
    rng: &mut Rng,
) -> Option<Running> {
    let cluster = ClusterName::new(topology.cluster_of(site).0.name).ok()?;
    let mut config = NodeConfig::new(cluster, NodeName::new(&topology.node_name(site)).ok()?);
    config.starts = starts;
    config.lanes = settings.lanes;
    config.route_ring = settings.route_ring;
    config.sketch_from = settings.sketch_from;
    config.covering = settings.covering;
    config.warm_up = settings.warm_up;
    config.limits.max_frame = settings.max_frame;
    let mut seed = [0; 32];
    for chunk in seed.chunks_mut(8) {
        chunk.copy_from_slice(&rng.word().to_be_bytes());
    }
    let node = Node::new(config, seed);
    // Clocks of different nodes have nothing in common.
    let ahead = rng.pick(&[0, 1, 86_400, 400 * 86_400]).copied().unwrap_or_default();
    Some(Running {
        publisher: node.publisher(),
        node,
        subscriptions: Subscriptions::new(),
        numbers: Numbers::default(),
        hosts: BTreeMap::new(),
        peers: BTreeMap::new(),
        started: now,
        ahead: Duration::from_secs(ahead) + rng.between(Duration::ZERO, Duration::from_secs(1)),
        wake: None,
        undrained: false,
        restoring: !settings.warm_up.is_zero(),
        warming: !settings.warm_up.is_zero(),
        subscribed: 0,
        barriers: BTreeMap::new(),
        attempts: BTreeMap::new(),
    })
}

/// The settings of the `number`th link of a node. `None` if the topology is wrong.
pub(super) fn link_config(topology: &Topology, settings: &Settings, site: Site, number: usize) -> Option<LinkConfig> {
    let (cluster, at) = topology.cluster_of(site);
    let link = cluster.links.get(number)?;
    let mut config = base(settings, link.to)?;
    config.topics = link.topics.iter().filter_map(|topic| TopicFilter::new(*topic).ok()).collect();
    let mut dials: Vec<Endpoint> = link.dials.iter().filter_map(|node| endpoint(node)).collect();
    if !dials.is_empty() {
        let turn = at % dials.len();
        dials.rotate_left(turn);
    }
    config.servers = dials;
    Some(config)
}

/// The link over which hostile peers may come.
pub(super) fn hostile_link(settings: &Settings) -> Option<LinkConfig> {
    let mut config = base(settings, HOSTILE)?;
    config.topics = vec![TopicFilter::new("evil/#").ok()?];
    Some(config)
}

/// The name of the cluster of hostile peers.
pub(super) const HOSTILE: &str = "evil";

/// The address of a node.
pub(super) fn endpoint(node: &str) -> Option<Endpoint> {
    format!("sim://{node}:1").parse().ok()
}

fn base(settings: &Settings, to: &str) -> Option<LinkConfig> {
    let mut config = LinkConfig::new(ClusterName::new(to).ok()?);
    config.peer_identity = Some(to.to_owned());
    config.heartbeat = settings.heartbeat;
    config.retry_first = settings.retry_first;
    config.retry_max = settings.retry_max;
    // Each address is that of another node. That is found out once a connection, soon, and ends before all is silent.
    config.return_after = Duration::from_secs(1);
    config.connect_timeout = settings.connect_timeout;
    config.queue_bytes = settings.queue_bytes;
    config.overflow = settings.overflow;
    config.window = settings.window;
    config.datagrams = settings.datagrams > 0;
    config.max_routes = settings.max_routes;
    config.retention = settings.retention;
    Some(config)
}
