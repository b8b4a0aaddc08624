//! What publication is made of here: the parts of `link-core/src/index/cell.rs`, with a point at which threads may be
//! switched at each step.

use std::ops::Deref;

use loom::sync::Mutex;

/// Counts its holders, as the one of the standard library does.
#[derive(Debug)]
pub struct Arc<T>(Option<loom::sync::Arc<T>>);

impl<T> Arc<T> {
    pub fn new(value: T) -> Self {
        Self(Some(loom::sync::Arc::new(value)))
    }

    pub fn get_mut(this: &mut Self) -> Option<&mut T> {
        let counted = this.0.as_mut()?;
        // loom takes `get_mut` for independent of `clone`, and would not try both orders of the two; this it does.
        loom::sync::Arc::strong_count(counted);
        loom::sync::Arc::get_mut(counted)
    }
}

impl<T: Clone> Arc<T> {
    pub fn make_mut(this: &mut Self) -> &mut T {
        if Self::get_mut(this).is_none() {
            *this = Self::new(T::clone(this));
        }
        Self::get_mut(this).expect("nobody else has it")
    }
}

impl<T> Clone for Arc<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Deref for Arc<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("only taken when dropped")
    }
}

impl<T> Drop for Arc<T> {
    /// When a model has failed its threads are dropped outside of it, where loom can't count.
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::mem::forget(self.0.take());
        }
    }
}

/// An `ArcSwap` as it promises to be: a load and a store each happen at one moment, and a copy is counted for whoever
/// has loaded it by the time the store that replaces it returns.
#[derive(Debug)]
pub struct Published<T>(Mutex<Arc<T>>);

impl<T> Published<T> {
    pub fn new(copy: Arc<T>) -> Self {
        Self(Mutex::new(copy))
    }

    /// What is here a count is a guard in an `ArcSwap`, and a count from `store` on.
    pub fn load(&self) -> Arc<T> {
        self.0.lock().expect("no thread panics").clone()
    }

    pub fn store(&self, copy: Arc<T>) {
        let replaced = std::mem::replace(&mut *self.0.lock().expect("no thread panics"), copy);
        drop(replaced);
    }
}
