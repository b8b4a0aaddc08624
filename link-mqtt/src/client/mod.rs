//! One MQTT 5 client of a connection: the only code that knows rumqttc.
//!
//! ```text
//! senders --> Outbox (gate, window) --> request channel --> EventLoop <--> broker
//! receiver <-- inbox (at most Receive Maximum) <-- poll task <----'
//!         \--> Receipt::ack -----------> request channel
//! ```
//! rumqttc 0.25 loses, collides or panics in cases that a reader of its state machine can list; each is kept out of
//! reach here:
//!
//! - One event loop per connection, polled by one task that does nothing else, until its first error. It never
//!   reconnects, so nothing is "resent" by it. The task is aborted when the [`Client`] is dropped.
//! - Packet ids are given out round robin without a look at what is in flight. The [`Outbox`] lets no publish in while
//!   it would come round to an id that is not acknowledged, in whatever order the broker acknowledges.
//! - A SUBSCRIBE takes an id of the same circle, so it goes before the first publish.
//! - Requests, PUBACKs among them, wait while its window is full: ours is one smaller where the broker allows two.
//! - PUBACKs are sent when the receiver has taken the packet, so what waits here is bounded by Receive Maximum.
//! - Where one read brings packets and the end of the connection, its `poll` gives the error only; the packets are
//!   taken from its state, so that a last word is heard.
//! - A flush to a broker that takes no bytes stops its keep-alive, so each poll has a time limit of its own.
//! - A panic inside it ends that one task, and with it this connection.
//! - It hands on a packet that the broker sends again, and takes a second CONNACK for the first; both are seen here.

mod outbox;
mod recent;
mod tls;
mod words;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use link_core::transport::ConnectionError;
use rumqttc::{
    NetworkOptions, Outgoing, TlsConfiguration, Transport,
    v5::{
        AsyncClient, Event, EventLoop, Incoming, MqttOptions,
        mqttbytes::{
            QoS,
            v5::{ConnectProperties, PubAckReason, Publish, SubscribeReasonCode},
        },
    },
};
use rustls::ClientConfig;
use tokio::{
    sync::{mpsc, oneshot},
    task::AbortHandle,
    time::timeout,
};

pub(crate) use outbox::Outbox;
pub(crate) use tls::client_config;

use self::recent::Recent;
use crate::{
    fate::Fate,
    payload::{Payload, body_limit},
};

/// What one client needs to connect.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) client_id: String,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) tls: Option<Arc<ClientConfig>>,
    pub(crate) keep_alive: Duration,
    pub(crate) max_inflight: u16,
    pub(crate) max_packet: u32,
    /// The channel of the connection that it carries.
    pub(crate) channel: u16,
    /// The topic that it publishes to.
    pub(crate) up: String,
    /// The topic that it subscribes to.
    pub(crate) down: String,
    /// How many packets the other end may send before the first credit that follows.
    pub(crate) credit: u32,
}

/// How a client ended, or why it did not come up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// The broker said no, or goodbye.
    Refused(String),
    /// The network failed.
    Lost(String),
}

impl From<End> for ConnectionError {
    fn from(end: End) -> Self {
        match end {
            End::Refused(reason) => Self::Closed(reason),
            End::Lost(reason) => Self::Lost(reason),
        }
    }
}

/// A client that is connected and subscribed. Dropping it closes the socket at once.
pub(crate) struct Client {
    pub(crate) outbox: Arc<Outbox>,
    /// Most bytes of a fragment's body.
    pub(crate) body_limit: usize,
    _task: AbortOnDrop,
}

/// A payload that has arrived.
pub(crate) struct Delivery {
    pub(crate) channel: u16,
    pub(crate) payload: Bytes,
    client: AsyncClient,
    publish: Publish,
}

impl Delivery {
    /// Acknowledges it to the broker, which may then send another.
    pub(crate) fn acknowledge(&self) {
        // It fails only when the event loop is gone, which the fate of the connection tells.
        let _ = self.client.try_ack(&self.publish);
    }
}

struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Ends the connection with the task that polls, however that ends.
struct EndOnDrop(Fate);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.end(ConnectionError::Lost("the MQTT client has stopped".to_owned()));
    }
}

