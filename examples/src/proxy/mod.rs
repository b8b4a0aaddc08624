//! A proxy for TCP or UDP that counts the bytes which pass through it, and can cut what passes.

mod tcp;
mod udp;

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use tokio::{
    net::{TcpListener, UdpSocket},
    sync::watch,
    task::JoinHandle,
};

/// Bytes of both directions, counted as they leave the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bytes {
    /// From the side that connected to the side that listens.
    pub up: u64,
    /// Back.
    pub down: u64,
}

impl Bytes {
    /// Both directions.
    pub fn total(self) -> u64 {
        self.up + self.down
    }

    /// What was added since `earlier`.
    pub fn since(self, earlier: Self) -> Self {
        Self { up: self.up - earlier.up, down: self.down - earlier.down }
    }
}

#[derive(Default)]
struct State {
    up: AtomicU64,
    down: AtomicU64,
    connections: AtomicU64,
    refusing: AtomicBool,
    paused: AtomicBool,
}

/// A running proxy. Dropping it closes everything.
pub struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
    cuts: watch::Sender<u64>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a free TCP port of the loopback and passes every connection on to `to`.
    pub async fn start(to: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let (address, state, (cuts, cut)) = (listener.local_addr()?, Arc::new(State::default()), watch::channel(0));
        let task = tokio::spawn(tcp::run(listener, to, Arc::clone(&state), cut));
        Ok(Self { address, state, cuts, task })
    }

    /// The same for UDP.
    pub async fn start_udp(to: SocketAddr) -> io::Result<Self> {
        let socket = UdpSocket::bind(("127.0.0.1", 0)).await?;
        let (address, state, (cuts, cut)) = (socket.local_addr()?, Arc::new(State::default()), watch::channel(0));
        let task = tokio::spawn(udp::run(socket, to, Arc::clone(&state), cut));
        Ok(Self { address, state, cuts, task })
    }

    /// Where to connect instead.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Bytes so far. What TCP, UDP and IP add is not in it.
    pub fn bytes(&self) -> Bytes {
        Bytes { up: self.state.up.load(Ordering::SeqCst), down: self.state.down.load(Ordering::SeqCst) }
    }

    /// How many connections were passed on so far. Over UDP those of QUIC, told by the ids in their first packets.
    pub fn connections(&self) -> u64 {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// Breaks all connections in the middle of whatever they carry; what is on its way is lost. New ones are refused
    /// until [`Proxy::restore`].
    ///
    /// A QUIC connection can't be ended from outside: it never gets through again, and its ends find that out.
    pub fn cut(&self) {
        self.state.refusing.store(true, Ordering::SeqCst);
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Lets connections through again.
    pub fn restore(&self) {
        self.state.refusing.store(false, Ordering::SeqCst);
        self.state.paused.store(false, Ordering::SeqCst);
    }

    /// Breaks nothing and passes nothing on until [`Proxy::restore`]: TCP waits, datagrams are lost.
    pub fn pause(&self) {
        self.state.paused.store(true, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut();
        self.task.abort();
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
    };

    use super::*;

    #[tokio::test]
    async fn it_counts_both_directions_and_cuts() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy::start(listener.local_addr().unwrap()).await.unwrap();
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        let mut buffer = [0; 5];
        client.write_all(b"hello").await.unwrap();
        server.read_exact(&mut buffer).await.unwrap();
        server.write_all(b"yes").await.unwrap();
        client.read_exact(&mut buffer[..3]).await.unwrap();
        while proxy.bytes() != (Bytes { up: 5, down: 3 }) {
            tokio::task::yield_now().await;
        }
        proxy.cut();
        assert!(matches!(client.read(&mut buffer).await, Ok(0) | Err(_)), "the cut reaches the client");
        let mut refused = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(matches!(refused.read(&mut buffer).await, Ok(0) | Err(_)), "a new connection is refused");
        proxy.restore();
        let mut again = TcpStream::connect(proxy.address()).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        again.write_all(b"again").await.unwrap();
        server.read_exact(&mut buffer).await.unwrap();
        assert_eq!(&buffer, b"again");
        assert_eq!(proxy.connections(), 2);
    }
}
