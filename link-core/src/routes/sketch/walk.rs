//! Which cells an id is in. Both ends must find the same, so all of it is part of the protocol.
//!
//! Epoch 0 is the cells `[0, 4096)`, epoch k >= 1 is `[4096·4^(k-1), 4096·4^k)`. In each of them an id's cells are found
//! by a walk of its own, with `mix` the finalizer of splitmix64 and arithmetic modulo 2^64:
//!
//! ```text
//! state = mix(id xor epoch)        i = first cell of the epoch - 1
//! each step:
//!     state = state + 0x9e3779b97f4a7c15
//!     u     = (mix(state) div 2^32 + 1) / 2^32                        in (0, 1], 32 bits
//!     i     = floor(sqrt((i+1)·(i+2) · (1/u) + 1/4) - 3/2) + 1        the id is in cell i, if the epoch has it
//! ```
//!
//! In epoch 0 the first step is not drawn: it leads to cell 0, which has every id. The last line is computed in IEEE 754
//! binary64, each operation as written, from the left, rounded to nearest: division, multiplication, addition,
//! subtraction and square root are exactly specified there, so that every machine finds the same cells.
//!
//! Why: cell j is to have an id with the chance 2/(j+2), whatever the cells before it have. Then none of `(i, j]` has it
//! with the chance `∏ k/(k+2) = (i+1)(i+2) / ((j+1)(j+2))`, the product over k from i+1 to j. The step finds the least j
//! for which that is below u. In epoch 0 an id is in 15.2 cells on average, in each later one in 2.8.

use std::ops::Range;

use super::mix;

/// The first cells, which a [`Sketch`](super::Sketch) keeps up to date.
pub const MAINTAINED_CELLS: usize = 4_096;

/// Most cells that a sketch can have, the end of epoch 5: enough for three million differences.
pub const MAX_CELLS: usize = MAINTAINED_CELLS << (2 * LAST_EPOCH);

const LAST_EPOCH: u32 = 5;

/// Ids that walk side by side: a step waits for its square root, and those of different ids don't wait for each other.
const ABREAST: usize = 8;

/// Calls `each` with the cells of `range` that have the id, in order.
#[inline]
pub(super) fn walk(id: u64, range: Range<usize>, mut each: impl FnMut(usize)) {
    for epoch in epochs(&range) {
        let mut step = Step::new(id, epoch);
        let end = end_of(epoch).min(range.end);
        while step.at < end as u64 {
            if step.at >= range.start as u64 {
                each(step.at as usize);
            }
            step.next();
        }
    }
}

/// Calls `each` with a place in `ids` and a cell, for the cells of `range` that have that id, in some order.
pub(super) fn walk_abreast(ids: &[u64], range: Range<usize>, mut each: impl FnMut(usize, usize)) {
    let (chunks, rest) = ids.as_chunks::<ABREAST>();
    for epoch in epochs(&range) {
        let end = end_of(epoch).min(range.end) as u64;
        for (number, ids) in chunks.iter().enumerate() {
            let mut steps = ids.map(|id| Step::new(id, epoch));
            // The places in `ids` of those that are still under way.
            let (mut under_way, mut count) = (std::array::from_fn::<usize, ABREAST, _>(|place| place), ABREAST);
            while count > 0 {
                let mut left = 0;
                for turn in 0..count {
                    let place = under_way[turn];
                    let step = &mut steps[place];
                    if step.at < end {
                        if step.at >= range.start as u64 {
                            each(number * ABREAST + place, step.at as usize);
                        }
                        step.next();
                        under_way[left] = place;
                        left += 1;
                    }
                }
                count = left;
            }
        }
    }
    for (place, id) in rest.iter().enumerate() {
        walk(*id, range.clone(), |cell| each(chunks.len() * ABREAST + place, cell));
    }
}

/// One walk.
struct Step {
    state: u64,
    at: u64,
}

impl Step {
    /// At the epoch's first cell that has the id.
    #[inline]
    fn new(id: u64, epoch: u32) -> Self {
        let first = start_of(epoch) as u64;
        let mut step = Self { state: mix(id ^ u64::from(epoch)), at: first };
        if epoch > 0 {
            step.at -= 1;
            step.next();
        }
        step
    }

    #[inline]
    fn next(&mut self) {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let drawn = (mix(self.state) >> 32) + 1;
        let odds = 4_294_967_296.0 / drawn as f64;
        let at = self.at as f64;
        // Never less than `at`, so that the conversion cuts off what is behind the point and no more.
        self.at = (((at + 1.0) * (at + 2.0) * odds + 0.25).sqrt() - 1.5) as u64 + 1;
    }
}

/// The epochs that have cells of the range.
fn epochs(range: &Range<usize>) -> Range<u32> {
    if range.is_empty() {
        return 0..0;
    }
    epoch_of(range.start)..epoch_of(range.end - 1).min(LAST_EPOCH) + 1
}

fn epoch_of(cell: usize) -> u32 {
    match cell / MAINTAINED_CELLS {
        0 => 0,
        times => times.ilog2() / 2 + 1,
    }
}

fn start_of(epoch: u32) -> usize {
    if epoch == 0 { 0 } else { end_of(epoch - 1) }
}

