/// Remembers which of the latest numbers of one origin were seen, for messages that may come by several paths.
///
/// ```text
///                 floor                      highest
///                   │                           │
///   ── forgotten ───┼── 1 0 1 1 1 0 1 ··· 1 1 1 1 ──▶ number
///                   └──────── SIZE bits ────────┘
/// ```
///
/// A number within the window is new once. A number left of it can't be told from a repetition: it is reported as
/// [`Seen::Forgotten`], to be counted, never taken silently for either.
#[derive(Debug, Clone)]
pub struct OriginWindow {
    highest: Option<u64>,
    bits: Box<[u64; WORDS]>,
}

const WORDS: usize = 64;

/// What is known of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// It was not seen before; now it was.
    New,
    /// It was seen before.
    Again,
    /// It is left of the window.
    Forgotten,
}

impl Default for OriginWindow {
    fn default() -> Self {
        Self::new()
    }
}

impl OriginWindow {
    /// How many numbers the window covers.
    pub const SIZE: u64 = (WORDS * 64) as u64;

    /// A window that has seen nothing. It takes 520 bytes.
    pub fn new() -> Self {
        Self { highest: None, bits: Box::new([0; WORDS]) }
    }

    /// Looks a number up and remembers it.
    pub fn see(&mut self, number: u64) -> Seen {
        let highest = match self.highest {
            Some(highest) if number <= highest => highest,
            Some(highest) => {
                // Every number that enters the window is unseen, also those that were jumped over.
                for passed in (highest + 1..=number).rev().take(Self::SIZE as usize) {
                    self.bits[Self::word(passed)] &= !Self::bit(passed);
                }
                number
            }
            None => number,
        };
        self.highest = Some(highest);
        if highest - number >= Self::SIZE {
            return Seen::Forgotten;
        }
        let word = &mut self.bits[Self::word(number)];
        let seen = *word & Self::bit(number) != 0;
        *word |= Self::bit(number);
        if seen { Seen::Again } else { Seen::New }
    }

    fn word(number: u64) -> usize {
        (number / 64 % WORDS as u64) as usize
    }

    fn bit(number: u64) -> u64 {
        1 << (number % 64)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_number_in_the_window_is_new_once(numbers in prop::collection::vec(0u64..20_000, 1..400)) {
            let mut window = OriginWindow::new();
            let (mut seen, mut highest) = (BTreeSet::new(), 0);
            for (n, number) in numbers.into_iter().enumerate() {
                highest = if n == 0 { number } else { highest.max(number) };
                let expected = match highest - number {
                    left if left >= OriginWindow::SIZE => Seen::Forgotten,
                    _ if seen.insert(number) => Seen::New,
                    _ => Seen::Again,
                };
                prop_assert_eq!(window.see(number), expected);
            }
        }
    }

    #[test]
    fn the_ends_of_the_number_space_do_not_overflow() {
        let mut window = OriginWindow::new();
        assert_eq!(window.see(u64::MAX), Seen::New);
        assert_eq!(window.see(u64::MAX), Seen::Again);
        assert_eq!(window.see(0), Seen::Forgotten);
    }
}
