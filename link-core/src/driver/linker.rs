use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use thiserror::Error;
use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    time::{Instant, timeout},
};

use super::event_loop::{Command, EventLoop, clock};
use crate::{
    host::Host,
    interest::{InterestChange, Moment, Subscriptions},
    link::{ClusterName, LinkConfig, LinkError, LinkStatus, NodeName, Scope},
    message::Message,
    node::{AckError, AckFrom, Acked, Node, NodeConfig, Offered, Published, Publisher},
    routes::Covering,
    topic::TopicFilter,
    transport::Transport,
};

/// A running linker: the handle that a broker holds. Cloning shares it.
///
/// Calls that report something of the broker ([`publish`](Self::publish), [`subscribe`](Self::subscribe) and so on)
/// never wait and may come from any thread. The linker stops when [`shutdown`](Self::shutdown) is called or the last
/// handle is dropped.
#[derive(Clone)]
pub struct Linker {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
}

/// What can keep a linker from starting, or a call from reaching it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StartError {
    /// A link is wrong or listed twice; nothing has been started.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// There is no tokio runtime here to spawn on.
    #[error("a linker is started inside a tokio runtime, and there is none here")]
    NoRuntime,
    /// The system gives no random seed.
    #[error("the system has no random seed to give: {0}")]
    NoSeed(String),
}

/// Collects what a [`Linker`] is made of.
pub struct LinkerBuilder {
    config: NodeConfig,
    transports: Vec<Arc<dyn Transport>>,
    links: Vec<LinkConfig>,
    reconcile_every: Option<Duration>,
    seed: Option<[u8; 32]>,
}

impl LinkerBuilder {
    /// Adds a transport. An address is dialled by the first transport that knows its scheme.
    pub fn transport(mut self, transport: Arc<dyn Transport>) -> Self {
        self.transports.push(transport);
        self
    }

    /// Adds a link.
    pub fn link(mut self, link: LinkConfig) -> Self {
        self.links.push(link);
        self
    }

    /// Sets how often the host's [`subscriptions`](Host::subscriptions) are compared with what the linker knows.
    /// Without it they are asked for once, at the start.
    pub fn reconcile_every(mut self, interval: Duration) -> Self {
        self.reconcile_every = Some(interval);
        self
    }

    /// Sets for whom this node takes messages; without it for itself. All nodes of a cluster have the same.
    pub fn scope(mut self, scope: Scope) -> Self {
        self.config.scope = scope;
        self
    }

    /// Sets how fast covering follows what is wanted.
    pub fn covering(mut self, covering: Covering) -> Self {
        self.config.covering = covering;
        self
    }

    /// Sets how many changes of each link's routes are kept, as [`NodeConfig::route_ring`].
    pub fn route_ring(mut self, changes: usize) -> Self {
        self.config.route_ring = changes;
        self
    }

    /// Sets how long after its start the node announces additions only, so that peers go on to send what its clients wanted
    /// before: as long as sessions that outlived the restart may take to be reported, unless [`Linker::warm`] is called
    /// earlier. Meanwhile no subscription is acknowledged. Without it what is not reported at the start is withdrawn.
    pub fn warm_up(mut self, time: Duration) -> Self {
        self.config.warm_up = time;
        self
    }

    /// Sets how often this node has been started before, where the host keeps count on disk. Without it peers notice a
    /// restart all the same, at the cost of one more comparison.
    pub fn starts(mut self, count: u64) -> Self {
        self.config.starts = count;
        self
    }