fn end_of(epoch: u32) -> usize {
    MAINTAINED_CELLS << (2 * epoch)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(id: u64, range: Range<usize>) -> Vec<usize> {
        let mut cells = Vec::new();
        walk(id, range, |cell| cells.push(cell));
        cells
    }

    #[test]
    fn epochs_follow_each_other() {
        assert_eq!((start_of(0), start_of(1), start_of(2), end_of(LAST_EPOCH)), (0, 4_096, 16_384, MAX_CELLS));
        for epoch in 0..LAST_EPOCH {
            assert_eq!((epoch_of(start_of(epoch)), epoch_of(end_of(epoch) - 1)), (epoch, epoch));
            assert_eq!(epoch_of(end_of(epoch)), epoch + 1);
        }
        assert_eq!(epochs(&(4_095..4_097)), 0..2);
        assert_eq!(epochs(&(4_096..4_096)), 0..0);
        assert_eq!(epochs(&(4_096..16_384)), 1..2);
    }

    /// Chances of cells in all corners of all epochs, within 5 standard deviations.
    #[test]
    fn chances() {
        const IDS: u64 = 100_000;
        let ranges = [
            0..8,
            62..66,
            4_000..4_100,
            16_300..16_500,
            65_000..66_000,
            300_000..302_000,
            MAX_CELLS - 9_000..MAX_CELLS,
        ];
        for range in ranges {
            let mut counts = vec![0u64; range.len()];
            for id in 0..IDS {
                walk(mix(id), range.clone(), |cell| counts[cell - range.start] += 1);
            }
            let blocks = if range.start < 100 { 1 } else { range.len() / 20 };
            for (number, counts) in counts.chunks(blocks).enumerate() {
                let first = range.start + number * blocks;
                let expected =
                    (first..first + counts.len()).map(|cell| IDS as f64 * 2.0 / (cell + 2) as f64).sum::<f64>();
                let found = counts.iter().sum::<u64>() as f64;
                let bound = if first == 0 { 0.0 } else { 5.0 * expected.sqrt() };
                assert!((found - expected).abs() <= bound, "{first}: {found}, not {expected}");
            }
        }
    }

    /// Whether one cell has an id says nothing about another one, in one epoch and across the border of two.
    #[test]
    fn cells_are_independent() {
        const IDS: u64 = 400_000;
        for (a, b) in [(3, 4), (1, 9), (10, 30)] {
            let both = (0..IDS)
                .filter(|id| cells(mix(*id), a..b + 1).iter().filter(|cell| [a, b].contains(cell)).count() == 2);
            let expected = IDS as f64 * 4.0 / ((a + 2) * (b + 2)) as f64;
            let found = both.count() as f64;
            assert!((found - expected).abs() < 5.0 * expected.sqrt(), "{a} {b}: {found}, not {expected}");
        }
        // Blocks of cells, as single ones are rare there.
        let (below, above) = (3_596..4_096, 4_096..4_596);
        let has = |id: u64, range: &Range<usize>| !cells(mix(id), range.clone()).is_empty();
        let both = (0..IDS).filter(|id| has(*id, &below) && has(*id, &above)).count() as f64;
        let miss =
            |range: &Range<usize>| (range.start * (range.start + 1)) as f64 / (range.end * (range.end + 1)) as f64;
        let expected = IDS as f64 * (1.0 - miss(&below)) * (1.0 - miss(&above));
        assert!((both - expected).abs() < 5.0 * expected.sqrt(), "{both}, not {expected}");
    }

    /// What the last line of the step finds, in integers: the least j with (j+1)(j+2) > (i+1)(i+2)/u.
    #[test]
    fn the_step_is_exact() {
        for (state, at) in (0..200_000u64).map(|n| (mix(n), mix(!n) % MAX_CELLS as u64)) {
            let at = at >> (state % 22);
            let mut step = Step { state, at };
            step.next();
            let drawn = u128::from((mix(step.state) >> 32) + 1);
            let threshold = u128::from((at + 1) * (at + 2)) << 32;
            let product = |cell: u64| u128::from(cell + 1) * u128::from(cell + 2) * drawn;
            assert!(product(step.at) > threshold && product(step.at - 1) <= threshold, "{at} {drawn}: {}", step.at);
        }
    }

    #[test]
    fn a_part_is_that_part_of_the_whole() {
        let all = cells(77, 0..MAX_CELLS);
        assert_eq!(all[0], 0);
        assert!(all.is_sorted_by(|a, b| a < b));
        for range in [0..1, 0..64, 64..5_000, 4_095..4_097, 4_096..16_384, 10_000..300_000, 20_000..MAX_CELLS + 9] {
            let part: Vec<_> = all.iter().copied().filter(|cell| range.contains(cell)).collect();
            assert_eq!(cells(77, range), part);
        }
    }

    #[test]
    fn abreast_or_not() {
        let ids: Vec<_> = (0..29).map(mix).collect();
        for range in [0..64, 0..20_000, 4_096..16_384, 5_000..70_000] {
            let (mut abreast, mut alone) = (Vec::new(), Vec::new());
            walk_abreast(&ids, range.clone(), |place, cell| abreast.push((ids[place], cell)));
            ids.iter().for_each(|id| walk(*id, range.clone(), |cell| alone.push((*id, cell))));
            abreast.sort_unstable();
            alone.sort_unstable();
            assert_eq!(abreast, alone);
        }
    }
}
