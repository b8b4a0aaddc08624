use std::{fmt, ops::Range};

use super::{
    MAINTAINED_CELLS, MAX_CELLS, RouteId,
    cell::{Cell, Checker},
    walk::{walk, walk_abreast},
};
use crate::routes::RouteKey;

/// Some following cells of the sketch of a set. 16 bytes each in memory.
#[derive(Clone)]
pub struct Cells {
    checker: Checker,
    first: usize,
    cells: Vec<Cell>,
}

/// Ids that are gathered before they walk abreast.
const BATCH: usize = 256;

impl Cells {
    /// The cells `range` of the empty set, as far as it is below [`MAX_CELLS`].
    pub fn new(key: &RouteKey, range: Range<usize>) -> Self {
        Self::empty(Checker::new(key), range)
    }

    /// The cells `range` of the set of these ids, as far as it is below [`MAX_CELLS`].
    ///
    /// One pass. For each id about 40 ns for each later epoch that the range touches, and 130 ns for the first one.
    pub fn build(key: &RouteKey, range: Range<usize>, ids: impl IntoIterator<Item = RouteId>) -> Self {
        let mut cells = Self::new(key, range);
        cells.toggle_all(ids);
        cells
    }

    /// An id enters the set, or leaves it if it is there.
    pub fn toggle(&mut self, id: RouteId) {
        let single = self.checker.cell(id);
        walk(id.0, self.range(), |cell| self.cells[cell - self.first] ^= single);
    }

    /// As [`toggle`](Self::toggle) of each, in less time.
    pub fn toggle_all(&mut self, ids: impl IntoIterator<Item = RouteId>) {
        let mut ids = ids.into_iter();
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            batch.extend(ids.by_ref().take(BATCH).map(|id| id.0));
            if batch.is_empty() {
                return;
            }
            let (checker, first) = (self.checker, self.first);
            walk_abreast(&batch, self.range(), |place, cell| {
                self.cells[cell - first] ^= checker.cell(RouteId(batch[place]));
            });
            batch.clear();
        }
    }

    /// Which cells they are.
    pub fn range(&self) -> Range<usize> {
        self.first..self.first + self.cells.len()
    }

    /// The cells, in order.
    pub fn as_slice(&self) -> &[Cell] {
        &self.cells
    }

    fn empty(checker: Checker, range: Range<usize>) -> Self {
        let end = range.end.min(MAX_CELLS);
        let first = range.start.min(end);
        Self { checker, first, cells: vec![Cell::default(); end - first] }
    }
}

impl fmt::Debug for Cells {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cells").field("range", &self.range()).finish_non_exhaustive()
    }
}

/// The first [`MAINTAINED_CELLS`] cells of a set that changes: enough for 3,000 differences without a pass over the set.
///
/// 64 KiB, whatever the size of the set.
#[derive(Debug, Clone)]
pub struct Sketch(Cells);

impl Sketch {
    /// The sketch of the empty set.
    pub fn new(key: &RouteKey) -> Self {
        Self(Cells::new(key, 0..MAINTAINED_CELLS))
    }

    /// The sketch of the set of these ids, in less time than by toggling each.
    pub fn build(key: &RouteKey, ids: impl IntoIterator<Item = RouteId>) -> Self {
        Self(Cells::build(key, 0..MAINTAINED_CELLS, ids))
    }

    /// An id enters the set, or leaves it if it is there. About 250 ns.
    pub fn toggle(&mut self, id: RouteId) {
        self.0.toggle(id);
    }

    /// The cells `range`, as far as they are here.
    pub fn cells(&self, range: Range<usize>) -> &[Cell] {
        let end = range.end.min(MAINTAINED_CELLS);
        self.0.as_slice().get(range.start.min(end)..end).unwrap_or_default()
    }

    /// The cells `range` beyond these, by [one pass](Cells::build) over the ids of the set.
    ///
    /// To freeze a set that goes on changing while its peer asks for more: keep a clone of the sketch and the ids that
    /// changed since. Then extend by the ids of now, and [toggle](Cells::toggle) once more those that changed.
    pub fn extend(&self, range: Range<usize>, ids: impl IntoIterator<Item = RouteId>) -> Cells {
        let mut cells = Cells::empty(self.0.checker, range);
        cells.toggle_all(ids);
        cells
    }
}
