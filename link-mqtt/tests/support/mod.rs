//! Brokers for the tests: one that follows a script, and a small one that feeds an acceptor.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test crate uses a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

pub mod broker;

use std::num::NonZeroU16;
use std::{future::Future, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use link_core::{
    link::{ClusterName, LinkConfig, NodeName},
    transport::{Connection, ConnectionError, Dial, DialError, Endpoint, Transport},
};
use link_mqtt::MqttTransport;
use rumqttc::v5::mqttbytes::v5::*;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

/// Nothing in these tests takes longer, on a busy machine too.
pub const LONG: Duration = Duration::from_secs(60);

/// Reads and writes packets, on the broker's side.
pub struct Wire<S> {
    pub stream: S,
    buffer: BytesMut,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, buffer: BytesMut::new() }
    }

    pub async fn write(&mut self, packet: Packet) {
        let mut bytes = BytesMut::new();
        packet.write(&mut bytes, None).unwrap();
        // The other end may have closed meanwhile: the test sees that where it matters.
        let _ = self.stream.write_all(&bytes).await;
    }

    pub async fn bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// The next packet; `None` at the end.
    pub async fn read(&mut self) -> Option<Packet> {
        read(&mut self.stream, &mut self.buffer).await
    }

    /// The next packet that is not a ping.
    pub async fn packet(&mut self) -> Packet {
        loop {
            match self.read().await.expect("the client closed") {
                Packet::PingReq(_) => self.write(Packet::PingResp(PingResp)).await,
                packet => return packet,
            }
        }
    }

    pub async fn connect(&mut self, connack: ConnAck) -> (Connect, Option<Login>) {
        let Packet::Connect(connect, _, login) = self.packet().await else { panic!("no CONNECT") };
        self.write(Packet::ConnAck(connack)).await;
        (connect, login)
    }

    pub async fn subscribe(&mut self, code: SubscribeReasonCode) -> Subscribe {
        let Packet::Subscribe(subscribe) = self.packet().await else { panic!("no SUBSCRIBE") };
        let ack = SubAck { pkid: subscribe.pkid, return_codes: vec![code], properties: None };
        self.write(Packet::SubAck(ack)).await;
        subscribe
    }

    pub async fn publish(&mut self) -> Publish {
        match self.packet().await {
            Packet::Publish(publish) => publish,
            other => panic!("no PUBLISH: {other:?}"),
        }
    }

    pub async fn puback(&mut self, pkid: u16) {
        self.write(Packet::PubAck(PubAck::new(pkid, None))).await;
    }

    /// Publishes at QoS 1.
    pub async fn send(&mut self, topic: &str, pkid: u16, dup: bool, payload: impl Into<Bytes>) {
        let mut publish = Publish::new(topic, rumqttc::v5::mqttbytes::QoS::AtLeastOnce, payload, None);
        (publish.pkid, publish.dup) = (pkid, dup);
        self.write(Packet::Publish(publish)).await;
    }

    /// CONNECT, SUBSCRIBE and the opening credit, all granted. Gives the topic that the client subscribed to.
    pub async fn welcome(&mut self, connack: ConnAck) -> String {
        self.connect(connack).await;
        let subscribe = self.subscribe(SubscribeReasonCode::Success(rumqttc::v5::mqttbytes::QoS::AtLeastOnce)).await;
        let credit = self.publish().await;
        assert_eq!(credit.payload[0], 0x04);
        self.puback(credit.pkid).await;
        subscribe.filters[0].path.clone()
    }
}

pub async fn read<S: AsyncRead + Unpin>(stream: &mut S, buffer: &mut BytesMut) -> Option<Packet> {
    loop {
        match Packet::read(buffer, None) {
            Ok(packet) => return Some(packet),
            // A DISCONNECT without a body, which rumqttc's reader does not know.
            Err(rumqttc::v5::mqttbytes::Error::PayloadRequired) => {
                return Some(Packet::Disconnect(Disconnect::new(DisconnectReasonCode::NormalDisconnection)));
            }
            Err(rumqttc::v5::mqttbytes::Error::InsufficientBytes(_)) => {}
            Err(e) => panic!("the client sent a malformed packet: {e}"),
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

pub fn connack(code: ConnectReturnCode) -> ConnAck {
    ConnAck { session_present: false, code, properties: None }
}

pub fn success() -> ConnAck {
    connack(ConnectReturnCode::Success)
}

/// A CONNACK with these properties.
pub fn success_with(change: impl FnOnce(&mut ConnAckProperties)) -> ConnAck {
    let mut properties = ConnAckProperties {
        session_expiry_interval: None,
        receive_max: None,
        max_qos: None,
        retain_available: None,
        max_packet_size: None,
        assigned_client_identifier: None,
        topic_alias_max: None,
        reason_string: None,
        user_properties: Vec::new(),
        wildcard_subscription_available: None,
        subscription_identifiers_available: None,
        shared_subscription_available: None,
        server_keep_alive: None,
        response_information: None,
        server_reference: None,
        authentication_method: None,
        authentication_data: None,
    };
    change(&mut properties);
    ConnAck { properties: Some(properties), ..success() }
}

pub fn link() -> LinkConfig {
    let mut link = LinkConfig::new(ClusterName::new("us").unwrap());
    link.max_inflight = NonZeroU16::new(8).unwrap();
    link.max_packet = 65_536;
    link
}

pub fn dial_to(endpoint: Endpoint, link: LinkConfig) -> Dial {
    Dial {
        endpoint,
        cluster: ClusterName::new("eu").unwrap(),
        node: NodeName::new("eu").unwrap(),
        link: Arc::new(link),
    }
}

pub fn endpoint(scheme: &str, port: u16) -> Endpoint {
    format!("{scheme}://127.0.0.1:{port}").parse().unwrap()
}

/// Dials a broker that plays this script to its first client. The script's result comes through the second value.
pub async fn scripted<F, T>(
    link: LinkConfig,
    script: impl FnOnce(Wire<TcpStream>) -> F,
) -> (Result<Connection, DialError>, tokio::task::JoinHandle<T>)
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
    F: 'static,
{
    let (listener, dial) = dial_listener(link).await;
    let (stream, _) = timeout(LONG, listener.accept()).await.unwrap().unwrap();
    let script = tokio::spawn(script(Wire::new(stream)));
    (timeout(LONG, dial).await.unwrap().unwrap(), script)
}

/// Dials a listener that accepts nothing by itself.
pub async fn dial_listener(link: LinkConfig) -> (TcpListener, tokio::task::JoinHandle<Result<Connection, DialError>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let dial = tokio::spawn(async move { MqttTransport::new().dial(&dial_to(endpoint("mqtt", port), link)).await });
    (listener, dial)
}

/// How a connection ends; what it gives before is passed over.
pub async fn end(connection: &mut Connection) -> ConnectionError {
    let receive = async {
        loop {
            if let Err(error) = connection.receiver.recv().await {
                return error;
            }
        }
    };
    timeout(LONG, receive).await.expect("the connection has ended")
}

pub fn frame(text: impl Into<String>) -> Bytes {
    Bytes::from(text.into())
}
