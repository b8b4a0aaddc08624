use std::ops::Range;

use super::{
    Cell, Cells, Decoder, Difference, DifferenceCursor, Estimator, MAINTAINED_CELLS, MAX_CELLS, RouteLog, Sketch,
    SketchFault,
};
use crate::{
    mutant::{self, Mutant},
    wire::RoutePosition,
};

/// The writer's part of a comparison by sketches: how a reader's copy, of which cells come, differs from the set as it was
/// when the comparison began.
///
/// ```text
///  reader   64 cells ──▶                      up to 16 differences: one round trip
///  writer                ◀── NEED 960 more, and an estimate
///  reader   cells ──▶                         up to 700: two
///  writer                ◀── NEED what the estimate says, and 5 % more
///  reader   cells ──▶                         more: three
///  writer                ◀── the difference, or the whole set where that is shorter
/// ```
///
/// Where the reader holds a state of the same life, not more can differ than there were changes since, and both sides know how
/// many. Then the first cells are as many as those need, up to 1,416: one round trip up to 1,000 changes, two up to 2,700.
///
/// It holds a copy of the set's cells, 70 KiB, and as many more as the difference needs.
#[derive(Debug)]
pub struct Reconciling {
    to: RoutePosition,
    /// How many routes the reader says it has.
    theirs: u64,
    sketch: Sketch,
    estimator: Estimator,
    /// Cells behind those that are maintained, in the range that was asked for.
    beyond: Cells,
    decoder: Decoder,
    estimate: Option<u64>,
    /// Changes since the state that the reader holds, if those are so few that it is worth while to count on no fewer.
    changes: Option<u64>,
    /// Cells up to here have been asked for; 0 before the first have come.
    asked: usize,
    rounds: u32,
}

/// What follows on some cells.
#[derive(Debug)]
pub enum Comparison {
    /// More of what was asked for is on its way.
    Waits,
    /// More cells are needed.
    Need {
        /// These.
        cells: Range<usize>,
        /// And the estimator.
        estimator: bool,
    },
    /// What is to be sent.
    Difference(DifferenceCursor),
    /// The whole set is shorter, or no difference can be found.
    Snapshot,
}

/// Cells in HELLO, READY and ROUTE_RESUME, where it is not known how many changes there were.
pub const FIRST_CELLS: usize = 64;
/// Most of them, enough for 1,000 changes in 8 of 9 cases: 12,744 bytes, which with what else there is to say fit
/// nine of the ten packets that a new connection may send at once (RFC 6928, RFC 9002 section 7.2). The tenth may
/// acknowledge something.
pub const MOST_FIRST_CELLS: usize = 1_416;
/// Cells that are asked for when those are not enough.
const SECOND_CELLS: usize = 1024;
/// Of the larger set, in hundredths: with more differences the whole set is shorter.
const MOST_DIFFERENCES: u64 = 28;
/// About what a route takes in a snapshot.
const ROUTE_BYTES: u64 = 10;
/// A comparison that needs more rounds than this is given up.
const MOST_ROUNDS: u32 = 12;

impl Reconciling {
    /// Begins at the present state of a log. `theirs`: how many routes the reader has; `since`: the seq of the state of this
    /// life that it holds.
    pub fn new(log: &RouteLog, theirs: u64, since: Option<u64>) -> Self {
        let changes = since.and_then(|since| log.position().seq.checked_sub(since));
        let (sketch, estimator) = log.outline().parts();
        let larger = log.position().count.max(theirs);
        Self {
            to: log.position(),
            theirs,
            sketch,
            estimator,
            beyond: Cells::new(log.key(), 0..0),
            decoder: Decoder::new(log.key()),
            estimate: None,
            changes: changes.filter(|changes| are_few(*changes, larger)),
            asked: 0,
            rounds: 0,
        }
    }

    /// The state to which the difference leads.
    pub fn position(&self) -> RoutePosition {
        self.to
    }

    /// Asks for the first cells, of a reader that has not sent any.
    pub fn begin(&mut self) -> Comparison {
        let cost = (SECOND_CELLS * Cell::BYTES + Estimator::BYTES) as u64;
        if self.is_far(self.to.count.abs_diff(self.theirs)) || cost > self.to.count.saturating_mul(ROUTE_BYTES) {
            return Comparison::Snapshot;
        }
        self.asked = SECOND_CELLS;
        Comparison::Need { cells: 0..SECOND_CELLS, estimator: true }
    }

