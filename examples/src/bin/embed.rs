//! The smallest broker that is part of a link: read this first. No network, no tasks of its own.
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};

use link_core::{
    driver::Linker,
    host::{DeliverError, Host, Origin},
    link::{ClusterName, LinkConfig, LinkState, NodeName},
    memory::MemoryNetwork,
    message::{Message, QoS},
    topic::{Topic, TopicFilter},
};

/// A broker: who has subscribed to what, and the linker that it tells.
#[derive(Default)]
struct Broker {
    subscriptions: Mutex<Vec<(TopicFilter, mpsc::Sender<Message>)>>,
    linker: OnceLock<Linker>,
}

impl Broker {
    fn subscribe(&self, client: &str, filter: TopicFilter) -> mpsc::Receiver<Message> {
        let (inbox, messages) = mpsc::channel();
        self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner).push((filter.clone(), inbox));
        // 1. Tell the linker what local clients want; tell it with `unsubscribe` when they don't any more.
        self.linker.get().into_iter().for_each(|linker| linker.subscribe(client, &filter));
        messages
    }

    fn publish(&self, client: &str, message: &Message) -> Result<(), Box<dyn std::error::Error>> {
        self.route(message);
        // 2. Offer every local publish. If no peer wants it, this costs one lookup.
        self.linker.get().map_or(Ok(()), |linker| linker.publish(client, message).map(drop)).map_err(Into::into)
    }

    fn route(&self, message: &Message) {
        let subscriptions = self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, inbox) in subscriptions.iter().filter(|(filter, _)| filter.matches(&message.topic)) {
            // An error says that the subscriber has left.
            let _ = inbox.send(message.clone());
        }
    }
}

#[async_trait::async_trait]
impl Host for Broker {
    /// 3. Route what comes from a peer, to local subscribers only.
    async fn deliver(&self, message: Message, _origin: &Origin) -> Result<(), DeliverError> {
        self.route(&message);
        Ok(())
    }
}

/// 4. Start a linker for the broker: here over a network in memory, with one link that takes everything.
fn start(name: &str, link: LinkConfig, network: &MemoryNetwork) -> Result<Arc<Broker>, Box<dyn std::error::Error>> {
    let broker = Arc::new(Broker::default());
    let builder = Linker::builder(ClusterName::new(name)?, NodeName::new("1")?).transport(network.transport(name));
    let linker = builder.link(LinkConfig { topics: vec![TopicFilter::new("#")?], ..link }).start(broker.clone())?;
    broker.linker.get_or_init(|| linker);
    Ok(broker)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (network, us, eu) = (MemoryNetwork::new(), ClusterName::new("us")?, ClusterName::new("eu")?);
    let broker_us = start("us", LinkConfig::new(eu.clone()), &network)?;
    let dialling = LinkConfig { servers: vec!["memory://us".parse()?], ..LinkConfig::new(us) };
    let broker_eu = start("eu", dialling, &network)?;
    let messages = broker_eu.subscribe("eu-client", TopicFilter::new("from-us/#")?);
    let linker = broker_us.linker.get().ok_or("started above")?;
    linker.wait_for(&eu, |link| link.state == LinkState::Live && linker.wants("from-us/hello")).await;
    let message = Message::new(Topic::new("from-us/hello")?, "hello from us", QoS::AtLeastOnce);
    broker_us.publish("us-client", &message)?;
    let got = tokio::task::spawn_blocking(move || messages.recv()).await??;
    println!("eu-client got `{}` on {}", String::from_utf8_lossy(&got.payload), got.topic.as_str());
    Ok(())
}