    /// Sets from what all that the node leaves to chance follows, so that a simulated run can be repeated. Each life of
    /// a node needs a seed of its own: a node that starts twice with the same one passes for its former self.
    #[cfg(feature = "simulation")]
    pub fn seed(mut self, seed: [u8; 32]) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Starts the event loop on the current tokio runtime.
    ///
    /// Links connect when the host has listed its [`subscriptions`](Host::subscriptions), so that a peer hears of the
    /// sessions that outlived a restart before it is live; after 5 s they connect without. Calls that wait for an answer
    /// wait for that too.
    ///
    /// # Errors
    /// With a [`StartError`] nothing has been started.
    pub fn start(self, host: Arc<dyn Host>) -> Result<Linker, StartError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| StartError::NoRuntime)?;
        let seed = self.seed.map_or_else(random_seed, Ok)?;
        let mut node = Node::new(self.config, seed);
        for link in self.links {
            node.create_link(Duration::ZERO, link)?;
        }
        let (commands, command_queue) = mpsc::channel(64);
        let shared = Arc::new(Shared {
            start: clock(),
            publisher: node.publisher(),
            subscriptions: Mutex::new(Subscriptions::new()),
            published: Mutex::new(Vec::new()),
            wake: Notify::new(),
            stopped: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
            room: Notify::new(),
            version: watch::Sender::new(0),
        });
        let event_loop = EventLoop {
            node,
            host,
            transports: self.transports,
            shared: shared.clone(),
            commands: command_queue,
            reconcile_every: self.reconcile_every,
        };
        runtime.spawn(event_loop.run());
        Ok(Linker { shared, commands })
    }
}

fn random_seed() -> Result<[u8; 32], StartError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| StartError::NoSeed(error.to_string()))?;
    Ok(seed)
}

/// The linker has stopped; the message was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the linker has stopped")]
pub struct Stopped;

impl Linker {
    /// Begins a linker for one node of a cluster.
    pub fn builder(cluster: ClusterName, node: NodeName) -> LinkerBuilder {
        LinkerBuilder {
            config: NodeConfig::new(cluster, node),
            transports: Vec::new(),
            links: Vec::new(),
            reconcile_every: None,
            seed: None,
        }
    }

    /// Whether any peer wants messages of `topic`. Costs one lookup, without allocation or lock.
    pub fn wants(&self, topic: &str) -> bool {
        self.shared.publisher.wants(topic)
    }

    /// Offers a message of a local client to the peers that want it. Never waits.
    ///
    /// `publisher` names who published it (a client id): messages of one publisher keep their order. Accepted means
    /// that the link keeps the message (QoS 1 and 2) until the peer's host has taken it. A peer whose queue is full is
    /// counted in [`Published::full`], for that peer the message is not accepted.
    ///
    /// # Errors
    /// [`Stopped`] if the linker no longer runs.
    pub fn publish(&self, publisher: &str, message: &Message) -> Result<Published, Stopped> {
        if !self.shared.publisher.wants(message.topic.as_str()) {
            return Ok(Published::default());
        }
        self.shared.publish(publisher, message)
    }

    /// As [`publish`](Self::publish), but where the queue of a connected peer is full it waits, up to `patience`, for
    /// room. It does not wait for a peer that is away: its queue would not move.
    ///
    /// # Errors
    /// [`Stopped`] if the linker no longer runs.
    pub async fn publish_patiently(
        &self,
        publisher: &str,
        message: &Message,
        patience: Duration,
    ) -> Result<Published, Stopped> {
        if !self.shared.publisher.wants(message.topic.as_str()) {
            return Ok(Published::default());
        }
        let waits = self.shared.clone();
        let _ = timeout(patience, waits.room_for(publisher, message)).await;
        self.shared.publish(publisher, message)
    }

    /// Reports that a local client subscribed. Repeating it changes nothing.
    pub fn subscribe(&self, subscriber: &str, filter: &TopicFilter) {
        self.shared.subscriptions().subscribe(subscriber, filter);
        self.shared.wake.notify_one();
    }

