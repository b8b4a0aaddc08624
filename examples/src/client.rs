//! A small MQTT 5 client for the demonstrations: `rumqttc`, with its event loop in a task.
//!
//! Each step waits for the broker's answer, so that a transcript reads in the order in which things happened.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use rumqttc::v5::{
    AsyncClient, ConnectionError, Event, EventLoop, Incoming, MqttOptions,
    mqttbytes::v5::{Filter, LastWill, Publish, PublishProperties, SubscribeReasonCode},
};
use thiserror::Error;
use tokio::{
    sync::{Mutex, mpsc, watch},
    task::JoinHandle,
    time::{Instant, timeout, timeout_at},
};

pub use rumqttc::v5::mqttbytes::QoS;

/// Longest wait for an answer of the broker.
const PATIENCE: Duration = Duration::from_secs(40);

/// Why a step of a client failed.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The connection was not made.
    #[error("{client} can't connect: {reason}")]
    Connect {
        /// Client id.
        client: String,
        /// What the library says.
        reason: String,
    },
    /// The connection ended.
    #[error("{client} lost its connection: {reason}")]
    Lost {
        /// Client id.
        client: String,
        /// What the library says.
        reason: String,
    },
    /// The broker did not grant a subscription.
    #[error("{client} may not subscribe to {filter}: {reason}")]
    NotGranted {
        /// Client id.
        client: String,
        /// What it asked for.
        filter: String,
        /// The broker's code.
        reason: String,
    },
    /// The broker did not answer in time.
    #[error("{client} got no answer to {step} within {} s", PATIENCE.as_secs())]
    Silent {
        /// Client id.
        client: String,
        /// What it had asked.
        step: &'static str,
    },
}

/// How a client connects.
#[derive(Clone)]
pub struct Login {
    /// Broker.
    pub address: SocketAddr,
    /// Client id.
    pub client: String,
    /// User name.
    pub user: String,
    /// Password.
    pub password: String,
    /// Whether an older session is dropped.
    pub clean_start: bool,
    /// Seconds that the session lives on after the connection.
    pub session_expiry: u32,
    /// Published by the broker when the connection breaks.
    pub will: Option<LastWill>,
}

impl Login {
    /// A login with a fresh session that ends with its connection.
    pub fn new(address: SocketAddr, client: &str, user: &str, password: &str) -> Self {
        let (client, user, password) = (client.to_owned(), user.to_owned(), password.to_owned());
        Self { address, client, user, password, clean_start: true, session_expiry: 0, will: None }
    }
}

/// One message to publish.
#[derive(Clone)]
pub struct Outgoing {
    /// Topic.
    pub topic: String,
    /// Payload.
    pub payload: Vec<u8>,
    /// Quality of service.
    pub qos: QoS,
    /// Retain flag.
    pub retain: bool,
    /// Properties.
    pub properties: PublishProperties,
}

impl Outgoing {
    /// A message without properties, not retained.
    pub fn new(topic: impl Into<String>, payload: impl Into<Vec<u8>>, qos: QoS) -> Self {
        let (topic, payload) = (topic.into(), payload.into());
        Self { topic, payload, qos, retain: false, properties: PublishProperties::default() }
    }
}

#[derive(Debug)]
enum Answer {
    Subscribed(Vec<SubscribeReasonCode>),
    Unsubscribed,
    Published,
}

/// A connected client. Dropping it cuts the connection, as a crash would.
pub struct Client {
    id: String,
    client: AsyncClient,
    inbox: Mutex<mpsc::UnboundedReceiver<Publish>>,
    answers: Mutex<mpsc::UnboundedReceiver<Answer>>,
    end: watch::Receiver<Option<String>>,
    task: JoinHandle<()>,
}

impl Client {
    /// Connects, and waits for the CONNACK.
    pub async fn connect(login: Login) -> Result<Self, ClientError> {
        let mut options = MqttOptions::new(login.client.as_str(), login.address.ip().to_string(), login.address.port());
        options
            .set_credentials(login.user, login.password)
            .set_keep_alive(Duration::from_secs(30))
            .set_clean_start(login.clean_start)
            .set_session_expiry_interval(Some(login.session_expiry))
            .set_max_packet_size(Some(8 << 20));
        options.set_outgoing_inflight_upper_limit(100);
        if let Some(will) = login.will {
            options.set_last_will(will);
        }
        let id = login.client;
        let failed = |reason| ClientError::Connect { client: id.clone(), reason };
        let (client, mut events) = AsyncClient::new(options, 128);
        loop {
            match timeout(PATIENCE, events.poll()).await {
                Ok(Ok(Event::Incoming(Incoming::ConnAck(_)))) => break,
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(failed(error.to_string())),
                Err(_) => return Err(failed(format!("no CONNACK within {} s", PATIENCE.as_secs()))),
            }
        }
        let (to_inbox, inbox) = mpsc::unbounded_channel();
        let (to_answers, answers) = mpsc::unbounded_channel();
        let (ended, end) = watch::channel(None);
        let task = tokio::spawn(async move {
            let error = run(events, to_inbox, to_answers).await;
            ended.send_replace(Some(error.to_string()));
        });
        Ok(Self { id, client, inbox: Mutex::new(inbox), answers: Mutex::new(answers), end, task })
    }

