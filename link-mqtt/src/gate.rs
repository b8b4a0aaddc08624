//! Slots that packets take before they leave, control first.
//!
//! ```text
//! slots  [ d d d d . r ]     d taken by data, . free for both, r kept for control
//! ```
//! The invariant: no more slots are taken than were given, data never takes the last one (where there are two or
//! more), and control that waits goes before data that waits.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

#[derive(Debug)]
pub(crate) struct Gate {
    state: Mutex<State>,
    control: Notify,
    data: Notify,
}

#[derive(Debug, Default)]
struct State {
    free: usize,
    /// Slots that data leaves free.
    reserve: usize,
    /// Control senders that wait now.
    waiting: usize,
}

impl Gate {
    /// A gate with that many slots.
    pub(crate) fn new(slots: usize) -> Self {
        let state = State { free: slots, reserve: usize::from(slots > 1), waiting: 0 };
        Self { state: Mutex::new(state), control: Notify::new(), data: Notify::new() }
    }

    /// Adds slots, or puts taken ones back.
    pub(crate) fn give(&self, slots: usize) {
        let mut state = self.lock();
        state.free = state.free.saturating_add(slots);
        if state.free > 1 {
            state.reserve = 1;
        }
        drop(state);
        self.control.notify_one();
        self.data.notify_one();
    }

    /// Takes a slot at once, as control.
    pub(crate) fn try_take(&self) -> bool {
        let mut state = self.lock();
        let taken = state.free > 0;
        state.free -= usize::from(taken);
        taken
    }

    /// Waits for a slot. Safe to cancel: a cancelled wait has taken nothing. One sender per class waits at a time.
    pub(crate) async fn take(&self, data: bool) {
        if data {
            loop {
                {
                    let mut state = self.lock();
                    if state.free > state.reserve && state.waiting == 0 {
                        state.free -= 1;
                        return;
                    }
                }
                self.data.notified().await;
            }
        }
        if self.try_take() {
            return;
        }
        let _waiting = Waiting::new(self);
        while !self.try_take() {
            self.control.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a waiting control sender, also when its wait is cancelled.
struct Waiting<'a>(&'a Gate);

impl<'a> Waiting<'a> {
    fn new(gate: &'a Gate) -> Self {
        gate.lock().waiting += 1;
        Self(gate)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.lock().waiting -= 1;
        self.0.data.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    async fn takes(gate: &Gate, data: bool) -> bool {
        timeout(Duration::from_millis(20), gate.take(data)).await.is_ok()
    }

    #[tokio::test]
    async fn data_leaves_the_last_slot_to_control() {
        let gate = Gate::new(3);
        assert!(takes(&gate, true).await && takes(&gate, true).await);
        assert!(!takes(&gate, true).await);
        assert!(takes(&gate, false).await);
        assert!(!takes(&gate, false).await);
        gate.give(1);
        assert!(!takes(&gate, true).await, "the free slot is the reserved one");
        gate.give(1);
        assert!(takes(&gate, true).await);
    }

    #[tokio::test]
    async fn a_single_slot_goes_to_waiting_control_first() {
        let gate = std::sync::Arc::new(Gate::new(1));
        assert!(takes(&gate, true).await, "with one slot nothing is reserved");
        let data = tokio::spawn({
            let gate = gate.clone();
            async move { gate.take(true).await }
        });
        let control = tokio::spawn({
            let gate = gate.clone();
            async move { gate.take(false).await }
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        gate.give(1);
        timeout(Duration::from_secs(5), control).await.unwrap().unwrap();
        assert!(!data.is_finished());
        gate.give(1);
        timeout(Duration::from_secs(5), data).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_cancelled_wait_of_control_does_not_hold_up_data() {
        let gate = Gate::new(1);
        assert!(takes(&gate, true).await);
        assert!(!takes(&gate, false).await);
        gate.give(1);
        assert!(takes(&gate, true).await);
    }
}
