use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use emulator::Direction;
use link_core::link::LinkState;
use tokio::{task::JoinSet, time::sleep};

use super::{
    end::Ends,
    links::Link,
    path::Path,
    run::{Figures, RETURN, Times, publish_probes, returned},
    sink::Sink,
    way::Way,
};
use crate::bench::{Failure, median};

/// How often either side says that it lives. A fifth of the default, so that the cuts can be short.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Longer than three heartbeats. Each ends at another point of an attempt to connect.
const CUTS: [Duration; 3] = [Duration::from_millis(8_000), Duration::from_millis(8_700), Duration::from_millis(9_400)];
/// Between two cuts.
const LULL: Duration = Duration::from_secs(1);

/// Cuts a path for longer than its link takes to notice: the connections are gone, and the link dials again. There is no
/// bulk.
///
/// # Errors
/// If the link does not come up, or is live at the end of a cut.
pub fn measure_cuts(path: &Path, way: Way, times: Times, seed: u64) -> Result<Figures, Failure> {
    if way.raw().is_none() {
        return Ok(Figures::default());
    }
    let ends = Ends::new(path, way, seed)?;
    let begin = Instant::now();
    let sink = Arc::new(Sink::new(begin));
    let link = Link::start(&ends, way, Arc::clone(&sink), HEARTBEAT)?;
    let (linker, name, net) = (link.near.clone(), link.name.clone(), Arc::clone(&ends.net));
    let live = ends.a(async move {
        // Dropping it ends the publisher.
        let mut publisher = JoinSet::new();
        publisher.spawn(publish_probes(linker.clone(), begin, times.every));
        let mut times = Vec::new();
        for cut in CUTS {
            sleep(LULL).await;
            net.change(Direction::Both, |path| path.cut = true);
            sleep(cut).await;
            let status = linker.link(&name).await.ok_or("the link is gone")?;
            if status.state == LinkState::Live {
                return Err(format!("live after {cut:?} of silence: {}", status.reason).into());
            }
            net.change(Direction::Both, |path| path.cut = false);
            let took = returned(&linker, &name, &sink, begin).await.unwrap_or(RETURN);
            times.push(took.as_secs_f64() * 1e3);
        }
        Ok(median(&mut times))
    })?;
    link.stop(&ends)?;
    Ok(Figures { live: Some(live), ..Figures::default() })
}
