//! Deliberate bugs, one at a time, for the test that the simulator finds each of them: a checker that cannot fail is no
//! checker. Without the feature `mutants` none can be switched on, and the compiler removes them.

/// A deliberate bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// A message number beyond the next is taken as if nothing were missing.
    BatchGap,
    /// Route changes behind a gap are applied, and the peer's word is taken for the result.
    RouteGap,
    /// The routes of a peer are cleared when it begins a new life, to be filled again.
    ClearThenFill,
    /// A message that came before is taken as new.
    NoDedup,
    /// What arrived is acknowledged before the host has it.
    AckBeforeDeliver,
    /// What was received is forgotten when a peer connects again.
    ForgetWatermark,
    /// A route change from before what is held is applied.
    OldDelta,
    /// A message of a peer is sent on to others that want it.
    Forward,
    /// What was under way when a connection broke is not sent again.
    NotSentAgain,
    /// A message that expires is not counted.
    UncountedExpiry,
    /// Messages of one publisher take any lane.
    AnyLane,
    /// A withdrawn route stays in the shared table.
    PhantomRoute,
    /// A barrier ends before its route is acknowledged.
    EarlyAck,
    /// A cover is withdrawn before what it hid is announced.
    CoverFirst,
    /// A node that is warming up announces what it has so far as if it were all.
    Cold,
}

#[cfg(feature = "mutants")]
impl Mutant {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::BatchGap,
        Self::RouteGap,
        Self::ClearThenFill,
        Self::NoDedup,
        Self::AckBeforeDeliver,
        Self::ForgetWatermark,
        Self::OldDelta,
        Self::Forward,
        Self::NotSentAgain,
        Self::UncountedExpiry,
        Self::AnyLane,
        Self::PhantomRoute,
        Self::EarlyAck,
        Self::CoverFirst,
        Self::Cold,
    ];
}

#[cfg(feature = "mutants")]
thread_local! {
    static ON: std::cell::Cell<Option<Mutant>> = const { std::cell::Cell::new(None) };
}

/// Switches a bug on in this thread, and any other off.
#[cfg(feature = "mutants")]
pub fn set(mutant: Option<Mutant>) {
    ON.with(|on| on.set(mutant));
}

/// Whether a bug is switched on.
#[cfg(feature = "mutants")]
pub(crate) fn on(mutant: Mutant) -> bool {
    ON.with(|on| on.get() == Some(mutant))
}

/// Whether a bug is switched on: never.
#[cfg(not(feature = "mutants"))]
pub(crate) const fn on(_mutant: Mutant) -> bool {
    false
}
