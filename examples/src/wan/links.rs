use std::{net::SocketAddr, num::NonZeroU16, sync::Arc, time::Duration};

use link_core::{
    driver::Linker,
    link::{ClusterName, LinkConfig, LinkState, NodeName, Secret},
    memory::MemoryBroker,
    topic::TopicFilter,
    transport::Transport,
};
use link_mqtt::MqttTransport;
use link_quic::{QuicSettings, QuicTransport, development::DevelopmentCa};
use tokio::time::timeout;

use super::{
    end::Ends,
    sink::{BULK, Sink},
    way::Way,
};
use crate::{
    bench::{Failure, PATIENCE, link},
    mqtt5_host::{Mqtt5Broker, Settings},
};

/// Bytes of messages on their way, at most: twice what QUIC's stream window and MQTT's packets in flight let through on one
/// lane. So the transport stops the bulk before the window is full, and probes do not wait for room in it.
const WINDOW: u32 = 8 << 20;
/// MQTT packets in flight on one connection, each of 64 KiB. The default of 32 bounds the rate at 200 ms to 10 MB/s.
const INFLIGHT: NonZeroU16 = NonZeroU16::MIN.saturating_add(63);
/// MQTT connections of a link: one for the bulk, one for the probes.
const CONNECTIONS: NonZeroU16 = NonZeroU16::MIN.saturating_add(1);
/// Longest time for an orderly end.
const STOPPING: Duration = Duration::from_secs(3);

/// The windows of the link, and of plain quinn beside it: the defaults.
pub(super) fn quic_settings(way: Way) -> QuicSettings {
    QuicSettings { congestion: way.congestion(), ..QuicSettings::default() }
}

/// A live link from `us` in namespace a to `eu` in namespace b.
pub(super) struct Link {
    /// Where messages are published.
    pub(super) near: Linker,
    /// Where they are delivered.
    far: Linker,
    /// What the link is called at `near`.
    pub(super) name: ClusterName,
    broker: Option<Mqtt5Broker>,
}

impl Link {
    pub(super) fn start(ends: &Ends, way: Way, sink: Arc<Sink>, heartbeat: Duration) -> Result<Self, Failure> {
        match way {
            Way::MqttCubic | Way::MqttBbr => Self::over_mqtt(ends, sink, heartbeat),
            _ => Self::over_quic(ends, way, sink, heartbeat),
        }
    }

    fn over_quic(ends: &Ends, way: Way, sink: Arc<Sink>, heartbeat: Duration) -> Result<Self, Failure> {
        let address = SocketAddr::from((ends.net.b().address(), 14567));
        let ca = DevelopmentCa::new()?;
        let (us, eu) = (ca.settings(&ClusterName::new("us")?)?, ca.settings(&ClusterName::new("eu")?)?);
        let (mut from, mut to) = (link("us", &[])?, link("eu", &[format!("quic://{address}")])?);
        to.tls = Some(us);
        from.tls = Some(eu.clone());
        for link in [&mut from, &mut to] {
            link.window = WINDOW;
            link.heartbeat = heartbeat;
        }
        let settings = quic_settings(way);
        let far =
            ends.b(async move { start("eu", Arc::new(QuicTransport::listen(address, &eu, settings)?), sink, from) })?;
        let transport = Arc::new(QuicTransport::new(quic_settings(way)));
        Self::live(ends, transport, to, far, None)
    }

    fn over_mqtt(ends: &Ends, sink: Arc<Sink>, heartbeat: Duration) -> Result<Self, Failure> {
        let bind = SocketAddr::from((ends.net.b().address(), 1883));
        let (mut from, mut to) = (link("us", &[])?, link("eu", &[format!("mqtt://{bind}")])?);
        to.username = Some("link".to_owned());
        to.password = Some(Secret::new("secret"));
        for link in [&mut from, &mut to] {
            link.window = WINDOW;
            link.heartbeat = heartbeat;
            link.max_inflight = INFLIGHT;
            link.connections = CONNECTIONS;
        }
        let (far, broker) = ends.b(async move {
            let users = vec![("link".to_owned(), Secret::new("secret"))];
            let broker = Mqtt5Broker::start(Settings { bind, users }).await?;
            Ok((start("eu", broker.transport(), sink, from)?, broker))
        })?;
        Self::live(ends, Arc::new(MqttTransport::new()), to, far, Some(broker))
    }

    /// Dials, and waits until the link is live and `eu` is known to want the bulk.
    fn live(
        ends: &Ends,
        transport: Arc<dyn Transport>,
        to: LinkConfig,
        far: Linker,
        broker: Option<Mqtt5Broker>,
    ) -> Result<Self, Failure> {
        let name = to.name.clone();
        far.subscribe("sink", &TopicFilter::new("wan/+")?);
        let near = ends.a(async move {
            let name = to.name.clone();
            let near = start("us", transport, MemoryBroker::new(), to)?;
            let live = near.wait_for(&name, |status| status.state == LinkState::Live);
            timeout(PATIENCE, live).await?.ok_or("the link is gone")?;
            let wanted = async {
                while !near.wants(BULK) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            timeout(PATIENCE, wanted).await?;
            Ok(near)
        })?;
        Ok(Self { near, far, name, broker })
    }

    /// Ends both sides; what is on its way is of no interest.
    pub(super) fn stop(self, ends: &Ends) -> Result<(), Failure> {
        let Self { near, far, broker, .. } = self;
        ends.a(async move {
            let _ = timeout(STOPPING, near.shutdown()).await;
            Ok(())
        })?;
        ends.b(async move {
            let stopped = async {
                far.shutdown().await;
                if let Some(broker) = broker {
                    broker.stop().await;
                }
            };
            let _ = timeout(STOPPING, stopped).await;
            Ok(())
        })
    }
}

fn start(
    name: &str,
    transport: Arc<dyn Transport>,
    host: Arc<dyn link_core::host::Host>,
    link: LinkConfig,
) -> Result<Linker, Failure> {
    let builder = Linker::builder(ClusterName::new(name)?, NodeName::new(&format!("{name}-1"))?);
    Ok(builder.transport(transport).link(link).start(host)?)
}
