//! The dialling side: one connection over a bundle of clients.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use link_core::transport::{Class, Connection, ConnectionError, Dial, DialError, FrameReceiver, FrameSender, Identity};
use tokio::{sync::mpsc, task::JoinSet, time::timeout};

use crate::{
    client::{self, Client, Delivery, End, Outbox, Settings, client_config},
    client_id::client_id,
    fate::Fate,
    payload::{Assembler, Payload, fragments},
    topic::{Direction, LinkTopic},
};

/// Most clients that one connection may have.
const MOST_CHANNELS: u16 = 64;
/// How long a closing connection waits for the broker.
const CLOSE_TIME: Duration = Duration::from_secs(2);

/// Brings up all clients of a connection at once; the first that fails fails it.
pub(crate) async fn dial(dial: &Dial, max_frame: usize) -> Result<Connection, DialError> {
    let link = &dial.link;
    let error = |reason| DialError::Settings { endpoint: dial.endpoint.clone(), reason };
    let channels = link.connections.get();
    if channels > MOST_CHANNELS {
        return Err(error(format!("{channels} connections are over the limit of {MOST_CHANNELS}")));
    }
    let tls = match (dial.endpoint.scheme.as_str(), &link.tls) {
        ("mqtt", _) => None,
        ("mqtts", Some(settings)) => Some(client_config(settings).map_err(error)?),
        ("mqtts", None) => return Err(error("`mqtts` needs the TLS settings of the link".to_owned())),
        (scheme, _) => return Err(error(format!("`{scheme}` is not carried by MQTT"))),
    };
    let token = getrandom::u64().map_err(|e| error(format!("the system gives no random numbers: {e}")))?;
    // A window of one would leave no slot for control beside data.
    let window = u32::from(link.max_inflight.get().max(2));

    let fate = Fate::new();
    let (inbox, deliveries) = mpsc::channel(usize::from(channels) * usize::from(link.max_inflight.get()));
    let mut connecting = JoinSet::new();
    for channel in 0..channels {
        let up = LinkTopic {
            cluster: dial.cluster.clone(),
            node: dial.node.clone(),
            direction: Direction::Up,
            token,
            channel,
            channels,
        };
        let settings = Settings {
            host: dial.endpoint.host.clone(),
            port: dial.endpoint.port,
            client_id: client_id(link.client_id_prefix.as_deref(), &dial.cluster, &dial.node, &link.name, channel + 1),
            username: link.username.clone(),
            password: link.password.as_ref().map(|p| p.reveal().to_owned()),
            tls: tls.clone(),
            keep_alive: link.keep_alive,
            max_inflight: link.max_inflight.get(),
            max_packet: link.max_packet,
            channel,
            down: up.towards(Direction::Down).to_string(),
            up: up.to_string(),
            credit: window,
        };
        let (inbox, fate) = (inbox.clone(), fate.clone());
        connecting.spawn(async move { (channel, client::connect(settings, inbox, fate).await) });
    }
    drop(inbox);

    let mut clients: Vec<(u16, Client)> = Vec::with_capacity(channels.into());
    while let Some(joined) = connecting.join_next().await {
        let endpoint = dial.endpoint.clone();
        match joined {
            Ok((channel, Ok(client))) => clients.push((channel, client)),
            Ok((_, Err(End::Refused(reason)))) => return Err(DialError::Refused { endpoint, reason }),
            Ok((_, Err(End::Lost(reason)))) => return Err(DialError::Unreachable { endpoint, reason }),
            Err(e) => return Err(DialError::Unreachable { endpoint, reason: e.to_string() }),
        }
    }
    clients.sort_by_key(|(channel, _)| *channel);
    let bundle = Arc::new(Bundle { clients: clients.into_iter().map(|(_, client)| client).collect(), fate });

    let mut identity = Identity { address: dial.endpoint.to_string(), ..Identity::default() };
    if let Some(settings) = link.tls.as_ref().filter(|_| tls.is_some()) {
        identity.certificate_names.push(settings.server_name.clone().unwrap_or_else(|| dial.endpoint.host.clone()));
    }
    let sender = |channel: usize, data| -> Box<dyn FrameSender> {
        let outbox = bundle.clients[channel].outbox.clone();
        let body_limit = bundle.clients[channel].body_limit;
        Box::new(Sender { bundle: bundle.clone(), outbox, body_limit, data, max_frame, cut: false })
    };
    Ok(Connection {
        identity,
        control: sender(0, false),
        data: (0..usize::from(channels)).map(|channel| sender(channel, true)).collect(),
        datagrams: None,
        max_frame: Some(max_frame),
        receiver: Box::new(Receiver {
            deliveries,
            channels: (0..channels).map(|_| Incoming::new(max_frame)).collect(),
            window,
            max_packet: link.max_packet,
            bundle,
        }),
    })
}

/// The clients of one connection; they close when its last sender and its receiver are gone.
struct Bundle {
    clients: Vec<Client>,
    fate: Fate,
}

