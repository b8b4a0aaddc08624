//! The dialling side against Debian's Mosquitto, a broker that nobody here wrote. Skipped, loudly, without it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]
mod support;

use std::num::NonZeroU16;
use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

use bytes::Bytes;
use link_core::{
    link::Secret,
    transport::{Class, DialError, Transport},
};
use link_mqtt::MqttTransport;
use rumqttc::v5::mqttbytes::{QoS, v5::*};
use support::*;
use tokio::{net::TcpStream, time::timeout};

struct Mosquitto {
    child: Child,
    port: u16,
    directory: std::path::PathBuf,
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

async fn mosquitto() -> Option<Mosquitto> {
    let program = ["/usr/sbin/mosquitto", "/usr/bin/mosquitto"].into_iter().find(|p| std::path::Path::new(p).exists());
    let Some(program) = program else {
        eprintln!("SKIPPED: no mosquitto on this machine (apt-get install mosquitto)");
        return None;
    };
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let directory = std::env::temp_dir().join(format!("link-mqtt-mosquitto-{port}"));
    std::fs::create_dir_all(&directory).unwrap();
    let passwords = directory.join("passwords");
    std::fs::write(&passwords, "eu-user:eu-pass\n").unwrap();
    assert!(Command::new("mosquitto_passwd").arg("-U").arg(&passwords).status().unwrap().success());
    let config = directory.join("mosquitto.conf");
    let user = "user root\n";
    let text = format!(
        "{user}listener {port} 127.0.0.1\nallow_anonymous false\npassword_file {}\nmax_packet_size 2000\n",
        passwords.display()
    );
    std::fs::write(&config, text).unwrap();
    let child =
        Command::new(program).arg("-c").arg(&config).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let broker = Mosquitto { child, port, directory };
    for _ in 0..200 {
        if TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            return Some(broker);
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("mosquitto does not listen");
}

/// A plain client on the other side of the link's topics.
async fn plain(port: u16) -> Wire<TcpStream> {
    let mut wire = Wire::new(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
    let connect = Connect { keep_alive: 60, client_id: "plain".into(), clean_start: true, properties: None };
    let login = Login { username: "eu-user".into(), password: "eu-pass".into() };
    wire.write(Packet::Connect(connect, None, Some(login))).await;
    assert!(matches!(wire.packet().await, Packet::ConnAck(ack) if ack.code == ConnectReturnCode::Success));
    let mut subscribe = Subscribe::new(Filter::new("$LINK/v1/eu/eu/up/+/+", QoS::AtLeastOnce), None);
    subscribe.pkid = 1;
    wire.write(Packet::Subscribe(subscribe)).await;
    assert!(matches!(wire.packet().await, Packet::SubAck(_)));
    wire
}

/// The next publish to the plain client, acknowledged.
async fn next(wire: &mut Wire<TcpStream>) -> Publish {
    loop {
        match timeout(LONG, wire.packet()).await.unwrap() {
            Packet::Publish(publish) => {
                wire.puback(publish.pkid).await;
                return publish;
            }
            Packet::PubAck(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_link_dials_mosquitto() {
    let Some(broker) = mosquitto().await else { return };
    let mut settings = link();
    settings.username = Some("eu-user".into());
    settings.password = Some(Secret::new("wrong"));
    let dial = dial_to(endpoint("mqtt", broker.port), settings.clone());
    let error = MqttTransport::new().dial(&dial).await.err().unwrap();
    assert!(matches!(&error, DialError::Refused { reason, .. } if reason.contains("(0x8")), "{error}");

    let mut wire = plain(broker.port).await;
    settings.password = Some(Secret::new("eu-pass"));
    settings.connections = NonZeroU16::new(2).unwrap();
    let dial = dial_to(endpoint("mqtt", broker.port), settings);
    let mut connection = timeout(LONG, MqttTransport::new().dial(&dial)).await.unwrap().unwrap();
    let credits = [next(&mut wire).await, next(&mut wire).await];
    let mut topics: Vec<_> = credits.iter().map(|p| String::from_utf8(p.topic.to_vec()).unwrap()).collect();
    topics.sort();
    assert!(topics[0].ends_with("/0of2") && topics[1].ends_with("/1of2"), "{topics:?}");

    let frame: Bytes = (0..100_000_u32).map(|n| n as u8).collect();
    let sending = tokio::spawn({
        let frame = frame.clone();
        async move {
            connection.data[1].send(frame).await.unwrap();
            connection
        }
    });
    let mut received = Vec::new();
    loop {
        let publish = next(&mut wire).await;
        assert_eq!(publish.topic, topics[1]);
        received.extend_from_slice(&publish.payload[1..]);
        if publish.payload[0] == 0b10 {
            break;
        }
    }
    assert_eq!(received, frame);
    let mut connection = sending.await.unwrap();

    let mut publish = Publish::new(topics[0].replace("/up/", "/down/"), QoS::AtLeastOnce, "\0welcome", None);
    publish.pkid = 9;
    wire.write(Packet::Publish(publish)).await;
    let received = timeout(LONG, connection.receiver.recv()).await.unwrap();
    assert_eq!(received, Ok((Class::Control, Bytes::from_static(b"welcome"))));
    timeout(LONG, connection.control.close()).await.unwrap();
}
