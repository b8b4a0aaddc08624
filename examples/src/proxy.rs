//! A TCP proxy that counts the bytes which pass through it, and can cut its connections.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
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
}

/// A running proxy. Dropping it closes everything.
pub struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
    cuts: watch::Sender<u64>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a free port of the loopback and passes every connection on to `to`.
    pub async fn start(to: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State::default());
        let (cuts, cut) = watch::channel(0);
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if shared.refusing.load(Ordering::SeqCst) {
                    continue;
                }
                shared.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(pass(client, to, Arc::clone(&shared), cut.clone()));
            }
        });
        Ok(Self { address, state, cuts, task })
    }

    /// Where to connect instead.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Bytes so far. Control bytes of TCP and IP are not in it.
    pub fn bytes(&self) -> Bytes {
        Bytes { up: self.state.up.load(Ordering::SeqCst), down: self.state.down.load(Ordering::SeqCst) }
    }

    /// How many connections were passed on so far.
    pub fn connections(&self) -> u64 {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// Breaks all connections in the middle of whatever they carry; what is on its way is lost. New ones are refused
    /// until [`Proxy::restore`].
    pub fn cut(&self) {
        self.state.refusing.store(true, Ordering::SeqCst);
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Lets connections through again.
    pub fn restore(&self) {
        self.state.refusing.store(false, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut();
        self.task.abort();
    }
}

async fn pass(client: TcpStream, to: SocketAddr, state: Arc<State>, mut cut: watch::Receiver<u64>) {
    cut.mark_unchanged();
    let Ok(server) = TcpStream::connect(to).await else { return };
    for stream in [&client, &server] {
        // Without it small frames wait for the acknowledgement of the frame before.
        let _ = stream.set_nodelay(true);
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = async {
            tokio::join!(copy(from_client, to_server, &state.up), copy(from_server, to_client, &state.down));
        } => {}
        _ = cut.changed() => {}
    }
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, count: &AtomicU64) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = match from.read(&mut buffer).await {
            Ok(read) if read > 0 => read,
            _ => break,
        };
        if to.write_all(&buffer[..read]).await.is_err() {
            break;
        }
        count.fetch_add(read as u64, Ordering::SeqCst);
    }
    let _ = to.shutdown().await;
}

#[cfg(test)]
mod tests {
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
