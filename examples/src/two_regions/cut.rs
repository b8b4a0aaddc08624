//! The network breaks while messages cross.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::{Failed, Outcome, Report, World, ensure, report::commas, subscribe, until};
use crate::client::{Outgoing, QoS};

const COUNT: u32 = 10_000;
/// The connection is cut when so many have arrived.
const CUT_AT: usize = 2500;
const OUTAGE: Duration = Duration::from_secs(1);

pub(super) async fn check(world: &World, report: &mut Report) -> Outcome {
    let (us, eu) = world.clients().await?;
    subscribe(&eu, "counted", &world.us, report).await?;
    let dialled = world.wire.connections();
    let publish = async {
        for hundred in 0..COUNT / 100 {
            let numbers = hundred * 100..(hundred + 1) * 100;
            let message = |n: u32| Outgoing::new("counted", n.to_string(), QoS::AtLeastOnce);
            us.publish_all(numbers.map(message)).await?;
            sleep(Duration::from_millis(5)).await;
        }
        Ok::<_, Failed>(Instant::now())
    };
    let receive = async {
        let mut got = eu.receive_many(CUT_AT, Duration::from_secs(30)).await;
        world.wire.cut();
        let cut = Instant::now();
        sleep(OUTAGE).await;
        world.wire.restore();
        got.extend(eu.receive_many(COUNT as usize - got.len(), Duration::from_secs(60)).await);
        (cut, Instant::now(), got)
    };
    let (published, (cut, arrived, mut got)) = tokio::join!(publish, receive);
    let published = published?;
    // One too many would be a duplicate.
    got.extend(
        timeout(Duration::from_millis(500), eu.receive_many(1, Duration::from_millis(500))).await.into_iter().flatten(),
    );
    let numbers: Vec<Option<u32>> =
        got.iter().map(|message| std::str::from_utf8(&message.payload).ok()?.parse().ok()).collect();
    report.say(format!(
        "cut for {} s after {} had arrived, {}; last arrival {:.1} s after the cut",
        OUTAGE.as_secs(),
        commas(CUT_AT as u64),
        if published > cut { "while us-client published on" } else { "after the last publish" },
        (arrived - cut).as_secs_f64(),
    ));
    if let Some(at) = (0..COUNT as usize).find(|at| numbers.get(*at) != Some(&Some(*at as u32))) {
        let seen = numbers.get(at);
        let mut distinct = numbers.clone();
        distinct.sort_unstable();
        distinct.dedup();
        let (received, distinct) = (numbers.len(), distinct.len());
        return Err(Failed::Wrong(format!("at place {at} came {seen:?}; {received} received, {distinct} distinct")));
    }
    ensure(numbers.len() == COUNT as usize, || format!("{} received", numbers.len()))?;
    ensure(published > cut, || "the cut came after the last publish: it proves nothing".to_owned())?;
    let again = world.wire.connections() - dialled;
    ensure(again > 0, || "the connection was not made again".to_owned())?;
    us.disconnect().await;
    eu.disconnect().await;
    until("us hears that counted is no longer wanted", async || !world.us.linker().wants("counted")).await?;
    Ok(format!("{} received, no gap, no duplicate, in order", commas(numbers.len() as u64)))
}

/// An outage well below the silence after which a peer is down: the same connection goes on. QUIC asks again after
/// pauses that double, so it may need as long again as the outage was.
pub(super) async fn short(world: &World, report: &mut Report) -> Outcome {
    const HALF: usize = 500;
    let (us, eu) = world.clients().await?;
    subscribe(&eu, "counted", &world.us, report).await?;
    let dialled = world.wire.connections();
    let numbered = |n: usize| Outgoing::new("counted", n.to_string(), QoS::AtLeastOnce);
    us.publish_all((0..HALF).map(numbered)).await?;
    world.wire.pause();
    us.publish_all((HALF..2 * HALF).map(numbered)).await?;
    sleep(OUTAGE / 2).await;
    world.wire.restore();
    let restored = Instant::now();
    let got = eu.receive_many(2 * HALF, super::PATIENCE).await;
    report.say(format!(
        "the last arrival is {:.1} ms after the end of the outage",
        restored.elapsed().as_secs_f64() * 1e3
    ));
    let in_order = got.iter().enumerate().all(|(n, message)| message.payload == n.to_string());
    ensure(got.len() == 2 * HALF && in_order, || format!("{} received, in order: {in_order}", got.len()))?;
    let more = eu.receive(Duration::from_millis(300)).await;
    ensure(more.is_none(), || format!("eu-client got {more:?} too"))?;
    let again = world.wire.connections() - dialled;
    ensure(again == 0, || format!("{again} new connections"))?;
    us.disconnect().await;
    eu.disconnect().await;
    until("us hears that counted is no longer wanted", async || !world.us.linker().wants("counted")).await?;
    Ok(format!("{} received, in order, over the same connection", commas(got.len() as u64)))
}