impl Bundle {
    /// Waits until the broker has acknowledged all that was sent, says goodbye, and waits for the sockets to close.
    async fn close(&self) {
        let orderly = async {
            for client in &self.clients {
                client.outbox.idle().await;
            }
            for client in &self.clients {
                client.outbox.disconnect();
            }
            self.fate.ended().await
        };
        tokio::select! {
            _ = timeout(CLOSE_TIME, orderly) => {}
            _ = self.fate.ended() => {}
        }
        self.fate.end(ConnectionError::Closed("this side closed the connection".to_owned()));
    }
}

struct Sender {
    bundle: Arc<Bundle>,
    outbox: Arc<Outbox>,
    body_limit: usize,
    data: bool,
    max_frame: usize,
    /// A send was cancelled between two fragments: the next frame would be read as its rest.
    cut: bool,
}

#[async_trait]
impl FrameSender for Sender {
    async fn send(&mut self, frame: Bytes) -> Result<(), ConnectionError> {
        if let Some(error) = self.bundle.fate.error() {
            return Err(error);
        }
        if self.cut {
            return Err(ConnectionError::Lost("a frame was cut off by a cancelled send".to_owned()));
        }
        if frame.len() > self.max_frame {
            return Err(ConnectionError::TooLarge { size: frame.len(), limit: self.max_frame });
        }
        for payload in fragments(frame, self.data, self.body_limit) {
            tokio::select! {
                biased;
                error = self.bundle.fate.ended() => return Err(error),
                sent = self.outbox.send(&payload, self.data) => sent?,
            }
            self.cut = matches!(payload, Payload::Fragment { more: true, .. });
        }
        Ok(())
    }

    async fn close(&mut self) {
        self.bundle.close().await;
    }
}

struct Receiver {
    bundle: Arc<Bundle>,
    deliveries: mpsc::Receiver<Delivery>,
    channels: Vec<Incoming>,
    /// Packets of one channel that the other end may have on their way.
    window: u32,
    max_packet: u32,
}

/// What has come in on one channel.
struct Incoming {
    control: Assembler,
    data: Assembler,
    /// Packets taken, modulo 2^32.
    taken: u32,
    /// Packets taken when the last credit was granted.
    granted_at: u32,
    ended: bool,
}

impl Incoming {
    fn new(max_frame: usize) -> Self {
        Self {
            control: Assembler::new(max_frame),
            data: Assembler::new(max_frame),
            taken: 0,
            granted_at: 0,
            ended: false,
        }
    }
}

#[async_trait]
impl FrameReceiver for Receiver {
    async fn recv(&mut self) -> Result<(Class, Bytes), ConnectionError> {
        loop {
            let delivery = tokio::select! {
                biased;
                delivery = self.deliveries.recv() => delivery,
                _ = self.bundle.fate.ended() => self.deliveries.try_recv().ok(),
            };
            let Some(delivery) = delivery else {
                return Err(self.bundle.fate.ended().await);
            };
            match self.take(delivery) {
                Ok(Some(frame)) => return Ok(frame),
                Ok(None) => {}
                Err(error) => {
                    self.bundle.fate.end(error.clone());
                    return Err(error);
                }
            }
        }
    }
}

impl Receiver {
    /// Takes one packet: acknowledges it, grants credit, and gives the frame that it completes.
    fn take(&mut self, delivery: Delivery) -> Result<Option<(Class, Bytes)>, ConnectionError> {
        let malformed = |reason| ConnectionError::Closed(format!("the peer sent {reason}"));
        let payload = Payload::decode(&delivery.payload).map_err(malformed)?;
        delivery.acknowledge();
        let incoming = &mut self.channels[usize::from(delivery.channel)];
        if incoming.ended {
            return Err(malformed("a packet behind its end".to_owned()));
        }
        incoming.taken = incoming.taken.wrapping_add(1);
        if incoming.taken.wrapping_sub(incoming.granted_at) >= self.window / 2 {
            incoming.granted_at = incoming.taken;
            let limit = incoming.taken.wrapping_add(self.window);
            let credit = Payload::Credit { limit, max_packet: self.max_packet };
            self.bundle.clients[usize::from(delivery.channel)].outbox.grant(credit);
        }
        match payload {
            Payload::Fragment { data: true, more, body } => {
                Ok(incoming.data.push(more, body)?.map(|frame| (Class::Data(delivery.channel), frame)))
            }
            Payload::Fragment { data: false, more, body } if delivery.channel == 0 => {
                Ok(incoming.control.push(more, body)?.map(|frame| (Class::Control, frame)))
            }
            Payload::Fragment { .. } => Err(malformed(format!("a control frame on channel {}", delivery.channel))),
            Payload::Credit { .. } => Err(malformed("a credit to the side that grants it".to_owned())),
            Payload::End => {
                incoming.ended = true;
                if self.channels.iter().all(|channel| channel.ended) {
                    return Err(ConnectionError::Closed("the peer closed the connection".to_owned()));
                }
                Ok(None)
            }
        }
    }
}
