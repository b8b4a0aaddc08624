use std::{fmt, time::Duration};

use link_core::{message::QoS, transport::Class};

use super::Site;

/// What a crash leaves of a node's disk, which holds the number of starts and the sessions of durable clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disk {
    /// All of it.
    Kept,
    /// Nothing.
    Lost,
    /// What was there some changes ago.
    Old,
    /// The last record was torn: its change is missing, and the number of starts can't be read.
    Torn,
}

/// Who notices that a connection is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noticed {
    /// Both, soon.
    ByBoth,
    /// Only the first; the other one when it sends, or by silence.
    ByFirst,
    /// Nobody, before they send or by silence.
    ByNobody,
}

/// What a hostile peer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attack {
    /// Greets and says nothing more.
    Mute,
    /// Never greets.
    Stranger,
    /// Bytes that are no frame.
    Noise,
    /// The first part of a frame.
    Truncated,
    /// Speaks for a cluster for which it may not.
    Impostor,
    /// A message number beyond the next.
    Gap,
    /// More than the window.
    Flood,
    /// Acknowledges what was never sent.
    AckUnsent,
    /// Route changes with a wrong digest, again and again.
    WrongDigest,
    /// More routes than allowed.
    TooManyRoutes,
    /// Snapshots that never end.
    EndlessSnapshot,
    /// Life after life.
    Lives,
    /// Messages that were not asked for, among them topics of the links themselves.
    NotImported,
    /// A second HELLO.
    HelloTwice,
}

/// One event of a plan.
#[derive(Debug, Clone)]
pub enum Action {
    /// A client subscribes, and comes into being if it has to.
    Subscribe {
        /// The client, by number.
        client: usize,
        /// The filter.
        filter: String,
    },
    /// A client unsubscribes from one of its filters.
    Unsubscribe {
        /// The client.
        client: usize,
        /// Which of its filters, modulo their number.
        which: usize,
    },
    /// A client leaves with all its subscriptions.
    Leave {
        /// The client.
        client: usize,
    },
    /// A client moves to another node, with its subscriptions.
    Move {
        /// The client.
        client: usize,
        /// Where it goes.
        to: Site,
        /// It is at the new node before it leaves the old one.
        overlap: bool,
        /// Time between the two.
        pause: Duration,
    },
    /// A client publishes some messages.
    Publish {
        /// The client.
        client: usize,
        /// The topic.
        topic: String,
        /// Quality of service.
        qos: QoS,
        /// Bytes of the payload beside its number.
        size: usize,
        /// Message expiry interval, in seconds.
        expiry: Option<u32>,
        /// How many messages.
        count: usize,
    },
    /// Every connection between two nodes breaks, and what was under way in part arrives.
    Break {
        /// A node.
        a: Site,
        /// The other one.
        b: Site,
        /// Who notices.
        noticed: Noticed,
    },
    /// Nothing arrives from one node at another; the other way is open.
    Cut {
        /// Who is not heard.
        from: Site,
        /// Who does not hear.
        to: Site,
        /// For how long.
        time: Duration,
    },
    /// Nothing arrives either way.
    Partition {
        /// A node.
        a: Site,
        /// The other one.
        b: Site,
        /// For how long.
        time: Duration,
    },
    /// One class of the present connections stands still; it is not closed.
    Stall {
        /// Who is not heard.
        from: Site,
        /// Who does not hear.
        to: Site,
        /// Which class.
        class: Class,
        /// For how long.
        time: Duration,
    },
    /// The path takes fewer bytes.
    Throttle {
        /// Who sends.
        from: Site,
        /// Who receives.
        to: Site,
        /// Bytes per second of each class.
        rate: u64,
        /// For how long.
        time: Duration,
    },
    /// A faulty carrier loses the next frame of a class that is no heartbeat; the connection breaks some seconds later.
    LoseFrame {
        /// Who sends.
        from: Site,
        /// Who receives.
        to: Site,
        /// Which class.
        class: Class,
    },
    /// A faulty carrier delivers the next frame of a class again, some frames later.
    RepeatFrame {
        /// Who sends.
        from: Site,
        /// Who receives.
        to: Site,
        /// Which class.
        class: Class,
        /// How many frames later.
        later: usize,
    },
    /// The next frame of a class arrives without its end, as an attack.
    TruncateFrame {
        /// Who sends.
        from: Site,
        /// Who receives.
        to: Site,
        /// Which class.
        class: Class,
        /// Where it ends, in thousandths of it.
        at: u16,
    },
    /// A node dies and is started again.
    Crash {
        /// The node.
        site: Site,
        /// What is left of its disk.
        disk: Disk,
        /// Its peers are told by their systems.
        loud: bool,
        /// How long it is gone.
        time: Duration,
    },
    /// A node is stopped as an operator does, and started again.
    Stop {
        /// The node.
        site: Site,
        /// How long it is gone.
        time: Duration,
    },
    /// A node stands still and goes on where it was.
    Freeze {
        /// The node.
        site: Site,
        /// For how long.
        time: Duration,
    },
    /// A node's clock jumps ahead.
    Jump {
        /// The node.
        site: Site,
        /// By how much.
        by: Duration,
    },
    /// A host takes longer for each message.
    SlowHost {
        /// The node.
        site: Site,
        /// Time for one message.
        each: Duration,
        /// For how long.
        time: Duration,
    },
    /// The topics of a link change.
    Topics {
        /// The node.
        site: Site,
        /// Which of its links, modulo their number.
        link: usize,
        /// The new topics.
        topics: Vec<String>,
        /// For how long.
        time: Duration,
    },
    /// A link is switched off for a while.
    Disable {
        /// The node.
        site: Site,
        /// Which of its links, modulo their number.
        link: usize,
        /// For how long.
        time: Duration,
    },
    /// A link is deleted, and made again.
    Delete {
        /// The node.
        site: Site,
        /// Which of its links, modulo their number.
        link: usize,
        /// How long it is gone.
        time: Duration,
    },
    /// A link is set up wrongly for a while: it expects another identity, or dials a node of another cluster.
    Misconfigure {
        /// The node.
        site: Site,
        /// Which of its links, modulo their number.
        link: usize,
        /// What is wrong: 0 the identity, 1 the server, 2 a server that does not exist.
        what: u8,
        /// For how long.
        time: Duration,
    },
    /// The host's subscriptions are compared with what the linker knows.
    Reconcile {
        /// The node.
        site: Site,
    },
    /// A hostile peer connects to a node.
    Attack {
        /// The node.
        site: Site,
        /// What it does.
        attack: Attack,
        /// Chooses the details.
        seed: u64,
    },
}

impl Action {
    /// Whether something goes wrong by it, rather than that somebody does something.
    pub fn is_fault(&self) -> bool {
        !matches!(
            self,
            Self::Subscribe { .. }
                | Self::Unsubscribe { .. }
                | Self::Leave { .. }
                | Self::Move { .. }
                | Self::Publish { .. }
                | Self::Reconcile { .. }
                | Self::Topics { .. }
        )
    }
}

/// One event of a plan, and when it happens.
#[derive(Debug, Clone)]
pub struct Step {
    /// Since the beginning.
    pub at: Duration,
    /// What happens.
    pub action: Action,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>9.3} s {:?}", self.at.as_secs_f64(), self.action)
    }
}
