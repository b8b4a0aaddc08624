//! Messages arrive as they were sent.

use std::time::Duration;

use bytes::Bytes;
use rumqttc::v5::mqttbytes::v5::{LastWill, Publish, PublishProperties};

use super::{Failed, Outcome, Report, World, ensure, subscribe};
use crate::client::{Client, Login, Outgoing, QoS};

const EXPIRY: u32 = 120;

/// Every quality of service, with and without the retain flag, with every property that travels.
pub(super) async fn qualities_and_properties(world: &World, report: &mut Report) -> Outcome {
    let (us, eu) = world.clients().await?;
    subscribe(&eu, "faithful", &world.us, report).await?;
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        for retain in [false, true] {
            let sent = Outgoing { retain, properties: properties(), ..Outgoing::new("faithful", "payload", qos) };
            us.publish(sent.clone()).await?;
            let Some(got) = eu.receive(super::PATIENCE).await else {
                return Err(Failed::Wrong(format!("{qos:?}, retain {retain}: nothing arrived")));
            };
            compare(&sent, &got)?;
        }
        report.say(format!("{qos:?}: payload, retain flag and all properties as sent"));
    }
    // The retained message is stored at eu: a later subscriber gets it from there.
    let late = world.eu.client("late-client").await?;
    late.subscribe("faithful", QoS::ExactlyOnce).await?;
    let got = late.receive(super::PATIENCE).await;
    ensure(got.is_some_and(|got| got.retain && got.payload == "payload"), || "no retained message at eu".to_owned())?;
    report.say("a later subscriber at eu gets the retained message from eu");
    // An empty retained message takes it away again, here and there.
    us.publish(Outgoing { retain: true, ..Outgoing::new("faithful", "", QoS::AtLeastOnce) }).await?;
    let got = late.receive(super::PATIENCE).await;
    ensure(got.is_some_and(|got| got.payload.is_empty()), || "the retained message was not cleared".to_owned())?;
    for client in [late, us, eu] {
        client.disconnect().await;
    }
    Ok("user properties, content type, response topic, correlation data, format, expiry".to_owned())
}

/// A client at `us` breaks; its will arrives at `eu`.
pub(super) async fn will(world: &World, report: &mut Report) -> Outcome {
    let eu = world.eu.client("eu-client").await?;
    subscribe(&eu, "last/words", &world.us, report).await?;
    let will = Some(LastWill::new("last/words", "gone", QoS::AtLeastOnce, false, None));
    let mortal = Client::connect(Login { will, ..world.us.login("mortal") }).await?;
    drop(mortal);
    report.say("a client at us breaks its connection without DISCONNECT");
    let got = eu.receive(super::PATIENCE).await;
    ensure(got.as_ref().is_some_and(|will| will.payload == "gone"), || format!("eu-client got {got:?}"))?;
    let more = eu.receive(Duration::from_millis(300)).await;
    ensure(more.is_none(), || format!("eu-client got {more:?} too"))?;
    eu.disconnect().await;
    Ok("last/words, once".to_owned())
}

fn properties() -> PublishProperties {
    PublishProperties {
        payload_format_indicator: Some(1),
        message_expiry_interval: Some(EXPIRY),
        topic_alias: None,
        response_topic: Some("answers/here".to_owned()),
        correlation_data: Some(Bytes::from_static(b"\x00\x01\xff")),
        user_properties: [("key", "1"), ("other", "\u{e9}"), ("key", "2")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into(),
        subscription_identifiers: vec![],
        content_type: Some("text/plain".to_owned()),
    }
}

fn compare(sent: &Outgoing, got: &Publish) -> Result<(), Failed> {
    let plain = (got.topic == sent.topic, got.payload == sent.payload, got.qos == sent.qos, got.retain == sent.retain);
    ensure(plain == (true, true, true, true), || format!("sent {:?} retain {}, got {got:?}", sent.qos, sent.retain))?;
    let mut properties = got.properties.clone().unwrap_or_default();
    // Counted down by the time on the way.
    let expiry = properties.message_expiry_interval.unwrap_or_default();
    ensure((EXPIRY - 5..=EXPIRY).contains(&expiry), || format!("an expiry of {EXPIRY} s arrived as {expiry} s"))?;
    properties.message_expiry_interval = sent.properties.message_expiry_interval;
    ensure(properties == sent.properties, || format!("the properties arrived as {properties:?}"))
}