    /// Reports a subscription as [`subscribe`](Self::subscribe) does, and waits until the chosen peers know of it: a
    /// message that is published at one of them afterwards crosses the link. See [`acked`](Self::acked).
    ///
    /// ```no_run
    /// # async fn example(linker: link_core::driver::Linker) -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    ///
    /// use link_core::{node::AckFrom, topic::TopicFilter};
    ///
    /// let filter = TopicFilter::new("reply/42")?;
    /// match linker.subscribe_acked("client", &filter, AckFrom::All, Duration::from_secs(5)).await {
    ///     Ok(acked) => println!("known at {:?}", acked.by), // now publish the request
    ///     Err(error) => println!("{error}"),                // who does not know of it yet, and why
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`acked`](Self::acked). The subscription is reported in any case.
    pub async fn subscribe_acked(
        &self,
        subscriber: &str,
        filter: &TopicFilter,
        from: AckFrom,
        patience: Duration,
    ) -> Result<Acked, AckError> {
        self.subscribe(subscriber, filter);
        self.acked(filter, from, patience).await
    }

    /// Waits until the chosen peers know of a filter that was [reported](Self::subscribe) before: of each chosen cluster
    /// at least one node is connected, and all that are have acknowledged it, or a filter that covers it. What they have
    /// acknowledged they forward while the interest lasts, whatever the connection does. A cluster from which the link
    /// imports nothing of the filter is not waited for, and is named in [`Acked::outside`].
    ///
    /// # Errors
    /// An [`AckError`]; [`AckError::Timeout`] says who has not acknowledged it within `patience`, and why not.
    pub async fn acked(&self, filter: &TopicFilter, from: AckFrom, patience: Duration) -> Result<Acked, AckError> {
        let deadline = self.shared.start.elapsed() + patience;
        let done = self.ask(|answer| Command::Acked(filter.clone(), from, deadline, answer)).await;
        done.unwrap_or(Err(AckError::Stopped))
    }

    /// Reports that a local client unsubscribed. Without a subscription it changes nothing.
    pub fn unsubscribe(&self, subscriber: &str, filter: &TopicFilter) {
        self.shared.subscriptions().unsubscribe(subscriber, filter);
        self.shared.wake.notify_one();
    }

    /// Reports that a local client is gone with all its subscriptions.
    pub fn remove_subscriber(&self, subscriber: &str) {
        self.shared.subscriptions().remove_subscriber(subscriber);
        self.shared.wake.notify_one();
    }

    /// Replaces all that is known of the local subscriptions by `subscriptions`, as (subscriber, filter). Only what
    /// differs reaches the peers.
    pub fn reconcile(&self, subscriptions: Vec<(String, TopicFilter)>) {
        let now = self.shared.moment();
        self.shared.reconcile(now, subscriptions);
    }

    /// Reports that all subscriptions that outlived the start of this node are reported. Peers cease to send what nobody
    /// wants any more, without the rest of the [time](LinkerBuilder::warm_up) to warm up. Repeating it changes nothing.
    pub async fn warm(&self) {
        let _ = self.ask(Command::Warm).await;
    }

    /// Reports that another node of the own cluster has left it for good, and that its clients are at other nodes by now or
    /// gone. Peers that are connected now or later drop what it wanted, unless they have heard of it since; what waits for
    /// it there goes to another node of this cluster, where the [scope](LinkerBuilder::scope) is the cluster. The latest 64
    /// are remembered. Of this node itself it says nothing.
    pub async fn retire_node(&self, node: &NodeName) {
        let _ = self.ask(|answer| Command::Retire(node.clone(), answer)).await;
    }

    /// Adds a link.
    ///
    /// # Errors
    /// A [`LinkError`] says what is wrong; nothing has changed then.
    pub async fn create_link(&self, link: LinkConfig) -> Result<(), LinkError> {
        self.ask(|answer| Command::Create(Box::new(link), answer)).await.unwrap_or(Err(LinkError::Stopped))
    }

    /// Replaces the settings of a link. Queued messages stay. A change of `topics` alone takes effect without a new
    /// connection.
    ///
    /// # Errors
    /// A [`LinkError`] says what is wrong; nothing has changed then.
    pub async fn update_link(&self, link: LinkConfig) -> Result<(), LinkError> {
        self.ask(|answer| Command::Update(Box::new(link), answer)).await.unwrap_or(Err(LinkError::Stopped))
    }

    /// Switches a link on or off. While it is off nothing crosses it in either direction; queued messages stay.
    ///
    /// # Errors
    /// [`LinkError::Unknown`] if there is no such link.
    pub async fn enable_link(&self, name: &ClusterName, enabled: bool) -> Result<(), LinkError> {
        self.ask(|answer| Command::Enable(name.clone(), enabled, answer)).await.unwrap_or(Err(LinkError::Stopped))
    }

    /// Removes a link with its routes and its queued messages.
    ///
    /// # Errors
    /// [`LinkError::Unknown`] if there is no such link.
    pub async fn delete_link(&self, name: &ClusterName) -> Result<(), LinkError> {
        self.ask(|answer| Command::Delete(name.clone(), answer)).await.unwrap_or(Err(LinkError::Stopped))
    }

    /// The status of every link, by name. Empty once the linker has stopped.
    pub async fn links(&self) -> Vec<LinkStatus> {
        self.ask(Command::Status).await.unwrap_or_default()
    }

    /// The status of one link.
    pub async fn link(&self, name: &ClusterName) -> Option<LinkStatus> {
        self.links().await.into_iter().find(|status| status.name == *name)
    }

    /// Waits until the status of a link satisfies `condition`, and returns that status; `None` if the link is deleted
    /// or the linker stops. Bound it with a time-out of your own.
    pub async fn wait_for(
        &self,
        name: &ClusterName,
        mut condition: impl FnMut(&LinkStatus) -> bool,
    ) -> Option<LinkStatus> {
        let mut version = self.shared.version.subscribe();
        loop {
            version.borrow_and_update();
            let status = self.link(name).await?;
            if condition(&status) {
                return Some(status);
            }
            // Counters change without a change of state: look again after a while in any case.
            let _ = timeout(Duration::from_millis(20), version.changed()).await;
        }
    }

    /// Tells the peers, closes every connection and stops. Messages that wait in memory are lost; a later durable
    /// outbox keeps them.
    pub async fn shutdown(&self) {
        let _ = self.ask(Command::Shutdown).await;
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Option<T> {
        let (answer, result) = oneshot::channel();
        self.commands.send(command(answer)).await.ok()?;
        result.await.ok()
    }
}

