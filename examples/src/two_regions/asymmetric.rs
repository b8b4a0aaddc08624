//! `us` stops wanting anything, and starts again, while everything runs.

use std::time::Duration;

use super::{Outcome, Report, World, ensure, everything, subscribe, until};
use crate::client::{Outgoing, QoS};

pub(super) async fn check(world: &World, report: &mut Report) -> Outcome {
    let (us, eu) = world.clients().await?;
    subscribe(&us, "to-us", &world.eu, report).await?;
    subscribe(&eu, "to-eu", &world.us, report).await?;
    let dialled = world.wire.connections();

    world.us.linker().update_link(world.means.us_to_eu(vec![])).await?;
    let took = until("eu hears that us wants nothing", async || !world.eu.linker().wants("to-us")).await?;
    report.say(format!("us empties its topics; eu knows after {:.1} ms", took.as_secs_f64() * 1e3));
    us.publish(Outgoing::new("to-eu", "1", QoS::AtLeastOnce)).await?;
    eu.publish(Outgoing::new("to-us", "1", QoS::AtLeastOnce)).await?;
    let got = eu.receive(super::PATIENCE).await;
    ensure(got.is_some_and(|message| message.payload == "1"), || "eu-client got nothing".to_owned())?;
    report.say("eu-client still receives from us");
    let got = us.receive(Duration::from_millis(500)).await;
    ensure(got.is_none(), || format!("us-client got {got:?}"))?;
    report.say("us-client receives nothing from eu");

    world.us.linker().update_link(world.means.us_to_eu(vec![everything()?])).await?;
    let took = until("eu hears that us wants again", async || world.eu.linker().wants("to-us")).await?;
    report.say(format!("us wants everything again; eu knows after {:.1} ms", took.as_secs_f64() * 1e3));
    eu.publish(Outgoing::new("to-us", "2", QoS::AtLeastOnce)).await?;
    let got = us.receive(super::PATIENCE).await;
    ensure(got.as_ref().is_some_and(|message| message.payload == "2"), || format!("us-client got {got:?}"))?;
    report.say("us-client receives again, and not what was published in between");
    let again = world.wire.connections() - dialled;
    us.disconnect().await;
    eu.disconnect().await;
    Ok(format!("switched off and on at run time, {again} new connections"))
}
