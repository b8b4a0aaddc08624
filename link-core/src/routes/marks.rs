//! Why each route of a copy counts.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// Why a route counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Marks {
    pub(super) certified: bool,
    pub(super) loading: bool,
    pub(super) stale: bool,
}

impl Marks {
    pub(super) const CERTIFIED: Self = Self { certified: true, loading: false, stale: false };
    pub(super) const LOADING: Self = Self { certified: false, loading: true, stale: false };
    pub(super) const STALE: Self = Self { certified: false, loading: false, stale: true };
}

/// The marks of all routes of a copy: those that most have, and the others by the hash of the route.
///
/// Between two comparisons all have the same, which takes no memory; one that is not usual takes some 40 bytes.
#[derive(Debug)]
pub(super) struct MarkBook {
    usual: Marks,
    others: HashMap<u128, Marks, FixedState>,
}

impl MarkBook {
    /// For a copy without routes. `seed`: nobody who chooses routes may know it.
    pub(super) fn new(seed: u64) -> Self {
        Self { usual: Marks::CERTIFIED, others: HashMap::with_hasher(FixedState::with_seed(seed)) }
    }

    /// What routes have that are not among the others.
    pub(super) fn usual(&self) -> Marks {
        self.usual
    }

    /// The routes that have other marks than most, in no order.
    pub(super) fn others(&self) -> impl Iterator<Item = (u128, Marks)> {
        self.others.iter().map(|(hash, marks)| (*hash, *marks))
    }

    pub(super) fn get(&self, hash: u128) -> Marks {
        if self.others.is_empty() {
            return self.usual;
        }
        self.others.get(&hash).copied().unwrap_or(self.usual)
    }

    pub(super) fn set(&mut self, hash: u128, marks: Marks) {
        if marks == self.usual {
            self.forget(hash);
        } else {
            self.others.insert(hash, marks);
        }
    }

    /// A route that is gone has no marks.
    pub(super) fn forget(&mut self, hash: u128) {
        self.others.remove(&hash);
    }

    /// All have these from now on.
    pub(super) fn set_all(&mut self, marks: Marks) {
        let seed = self.others.hasher().clone();
        (self.usual, self.others) = (marks, HashMap::with_hasher(seed));
    }

    /// Changes the marks of each route, in the same way where they are the same.
    pub(super) fn update(&mut self, change: impl Fn(Marks) -> Marks) {
        let usual = change(self.usual);
        self.usual = usual;
        self.others.retain(|_, marks| {
            *marks = change(*marks);
            *marks != usual
        });
        if self.others.len() < self.others.capacity() / 8 {
            self.others.shrink_to_fit();
        }
    }
}