/// What the handles and the event loop share.
pub(super) struct Shared {
    pub(super) start: Instant,
    publisher: Publisher,
    subscriptions: Mutex<Subscriptions>,
    published: Mutex<Vec<Offered>>,
    pub(super) wake: Notify,
    stopped: AtomicBool,
    // Publishers that wait for room; without any, nobody is notified.
    waiting: AtomicUsize,
    room: Notify,
    version: watch::Sender<u64>,
}

impl Shared {
    fn publish(&self, publisher: &str, message: &Message) -> Result<Published, Stopped> {
        if self.stopped.load(Ordering::Acquire) {
            return Err(Stopped);
        }
        let now = self.start.elapsed();
        let published = self.publisher.offer(now, publisher, message, |offered| self.published().push(offered));
        if published.accepted > 0 {
            self.wake.notify_one();
        }
        Ok(published)
    }

    async fn room_for(self: Arc<Self>, publisher: &str, message: &Message) {
        struct Waiting<'a>(&'a AtomicUsize);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::AcqRel);
            }
        }
        if self.publisher.has_room(publisher, message) {
            return;
        }
        self.waiting.fetch_add(1, Ordering::AcqRel);
        let _waiting = Waiting(&self.waiting);
        loop {
            let notified = self.room.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            if self.publisher.has_room(publisher, message) || self.stopped.load(Ordering::Acquire) {
                return;
            }
            notified.await;
        }
    }

    pub(super) fn moment(&self) -> Moment {
        self.subscriptions().moment()
    }

    pub(super) fn reconcile(&self, since: Moment, subscriptions: Vec<(String, TopicFilter)>) {
        let snapshot = subscriptions.into_iter().collect();
        self.subscriptions().reconcile(since, snapshot);
        self.wake.notify_one();
    }

    pub(super) fn drain_interest(&self) -> Vec<InterestChange> {
        self.subscriptions().drain()
    }

    /// Swaps what was published since the last call into the empty `into`.
    pub(super) fn drain_published(&self, into: &mut Vec<Offered>) {
        std::mem::swap(&mut *self.published(), into);
    }

    /// The node has put out all it had: queues may have moved.
    pub(super) fn drained(&self) {
        if self.waiting.load(Ordering::Acquire) > 0 {
            self.room.notify_waiters();
        }
    }

    pub(super) fn changed(&self) {
        self.version.send_modify(|version| *version = version.wrapping_add(1));
    }

    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.room.notify_waiters();
        self.changed();
    }

    // A panic in another thread leaves these tables whole: each call changes them in one step.
    fn subscriptions(&self) -> MutexGuard<'_, Subscriptions> {
        self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn published(&self) -> MutexGuard<'_, Vec<Offered>> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
