//! Two hosts with a linked broker each: "us" listens, "eu" dials.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use link_core::{
    driver::Linker,
    link::{NodeName, TlsSettings},
    memory::MemoryBroker,
};
use link_quic::{QuicSettings, QuicTransport, simulation::Simulated};
use quinn::{EndpointConfig, TokioRuntime};
use tokio::{task::JoinSet, time::sleep};
use turmoil::Sim;

use crate::{
    record::{Life, Published, Recorder, What},
    socket::Socket,
    support::{Authority, cluster, filter, link, message},
};

const PORT: u16 = 14567;
/// At each end; each has messages in the order of its numbers.
const PUBLISHERS: u32 = 2;
/// Bytes above which a frame goes on a stream of its own.
const DETACHED: usize = 8 << 10;
/// Between two looks at the state of the link.
const LOOKS: Duration = Duration::from_millis(10);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Us,
    Eu,
}

impl End {
    pub const BOTH: [Self; 2] = [Self::Us, Self::Eu];

    pub fn name(self) -> &'static str {
        match self {
            Self::Us => "us",
            Self::Eu => "eu",
        }
    }

    pub fn other(self) -> Self {
        match self {
            Self::Us => Self::Eu,
            Self::Eu => Self::Us,
        }
    }

    /// One certificate each for all runs of the process.
    fn tls(self) -> TlsSettings {
        static SETTINGS: OnceLock<[TlsSettings; 2]> = OnceLock::new();
        let made = || {
            let authority = Authority::new();
            End::BOTH.map(|end| authority.settings(&[end.name()]))
        };
        SETTINGS.get_or_init(made)[self as usize].clone()
    }
}

/// What both hosts and the test share.
pub struct World {
    seed: u64,
    pub recorder: Recorder,
    pub publishing: AtomicBool,
    next: [AtomicU64; 2],
}

impl World {
    pub fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self {
            seed,
            recorder: Recorder::default(),
            publishing: AtomicBool::new(true),
            next: Default::default(),
        })
    }

    /// Puts both hosts into a simulation.
    pub fn start(self: &Arc<Self>, sim: &mut Sim<'_>) {
        for end in End::BOTH {
            let world = self.clone();
            sim.host(end.name(), move || world.clone().live(end));
        }
    }

    /// One life of a host.
    async fn live(self: Arc<Self>, end: End) -> turmoil::Result {
        let life = self.recorder.start(end);
        let broker = MemoryBroker::new();
        let mut client = broker.client("c");
        client.subscribe(&filter(&format!("{}/#", end.name())));
        let linker = self.linker(end, life, &broker);
        broker.attach(&linker);
        let mut tasks = JoinSet::new();
        tasks.spawn(self.clone().watch(end, life, linker.clone()));
        for publisher in 0..PUBLISHERS {
            tasks.spawn(self.clone().publish(end, life, publisher, linker.clone()));
        }
        while let Some(message) = client.recv().await {
            let mut words = std::str::from_utf8(&message.payload)?.split(' ');
            let mut word = || words.next().unwrap_or_default();
            let published = Published { life: word().parse()?, publisher: word().parse()?, number: word().parse()? };
            self.recorder.note(end, life, What::Delivered(published));
        }
        Ok(())
    }

    fn linker(self: &Arc<Self>, end: End, life: Life, broker: &Arc<MemoryBroker>) -> Linker {
        let settings = QuicSettings { discover_mtu: false, detach_above: DETACHED, ..QuicSettings::default() };
        let (network, seed) = (self.network(end, life), seed(self.seed, end, life));
        let us = SocketAddr::new(turmoil::lookup("us"), PORT);
        let (transport, servers) = match end {
            End::Us => {
                let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT));
                (QuicTransport::listen_simulated(any, &end.tls(), settings, network).unwrap(), None)
            }
            End::Eu => (QuicTransport::simulated(settings, network), Some(us)),
        };
        Linker::builder(cluster(end.name()), NodeName::new(&format!("{}-1", end.name())).unwrap())
            .transport(Arc::new(transport))
            .link(link(end.other().name(), servers, end.tls()))
            .seed(seed)
            .start(broker.clone())
            .unwrap()
    }

    fn network(self: &Arc<Self>, end: End, life: Life) -> Simulated {
        let mut endpoint = EndpointConfig::default();
        endpoint.rng_seed(Some(seed(self.seed, end, life)));
        let world = self.clone();
        let bind = move |address| {
            let world = world.clone();
            let socket = Socket::bind(address, move |len| world.recorder.packet(end, len))?;
            Ok(socket as Arc<dyn quinn::AsyncUdpSocket>)
        };
        Simulated { endpoint, runtime: Arc::new(TokioRuntime), bind: Arc::new(bind) }
    }

    async fn watch(self: Arc<Self>, end: End, life: Life, linker: Linker) {
        let mut last = None;
        let peer = cluster(end.other().name());
        while let Some(status) = linker.link(&peer).await {
            // What comes back is wanted too: messages can be accepted.
            let wanted = linker.wants(&format!("{}/0", end.other().name()));
            let now = (status.state, wanted);
            if last.replace(now) != Some(now) {
                self.recorder.note(end, life, What::State(status.state, wanted));
            }
            sleep(LOOKS).await;
        }
    }

    async fn publish(self: Arc<Self>, end: End, life: Life, publisher: u32, linker: Linker) {
        let mut random =
            Random::new(self.seed ^ u64::from(publisher) << 40 ^ u64::from(life) << 48 ^ (end as u64) << 56);
        let topic = format!("{}/{publisher}", end.other().name());
        loop {
            // Bursts, and pauses between them.
            if random.between(0, 31) == 0 {
                sleep(Duration::from_millis(random.between(50, 300))).await;
            }
            if !self.publishing.load(Relaxed) {
                continue;
            }
            let published = Published { life, publisher, number: self.next[end as usize].fetch_add(1, Relaxed) };
            // At times one that goes on a stream of its own.
            let padding = if random.between(0, 63) == 0 { DETACHED } else { 0 };
            let text = format!("{life} {publisher} {} {}", published.number, ".".repeat(padding));
            let message = message(&topic, text);
            if linker.publish(&format!("p{publisher}"), &message).is_ok_and(|result| result.accepted == 1) {
                self.recorder.note(end, life, What::Accepted(published));
            }
        }
    }
}

fn seed(seed: u64, end: End, life: Life) -> [u8; 32] {
    let mut bytes = [0; 32];
    let mut random = Random::new(seed.wrapping_mul(1_000) + u64::from(life) * 2 + end as u64);
    bytes.chunks_mut(8).for_each(|chunk| chunk.copy_from_slice(&random.next().to_be_bytes()));
    bytes
}

/// SplitMix64.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// `low` and `high` included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }
}
