//! Deliberate bugs, one at a time, for the tests that each of them is found: a checker that cannot fail is no
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
    /// Changes are taken from a log that has just lost the first of them.
    RingBase,
    /// A position of another life of a log is taken for one of this.
    OtherLife,
    /// What unfinished steps have brought is not in the cells of a reader's sketch.
    PartialCells,
    /// A difference is taken without a look at its digest.
    UncheckedDifference,
    /// What a difference removes does not wait for its last part.
    EarlyRemoval,
    /// A difference is made of the set as it is now, and not as it was compared.
    SetOfNow,
    /// Cells that are made during a comparison are of the set as it is now.
    CellsOfNow,
    /// A log keeps all its changes.
    EndlessRing,
}

#[cfg(feature = "mutants")]
impl Mutant {
    /// Those that the simulator finds. The others are found by tests of this crate: `deliberate_bugs_are_found` in several
    /// files.
    pub const SIMULATED: [Self; 15] = [
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
