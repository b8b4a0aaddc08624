//! What links cost that carry nothing: processor time of both ends, with the default heartbeat.

use std::{fs, time::Duration};

use link_core::{
    driver::Linker,
    link::{ClusterName, LinkState, NodeName},
    memory::{MemoryBroker, MemoryNetwork},
};
use tokio::time::{sleep, timeout};

use super::{Failure, Figure, PATIENCE, link};

/// Parts of one core, in percent, that `links` idle links take, both ends counted.
///
/// # Errors
/// If a link does not come up, or the system does not say how much time the process took.
pub async fn idle(links: usize, time: Duration) -> Result<Figure, Failure> {
    let network = MemoryNetwork::new();
    let start = |name: &str| {
        let builder = Linker::builder(ClusterName::new(name)?, NodeName::new(&format!("{name}-1"))?);
        Ok::<_, Failure>(builder.transport(network.transport(name)).start(MemoryBroker::new())?)
    };
    let hub = start("hub")?;
    let mut spokes = Vec::new();
    for n in 0..links {
        let name = format!("spoke-{n}");
        let spoke = start(&name)?;
        spoke.create_link(link("hub", &[])?).await?;
        hub.create_link(link(&name, &[format!("memory://{name}")])?).await?;
        let live = hub.wait_for(&ClusterName::new(&name)?, |status| status.state == LinkState::Live).await;
        live.ok_or("a link is gone")?;
        spokes.push(spoke);
    }
    sleep(Duration::from_millis(200)).await;
    let before = cpu_time()?;
    sleep(time).await;
    let used = cpu_time()?.saturating_sub(before);
    for linker in spokes.iter().chain([&hub]) {
        timeout(PATIENCE, linker.shutdown()).await?;
    }
    Ok(Figure::new(format!("idle.{links}_links.cpu"), used.as_secs_f64() / time.as_secs_f64() * 100.0, "% of a core"))
}

/// Processor time of all threads of this process.
fn cpu_time() -> Result<Duration, Failure> {
    let mut nanoseconds = 0;
    for task in fs::read_dir("/proc/self/task")? {
        let text = fs::read_to_string(task?.path().join("schedstat"))?;
        nanoseconds += text.split(' ').next().unwrap_or_default().parse::<u64>()?;
    }
    Ok(Duration::from_nanos(nanoseconds))
}
