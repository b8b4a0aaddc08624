use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::{
    host::Origin,
    interest::InterestChange,
    link::ClusterName,
    message::Message,
    node::{AckError, AckFrom, Acked, Offered},
    topic::TopicFilter,
    transport::{Class, Dial, DialError, Identity},
    wire::RefusedReason,
};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, FromBytes, IntoBytes, Immutable)]
        #[repr(transparent)]
        pub struct $name(pub u32);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

id! {
    /// One connection, numbered by the driver; never used twice.
    ConnectionId
}
id! {
    /// One attempt to connect, numbered by the node; never used twice.
    DialId
}
id! {
    /// One node of one peer cluster, numbered by the node; never used twice.
    PeerId
}

id! {
    /// One wait for acknowledgements, numbered by the driver; never used twice.
    BarrierId
}

/// What happens to a node.
#[derive(Debug)]
pub enum Input {
    /// Topic filters gained their first or lost their last local subscriber.
    Interest(Vec<InterestChange>),
    /// A message that the [`Publisher`](crate::node::Publisher) let in for one peer.
    Publish(Offered),
    /// A connection is up: dialled, or accepted.
    Connected {
        /// Its number.
        connection: ConnectionId,
        /// The attempt that made it, or `None` if the peer dialled.
        dial: Option<DialId>,
        /// Whom the transport authenticated.
        identity: Identity,
        /// How many data channels it has, at least 1.
        channels: u16,
        /// Most bytes of a datagram; 0 where it carries none.
        datagrams: usize,
        /// Most bytes of a frame that it carries, if there is a limit.
        max_frame: Option<usize>,
    },
    /// An attempt failed.
    DialFailed {
        /// The attempt.
        dial: DialId,
        /// Why.
        error: DialError,
    },
    /// The transport turned a peer away.
    Refused {
        /// Whom it claimed to be.
        identity: Identity,
        /// Why it was refused.
        reason: String,
    },
    /// A frame arrived.
    Frame {
        /// On which connection.
        connection: ConnectionId,
        /// Its bytes.
        frame: Bytes,
    },
    /// The transport took over a frame of [`Output::Transmit`].
    Sent {
        /// On which connection.
        connection: ConnectionId,
        /// In which class.
        class: Class,
        /// Length of the frame.
        bytes: usize,
    },
    /// A connection is gone.
    Lost {
        /// Which.
        connection: ConnectionId,
        /// Why.
        reason: String,
    },
    /// The host is done with a message of [`Output::Deliver`]. Messages of one peer are reported in the order in
    /// which they were put out.
    Delivered {
        /// The peer from which it came.
        peer: PeerId,
        /// As in the output.
        ticket: Ticket,
        /// `None` if the host took it.
        refused: Option<RefusedReason>,
    },
    /// Somebody waits until chosen peers know of an interest, which was reported before; [`Output::BarrierDone`] follows.
    Barrier {
        /// Its number.
        barrier: BarrierId,
        /// A filter with a local subscriber.
        filter: TopicFilter,
        /// Whose acknowledgement is waited for.
        from: AckFrom,
        /// Until when.
        deadline: Duration,
    },
    /// Nobody waits any more.
    CancelBarrier(BarrierId),
    /// Every session that outlived the start of the node is reported: it is warm, before its time to warm up is over.
    Warm,
    /// The deadline of [`Node::poll_timeout`](crate::node::Node::poll_timeout) has come.
    Timeout,
}

/// Names a message in the host's hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    /// Which life of the peer it belongs to; results for an earlier one are void.
    pub epoch: u32,
    /// By which way it came.
    pub way: Way,
    /// Its number there.
    pub seq: u64,
}

/// By which way a message came, each with numbers of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Way {
    /// In this lane.
    Lane(u8),
    /// As a datagram of this connection.
    Datagram(ConnectionId),
}

/// What a node wants done.
#[derive(Debug)]
pub enum Output {
    /// Connect to a peer, and report [`Input::Connected`] or [`Input::DialFailed`].
    Dial {
        /// The attempt.
        dial: DialId,
        /// Where, and with which settings.
        request: Dial,
    },
    /// Give up an attempt; nothing is reported about it any more.
    CancelDial {
        /// The attempt.
        dial: DialId,
    },
    /// Send a frame, and report [`Input::Sent`].
    Transmit {
        /// On which connection.
        connection: ConnectionId,
        /// In which class.
        class: Class,
        /// The encoded frame.
        frame: Bytes,
    },
    /// Close a connection after the control frames before this; nothing is reported about it any more.
    Close {
        /// Which.
        connection: ConnectionId,
    },
    /// Hand a message to the host, and report [`Input::Delivered`].
    Deliver {
        /// The peer from which it comes.
        peer: PeerId,
        /// To be given back with the result.
        ticket: Ticket,
        /// The message.
        message: Message,
        /// Where it was published.
        origin: Arc<Origin>,
    },
    /// What became of [`Input::Barrier`].
    BarrierDone {
        /// Its number.
        barrier: BarrierId,
        /// Who has acknowledged the interest, or what is missing.
        result: Result<Acked, AckError>,
    },
    /// A peer is forgotten. What the host still has of it may be finished; its results no longer matter.
    Forget {
        /// Which.
        peer: PeerId,
    },
    /// The status of a link changed.
    Changed {
        /// Which link.
        link: ClusterName,
    },
}
