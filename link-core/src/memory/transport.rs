use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{Mutex as AsyncMutex, mpsc, watch};

use crate::transport::{
    Accepted, Class, Connection, ConnectionError, Dial, DialError, FrameReceiver, FrameSender, Identity, Transport,
};

/// Frames that one class of a connection holds on their way; a full queue is the back-pressure.
const QUEUE: usize = 16;

/// A network in memory that links can be dialled over, as `memory://name:port`, and that can be cut.
#[derive(Clone, Default)]
pub struct MemoryNetwork {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    listeners: BTreeMap<String, Listener>,
    // Connections by the two names, dialler first, each with the switch that breaks it.
    wires: Vec<(String, String, watch::Sender<bool>)>,
    cut: Vec<(String, String)>,
}

struct Listener {
    accepted: mpsc::Sender<Accepted>,
    users: Vec<(String, String)>,
}

impl MemoryNetwork {
    /// An empty network.
    pub fn new() -> Self {
        Self::default()
    }

    /// The transport of the host `name`, which it can dial from and be dialled at.
    pub fn transport(&self, name: &str) -> Arc<MemoryTransport> {
        let (accepted, queue) = mpsc::channel(64);
        self.state().listeners.insert(name.to_owned(), Listener { accepted, users: Vec::new() });
        Arc::new(MemoryTransport { name: name.to_owned(), network: self.clone(), accepted: AsyncMutex::new(queue) })
    }

    /// From now on whoever dials `name` must log in; each call adds one user.
    pub fn require_login(&self, name: &str, user: &str, password: &str) {
        if let Some(listener) = self.state().listeners.get_mut(name) {
            listener.users.push((user.to_owned(), password.to_owned()));
        }
    }

    /// Breaks every connection between two hosts and lets none come up until [`heal`](Self::heal).
    pub fn cut(&self, a: &str, b: &str) {
        self.state().cut.push((a.to_owned(), b.to_owned()));
        self.reset(a, b);
    }

    /// Breaks every connection between two hosts.
    pub fn reset(&self, a: &str, b: &str) {
        let same = |x: &str, y: &str| (x == a && y == b) || (x == b && y == a);
        self.state().wires.retain(|(x, y, broken)| {
            if same(x, y) {
                broken.send_replace(true);
            }
            !same(x, y)
        });
    }

    /// Ends every cut between two hosts.
    pub fn heal(&self, a: &str, b: &str) {
        self.state().cut.retain(|(x, y)| !((x == a && y == b) || (x == b && y == a)));
    }

