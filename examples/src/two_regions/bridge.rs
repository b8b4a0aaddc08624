//! The alternative to a link: a bridge that takes everything, between two brokers of its own.

use tokio::task::JoinHandle;

use super::{Failed, loopback, region::plain};
use crate::{
    client::{Client, Login, Outgoing, QoS},
    mqtt5_host::Mqtt5Broker,
    proxy::Proxy,
};

const USER: (&str, &str) = ("user", "pass");

/// Two brokers without linkers, and a bridge at the second which subscribes `#` at the first.
pub(super) struct Bridged {
    us: Mqtt5Broker,
    eu: Mqtt5Broker,
    wire: Proxy,
    bridge: JoinHandle<()>,
}

impl Bridged {
    pub(super) async fn start() -> Result<Self, Failed> {
        let (us, eu) = (plain(loopback(0), &[USER]).await?, plain(loopback(0), &[USER]).await?);
        let wire = Proxy::start(us.address()).await?;
        let from = Client::connect(Login::new(wire.address(), "bridge", USER.0, USER.1)).await?;
        let to = Client::connect(Login::new(eu.address(), "bridge", USER.0, USER.1)).await?;
        from.subscribe("#", QoS::AtLeastOnce).await?;
        let bridge = tokio::spawn(async move {
            while let Some(message) = from.receive(super::PATIENCE).await {
                let topic = String::from_utf8_lossy(&message.topic).into_owned();
                // An error shows as a message that is missing.
                if to.publish(Outgoing::new(topic, message.payload, message.qos)).await.is_err() {
                    break;
                }
            }
        });
        Ok(Self { us, eu, wire, bridge })
    }

    pub(super) async fn clients(&self) -> Result<(Client, Client), Failed> {
        let us = Client::connect(Login::new(self.us.address(), "us-client", USER.0, USER.1)).await?;
        let eu = Client::connect(Login::new(self.eu.address(), "eu-client", USER.0, USER.1)).await?;
        Ok((us, eu))
    }

    pub(super) fn wire(&self) -> &Proxy {
        &self.wire
    }

    pub(super) async fn stop(self) {
        self.bridge.abort();
        self.eu.stop().await;
        self.us.stop().await;
    }
}