    /// Takes cells of the reader's copy, which follow on those before. `log` is the log with which it began.
    ///
    /// # Errors
    /// [`SketchFault`] if they are not those that were asked for.
    pub fn take(
        &mut self,
        log: &RouteLog,
        first: usize,
        cells: &[Cell],
        estimator: Option<&Estimator>,
    ) -> Result<Comparison, SketchFault> {
        let range = first..first.saturating_add(cells.len());
        if self.asked == 0 {
            self.asked = range.end.min(MOST_FIRST_CELLS);
        }
        if first != self.decoder.cells() || range.end > self.asked {
            return Err(SketchFault::Uneven { here: self.decoder.cells(), there: first });
        }
        if let Some(estimator) = estimator {
            self.estimate = Some(self.estimator.estimate(estimator));
        }
        if self.is_far(self.to.count.abs_diff(self.theirs)) || !log.keeps(self.to.seq) {
            return Ok(Comparison::Snapshot);
        }
        if range.end > MAINTAINED_CELLS && self.beyond.range().end < self.asked {
            self.beyond = log.cells_at(self.to.seq, self.decoder.cells().max(MAINTAINED_CELLS)..self.asked);
        }
        let maintained = range.start.min(MAINTAINED_CELLS)..range.end.min(MAINTAINED_CELLS);
        let split = maintained.len();
        let mut state = self.decoder.extend(self.sketch.cells(maintained), &cells[..split]);
        if split < cells.len() && matches!(state, Ok(()) | Err(SketchFault::NotEnough { .. })) {
            let start = range.start.max(MAINTAINED_CELLS) - self.beyond.range().start;
            let ours = self.beyond.as_slice().get(start..start + cells.len() - split).unwrap_or_default();
            state = self.decoder.extend(ours, &cells[split..]);
        }
        match state {
            // Not before all has come: a prefix can be all zero by chance, where nothing differs in its cells.
            Ok(()) => Ok(self.found(log)),
            Err(SketchFault::NotEnough { .. }) if range.end < self.asked => Ok(Comparison::Waits),
            Err(SketchFault::NotEnough { .. }) => Ok(self.next()),
            Err(_) => Ok(Comparison::Snapshot),
        }
    }

    fn found(&self, log: &RouteLog) -> Comparison {
        let seq = if mutant::on(Mutant::SetOfNow) { log.position().seq } else { self.to.seq };
        let Some(past) = log.past(seq) else { return Comparison::Snapshot };
        let mut adds = Vec::new();
        let difference = self.decoder.difference(|id| match past.filter(id) {
            Some(filter) => {
                adds.push(filter.clone());
                true
            }
            None => false,
        });
        let Ok(Difference { there, .. }) = difference else { return Comparison::Snapshot };
        adds.sort_unstable();
        Comparison::Difference(DifferenceCursor::new(self.to, adds, there))
    }

    fn next(&mut self) -> Comparison {
        self.rounds += 1;
        let have = self.decoder.cells();
        let bound = self.changes.take().map(cells_for).filter(|cells| *cells > have && self.estimate.is_none());
        let estimates = self.estimate.is_none() && bound.is_none();
        let wanted = match self.estimate {
            None => bound.unwrap_or_else(|| SECOND_CELLS.max(have + have / 2)),
            Some(estimate) if self.is_far(estimate) => return Comparison::Snapshot,
            Some(estimate) => {
                let least = match self.rounds {
                    0..3 => 8,
                    // The estimate was a little low: so is what is missing.
                    3 => 16,
                    _ => 6,
                };
                cells_for(estimate).max(have + have / least)
            }
        };
        let most = usize::try_from(self.to.count.max(self.theirs)).unwrap_or(MAX_CELLS) + 2 * SECOND_CELLS;
        let estimator = if estimates { Estimator::BYTES } else { 0 };
        let cost = (wanted.saturating_sub(have) * Cell::BYTES + estimator) as u64;
        if cost > self.to.count.saturating_mul(ROUTE_BYTES) {
            return Comparison::Snapshot;
        }
        if self.rounds > MOST_ROUNDS || wanted <= have || wanted > most.min(MAX_CELLS) {
            return Comparison::Snapshot;
        }
        self.asked = wanted;
        Comparison::Need { cells: have..wanted, estimator: estimates }
    }

