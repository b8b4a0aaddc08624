//! Bytes on the wire: what nobody wants does not cross.

use std::{collections::BTreeSet, time::Duration};

use super::{Failed, Outcome, Report, World, bridge::Bridged, ensure, quiet, report::commas, subscribe};
use crate::client::{Client, Outgoing, QoS};

const TOPICS: usize = 1000;
const WANTED: [usize; 5] = [7, 207, 407, 607, 807];
const PAYLOAD: usize = 256;

/// A megabyte on a topic without remote subscriber: were any of it on the wire, it could not be overlooked.
pub(super) async fn unwanted(world: &World, report: &mut Report) -> Outcome {
    let (us, eu) = world.clients().await?;
    us.subscribe("only-here", QoS::AtLeastOnce).await?;
    subscribe(&eu, "something-else", &world.us, report).await?;
    quiet(&world.wire).await;
    let before = world.wire.bytes();
    us.publish_all((0..100).map(|_| Outgoing::new("nobody-at-eu", vec![7; 10_000], QoS::AtLeastOnce))).await?;
    us.publish_all((0..100).map(|_| Outgoing::new("only-here", vec![7; 10_000], QoS::AtLeastOnce))).await?;
    let here = us.receive_many(100, super::PATIENCE).await.len();
    ensure(here == 100, || format!("us-client got {here} of 100 local messages"))?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let crossed = world.wire.bytes().since(before).total();
    report.say(format!("200 messages of 10,000 bytes, half with a subscriber at us only: {crossed} bytes on the link"));
    ensure(crossed < 5000, || format!("{crossed} bytes crossed the link"))?;
    let got = eu.receive(Duration::from_millis(100)).await;
    ensure(got.is_none(), || format!("eu-client got {got:?}"))?;
    us.disconnect().await;
    eu.disconnect().await;
    Ok(format!("2,000,000 bytes published, {crossed} on the link (heartbeats)"))
}

/// The same messages through the link, and through a bridge that takes everything.
pub(super) async fn against_a_bridge(world: &World, report: &mut Report) -> Outcome {
    let (us, eu) = world.clients().await?;
    quiet(&world.wire).await;
    let before = world.wire.bytes();
    // The announcements of the five topics are part of what the link costs.
    for n in WANTED {
        subscribe(&eu, &topic(n), &world.us, report).await?;
    }
    us.publish_all(messages()).await?;
    check_received(&eu).await?;
    quiet(&world.wire).await;
    let link = world.wire.bytes().since(before).total();
    report.say(format!("the link: {} bytes, both directions", commas(link)));
    us.disconnect().await;
    eu.disconnect().await;

    let bridged = Bridged::start().await?;
    let (us, eu) = bridged.clients().await?;
    quiet(bridged.wire()).await;
    let before = bridged.wire().bytes();
    for n in WANTED {
        eu.subscribe(&topic(n), QoS::ExactlyOnce).await?;
    }
    us.publish_all(messages()).await?;
    check_received(&eu).await?;
    quiet(bridged.wire()).await;
    let bridge = bridged.wire().bytes().since(before).total();
    let bare: usize = messages().map(|message| message.topic.len() + message.payload.len()).sum();
    report.say(format!("a bridge that subscribes #: {} bytes, both directions", commas(bridge)));
    report
        .say(format!("(topics and payloads alone are {}; this broker adds two user properties)", commas(bare as u64)));
    us.disconnect().await;
    eu.disconnect().await;
    bridged.stop().await;

    ensure(link * 5 < bare as u64, || format!("the link took {link} bytes, the bridge {bridge}"))?;
    #[allow(clippy::cast_precision_loss, reason = "a ratio for people")]
    let ratio = bridge as f64 / link as f64;
    Ok(format!("{} bytes against {}: {ratio:.0} times fewer", commas(link), commas(bridge)))
}

fn topic(n: usize) -> String {
    format!("sensors/{n:04}/temperature")
}

fn messages() -> impl Iterator<Item = Outgoing> {
    // Not all the same byte: a link that compresses should not profit from that.
    (0..TOPICS).map(|n| {
        let noise = (0..PAYLOAD).scan(n as u32 + 1, |state, _| {
            *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            Some((*state >> 24) as u8)
        });
        Outgoing::new(topic(n), noise.collect::<Vec<_>>(), QoS::AtLeastOnce)
    })
}

async fn check_received(eu: &Client) -> Result<(), Failed> {
    let got = eu.receive_many(WANTED.len(), super::PATIENCE).await;
    let topics: BTreeSet<_> = got.iter().map(|message| String::from_utf8_lossy(&message.topic).into_owned()).collect();
    ensure(topics == WANTED.map(topic).into(), || format!("eu-client got {topics:?}"))?;
    let more = eu.receive(Duration::from_millis(300)).await;
    ensure(more.is_none(), || format!("eu-client got {more:?} too"))
}
