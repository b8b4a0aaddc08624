use std::{process::Command, sync::Arc, time::Duration};

use emulator::{Direction, Emulator, Namespace};
use tokio::runtime::{Builder, Runtime};

use super::{path::Path, way::Way};
use crate::bench::Failure;

/// Two ends of a path, each a runtime whose threads are in a namespace.
pub(super) struct Ends {
    pub(super) net: Arc<Emulator>,
    a: Option<Runtime>,
    b: Option<Runtime>,
}

impl Ends {
    pub(super) fn new(path: &Path, way: Way, seed: u64) -> Result<Self, Failure> {
        let net = Arc::new(Emulator::new(seed)?);
        net.set(Direction::Both, path.impairment());
        tcp_congestion(net.a(), net.b(), way)?;
        tcp_congestion(net.b(), net.a(), way)?;
        let (a, b) = (runtime(&net, Emulator::a)?, runtime(&net, Emulator::b)?);
        Ok(Self { net, a: Some(a), b: Some(b) })
    }

    /// Runs a future in namespace a.
    pub(super) fn a<T: Send + 'static>(
        &self,
        future: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> Result<T, Failure> {
        run(&self.a, future)
    }

    /// Runs a future in namespace b.
    pub(super) fn b<T: Send + 'static>(
        &self,
        future: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> Result<T, Failure> {
        run(&self.b, future)
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        for runtime in [self.a.take(), self.b.take()].into_iter().flatten() {
            runtime.shutdown_timeout(Duration::from_secs(2));
        }
    }
}

/// `block_on` polls in the calling thread, which is in no namespace: so the future becomes a task.
fn run<T: Send + 'static>(
    runtime: &Option<Runtime>,
    future: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, Failure> {
    let runtime = runtime.as_ref().ok_or("the end is gone")?;
    runtime.block_on(runtime.spawn(future))?
}

fn runtime(net: &Arc<Emulator>, end: fn(&Emulator) -> &Namespace) -> Result<Runtime, Failure> {
    let net = Arc::clone(net);
    let enter = move || {
        // Outside its namespace a thread reaches no address of the path: the run fails, and measures nothing else.
        if let Err(error) = end(&net).enter() {
            eprintln!("wan_bench: a thread does not enter its namespace: {error}");
        }
    };
    Ok(Builder::new_multi_thread().worker_threads(1).enable_all().on_thread_start(enter).build()?)
}

/// The congestion control of TCP towards the other end is an attribute of the route: the `sysctl` of a namespace may be
/// read-only.
fn tcp_congestion(from: &Namespace, to: &Namespace, way: Way) -> Result<(), Failure> {
    let (to, source) = (to.address().to_string(), from.address().to_string());
    let output = Command::new("ip")
        .args(["-n", from.name(), "route", "replace", &to, "dev", "wire", "proto", "kernel", "scope", "link"])
        .args(["src", &source, "congctl", way.tcp()])
        .output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("ip route: {}", String::from_utf8_lossy(&output.stderr).trim()).into())
}
