//! A broker of a few lines: CONNECT, SUBSCRIBE and PUBLISH of QoS 1, with the three calls that a host makes.
//! Down packets respect the client's Receive Maximum, as a real broker's do.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use link_mqtt::{AcceptorLimits, BrokerPort, ClientInfo, LinkAccess, LinkPublish, MqttAcceptor, MqttTransport};
use rumqttc::v5::mqttbytes::{QoS, v5::*};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf},
    net::TcpListener,
    sync::mpsc,
};

use super::{connack, read, success};

pub enum Out {
    Packet(Box<Packet>),
    Publish(String, Bytes),
    Acknowledged,
    Close,
}

#[derive(Default)]
pub struct Sessions {
    writers: Mutex<BTreeMap<String, mpsc::UnboundedSender<Out>>>,
    subscribers: Mutex<BTreeMap<String, String>>,
    pub disconnected: Mutex<Vec<(String, String)>>,
    pub client_ids: Mutex<Vec<String>>,
    /// Most packets of one client that ever waited or were in flight.
    pub most_queued: Mutex<usize>,
    pub faults: Faults,
}

/// What the broker does wrong, and how often it did.
#[derive(Default)]
pub struct Faults {
    /// Hangs up on the n-th publish it takes, of all clients, and each n-th after it: before the PUBACK. 0: never.
    pub hang_up_every: AtomicUsize,
    /// Sends each publish a second time on the same connection, with the DUP flag.
    pub repeats: AtomicBool,
    pub taken: AtomicUsize,
    pub hung_up: AtomicUsize,
}

impl Faults {
    /// Whether to hang up on a publish that has been taken.
    fn hangs_up(&self) -> bool {
        let every = self.hang_up_every.load(Ordering::SeqCst);
        let taken = self.taken.fetch_add(1, Ordering::SeqCst) + 1;
        let now = every > 0 && taken.is_multiple_of(every);
        self.hung_up.fetch_add(usize::from(now), Ordering::SeqCst);
        now
    }
}

impl Sessions {
    fn note_queued(&self, queued: usize) {
        let mut most = self.most_queued.lock().unwrap();
        *most = queued.max(*most);
    }
}

#[async_trait]
impl BrokerPort for Sessions {
    async fn publish(&self, topic: &str, payload: Bytes) -> Result<(), String> {
        let client = self.subscribers.lock().unwrap().get(topic).cloned().ok_or("nobody is subscribed")?;
        let writers = self.writers.lock().unwrap();
        let writer = writers.get(&client).ok_or("the client is gone")?;
        writer.send(Out::Publish(topic.to_owned(), payload)).map_err(|_| "the client is gone".to_owned())
    }

    async fn disconnect(&self, client_id: &str, reason: &str) {
        self.disconnected.lock().unwrap().push((client_id.to_owned(), reason.to_owned()));
        if let Some(writer) = self.writers.lock().unwrap().get(client_id) {
            let _ = writer.send(Out::Close);
        }
    }
}

pub struct Broker {
    pub sessions: Arc<Sessions>,
    pub acceptor: MqttAcceptor,
    pub transport: MqttTransport,
    pub port: u16,
}

impl Broker {
    pub async fn start(limits: AcceptorLimits) -> Self {
        let sessions = Arc::new(Sessions::default());
        let (transport, acceptor) = MqttTransport::accepting_within(sessions.clone(), limits);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn({
            let (sessions, acceptor) = (sessions.clone(), acceptor.clone());
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    stream.set_nodelay(true).unwrap();
                    tokio::spawn(serve(stream, sessions.clone(), acceptor.clone(), Vec::new()));
                }
            }
        });
        Self { sessions, acceptor, transport, port }
    }
}

