use std::{
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{Builder, JoinHandle},
    time::{Duration, Instant},
};

use tun_rs::{InterruptEvent, SyncDevice};

use crate::{Counts, Impairment, Path, SetupError};

/// Carries one direction: one thread takes packets from a device, one gives them to the other when their time has come.
pub(super) struct Wire {
    shared: Arc<Shared>,
    stop: Arc<InterruptEvent>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    begin: Instant,
}

struct State {
    path: Path,
    stopping: bool,
}

impl Wire {
    pub(super) fn start(seed: u64, from: Arc<SyncDevice>, to: Arc<SyncDevice>) -> Result<Self, SetupError> {
        let failed = |error: io::Error| SetupError { step: "a thread".to_owned(), reason: error.to_string() };
        let state = Mutex::new(State { path: Path::new(seed), stopping: false });
        let shared = Arc::new(Shared { state, changed: Condvar::new(), begin: Instant::now() });
        let stop = Arc::new(InterruptEvent::new().map_err(failed)?);
        // From here on dropping it ends its threads.
        let mut wire = Self { shared: Arc::clone(&shared), stop: Arc::clone(&stop), threads: Vec::new() };
        let take = move || shared.take(&from, &stop);
        wire.threads.push(Builder::new().name("wire-take".to_owned()).spawn(take).map_err(failed)?);
        let shared = Arc::clone(&wire.shared);
        let give = move || shared.give(&to);
        wire.threads.push(Builder::new().name("wire-give".to_owned()).spawn(give).map_err(failed)?);
        Ok(wire)
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Impairment)) {
        change(self.shared.lock().path.impairment_mut());
    }

    pub(super) fn counts(&self) -> Counts {
        self.shared.lock().path.counts()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.shared.lock().stopping = true;
        self.shared.changed.notify_all();
        // It can't fail before the event is dropped.
        let _ = self.stop.trigger();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// Takes packets until it is interrupted, or the device is gone.
    fn take(&self, from: &SyncDevice, stop: &InterruptEvent) {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(size) = from.recv_intr(&mut buffer, stop) {
            let mut state = self.lock();
            state.path.offer(self.begin.elapsed(), buffer[..size].to_vec());
            drop(state);
            self.changed.notify_one();
        }
    }

    /// Gives packets, each at its time.
    fn give(&self, to: &SyncDevice) {
        let mut state = self.lock();
        while !state.stopping {
            let now = self.begin.elapsed();
            if let Some(packet) = state.path.poll(now) {
                drop(state);
                // A device that is down, or out of memory, loses packets as a network card does.
                let _ = to.send(&packet);
                state = self.lock();
                continue;
            }
            let wait = state.path.deadline().map_or(Duration::from_secs(60), |at| at - now);
            state = self.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
