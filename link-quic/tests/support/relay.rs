//! A way for packets through this test, which sees and loses some.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use tokio::{net::UdpSocket, task::JoinSet};

/// Passes packets between the last client that sent one, and a server.
pub struct Relay {
    pub address: SocketAddr,
    /// Of how many packets of each direction one is lost; 0: of none.
    pub lose: Arc<AtomicU32>,
    /// What the client has sent.
    pub sent: Arc<Mutex<Vec<Vec<u8>>>>,
    _task: JoinSet<()>,
}

impl Relay {
    pub async fn to(server: SocketAddr) -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let (near, far) = (UdpSocket::bind(any).await.unwrap(), UdpSocket::bind(any).await.unwrap());
        let (lose, sent) = (Arc::new(AtomicU32::new(0)), Arc::new(Mutex::new(Vec::new())));
        let address = near.local_addr().unwrap();
        let mut task = JoinSet::new();
        let (losing, sending) = (lose.clone(), sent.clone());
        task.spawn(async move {
            let (mut up, mut down) = (vec![0; 1 << 16], vec![0; 1 << 16]);
            let (mut client, mut passed) = (None, 0_u32);
            loop {
                let (from_client, length) = tokio::select! {
                    Ok((length, from)) = near.recv_from(&mut up) => {
                        client = Some(from);
                        (true, length)
                    }
                    Ok(length) = far.recv(&mut down) => (false, length),
                };
                if from_client {
                    sending.lock().unwrap().push(up[..length].to_vec());
                }
                passed += 1;
                let every = losing.load(Ordering::Relaxed);
                if every > 0 && passed.is_multiple_of(every) {
                    continue;
                }
                if from_client {
                    let _ = far.connect(server).await;
                    let _ = far.send(&up[..length]).await;
                } else if let Some(client) = client {
                    let _ = near.send_to(&down[..length], client).await;
                }
            }
        });
        Self { address, lose, sent, _task: task }
    }

    /// What the client sends goes on at a rate, behind a queue of 64 packets; what comes back is not delayed.
    pub async fn slow(server: SocketAddr, bytes_per_second: f64) -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let (near, far) = (UdpSocket::bind(any).await.unwrap(), Arc::new(UdpSocket::bind(any).await.unwrap()));
        far.connect(server).await.unwrap();
        let address = near.local_addr().unwrap();
        let (queue, mut queued) = tokio::sync::mpsc::channel::<Vec<u8>>(64);
        let mut task = JoinSet::new();
        let onward = far.clone();
        task.spawn(async move {
            while let Some(packet) = queued.recv().await {
                tokio::time::sleep(std::time::Duration::from_secs_f64(packet.len() as f64 / bytes_per_second)).await;
                let _ = onward.send(&packet).await;
            }
        });
        task.spawn(async move {
            let (mut up, mut down) = (vec![0; 1 << 16], vec![0; 1 << 16]);
            let mut client = None;
            loop {
                tokio::select! {
                    Ok((length, from)) = near.recv_from(&mut up) => {
                        client = Some(from);
                        // A full queue loses it.
                        let _ = queue.try_send(up[..length].to_vec());
                    }
                    Ok(length) = far.recv(&mut down) => {
                        let Some(client) = client else { continue };
                        let _ = near.send_to(&down[..length], client).await;
                    }
                }
            }
        });
        Self { address, lose: Arc::default(), sent: Arc::default(), _task: task }
    }

    pub fn lose_one_in(&self, packets: u32) {
        self.lose.store(packets, Ordering::Relaxed);
    }

    /// How many packets of the client so far had early data: 0-RTT is the long header of type 1 (RFC 9000, section 17.2).
    pub fn early(&self) -> usize {
        self.sent.lock().unwrap().iter().filter(|packet| has_early(packet)).count()
    }
}

/// Whether a UDP payload has a packet of 0-RTT, the long header of type 1. Behind the Initial in one payload it is found by the length of that.
fn has_early(mut packet: &[u8]) -> bool {
    while let Some(first) = packet.first().filter(|first| **first & 0x80 != 0) {
        let kind = first >> 4 & 3;
        if kind == 1 {
            return true;
        }
        // Version, two connection ids, a token where it is an Initial, then the length of the rest.
        let mut at = 5;
        for _ in 0..2 {
            at += 1 + usize::from(packet[at]);
        }
        if kind == 0 {
            let (token, width) = varint(&packet[at..]);
            at += width + token;
        }
        let (rest, width) = varint(&packet[at..]);
        packet = packet.get(at + width + rest..).unwrap_or_default();
    }
    false
}

/// A number of RFC 9000, section 16, and its width.
fn varint(bytes: &[u8]) -> (usize, usize) {
    let width = 1 << (bytes[0] >> 6);
    let value = bytes[..width].iter().fold(0, |value, byte| value << 8 | usize::from(*byte));
    (value & ((1 << (8 * width - 2)) - 1), width)
}