/// Connects, subscribes, publishes the opening credit, and returns when the broker has acknowledged all three.
///
/// Has no time limit of its own. Dropping the future closes the socket.
pub(crate) async fn connect(settings: Settings, inbox: mpsc::Sender<Delivery>, fate: Fate) -> Result<Client, End> {
    let receive_maximum = settings.max_inflight.max(1);
    let upper = receive_maximum.saturating_add(1);
    let requests = usize::from(upper) + usize::from(receive_maximum) + 4;
    let (client, eventloop) = AsyncClient::new(options(&settings, receive_maximum, upper), requests);
    let (ready, is_ready) = oneshot::channel();
    let task = tokio::spawn(async move {
        let recent = Recent::new(receive_maximum);
        let mut poll = Poll { eventloop, client, inbox, settings, recent, outbox: None, limit: None, ended: None };
        match poll.set_up(upper).await {
            Ok(up) => {
                if ready.send(Ok(up)).is_err() {
                    return;
                }
            }
            Err(end) => {
                let _ = ready.send(Err(end));
                return;
            }
        }
        let _stopped = EndOnDrop(fate.clone());
        tokio::select! {
            end = poll.run() => fate.end(end.into()),
            _ = fate.ended() => {}
        }
    });
    let guard = AbortOnDrop(task.abort_handle());
    match is_ready.await {
        Ok(Ok((outbox, body_limit))) => Ok(Client { outbox, body_limit, _task: guard }),
        Ok(Err(end)) => Err(end),
        Err(_) => Err(End::Lost(match task.await.map_err(|e| e.is_panic()) {
            Err(true) => "the MQTT client failed on what the broker sent".to_owned(),
            _ => "the MQTT client was stopped".to_owned(),
        })),
    }
}

fn options(settings: &Settings, receive_maximum: u16, upper: u16) -> MqttOptions {
    let mut options = MqttOptions::new(&settings.client_id, &settings.host, settings.port);
    let mut properties = ConnectProperties::new();
    properties.session_expiry_interval = Some(0);
    properties.receive_maximum = Some(receive_maximum);
    properties.max_packet_size = Some(settings.max_packet);
    properties.topic_alias_max = Some(0);
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    // rumqttc asserts that keep-alives are 5 s at least, and cuts them to 16 bits.
    let keep_alive = Duration::from_secs(settings.keep_alive.as_secs().clamp(5, u64::from(u16::MAX)));
    options
        .set_clean_start(true)
        .set_connect_properties(properties)
        .set_keep_alive(keep_alive)
        // The caller bounds the time.
        .set_connection_timeout(86_400)
        .set_network_options(network)
        .set_outgoing_inflight_upper_limit(upper)
        .set_manual_acks(true);
    if settings.username.is_some() || settings.password.is_some() {
        options.set_credentials(
            settings.username.as_deref().unwrap_or_default(),
            settings.password.as_deref().unwrap_or_default(),
        );
    }
    if let Some(tls) = &settings.tls {
        options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(tls.clone())));
    }
    options
}

/// The task that polls.
struct Poll {
    eventloop: EventLoop,
    client: AsyncClient,
    inbox: mpsc::Sender<Delivery>,
    settings: Settings,
    recent: Recent,
    outbox: Option<Arc<Outbox>>,
    /// Longest time of one poll, known with the CONNACK.
    limit: Option<Duration>,
    /// How the event loop ended.
    ended: Option<End>,
}

/// What one poll brought, as far as setting up wants to know.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Subscribed,
    Acknowledged,
    Other,
}

impl Poll {
    async fn set_up(&mut self, upper: u16) -> Result<(Arc<Outbox>, usize), End> {
        let (window, body) = self.connack(upper).await?;
        let outbox = Arc::new(Outbox::new(self.client.clone(), self.settings.up.clone(), window));
        self.outbox = Some(outbox.clone());
        let stopped = |_| End::Lost("the MQTT client has stopped".to_owned());
        self.client.try_subscribe(&self.settings.down, QoS::AtLeastOnce).map_err(stopped)?;
        while self.step().await? != Step::Subscribed {}
        outbox.grant(Payload::Credit { limit: self.settings.credit, max_packet: self.settings.max_packet });
        while self.step().await? != Step::Acknowledged {}
        Ok((outbox, body))
    }

    /// Waits for the CONNACK; gives the window and the room for bodies.
    async fn connack(&mut self, upper: u16) -> Result<(usize, usize), End> {
        let connack = loop {
            if let Event::Incoming(Incoming::ConnAck(connack)) = self.next().await? {
                break connack;
            }
        };
        let properties = connack.properties.as_ref();
        let receive_maximum = properties.and_then(|p| p.receive_max).unwrap_or(u16::MAX);
        if receive_maximum == 0 {
            return Err(End::Refused("the broker announces a Receive Maximum of 0".to_owned()));
        }
        if properties.and_then(|p| p.max_qos) == Some(0) {
            return Err(End::Refused("the broker supports QoS 0 only, a link needs QoS 1".to_owned()));
        }
        if properties.and_then(|p| p.server_keep_alive) == Some(0) {
            // rumqttc would take the 0, which means "none", for the interval of its pings.
            self.eventloop.options.set_keep_alive(Duration::from_secs(60));
        }
        // The event loop pings at this interval, whatever else it does: a poll that takes two of them is stuck.
        self.limit = Some(self.eventloop.options.keep_alive() * 2);
        let packet = properties.and_then(|p| p.max_packet_size).unwrap_or(u32::MAX).min(self.settings.max_packet);
        let body = body_limit(packet, &self.settings.up).map_err(End::Refused)?;
        let window = usize::from(upper.min(receive_maximum));
        Ok((if window > 1 { window - 1 } else { 1 }, body))
    }

