//! How the events of a plan are drawn.

use std::time::Duration;

use link_core::{message::QoS, transport::Class};

use super::{
    Action, Attack, Disk, Noticed, Settings, Site, Step, Topology,
    vocabulary::{filter, topic},
};
use crate::{rng::Source, scenario::Scenario};

/// A kind of event, with which a scenario says what happens in it and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the action of the same name")]
pub enum Kind {
    Subscribe,
    Unsubscribe,
    Leave,
    Move,
    Publish,
    Burst,
    Break,
    Cut,
    Partition,
    Stall,
    Throttle,
    LoseFrame,
    RepeatFrame,
    TruncateFrame,
    Crash,
    CrashWithDisk,
    Stop,
    Freeze,
    Jump,
    SlowHost,
    Topics,
    Disable,
    Delete,
    Misconfigure,
    Reconcile,
    Attack,
}

/// Longest time between the two halves of a move.
pub(crate) const MOVE: Duration = Duration::from_secs(3);

/// Clients of each node at the beginning.
const CLIENTS: usize = 3;

/// How many clients there are. Client `n` begins at node `n % sites`; every other round of them is durable.
pub(crate) fn clients(topology: &Topology) -> usize {
    topology.sites() * CLIENTS
}

/// Whether the sessions of a client outlive a crash that keeps the disk.
pub(crate) fn is_durable(topology: &Topology, client: usize) -> bool {
    (client / topology.sites().max(1)).is_multiple_of(2)
}

/// The filters of a device fleet.
pub(crate) fn fleet(size: usize) -> impl Iterator<Item = String> {
    // The beginnings differ, so that front coding does not help.
    (0..size).map(|number| format!("{:05}/{}", number * 7919 % 100_000, "x".repeat(1500)))
}

/// Every client subscribes to something at the beginning.
pub(super) fn first(topology: &Topology, source: &mut impl Source) -> Vec<Step> {
    let subscribe = |client| Step {
        at: Duration::from_millis(100 + client as u64),
        action: Action::Subscribe { client, filter: filter(source) },
    };
    (0..clients(topology)).map(subscribe).collect()
}

/// One event of the scenario's mix.
pub(super) fn action<S: Source>(
    scenario: &Scenario,
    topology: &Topology,
    settings: &Settings,
    source: &mut S,
) -> Option<Action> {
    let total: u64 = scenario.mix.iter().map(|(_, weight)| u64::from(*weight)).sum();
    let mut drawn = source.below(total);
    let (kind, _) = scenario.mix.iter().find(|(_, weight)| {
        let here = drawn < u64::from(*weight);
        drawn = drawn.saturating_sub(u64::from(*weight));
        here
    })?;
    of_kind(*kind, topology, settings, source)
}

