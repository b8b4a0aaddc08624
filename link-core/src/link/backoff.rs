//! Pauses between attempts to connect.

use std::time::Duration;

use crate::node::Rng;

/// Exponential pauses with jitter: the `n`-th is drawn evenly from the upper half of `first * 2^n`, at most `max`.
///
/// The jitter keeps nodes that lost the same peer from coming back in one moment; the lower half stays out so that
/// a pause never vanishes.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    first: Duration,
    max: Duration,
    failures: u32,
    /// How often the pause has doubled.
    doubled: u32,
}

impl Backoff {
    pub(crate) fn new(first: Duration, max: Duration) -> Self {
        Self { first, max, failures: 0, doubled: 0 }
    }

    /// The pause after one more failure.
    pub(crate) fn fail(&mut self, rng: &mut Rng) -> Duration {
        let full = self.first.saturating_mul(1u32 << self.doubled.min(20)).min(self.max);
        self.failures = self.failures.saturating_add(1);
        self.doubled = self.doubled.saturating_add(1);
        full.mul_f64(0.5 + 0.5 * rng.fraction())
    }

    /// The pause after a refusal, which a quick retry would not change.
    pub(crate) fn refused(&mut self, rng: &mut Rng) -> Duration {
        self.doubled = self.doubled.saturating_add(3);
        self.fail(rng)
    }

    pub(crate) fn reset(&mut self) {
        self.failures = 0;
        self.doubled = 0;
    }

    /// Failures since the last reset.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_stay_in_their_half_and_end_at_the_cap() {
        let mut rng = Rng::new(7);
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(30));
        let mut full = Duration::from_millis(100);
        for _ in 0..40 {
            let pause = backoff.fail(&mut rng);
            assert!(pause >= full / 2 && pause <= full, "{pause:?} outside the upper half of {full:?}");
            full = (full * 2).min(Duration::from_secs(30));
        }
        assert_eq!(backoff.failures(), 40);
        backoff.refused(&mut rng);
        assert_eq!(backoff.failures(), 41, "a refusal is one failure");
        backoff.reset();
        assert!(backoff.fail(&mut rng) <= Duration::from_millis(100));
    }
}