    async fn run(&mut self) -> End {
        loop {
            if let Err(end) = self.step().await {
                return end;
            }
        }
    }

    /// The next event; before the error that ended the event loop, what it had read until then.
    async fn next(&mut self) -> Result<Event, End> {
        if self.ended.is_none() {
            let polled = match self.limit {
                Some(limit) => timeout(limit, self.eventloop.poll())
                    .await
                    .map_err(|_| End::Lost(format!("the broker has taken no bytes for {} s", limit.as_secs()))),
                None => Ok(self.eventloop.poll().await),
            };
            match polled.and_then(|polled| polled.map_err(words::end)) {
                Ok(event) => return Ok(event),
                Err(end) => self.ended = Some(end),
            }
        }
        match (self.eventloop.state.events.pop_front(), &self.ended) {
            (None, Some(end)) => Err(end.clone()),
            (Some(event), _) => Ok(event),
            (None, None) => Err(End::Lost("the MQTT client has stopped".to_owned())),
        }
    }

    async fn step(&mut self) -> Result<Step, End> {
        let event = self.next().await?;
        match event {
            Event::Incoming(Incoming::Publish(publish)) => self.deliver(publish)?,
            Event::Incoming(Incoming::PubAck(ack)) => {
                if !matches!(ack.reason, PubAckReason::Success | PubAckReason::NoMatchingSubscribers) {
                    let detail = ack.properties.and_then(|p| p.reason_string);
                    return Err(End::Refused(words::with(
                        "the broker refused a publish: ",
                        words::puback(ack.reason),
                        detail,
                    )));
                }
                if let Some(outbox) = &self.outbox {
                    outbox.acknowledged(ack.pkid);
                }
                return Ok(Step::Acknowledged);
            }
            Event::Incoming(Incoming::SubAck(ack)) => {
                let detail = ack.properties.and_then(|p| p.reason_string);
                return match ack.return_codes.as_slice() {
                    [SubscribeReasonCode::Success(QoS::AtMostOnce)] => {
                        Err(End::Refused("the broker grants QoS 0 only, a link needs QoS 1".to_owned()))
                    }
                    [SubscribeReasonCode::Success(_)] => Ok(Step::Subscribed),
                    [code] => Err(End::Refused(words::with(
                        "the broker refused the subscription: ",
                        words::suback(*code),
                        detail,
                    ))),
                    codes => {
                        Err(End::Refused(format!("the broker answers one subscription with {} codes", codes.len())))
                    }
                };
            }
            // The first one was taken before the first step. rumqttc would take over its Receive Maximum.
            Event::Incoming(Incoming::ConnAck(_)) => {
                return Err(End::Refused("the broker sends a second CONNACK".to_owned()));
            }
            Event::Incoming(Incoming::PubRec(_) | Incoming::PubRel(_) | Incoming::PubComp(_)) => {
                return Err(End::Refused("the broker answers a QoS 1 publish as QoS 2".to_owned()));
            }
            Event::Outgoing(Outgoing::Publish(id)) => {
                if let Some(outbox) = &self.outbox {
                    outbox.sent(id);
                }
            }
            Event::Outgoing(Outgoing::AwaitAck(id)) => {
                return Err(End::Lost(format!("packet id {id} is used twice")));
            }
            Event::Outgoing(Outgoing::Disconnect) => {
                return Err(End::Refused("this side closed the connection".to_owned()));
            }
            _ => {}
        }
        Ok(Step::Other)
    }

    fn deliver(&mut self, mut publish: Publish) -> Result<(), End> {
        if publish.topic != self.settings.down.as_bytes() {
            return Err(End::Refused("the broker sends a topic that was not subscribed to".to_owned()));
        }
        match publish.qos {
            QoS::AtMostOnce => {}
            // Its first copy is acknowledged, or will be: that is the answer to this one too.
            QoS::AtLeastOnce if !self.recent.is_new(publish.pkid, publish.dup) => return Ok(()),
            QoS::AtLeastOnce => {}
            QoS::ExactlyOnce => {
                return Err(End::Refused("the broker sends QoS 2 to a QoS 1 subscription".to_owned()));
            }
        }
        let payload = std::mem::take(&mut publish.payload);
        let delivery = Delivery { channel: self.settings.channel, payload, client: self.client.clone(), publish };
        self.inbox.try_send(delivery).map_err(|_| {
            let most = self.settings.max_inflight.max(1);
            End::Refused(format!("the broker sends more than the Receive Maximum of {most}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_of_the_task_ends_the_connection() {
        let fate = Fate::new();
        let stopped = EndOnDrop(fate.clone());
        let task = tokio::spawn(async move {
            let _stopped = stopped;
            std::panic::resume_unwind(Box::new(()));
        });
        assert!(task.await.is_err_and(|error| error.is_panic()));
        assert_eq!(fate.ended().await, ConnectionError::Lost("the MQTT client has stopped".to_owned()));
    }
}