fn of_kind<S: Source>(kind: Kind, topology: &Topology, settings: &Settings, source: &mut S) -> Option<Action> {
    let client = source.index(clients(topology));
    let site = source.index(topology.sites());
    let link = source.index(4);
    let time = outage(settings, source);
    Some(match kind {
        Kind::Subscribe => Action::Subscribe { client, filter: filter(source) },
        Kind::Unsubscribe => Action::Unsubscribe { client, which: source.index(8) },
        Kind::Leave => Action::Leave { client },
        Kind::Move => {
            let pause = source.between(Duration::ZERO, MOVE);
            Action::Move { client, to: site, overlap: source.chance(1, 2), pause }
        }
        Kind::Publish => publish(client, source, 4),
        Kind::Burst => publish(client, source, 60),
        Kind::Break => {
            let (a, b) = pair(topology, source)?;
            let noticed = [Noticed::ByBoth, Noticed::ByBoth, Noticed::ByFirst, Noticed::ByNobody];
            Action::Break { a, b, noticed: *source.pick(&noticed)? }
        }
        Kind::Cut => {
            let (from, to) = pair(topology, source)?;
            Action::Cut { from, to, time }
        }
        Kind::Partition => {
            let (a, b) = pair(topology, source)?;
            Action::Partition { a, b, time }
        }
        Kind::Stall => {
            let (from, to) = pair(topology, source)?;
            Action::Stall { from, to, class: class(settings, source), time }
        }
        Kind::Throttle => {
            let (from, to) = pair(topology, source)?;
            Action::Throttle { from, to, rate: *source.pick(&[10_000, 30_000, 100_000])?, time }
        }
        Kind::LoseFrame => {
            let (from, to) = pair(topology, source)?;
            Action::LoseFrame { from, to, class: class(settings, source) }
        }
        Kind::RepeatFrame => {
            let (from, to) = pair(topology, source)?;
            Action::RepeatFrame { from, to, class: class(settings, source), later: source.index(4) }
        }
        Kind::TruncateFrame => {
            let (from, to) = pair(topology, source)?;
            Action::TruncateFrame { from, to, class: class(settings, source), at: source.below(1000) as u16 }
        }
        Kind::Crash => {
            let disk = *source.pick(&[Disk::Kept, Disk::Kept, Disk::Lost, Disk::Old, Disk::Torn])?;
            Action::Crash { site, disk, loud: source.chance(1, 2), time }
        }
        Kind::CrashWithDisk => Action::Crash { site, disk: Disk::Kept, loud: source.chance(1, 2), time },
        Kind::Stop => Action::Stop { site, time },
        Kind::Freeze => Action::Freeze { site, time },
        Kind::Jump => {
            let far = *source.pick(&[1, 60, 3600, 10 * 24 * 3600])?;
            Action::Jump { site, by: Duration::from_secs(far) }
        }
        Kind::SlowHost => {
            let each = source.between(Duration::from_millis(5), Duration::from_millis(200));
            Action::SlowHost { site, each, time }
        }
        Kind::Topics => {
            let mut topics: Vec<String> = vec![plain(source), plain(source)];
            topics.truncate(source.index(3));
            Action::Topics { site, link, topics, time }
        }
        Kind::Disable => Action::Disable { site, link, time },
        Kind::Delete => Action::Delete { site, link, time },
        Kind::Misconfigure => Action::Misconfigure { site, link, what: source.below(3) as u8, time },
        Kind::Reconcile => Action::Reconcile { site },
        Kind::Attack => Action::Attack { site, attack: attack(source)?, seed: source.below(1 << 32) },
    })
}

/// From a blink to twice the time after which silence is noticed.
fn outage(settings: &Settings, source: &mut impl Source) -> Duration {
    let most = [Duration::from_millis(50), settings.heartbeat, settings.heartbeat * 6];
    let most = source.pick(&most).copied().unwrap_or_default();
    source.between(Duration::from_millis(1), most)
}

fn pair(topology: &Topology, source: &mut impl Source) -> Option<(Site, Site)> {
    let pairs = topology.pairs();
    let (a, b) = *source.pick(&pairs)?;
    Some(if source.chance(1, 2) { (a, b) } else { (b, a) })
}

fn class(settings: &Settings, source: &mut impl Source) -> Class {
    match source.index(2) {
        0 => Class::Control,
        _ => Class::Data(source.index(usize::from(settings.channels)) as u16),
    }
}

fn publish(client: usize, source: &mut impl Source, most: usize) -> Action {
    let qos = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];
    let qos = source.pick(&qos).copied().unwrap_or_default();
    let size = source.pick(&[0, 10, 200, 3000]).copied().unwrap_or_default();
    let expiry = if source.chance(1, 6) { Some(1 + source.below(20) as u32) } else { None };
    Action::Publish { client, topic: topic(source), qos, size, expiry, count: 1 + source.index(most) }
}

/// A filter that may be a topic of a link.
fn plain(source: &mut impl Source) -> String {
    let text = filter(source);
    if text.starts_with("$share") { "a/#".to_owned() } else { text }
}

fn attack(source: &mut impl Source) -> Option<Attack> {
    let all = [
        Attack::Mute,
        Attack::Stranger,
        Attack::Noise,
        Attack::Truncated,
        Attack::Impostor,
        Attack::Gap,
        Attack::Flood,
        Attack::AckUnsent,
        Attack::WrongDigest,
        Attack::TooManyRoutes,
        Attack::EndlessSnapshot,
        Attack::Lives,
        Attack::NotImported,
        Attack::HelloTwice,
    ];
    source.pick(&all).copied()
}