/// Serves one client until it is gone. The password of everybody is `secret`, if there is a user.
pub async fn serve<S>(stream: S, sessions: Arc<Sessions>, acceptor: MqttAcceptor, certificate_names: Vec<String>)
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut buffer = BytesMut::new();
    let Some(Packet::Connect(connect, _, login)) = read(&mut reader, &mut buffer).await else { return };
    let user = login.as_ref().map(|login| login.username.clone());
    let mut bytes = BytesMut::new();
    if login.is_some_and(|login| login.password != "secret") {
        acceptor.on_refused(&connect.client_id, user.as_deref(), "bad user name or password");
        Packet::ConnAck(connack(ConnectReturnCode::BadUserNamePassword)).write(&mut bytes, None).unwrap();
        let _ = writer.write_all(&bytes).await;
        return;
    }
    Packet::ConnAck(success()).write(&mut bytes, None).unwrap();
    let _ = writer.write_all(&bytes).await;

    let receive_maximum = connect.properties.and_then(|p| p.receive_maximum).unwrap_or(u16::MAX);
    let (out, queue) = mpsc::unbounded_channel();
    let client = ClientInfo { client_id: connect.client_id.clone(), user, certificate_names };
    sessions.client_ids.lock().unwrap().push(client.client_id.clone());
    sessions.writers.lock().unwrap().insert(client.client_id.clone(), out.clone());
    let writing = tokio::spawn(write(writer, queue, receive_maximum, sessions.clone()));
    let reading = receive(reader, buffer, &client, &sessions, &acceptor, &out);
    tokio::select! {
        () = reading => {}
        () = out.closed() => {}
    }
    drop(out);
    sessions.writers.lock().unwrap().remove(&client.client_id);
    writing.abort();
    acceptor.on_disconnect(&client.client_id);
}

async fn receive<S: AsyncRead + AsyncWrite + Send>(
    mut reader: ReadHalf<S>,
    mut buffer: BytesMut,
    client: &ClientInfo,
    sessions: &Sessions,
    acceptor: &MqttAcceptor,
    out: &mpsc::UnboundedSender<Out>,
) {
    while let Some(packet) = read(&mut reader, &mut buffer).await {
        let answer = match packet {
            Packet::Subscribe(subscribe) => {
                let filter = &subscribe.filters[0].path;
                let code = match acceptor.may_subscribe(client, filter) {
                    LinkAccess::Refused(_) => SubscribeReasonCode::NotAuthorized,
                    LinkAccess::Allowed | LinkAccess::NotLink => {
                        sessions.subscribers.lock().unwrap().insert(filter.clone(), client.client_id.clone());
                        SubscribeReasonCode::Success(QoS::AtLeastOnce)
                    }
                };
                Out::Packet(Box::new(Packet::SubAck(SubAck {
                    pkid: subscribe.pkid,
                    return_codes: vec![code],
                    properties: None,
                })))
            }
            Packet::Publish(publish) => {
                let topic = String::from_utf8(publish.topic.to_vec()).unwrap();
                let taken = acceptor.on_publish(client, &topic, publish.payload).await;
                if sessions.faults.hangs_up() {
                    return;
                }
                let mut ack = PubAck::new(publish.pkid, None);
                if matches!(taken, LinkPublish::Refused(_)) {
                    ack.reason = PubAckReason::NotAuthorized;
                }
                Out::Packet(Box::new(Packet::PubAck(ack)))
            }
            Packet::PubAck(_) => Out::Acknowledged,
            Packet::PingReq(_) => Out::Packet(Box::new(Packet::PingResp(PingResp))),
            _ => return,
        };
        if out.send(answer).is_err() {
            return;
        }
    }
}

async fn write<S: AsyncRead + AsyncWrite + Send>(
    mut writer: WriteHalf<S>,
    mut queue: mpsc::UnboundedReceiver<Out>,
    receive_maximum: u16,
    sessions: Arc<Sessions>,
) {
    let (mut waiting, mut inflight, mut pkid) = (VecDeque::new(), 0, 0_u16);
    while let Some(out) = queue.recv().await {
        let mut bytes = BytesMut::new();
        match out {
            Out::Packet(packet) => {
                packet.write(&mut bytes, None).unwrap();
            }
            Out::Publish(topic, payload) => waiting.push_back((topic, payload)),
            Out::Acknowledged => inflight -= 1,
            Out::Close => {
                // Not by rumqttc's writer, which announces a byte more than it writes.
                bytes.extend_from_slice(b"\xe0\x02\x87\x00");
                let _ = writer.write_all(&bytes).await;
                return;
            }
        }
        let queued = waiting.len() + usize::from(inflight);
        sessions.note_queued(queued);
        while inflight < receive_maximum
            && let Some((topic, payload)) = waiting.pop_front()
        {
            pkid = pkid % 60_000 + 1;
            inflight += 1;
            let mut publish = Publish::new(topic, QoS::AtLeastOnce, payload, None);
            publish.pkid = pkid;
            Packet::Publish(publish.clone()).write(&mut bytes, None).unwrap();
            if sessions.faults.repeats.load(Ordering::SeqCst) {
                publish.dup = true;
                Packet::Publish(publish).write(&mut bytes, None).unwrap();
            }
        }
        if writer.write_all(&bytes).await.is_err() {
            return;
        }
    }
}
