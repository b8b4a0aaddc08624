//! What publication is made of. The crate `models` puts other parts in their place, to try every order of steps.

pub(super) use std::sync::Arc;

/// Holds the published copy. To load it takes a few nanoseconds, no lock, and no count that other readers write to.
pub(super) type Published<T> = arc_swap::ArcSwap<T>;
