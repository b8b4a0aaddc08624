//! One writer, any number of readers, two copies.

use super::cell::{Arc, Published};

/// What can follow another copy of itself.
pub(super) trait Follow<S>: Clone {
    /// Becomes the same as `newest`, which differs only in what the steps have touched.
    fn follow(&mut self, newest: &Self, steps: Vec<S>);

    /// So many steps cost as much as a new copy.
    fn most_steps(&self) -> usize;
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
    pending: Steps<S>,
    /// Published changes that `back` lacks. One of the two lists is always empty.
    missing: Steps<S>,
}

/// What was touched: these, or too many to tell.
#[derive(Debug)]
enum Steps<S> {
    These(Vec<S>),
    All,
}

#[derive(Debug)]
struct Front<T> {
    published: Arc<Published<T>>,
    copy: Arc<T>,
}

impl<T, S> TwoCopies<T, S> {
    pub(super) fn new(value: T) -> Self {
        Self { back: Arc::new(value), front: None, pending: Steps::NONE, missing: Steps::NONE }
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

    /// One copy or two.
    pub(super) fn all(&self) -> impl Iterator<Item = &T> {
        std::iter::once(&*self.back).chain(self.front.as_ref().map(|front| &*front.copy))
    }

    /// Bytes on the heap of the lists of changes.
    pub(super) fn heap(&self) -> usize {
        (self.pending.capacity() + self.missing.capacity()) * size_of::<S>()
    }
}

impl<S> Steps<S> {
    const NONE: Self = Self::These(Vec::new());

    fn is_empty(&self) -> bool {
        matches!(self, Self::These(steps) if steps.is_empty())
    }

    fn capacity(&self) -> usize {
        match self {
            Self::These(steps) => steps.capacity(),
            Self::All => 0,
        }
    }
}

impl<T: Follow<S>, S> TwoCopies<T, S> {
    /// Changes the value. `change` gives each step to what it is given beside it.
    pub(super) fn edit<R>(&mut self, change: impl FnOnce(&mut T, &mut dyn FnMut(S)) -> R) -> R {
        if !self.catch_up() {
            self.back = Arc::new(T::clone(self.current()));
            self.missing = Steps::NONE;
        }
        let most = self.back.most_steps();
        let (back, pending, shared) = (Arc::make_mut(&mut self.back), &mut self.pending, self.front.is_some());
        change(back, &mut |step| match pending {
            Steps::These(steps) if shared && steps.len() < most => steps.push(step),
            _ if shared => *pending = Steps::All,
            _ => {}
        })
    }

    /// Where readers find the published copy. The first time everything is published.
    pub(super) fn published(&mut self) -> &Arc<Published<T>> {
        let back = &mut self.back;
        let front = self.front.get_or_insert_with(|| {
            let copy = Arc::clone(back);
            *back = Arc::new(T::clone(&copy));
            Front { published: Arc::new(Published::new(Arc::clone(&copy))), copy }
        });
        &front.published
    }

    /// Shows all changes since the last time to the readers, at once.
    pub(super) fn publish(&mut self) {
        let Some(front) = self.front.as_mut().filter(|_| !self.pending.is_empty()) else { return };
        front.published.store(Arc::clone(&self.back));
        std::mem::swap(&mut front.copy, &mut self.back);
        self.missing = std::mem::replace(&mut self.pending, Steps::NONE);
        self.catch_up();
    }

    /// Brings the back copy up to the published one. `false` if that takes a new copy, because a reader is still at work
    /// in it.
    ///
    /// Asks once whether that is so: the answer may change at any time.
    fn catch_up(&mut self) -> bool {
        let Some(back) = Arc::get_mut(&mut self.back) else { return false };
        let Some(front) = &self.front else { return true };
        match std::mem::replace(&mut self.missing, Steps::NONE) {
            Steps::These(steps) if steps.is_empty() => {}
            Steps::These(steps) => back.follow(&front.copy, steps),
            Steps::All => back.clone_from(&front.copy),
        }
        true
    }
}
