//! The only loop: wait for an input or the deadline, let the node handle it, carry out what it puts out.

use std::{
    collections::{BTreeMap, HashMap},
    future::poll_fn,
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use tokio::{
    sync::{Notify, mpsc, oneshot},
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};

use super::{
    connection::ConnectionTasks,
    deliver::{Delivery, deliver},
    linker::Shared,
};
use crate::{
    host::Host,
    link::{ClusterName, LinkConfig, LinkError, LinkStatus, NodeName},
    node::{AckError, AckFrom, Acked, BarrierId, ConnectionId, DialId, Input, Node, Output, PeerId},
    topic::TopicFilter,
    transport::{Accepted, Connection, Dial, DialError, Transport},
};

/// Inputs handled before the outputs are drained: enough to batch, few enough to stay prompt.
const INPUTS_A_ROUND: usize = 256;

/// With so many barriers those for which nobody waits any more are ended before another one begins.
const SWEEP_BARRIERS: usize = 1024;

/// How long links wait for the host to list its subscriptions at the start.
const FIRST_REPORT: Duration = Duration::from_secs(5);

/// What a handle asks of the loop.
pub(super) enum Command {
    Create(Box<LinkConfig>, oneshot::Sender<Result<(), LinkError>>),
    Update(Box<LinkConfig>, oneshot::Sender<Result<(), LinkError>>),
    Enable(ClusterName, bool, oneshot::Sender<Result<(), LinkError>>),
    Delete(ClusterName, oneshot::Sender<Result<(), LinkError>>),
    Status(oneshot::Sender<Vec<LinkStatus>>),
    Acked(TopicFilter, AckFrom, Duration, oneshot::Sender<Result<Acked, AckError>>),
    Warm(oneshot::Sender<()>),
    Retire(NodeName, oneshot::Sender<()>),
    Shutdown(oneshot::Sender<()>),
}

/// What the tasks report, beside plain inputs of the node.
pub(super) enum Event {
    Dialled(DialId, Connection),
    DialFailed(DialId, DialError),
    Accepted(Accepted),
}

pub(super) struct EventLoop {
    pub(super) node: Node,
    pub(super) host: Arc<dyn Host>,
    pub(super) transports: Vec<Arc<dyn Transport>>,
    pub(super) shared: Arc<Shared>,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) reconcile_every: Option<Duration>,
}

impl EventLoop {
    pub(super) async fn run(self) {
        // A peer that connects before the sessions that clients left behind are known would not send what they want.
        let first = timeout(FIRST_REPORT, report(&*self.host, &self.shared)).await;
        if first.is_err() {
            tracing::warn!("the host has not listed its subscriptions in {FIRST_REPORT:?}: links start without them");
        }
        let (inputs, input_queue) = mpsc::channel(4096);
        let (events, event_queue) = mpsc::channel(64);
        let mut tasks = JoinSet::new();
        for transport in self.transports.clone() {
            let events = events.clone();
            tasks.spawn(async move {
                loop {
                    let accepted = transport.accept().await;
                    if events.send(Event::Accepted(accepted)).await.is_err() {
                        return;
                    }
                }
            });
        }
        tasks.spawn(reconcile(self.host.clone(), self.shared.clone(), first.is_ok(), self.reconcile_every));
        let Self { node, host, transports, shared, commands, .. } = self;
        let mut running = Running {
            node,
            host,
            transports,
            shared: shared.clone(),
            inputs,
            events,
            connections: HashMap::new(),
            next_connection: 0,
            dials: HashMap::new(),
            deliveries: HashMap::new(),
            barriers: BTreeMap::new(),
            next_barrier: 0,
            closing: JoinSet::new(),
            published: Vec::new(),
        };
        let done = running.run(input_queue, event_queue, commands).await;
        shared.stop();
        tasks.shutdown().await;
        while running.closing.join_next().await.is_some() {}
        let _ = done.map(|done| done.send(()));
    }
}

/// Compares the host's subscriptions with what the linker knows, from time to time.
async fn reconcile(host: Arc<dyn Host>, shared: Arc<Shared>, reported: bool, every: Option<Duration>) {
    if !reported {
        report(&*host, &shared).await;
    }
    while let Some(every) = every {
        tokio::time::sleep(every).await;
        report(&*host, &shared).await;
    }
}

async fn report(host: &dyn Host, shared: &Shared) {
    let before = shared.moment();
    if let Some(subscriptions) = host.subscriptions().await {
        shared.reconcile(before, subscriptions);
    }
}

/// What one round of the loop handles: something of each kind that is there, so that no kind waits for another, and
/// always in one order, so that a simulated run can be repeated.
#[derive(Default)]
struct Round {
    is_due: bool,
    event: Option<Event>,
    inputs: Vec<Input>,
    /// `Some(None)`: there are no handles any more.
    command: Option<Option<Command>>,
}

