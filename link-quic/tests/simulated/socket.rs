//! Sockets of quinn over those of turmoil.

use std::{
    fmt, io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker, ready},
};

use quinn::{
    AsyncUdpSocket, UdpPoller,
    udp::{RecvMeta, Transmit},
};
use tokio::{sync::mpsc, task::JoinSet};
use turmoil::net::UdpSocket;

type Datagram = (Vec<u8>, SocketAddr);

/// A socket of the host that binds it.
pub struct Socket {
    socket: Arc<UdpSocket>,
    received: Mutex<mpsc::UnboundedReceiver<Datagram>>,
    /// Told of each packet that is sent: how many bytes.
    sent: Box<dyn Fn(usize) + Send + Sync>,
    // Dropping it ends the task.
    _task: JoinSet<()>,
}

impl Socket {
    pub fn bind(address: SocketAddr, sent: impl Fn(usize) + Send + Sync + 'static) -> io::Result<Arc<Self>> {
        // Binding is one step.
        let Poll::Ready(socket) = pin!(UdpSocket::bind(address)).poll(&mut Context::from_waker(Waker::noop())) else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        let socket = Arc::new(socket?);
        let (queue, received) = mpsc::unbounded_channel();
        let mut task = JoinSet::new();
        task.spawn(receive(socket.clone(), queue));
        Ok(Arc::new(Self { socket, received: Mutex::new(received), sent: Box::new(sent), _task: task }))
    }
}

async fn receive(socket: Arc<UdpSocket>, queue: mpsc::UnboundedSender<Datagram>) {
    let mut buffer = vec![0; 65_536];
    while let Ok((len, from)) = socket.recv_from(&mut buffer).await {
        if queue.send((buffer[..len].to_vec(), from)).is_err() {
            return;
        }
    }
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Writable)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        (self.sent)(transmit.contents.len());
        self.socket.try_send_to(transmit.contents, transmit.destination).map(|_| ())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [io::IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((datagram, addr)) = ready!(received.poll_recv(cx)) else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        let len = datagram.len();
        bufs[0][..len].copy_from_slice(&datagram);
        meta[0] = RecvMeta { addr, len, stride: len, ecn: None, dst_ip: None };
        Poll::Ready(Ok(1))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket.fmt(f)
    }
}

/// There is always room.
#[derive(Debug)]
struct Writable;

impl UdpPoller for Writable {
    fn poll_writable(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
