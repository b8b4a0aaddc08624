//! Messages in both directions.

use std::time::Duration;

use super::{Failed, Outcome, Report, World, ensure, subscribe};
use crate::client::{Client, Outgoing, QoS};

/// Each client subscribes a topic, and the other one publishes to it.
pub(super) async fn each_to_the_other(world: &World, report: &mut Report) -> Outcome {
    let (us, eu) = world.clients().await?;
    subscribe(&us, "/from-eu", &world.eu, report).await?;
    subscribe(&eu, "/from-us", &world.us, report).await?;
    for (from, to, topic) in [(&us, &eu, "/from-us"), (&eu, &us, "/from-eu")] {
        let text = format!("hello from {}", from.id());
        from.publish(Outgoing::new(topic, text.as_str(), QoS::AtLeastOnce)).await?;
        report.say(format!("{} publishes `{text}` to {topic}", from.id()));
        once(to, topic, text.as_bytes()).await?;
        report.say(format!("{} receives it, once", to.id()));
    }
    us.disconnect().await;
    eu.disconnect().await;
    Ok("/from-us at eu, /from-eu at us".to_owned())
}

/// Both subscribe the same topic; one publish at `us` reaches both.
pub(super) async fn one_topic_in_both(world: &World, report: &mut Report) -> Outcome {
    let (us, eu) = world.clients().await?;
    subscribe(&us, "from-cluster", &world.eu, report).await?;
    subscribe(&eu, "from-cluster", &world.us, report).await?;
    us.publish(Outgoing::new("from-cluster", "to all", QoS::AtLeastOnce)).await?;
    report.say("us-client publishes to from-cluster");
    for client in [&us, &eu] {
        once(client, "from-cluster", b"to all").await?;
        report.say(format!("{} receives it, once", client.id()));
    }
    us.disconnect().await;
    eu.disconnect().await;
    Ok("from-cluster, published at us".to_owned())
}

/// Takes exactly one message, and waits a little for one too many.
async fn once(client: &Client, topic: &str, payload: &[u8]) -> Result<(), Failed> {
    let first = client.receive(super::PATIENCE).await;
    let got = first.as_ref().map(|message| (&message.topic[..], &message.payload[..]));
    ensure(got == Some((topic.as_bytes(), payload)), || format!("{} got {first:?} on {topic}", client.id()))?;
    let second = client.receive(Duration::from_millis(300)).await;
    ensure(second.is_none(), || format!("{} got {second:?} too", client.id()))
}