impl Round {
    /// Waits until there is something.
    async fn take(
        &mut self,
        deadline: Option<Instant>,
        wake: &Notify,
        inputs: &mut mpsc::Receiver<Input>,
        events: &mut mpsc::Receiver<Event>,
        commands: &mut mpsc::Receiver<Command>,
    ) {
        let mut sleep = pin!(async {
            match deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        });
        let mut woken = pin!(wake.notified());
        poll_fn(|cx| {
            self.is_due = sleep.as_mut().poll(cx).is_ready();
            let is_woken = woken.as_mut().poll(cx).is_ready();
            // The loop keeps a sender of these two: they do not end.
            if let Poll::Ready(event) = events.poll_recv(cx) {
                self.event = event;
            }
            let has_inputs = inputs.poll_recv_many(cx, &mut self.inputs, INPUTS_A_ROUND).is_ready();
            if let Poll::Ready(command) = commands.poll_recv(cx) {
                self.command = Some(command);
            }
            let is_there = self.is_due || is_woken || self.event.is_some() || has_inputs || self.command.is_some();
            if is_there { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

struct Running {
    node: Node,
    host: Arc<dyn Host>,
    transports: Vec<Arc<dyn Transport>>,
    shared: Arc<Shared>,
    inputs: mpsc::Sender<Input>,
    events: mpsc::Sender<Event>,
    connections: HashMap<ConnectionId, ConnectionTasks>,
    next_connection: u32,
    // Dropping an entry cancels the attempt.
    dials: HashMap<DialId, JoinSet<()>>,
    deliveries: HashMap<PeerId, mpsc::UnboundedSender<Delivery>>,
    barriers: BTreeMap<BarrierId, oneshot::Sender<Result<Acked, AckError>>>,
    next_barrier: u32,
    closing: JoinSet<()>,
    published: Vec<crate::node::Offered>,
}

impl Running {
    async fn run(
        &mut self,
        mut inputs: mpsc::Receiver<Input>,
        mut events: mpsc::Receiver<Event>,
        mut commands: mpsc::Receiver<Command>,
    ) -> Option<oneshot::Sender<()>> {
        let mut round = Round::default();
        self.drain();
        loop {
            let deadline = self.node.poll_timeout().map(|at| self.shared.start + at);
            let shared = self.shared.clone();
            round.take(deadline, &shared.wake, &mut inputs, &mut events, &mut commands).await;
            if std::mem::take(&mut round.is_due) {
                let now = self.now();
                self.node.handle(now, Input::Timeout);
            }
            if let Some(event) = round.event.take() {
                self.on_event(event);
            }
            if !round.inputs.is_empty() {
                let now = self.now();
                round.inputs.drain(..).for_each(|input| self.node.handle(now, input));
            }
            match round.command.take() {
                None => {}
                Some(Some(Command::Shutdown(done))) => {
                    self.stop();
                    return Some(done);
                }
                Some(Some(command)) => self.on_command(command),
                // The last handle is gone.
                Some(None) => {
                    self.stop();
                    return None;
                }
            }
            self.take_from_host();
            self.drain();
        }
    }

    fn now(&self) -> Duration {
        self.shared.start.elapsed()
    }

    fn take_from_host(&mut self) {
        let now = self.now();
        let changes = self.shared.drain_interest();
        if !changes.is_empty() {
            self.node.handle(now, Input::Interest(changes));
        }
        self.shared.drain_published(&mut self.published);
        for offered in self.published.drain(..) {
            self.node.handle(now, Input::Publish(offered));
        }
    }

    fn on_event(&mut self, event: Event) {
        let now = self.now();
        match event {
            Event::Dialled(dial, connection) => {
                if self.dials.remove(&dial).is_some() {
                    self.connected(Some(dial), connection);
                }
            }
            Event::DialFailed(dial, error) => {
                if self.dials.remove(&dial).is_some() {
                    self.node.handle(now, Input::DialFailed { dial, error });
                }
            }
            Event::Accepted(Accepted::Connection(connection)) => self.connected(None, connection),
            Event::Accepted(Accepted::Refused { identity, reason }) => {
                self.node.handle(now, Input::Refused { identity, reason });
            }
        }
    }

    fn connected(&mut self, dial: Option<DialId>, connection: Connection) {
        let id = ConnectionId(self.next_connection);
        self.next_connection = self.next_connection.wrapping_add(1);
        let identity = connection.identity.clone();
        let channels = u16::try_from(connection.data.len()).unwrap_or(u16::MAX).max(1);
        let datagrams = connection.datagrams.as_ref().map_or(0, |datagrams| datagrams.largest);
        let max_frame = connection.max_frame;
        self.connections.insert(id, ConnectionTasks::spawn(id, connection, &self.inputs));
        self.node.handle(
            self.shared.start.elapsed(),
            Input::Connected { connection: id, dial, identity, channels, datagrams, max_frame },
        );
    }

    fn on_command(&mut self, command: Command) {
        let now = self.now();
        // Who asked may have gone away meanwhile; the answer is then of no use to anyone.
        match command {
            Command::Create(config, answer) => drop(answer.send(self.node.create_link(now, *config))),
            Command::Update(config, answer) => drop(answer.send(self.node.update_link(now, *config))),
            Command::Enable(name, enabled, answer) => drop(answer.send(self.node.enable_link(now, &name, enabled))),
            Command::Delete(name, answer) => drop(answer.send(self.node.delete_link(now, &name))),
            Command::Status(answer) => {
                // Who reads it may rely on what it says of routes: publishers see them by then.
                self.take_from_host();
                self.drain();
                let _ = answer.send(self.node.links(now));
            }
            Command::Acked(filter, from, deadline, answer) => self.wait_acked(filter, from, deadline, answer),
            Command::Warm(answer) => {
                // What was reported before is to be announced before.
                self.take_from_host();
                self.node.handle(now, Input::Warm);
                let _ = answer.send(());
            }
            Command::Retire(node, answer) => {
                self.node.retire_node(now, &node);
                let _ = answer.send(());
            }
            Command::Shutdown(_) => {}
        }
    }

    fn wait_acked(
        &mut self,
        filter: TopicFilter,
        from: AckFrom,
        deadline: Duration,
        answer: oneshot::Sender<Result<Acked, AckError>>,
    ) {
        // The subscription was reported before, and is perhaps still in the table of the handles.
        self.take_from_host();
        let now = self.now();
        if self.barriers.len() >= SWEEP_BARRIERS {
            let given_up: Vec<BarrierId> =
                self.barriers.iter().filter(|(_, answer)| answer.is_closed()).map(|(id, _)| *id).collect();
            for barrier in given_up {
                self.barriers.remove(&barrier);
                self.node.handle(now, Input::CancelBarrier(barrier));
            }
        }
        let barrier = BarrierId(self.next_barrier);
        self.next_barrier = self.next_barrier.wrapping_add(1);
        self.barriers.insert(barrier, answer);
        self.node.handle(now, Input::Barrier { barrier, filter, from, deadline });
    }

    fn stop(&mut self) {
        let now = self.now();
        self.node.shut_down(now);
        self.drain();
        for (_, tasks) in self.connections.drain() {
            self.closing.spawn(tasks.close());
        }
        self.dials.clear();
        self.deliveries.clear();
        self.barriers.clear();
    }

    fn drain(&mut self) {
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Dial { dial, request } => self.dial(dial, request),
                Output::CancelDial { dial } => drop(self.dials.remove(&dial)),
                Output::Transmit { connection, class, frame } => {
                    if let Some(tasks) = self.connections.get(&connection) {
                        tasks.transmit(class, frame);
                    }
                }
                Output::Close { connection } => {
                    if let Some(tasks) = self.connections.remove(&connection) {
                        while self.closing.try_join_next().is_some() {}
                        self.closing.spawn(tasks.close());
                    }
                }
                Output::Deliver { peer, ticket, message, origin } => {
                    self.deliver(peer, Delivery { ticket, message, origin });
                }
                Output::BarrierDone { barrier, result } => {
                    let answer = self.barriers.remove(&barrier);
                    let _ = answer.map(|answer| answer.send(result));
                }
                Output::Forget { peer } => drop(self.deliveries.remove(&peer)),
                Output::Changed { .. } => self.shared.changed(),
            }
        }
        self.shared.drained();
    }

    fn deliver(&mut self, peer: PeerId, delivery: Delivery) {
        let queue = self.deliveries.entry(peer).or_insert_with(|| {
            let (queue, deliveries) = mpsc::unbounded_channel();
            tokio::spawn(deliver(peer, self.host.clone(), deliveries, self.inputs.clone()));
            queue
        });
        // The task ends only with this loop.
        let _ = queue.send(delivery);
    }

    fn dial(&mut self, dial: DialId, request: Dial) {
        let carrier = self.transports.iter().find(|t| t.schemes().contains(&request.endpoint.scheme.as_str())).cloned();
        let events = self.events.clone();
        let mut task = JoinSet::new();
        task.spawn(async move {
            let event = match connect(carrier, request).await {
                Ok(connection) => Event::Dialled(dial, connection),
                Err(error) => Event::DialFailed(dial, error),
            };
            let _ = events.send(event).await;
        });
        self.dials.insert(dial, task);
    }
}

async fn connect(carrier: Option<Arc<dyn Transport>>, request: Dial) -> Result<Connection, DialError> {
    let endpoint = request.endpoint.clone();
    let Some(carrier) = carrier else {
        let reason = format!("no transport carries `{}`", endpoint.scheme);
        return Err(DialError::Settings { endpoint, reason });
    };
    match timeout(request.link.connect_timeout, carrier.dial(&request)).await {
        Ok(result) => result,
        Err(_) => Err(DialError::Unreachable {
            endpoint,
            reason: format!("no answer within {:?}", request.link.connect_timeout),
        }),
    }
}

/// When the clock of a linker started; what the node calls time is counted from there. It is the clock of the runtime:
/// where that is simulated, so is the time of the node.
pub(super) fn clock() -> Instant {
    Instant::now()
}
