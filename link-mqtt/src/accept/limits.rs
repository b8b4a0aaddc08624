/// What clients can make the accepting side hold.
///
/// Together: `max_connections` connections, each of at most `max_channels` channels, each of which holds at most
/// `inbound_bytes` waiting and two unfinished frames of at most `max_frame`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptorLimits {
    /// Most connections, open or not. 256.
    pub max_connections: usize,
    /// Most connections of one user that have not yet granted credit on all channels; the oldest ends where it is
    /// exceeded. 8. They hold no frames.
    pub max_unfinished: usize,
    /// Most channels of one connection. 16.
    pub max_channels: u16,
    /// Most bytes of one channel that wait for the linker; then its client waits. 1 MiB. One packet always fits.
    pub inbound_bytes: u32,
    /// Most bytes of a frame, in both directions. 16 MiB.
    pub max_frame: usize,
    /// Most bytes of an MQTT packet to the peer; the peer's own limit counts too. 1 MiB. Not over what the host's
    /// broker sends.
    pub max_packet: u32,
    /// Most packets of one channel on their way to the peer; its own window counts too. 1,024. Not over the queue that
    /// the host's broker has for a client.
    pub max_inflight: u32,
    /// Connections and refusals that wait for the linker to accept them. 64.
    pub backlog: usize,
}

impl Default for AcceptorLimits {
    fn default() -> Self {
        Self {
            max_connections: 256,
            max_unfinished: 8,
            max_channels: 16,
            inbound_bytes: 1 << 20,
            max_frame: crate::transport::MAX_FRAME,
            max_packet: 1 << 20,
            max_inflight: 1_024,
            backlog: 64,
        }
    }
}
