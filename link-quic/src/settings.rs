//! What a transport takes at most, and how it sends.

use std::time::Duration;

/// Limits of one side. The defaults fit a link between regions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuicSettings {
    /// Data channels of a connection that this side dials: each is an ordered stream of its own, over which the lanes of
    /// the link are spread. 1 to 64; 8 by default.
    pub channels: u16,
    /// Most bytes of a frame that this side takes; 16 MiB by default. The node announces no more to its peer, whatever its own
    /// limit is.
    pub max_frame: u32,
    /// Frames of more bytes go on a stream of their own, at a lower priority; 256 KiB by default. Not more than the peer's
    /// [`max_frame`](Self::max_frame) divided by the channels, whatever is set.
    pub detach_above: usize,
    /// Bytes that a peer may send on one stream before they are taken here; 4 MiB by default. It bounds the rate of a
    /// channel to this a round trip. Where it is smaller than [`LinkConfig::window`](link_core::link::LinkConfig::window)
    /// at this side, a lane that fills its stream leaves room in that window for the others.
    pub stream_window: u32,
    /// The same for all streams of a connection; 16 MiB by default. A connection holds at most twice this and three times
    /// [`max_frame`](Self::max_frame) in memory, for frames that come in and wait to be taken.
    pub connection_window: u32,
    /// Bytes that are sent and not acknowledged, at most; 16 MiB by default.
    pub send_window: u64,
    /// Datagrams take up to half of what the path carries, and a quarter with [`Congestion::Bbr`]; with more of them messages
    /// go in their lanes. Bytes of datagrams that wait to be sent, and as many that have come and wait to be taken; with more the oldest are
    /// lost. 1 MiB by default. Links that want datagrams say so themselves
    /// ([`LinkConfig::datagrams`](link_core::link::LinkConfig::datagrams)).
    pub datagram_buffer: usize,
    /// Whether a connection that comes back sends its HELLO with its first packet (0-RTT, RFC 9001, section 4.6), and
    /// whether the accepting side takes that; off by default. It saves a round trip. Nothing is done on a HELLO before the
    /// handshake is over, so one that somebody repeats does nothing.
    pub early_data: bool,
    /// How the rate is found.
    pub congestion: Congestion,
    /// Whether paths are probed for packets of 1,326 and 1,452 bytes instead of 1,200 (RFC 8899). On by default; switch it
    /// off where a simulated network carries none.
    pub discover_mtu: bool,
    /// Handshakes that may be under way on the accepting side; 64 by default. A quarter of them may be with one address (of
    /// IPv6: with one network of 64 bits). With more than half of these, or of all, a peer has to prove its address first
    /// (RFC 9000, section 8.1); with all of them it takes the place of the oldest one that is not over.
    pub handshakes: usize,
    /// Most time from the first packet of a peer to its preface; 10 s by default. TLS has at most 3 s of it.
    pub handshake_time: Duration,
    /// Connections that wait for the linker to take them; 16 by default. More wait in their handshake.
    pub backlog: usize,
    /// Keep-alive of connections that are accepted; 15 s by default. Those that are dialled have the link's.
    pub keep_alive: Duration,
}

/// Congestion control of a connection's sending side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Congestion {
    /// CUBIC (RFC 9438). Fair beside other traffic; slow where packets are lost for other reasons than congestion.
    #[default]
    Cubic,
    /// BBR: follows the measured bandwidth, and minds random loss little. Quinn calls its implementation experimental.
    Bbr,
}

impl Default for QuicSettings {
    fn default() -> Self {
        Self {
            channels: 8,
            max_frame: 16 << 20,
            detach_above: 256 << 10,
            stream_window: 4 << 20,
            connection_window: 16 << 20,
            send_window: 16 << 20,
            datagram_buffer: 1 << 20,
            early_data: false,
            congestion: Congestion::Cubic,
            discover_mtu: true,
            handshakes: 64,
            handshake_time: Duration::from_secs(10),
            backlog: 16,
            keep_alive: Duration::from_secs(15),
        }
    }
}

/// Streams of their own that may be under way for large frames.
pub(crate) const DETACHED: u32 = 16;

/// Streams that a peer may have open in one direction: one for each channel, and those of large frames.
pub(crate) fn streams(channels: u16) -> u32 {
    u32::from(channels) + DETACHED
}

/// What a new connection sends before it has heard anything: ten packets of a path for 1,500 bytes, as a TCP connection does
/// (RFC 6928). What is said when a link comes up fits it.
const FIRST_WINDOW: u64 = 14_720;

/// Bytes of a packet that are worth another probe. From 1,200 over 1,326 to 1,452, the most that a path for 1,500 bytes
/// takes, it is two probes and two round trips, so that none is in the first window any more when a link says what it has.
const LEAST_GAIN: u16 = 64;

/// A connection on which nothing was heard for so many keep-alives is lost.
const SILENT: u32 = 3;

impl QuicSettings {
    /// How many streams of each kind the peer may open.
    pub(crate) fn transport(
        &self,
        keep_alive: Duration,
        bidirectional: u32,
        unidirectional: u32,
    ) -> quinn::TransportConfig {
        let mut config = quinn::TransportConfig::default();
        let idle = keep_alive.saturating_mul(SILENT);
        config
            .keep_alive_interval(Some(keep_alive))
            .max_idle_timeout(Some(quinn::IdleTimeout::try_from(idle).unwrap_or(quinn::VarInt::MAX.into())))
            .max_concurrent_bidi_streams(bidirectional.into())
            .max_concurrent_uni_streams(unidirectional.into())
            .stream_receive_window(self.stream_window.into())
            .receive_window(self.connection_window.into())
            .send_window(self.send_window)
            .datagram_receive_buffer_size(Some(self.datagram_buffer))
            .datagram_send_buffer_size(self.datagram_buffer);
        match self.congestion {
            Congestion::Cubic => {
                let mut cubic = quinn::congestion::CubicConfig::default();
                cubic.initial_window(FIRST_WINDOW);
                config.congestion_controller_factory(std::sync::Arc::new(cubic))
            }
            Congestion::Bbr => {
                config.congestion_controller_factory(std::sync::Arc::new(quinn::congestion::BbrConfig::default()))
            }
        };
        let mut discovery = quinn::MtuDiscoveryConfig::default();
        discovery.minimum_change(LEAST_GAIN);
        config.mtu_discovery_config(self.discover_mtu.then_some(discovery));
        config
    }
}
