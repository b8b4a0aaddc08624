/// Most bytes of one text of a message or of one filter (MQTT 5, section 1.5.4).
pub const MAX_TEXT: usize = 65_535;

/// Most bytes that a packed list of filters unfolds to.
pub const MAX_PACKED: usize = 4 << 20;

/// Most bytes of the reason of a [`Close`](super::Close) frame.
pub const MAX_REASON: usize = 1024;

/// What a receiver takes. A frame beyond is refused before memory is set aside for it.
///
/// The defaults of all but `max_frame` are limits of the protocol: a sender keeps them without being told. Raise
/// `max_frame` (and tell the peer in HELLO) where messages are larger; lower the others only in tests and fuzzing, or
/// between ends that you configure both.
///
/// What one frame can cost: `max_frame` for itself, and for a frame of routes `max_filter_bytes` and about 100 bytes
/// for each of `max_filters`, and `max_packed` while it is decoded; 40 bytes for each of `max_entries`. With the defaults under 45 MiB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of a whole frame, header included. Choose it above the largest message that the host's broker takes
    /// by 1 %, and below the packet limit of a carrier that does not split frames. 16 MiB.
    pub max_frame: u32,
    /// Most filters in one frame. 65,536.
    pub max_filters: usize,
    /// Most bytes of all filters of one frame together, after front coding is undone. Without it, a frame of 100 KiB
    /// could ask for 2 GiB. 16 MiB.
    pub max_filter_bytes: usize,
    /// Most bytes that a packed list of filters unfolds to, front coding not yet undone. [`MAX_PACKED`].
    pub max_packed: usize,
    /// Most entries of one batch. 65,536.
    pub max_entries: usize,
    /// Most lanes of one HELLO or READY. 256, which is all there are.
    pub max_lanes: usize,
    /// Most bytes of a name of a cluster or node. 128, which is what the names themselves allow.
    pub max_name: usize,
    /// Most bytes of the reason in a CLOSE. [`MAX_REASON`].
    pub max_reason: usize,
    /// Most refused messages in one ACK. 65,536.
    pub max_refused: usize,
    /// Most user properties of one message; each costs 64 bytes besides its text. 16,384: MQTT sets no limit, and
    /// brokers that do have theirs far below.
    pub max_user_properties: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_frame: 16 << 20,
            max_filters: 65_536,
            max_filter_bytes: 16 << 20,
            max_packed: MAX_PACKED,
            max_entries: 65_536,
            max_lanes: 256,
            max_name: 128,
            max_reason: MAX_REASON,
            max_refused: 65_536,
            max_user_properties: 16_384,
        }
    }
}
