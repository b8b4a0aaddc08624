//! Memory that is needed soon.

/// Asks the processor to fetch the line of its cache that `of` begins in, and does not wait for it.
#[inline(always)]
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "without it a lookup in a large index waits for memory; nothing safe asks for it")]
pub(super) fn prefetch<T>(of: &T) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

    // SAFETY: it reads nothing and changes nothing that a program could see, whatever the address is; this one is that
    // of a value. All x86-64 processors have it.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(of).cast()) }
}

/// Elsewhere there is no safe or stable way to ask; lookups wait for memory when they need it.
#[inline(always)]
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn prefetch<T>(_of: &T) {}
