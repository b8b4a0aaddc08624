//! What a data structure asks the allocator for.

/// Runs `build`, and says how many bytes are allocated by it and not freed again. `None` without the feature `memory`.
#[cfg(feature = "memory")]
pub fn kept<T>(build: impl FnOnce() -> T) -> (T, Option<usize>) {
    let mut built = None;
    let info = allocation_counter::measure(|| built = Some(build()));
    let Some(built) = built else { unreachable!("measure runs its argument") };
    (built, usize::try_from(info.bytes_current).ok())
}

/// Runs `work` without counting: what is timed must not pay for it.
#[cfg(feature = "memory")]
pub fn uncounted<T>(work: impl FnOnce() -> T) -> T {
    let mut done = None;
    allocation_counter::opt_out(|| done = Some(work()));
    let Some(done) = done else { unreachable!("opt_out runs its argument") };
    done
}

#[cfg(not(feature = "memory"))]
pub fn kept<T>(build: impl FnOnce() -> T) -> (T, Option<usize>) {
    (build(), None)
}

#[cfg(not(feature = "memory"))]
pub fn uncounted<T>(work: impl FnOnce() -> T) -> T {
    work()
}
