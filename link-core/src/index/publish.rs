//! One writer, any number of readers, two copies.

use std::sync::Arc;

use arc_swap::ArcSwap;

/// What can follow another copy of itself, in steps.
pub(super) trait Replay<S>: Clone {
    /// Does what was done to the other copy.
    fn replay(&mut self, step: S);
}

/// A value that one thread changes while any number of threads read it.
///
/// Readers see the published copy; changes go to the other one, and [`publish`](Self::publish) swaps them. So a reader
/// never waits and never sees a part of a batch:
///
/// ```text
///              change                                change
///                |                                     |
///   writer  [ copy B ]  --publish-->  [ copy B ]  [ copy A ]  first catches up with B
///   readers [ copy A ]                 readers
/// ```
///
/// If some reader is still at work in the copy that the writer gets back, the writer makes another one: nobody is
/// waited for. Until the first reader comes there is one copy.
#[derive(Debug)]
pub(super) struct TwoCopies<T, S> {
    /// What the writer works on.
    back: Arc<T>,
    front: Option<Front<T>>,
    /// Changes in `back` that are not published. If there are any, no reader has ever seen `back`.
    pending: Vec<S>,
    /// Published changes that `back` lacks. One of the two lists is always empty.
    missing: Vec<S>,
}

#[derive(Debug)]
struct Front<T> {
    published: Arc<ArcSwap<T>>,
    copy: Arc<T>,
}

impl<T, S> TwoCopies<T, S> {
    pub(super) fn new(value: T) -> Self {
        Self { back: Arc::new(value), front: None, pending: Vec::new(), missing: Vec::new() }
    }

    /// As the writer sees it, with the changes that are not published yet.
    pub(super) fn current(&self) -> &Arc<T> {
        match &self.front {
            Some(front) if self.pending.is_empty() => &front.copy,
            _ => &self.back,
        }
    }

    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Number of copies.
    pub(super) fn count(&self) -> usize {
        1 + usize::from(self.front.is_some())
    }

    /// Bytes on the heap of the lists of changes.
    pub(super) fn heap(&self) -> usize {
        (self.pending.capacity() + self.missing.capacity()) * size_of::<S>()
    }
}

impl<T: Replay<S>, S> TwoCopies<T, S> {
    /// What to change, and where to write down each step, if there are readers.
    pub(super) fn edit(&mut self) -> (&mut T, Option<&mut Vec<S>>) {
        if self.catch_up().is_none() {
            self.back = Arc::new(T::clone(self.current()));
            self.missing = Vec::new();
        }
        let back = Arc::make_mut(&mut self.back);
        (back, self.front.is_some().then_some(&mut self.pending))
    }

    /// Where readers find the published copy. The first time everything is published.
    pub(super) fn published(&mut self) -> &Arc<ArcSwap<T>> {
        let back = &mut self.back;
        let front = self.front.get_or_insert_with(|| {
            let copy = Arc::clone(back);
            *back = Arc::new(T::clone(&copy));
            Front { published: Arc::new(ArcSwap::new(Arc::clone(&copy))), copy }
        });
        &front.published
    }

    /// Brings the back copy up to the published one, unless a reader is still at work in it.
    fn catch_up(&mut self) -> Option<&mut T> {
        let back = Arc::get_mut(&mut self.back)?;
        for step in std::mem::take(&mut self.missing) {
            back.replay(step);
        }
        Some(back)
    }

    /// Shows all changes since the last time to the readers, at once.
    pub(super) fn publish(&mut self) {
        let Some(front) = self.front.as_mut().filter(|_| !self.pending.is_empty()) else { return };
        front.published.store(Arc::clone(&self.back));
        std::mem::swap(&mut front.copy, &mut self.back);
        self.missing = std::mem::take(&mut self.pending);
        self.catch_up();
    }
}