    /// Subscribes with retain-as-published, and waits until the broker has granted it.
    pub async fn subscribe(&self, filter: &str, qos: QoS) -> Result<(), ClientError> {
        let mut wanted = Filter::new(filter, qos);
        wanted.preserve_retain = true;
        let mut answers = self.answers.lock().await;
        self.client.subscribe_many([wanted]).await.map_err(|_| self.lost())?;
        match self.answer(&mut answers, "SUBSCRIBE").await? {
            Answer::Subscribed(codes) if matches!(codes.as_slice(), [SubscribeReasonCode::Success(_)]) => Ok(()),
            answer => Err(ClientError::NotGranted {
                client: self.id.clone(),
                filter: filter.to_owned(),
                reason: format!("{answer:?}"),
            }),
        }
    }

    /// Unsubscribes, and waits for the answer.
    pub async fn unsubscribe(&self, filter: &str) -> Result<(), ClientError> {
        let mut answers = self.answers.lock().await;
        self.client.unsubscribe(filter).await.map_err(|_| self.lost())?;
        self.answer(&mut answers, "UNSUBSCRIBE").await.map(drop)
    }

    /// Publishes; at QoS 1 and 2 waits until the broker has taken the message.
    pub async fn publish(&self, message: Outgoing) -> Result<(), ClientError> {
        self.publish_all([message]).await
    }

    /// Publishes many, pipelined; waits until the broker has taken all of QoS 1 and 2.
    pub async fn publish_all(&self, messages: impl IntoIterator<Item = Outgoing>) -> Result<(), ClientError> {
        let mut answers = self.answers.lock().await;
        let mut waiting = 0;
        for Outgoing { topic, payload, qos, retain, properties } in messages {
            waiting += usize::from(qos != QoS::AtMostOnce);
            let sent = self.client.publish_with_properties(topic, qos, retain, payload, properties);
            timeout(PATIENCE, sent).await.map_err(|_| self.silent("PUBLISH"))?.map_err(|_| self.lost())?;
            while waiting > 0 && answers.try_recv().is_ok() {
                waiting -= 1;
            }
        }
        for _ in 0..waiting {
            self.answer(&mut answers, "PUBLISH").await?;
        }
        Ok(())
    }

    /// The next message, or `None` if none comes in that time.
    pub async fn receive(&self, within: Duration) -> Option<Publish> {
        timeout(within, self.inbox.lock().await.recv()).await.ok().flatten()
    }

    /// Messages until there are `count`, or until `within` has passed.
    pub async fn receive_many(&self, count: usize, within: Duration) -> Vec<Publish> {
        let (deadline, mut inbox) = (Instant::now() + within, self.inbox.lock().await);
        let mut messages = Vec::new();
        while messages.len() < count
            && let Ok(Some(message)) = timeout_at(deadline, inbox.recv()).await
        {
            messages.push(message);
        }
        messages
    }

    /// Says goodbye with DISCONNECT, and waits until the connection is closed.
    pub async fn disconnect(mut self) {
        // An error says that it is closed already.
        let _ = self.client.disconnect().await;
        let _ = timeout(PATIENCE, self.end.wait_for(Option::is_some)).await;
    }

    /// Client id.
    pub fn id(&self) -> &str {
        &self.id
    }

    async fn answer(
        &self,
        answers: &mut mpsc::UnboundedReceiver<Answer>,
        step: &'static str,
    ) -> Result<Answer, ClientError> {
        match timeout(PATIENCE, answers.recv()).await {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(self.lost()),
            Err(_) => Err(self.silent(step)),
        }
    }

    fn silent(&self, step: &'static str) -> ClientError {
        ClientError::Silent { client: self.id.clone(), step }
    }

    fn lost(&self) -> ClientError {
        let reason = self.end.borrow().clone().unwrap_or_else(|| "the client has stopped".to_owned());
        ClientError::Lost { client: self.id.clone(), reason }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Polls until the connection ends; never connects again, so that no message is sent twice unseen.
async fn run(
    mut events: EventLoop,
    inbox: mpsc::UnboundedSender<Publish>,
    answers: mpsc::UnboundedSender<Answer>,
) -> Arc<ConnectionError> {
    loop {
        let answer = match events.poll().await {
            Ok(Event::Incoming(Incoming::Publish(publish))) => {
                // An error says that nobody reads any more.
                let _ = inbox.send(publish);
                continue;
            }
            Ok(Event::Incoming(Incoming::SubAck(ack))) => Answer::Subscribed(ack.return_codes),
            Ok(Event::Incoming(Incoming::UnsubAck(_))) => Answer::Unsubscribed,
            Ok(Event::Incoming(Incoming::PubAck(_))) => Answer::Published,
            Ok(Event::Incoming(Incoming::PubComp(_))) => Answer::Published,
            Ok(_) => continue,
            Err(error) => return Arc::new(error),
        };
        let _ = answers.send(answer);
    }
}
