/// Tells whether a message of one origin was seen before, when copies of it come over several paths.
///
/// A sliding window over the origin's sequence numbers, as IPsec (RFC 4303, section 3.4.3) and QUIC use it:
///
/// ```text
///    left of the window          window, `size` numbers            ahead
///    ... 93 94 95 96 97 | 98  99 100 101 102 103 104 105 | 106 107 108 ...
///                       |  1   0   1   1   0   0   1   1 |
///                          ^                           ^
///                          oldest told apart           highest seen
/// ```
///
/// A hole in the window is not a duplicate: it is new when it comes. A number ahead moves the window. A number left
/// of it can't be told apart any more: it is reported as such and counted, so that a loss by a window that is too
/// small shows.
#[derive(Debug, Clone)]
pub struct OriginWindow {
    /// Bit `seq % size` says whether `seq` was seen, for the numbers in the window.
    seen: Box<[u64]>,
    highest: u64,
    left: u64,
}

/// What an [`OriginWindow`] knows of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// It comes for the first time.
    New,
    /// It came before.
    Duplicate,
    /// It is left of the window: new or not, nobody knows.
    Left,
}

impl OriginWindow {
    /// A window of at least `size` numbers, rounded up to a multiple of 64. Nothing was seen; numbers start at 1.
    pub fn new(size: usize) -> Self {
        Self { seen: vec![0; size.div_ceil(64).max(1)].into_boxed_slice(), highest: 0, left: 0 }
    }

    /// Notes `seq` and tells what was known of it. Constant time, or the size of the window / 64 for a jump ahead.
    pub fn insert(&mut self, seq: u64) -> Seen {
        if seq > self.highest {
            self.advance(seq);
        } else if self.highest - seq >= self.size() || seq == 0 {
            self.left += 1;
            return Seen::Left;
        }
        let (word, bit) = self.place(seq);
        let seen = self.seen[word] & bit != 0;
        self.seen[word] |= bit;
        if seen { Seen::Duplicate } else { Seen::New }
    }

    /// How many numbers came left of the window.
    pub fn left(&self) -> u64 {
        self.left
    }

    fn advance(&mut self, seq: u64) {
        if seq - self.highest >= self.size() {
            self.seen.fill(0);
        } else {
            let mut at = self.highest;
            while at < seq {
                let (word, bit) = self.place(at + 1);
                if bit == 1 && seq - at >= 64 {
                    self.seen[word] = 0;
                    at += 64;
                } else {
                    self.seen[word] &= !bit;
                    at += 1;
                }
            }
        }
        self.highest = seq;
    }

    fn size(&self) -> u64 {
        self.seen.len() as u64 * 64
    }

    fn place(&self, seq: u64) -> (usize, u64) {
        let at = seq % self.size();
        ((at / 64) as usize, 1 << (at % 64))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_hole_is_not_a_duplicate() {
        let mut window = OriginWindow::new(64);
        assert_eq!(window.insert(1), Seen::New);
        assert_eq!(window.insert(10), Seen::New);
        assert_eq!(window.insert(5), Seen::New);
        assert_eq!(window.insert(5), Seen::Duplicate);
        assert_eq!(window.insert(1), Seen::Duplicate);
    }

    #[test]
    fn left_of_the_window_is_counted() {
        let mut window = OriginWindow::new(64);
        window.insert(65);
        assert_eq!(window.insert(2), Seen::New);
        assert_eq!(window.insert(1), Seen::Left);
        assert_eq!(window.insert(0), Seen::Left);
        assert_eq!(window.left(), 2);
        assert_eq!(window.insert(u64::MAX - 1), Seen::New);
        assert_eq!(window.insert(u64::MAX), Seen::New);
        assert_eq!(window.insert(u64::MAX), Seen::Duplicate);
        assert_eq!(window.insert(u64::MAX - 63), Seen::New);
        assert_eq!(window.insert(u64::MAX - 64), Seen::Left);
    }

    proptest! {
        /// Against a set of everything ever seen.
        #[test]
        fn agrees_with_a_set(steps in prop::collection::vec((any::<bool>(), 0u64..300), 1..400)) {
            let mut window = OriginWindow::new(128);
            let (mut all, mut highest, mut left) = (BTreeSet::new(), 0u64, 0);
            for (ahead, by) in steps {
                let seq = if ahead { highest + by } else { highest.saturating_sub(by) };
                let expected = if seq == 0 || (seq <= highest && highest - seq >= 128) {
                    left += 1;
                    Seen::Left
                } else if all.insert(seq) {
                    Seen::New
                } else {
                    Seen::Duplicate
                };
                highest = highest.max(seq);
                prop_assert_eq!(window.insert(seq), expected);
                prop_assert_eq!(window.left(), left);
            }
        }
    }
}