    fn is_far(&self, differences: u64) -> bool {
        is_far(differences, self.to.count.max(self.theirs))
    }
}

/// Whether the whole set is shorter than what so many differences take. `larger`: routes of the larger set.
fn is_far(differences: u64, larger: u64) -> bool {
    // A few are always worth it.
    differences > FIRST_CELLS as u64 && differences.saturating_mul(100) > larger.saturating_mul(MOST_DIFFERENCES)
}

/// Whether it is worth while to count on as many differences as there were changes: often there are fewer.
fn are_few(changes: u64, larger: u64) -> bool {
    cells_for(changes) <= MAINTAINED_CELLS && !is_far(changes, larger)
}

/// How many cells a reader sends at first, if it knows how many changes there were. `larger`: routes of the larger set.
pub(super) fn first_cells(changes: Option<u64>, larger: u64) -> usize {
    let worth = changes.filter(|changes| are_few(*changes, larger)).and_then(|changes| usize::try_from(changes).ok());
    match worth {
        // Few need up to six each.
        Some(changes @ 0..=10) => 4 + 6 * changes,
        Some(changes) => (40 + changes * 3 / 2).clamp(FIRST_CELLS, MOST_FIRST_CELLS),
        None => FIRST_CELLS,
    }
}

/// Cells that are enough in 99 of 100 cases: 1.36 a difference, more where those are few, and twice the error of the estimate.
fn cells_for(estimate: u64) -> usize {
    let cells = estimate.saturating_mul(143) / 100 + 2 * estimate.isqrt();
    usize::try_from(cells).unwrap_or(MAX_CELLS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::{RouteId, RouteKey};

    /// In 8 of 9 comparisons of as many.
    #[test]
    fn the_first_cells_are_enough_for_a_thousand() {
        let (key, seeds) = (RouteKey([9; 16]), 2_000);
        assert_eq!(first_cells(Some(1_000), 1_000_000), MOST_FIRST_CELLS);
        let is_short = |seed: &u32| {
            let ids = (0..1_000).map(|number| RouteId::from_hash(key.hash(&format!("{seed} {number}"))));
            let here = Cells::build(&key, 0..MOST_FIRST_CELLS, ids);
            let there = Cells::new(&key, 0..MOST_FIRST_CELLS);
            Decoder::new(&key).extend(here.as_slice(), there.as_slice()).is_err()
        };
        let short = (0..seeds).filter(is_short).count();
        println!("{short} of {seeds} short");
        assert!(short <= 250, "{short} of {seeds}");
    }

    /// In 99 of 100 comparisons nothing has to be asked for after what the estimate says, and it is at most a tenth more
    /// than was needed on average.
    #[test]
    fn the_estimate_is_enough() {
        let key = RouteKey([9; 16]);
        let mut sizes = vec![(1_000, 400), (10_000, 20)];
        if !cfg!(debug_assertions) {
            sizes = vec![(700, 2_000), (1_000, 2_000), (3_000, 1_000), (10_000, 300), (100_000, 60)];
        }
        for (differences, seeds) in sizes {
            let (mut short, mut asked) = (0, 0);
            for seed in 0..seeds {
                let ids: Vec<_> =
                    (0..differences).map(|number| RouteId::from_hash(key.hash(&format!("{seed} {number}")))).collect();
                let mut estimator = Estimator::new();
                ids.iter().for_each(|id| estimator.enter(*id));
                let cells = cells_for(estimator.estimate(&Estimator::new()));
                let here = Cells::build(&key, 0..cells, ids);
                let mut decoder = Decoder::new(&key);
                short += u32::from(decoder.extend(here.as_slice(), Cells::new(&key, 0..cells).as_slice()).is_err());
                asked += cells;
            }
            let mean = asked as f64 / f64::from(seeds) / differences as f64;
            println!("{differences}: {short} of {seeds} short, {mean:.3} cells a difference");
            assert!(f64::from(short) <= 0.01 * f64::from(seeds) + 2.0, "{differences}: {short} of {seeds}");
            assert!(mean < 1.51, "{differences}: {mean} cells for each");
        }
    }
}