    /// How many connections are up between two hosts, whoever dialled.
    pub fn connections(&self, a: &str, b: &str) -> usize {
        let mut state = self.state();
        state.wires.retain(|(_, _, broken)| broken.receiver_count() > 0);
        state.wires.iter().filter(|(x, y, _)| (x == a && y == b) || (x == b && y == a)).count()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One host's access to a [`MemoryNetwork`].
pub struct MemoryTransport {
    name: String,
    network: MemoryNetwork,
    accepted: AsyncMutex<mpsc::Receiver<Accepted>>,
}

#[async_trait]
impl Transport for MemoryTransport {
    fn schemes(&self) -> &[&'static str] {
        &["memory"]
    }

    async fn dial(&self, dial: &Dial) -> Result<Connection, DialError> {
        let endpoint = dial.endpoint.clone();
        let user = dial.link.username.clone();
        let (accepted, refusal) = {
            let state = self.network.state();
            let cut = state
                .cut
                .iter()
                .any(|(a, b)| (*a == self.name && *b == endpoint.host) || (*b == self.name && *a == endpoint.host));
            let Some(listener) = state.listeners.get(&endpoint.host).filter(|_| !cut) else {
                return Err(DialError::Unreachable { endpoint, reason: "connection refused".to_owned() });
            };
            let password = dial.link.password.as_ref().map(|secret| secret.reveal());
            let known = listener.users.iter().any(|(u, p)| Some(u) == user.as_ref() && Some(p.as_str()) == password);
            (listener.accepted.clone(), !(listener.users.is_empty() || known))
        };
        let identity = Identity { address: self.name.clone(), user, ..Identity::default() };
        let gone = |endpoint| DialError::Unreachable { endpoint, reason: "connection refused".to_owned() };
        if refusal {
            let reason = "bad user name or password".to_owned();
            accepted
                .send(Accepted::Refused { identity, reason: reason.clone() })
                .await
                .map_err(|_| gone(endpoint.clone()))?;
            return Err(DialError::Refused { endpoint, reason });
        }
        let broken = watch::Sender::new(false);
        let channels = dial.link.connections.get();
        let (near, far) = (wire(channels, &broken), wire(channels, &broken));
        let here = Identity { address: endpoint.host.clone(), user: None, ..Identity::default() };
        self.network.state().wires.push((self.name.clone(), endpoint.host.clone(), broken));
        let theirs = connection(identity, far.0, near.1);
        accepted.send(Accepted::Connection(theirs)).await.map_err(|_| gone(endpoint.clone()))?;
        Ok(connection(here, near.0, far.1))
    }

    async fn accept(&self) -> Accepted {
        match self.accepted.lock().await.recv().await {
            Some(accepted) => accepted,
            None => std::future::pending().await,
        }
    }
}

fn connection(identity: Identity, mut senders: Vec<Sender>, receiver: Receiver) -> Connection {
    let control: Box<dyn FrameSender> = Box::new(senders.remove(0));
    let data = senders.into_iter().map(|sender| Box::new(sender) as Box<dyn FrameSender>).collect();
    Connection { identity, control, data, datagrams: None, max_frame: None, receiver: Box::new(receiver) }
}

/// One direction: senders for control and each data channel, and what receives from them all.
fn wire(channels: u16, broken: &watch::Sender<bool>) -> (Vec<Sender>, Receiver) {
    // Each class has a queue of its own, so that control never waits behind data.
    let (control, control_queue) = mpsc::channel(QUEUE);
    let (data, data_queue) = mpsc::channel(QUEUE * usize::from(channels));
    let mut senders = vec![Sender { class: Class::Control, queue: Some(control), broken: broken.subscribe() }];
    for channel in 0..channels {
        let class = Class::Data(channel);
        senders.push(Sender { class, queue: Some(data.clone()), broken: broken.subscribe() });
    }
    (senders, Receiver { control: control_queue, data: data_queue, broken: broken.subscribe() })
}

struct Sender {
    class: Class,
    queue: Option<mpsc::Sender<(Class, Bytes)>>,
    broken: watch::Receiver<bool>,
}

#[async_trait]
impl FrameSender for Sender {
    async fn send(&mut self, frame: Bytes) -> Result<(), ConnectionError> {
        let Some(queue) = &self.queue else { return Err(ConnectionError::Closed("closed here".to_owned())) };
        let sent = tokio::select! {
            biased;
            _ = self.broken.wait_for(|broken| *broken) => None,
            sent = queue.send((self.class, frame)) => sent.ok(),
        };
        sent.ok_or_else(|| gone(&self.broken))
    }

    async fn close(&mut self) {
        self.queue = None;
    }
}

struct Receiver {
    control: mpsc::Receiver<(Class, Bytes)>,
    data: mpsc::Receiver<(Class, Bytes)>,
    broken: watch::Receiver<bool>,
}

#[async_trait]
impl FrameReceiver for Receiver {
    async fn recv(&mut self) -> Result<(Class, Bytes), ConnectionError> {
        let frame = tokio::select! {
            biased;
            _ = self.broken.wait_for(|broken| *broken) => None,
            frame = self.control.recv() => frame,
            // The control queue ends the connection, so that the last control frames are still read.
            Some(frame) = self.data.recv() => Some(frame),
        };
        frame.ok_or_else(|| gone(&self.broken))
    }
}

/// Why nothing goes on. The other end may have seen a cut a moment earlier than this one, and be gone.
fn gone(broken: &watch::Receiver<bool>) -> ConnectionError {
    if *broken.borrow() {
        return ConnectionError::Lost("the network was cut".to_owned());
    }
    ConnectionError::Closed("the other end is gone".to_owned())
}
