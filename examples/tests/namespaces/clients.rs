//! Publishers that number their messages, and subscribers that write down what they receive.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use emulator::{Emulator, Namespace};
use examples::client::{Client, Login, Outgoing, QoS};

use crate::world::Side;

/// How fast a publisher publishes.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Messages that it sends at once, and then waits for.
    batch: u64,
    pause: Duration,
}

impl Pace {
    /// For faults that last: 100 messages a second.
    pub const CALM: Self = Self { batch: 5, pause: Duration::from_millis(50) };
    /// For faults of a moment, which have to find messages on their way.
    pub const BUSY: Self = Self { batch: 50, pause: Duration::from_millis(10) };
}

/// Numbers of one publisher's messages, as they came, with the time of each.
pub type Numbers = Vec<(u64, Instant)>;

/// A client on a thread inside the namespace of its side.
struct Inside<T> {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<T>>,
}

impl<T: Send + 'static> Inside<T> {
    fn start<F: Future<Output = T>>(
        net: &Arc<Emulator>,
        side: Side,
        client: impl FnOnce(Arc<AtomicBool>) -> F + Send + 'static,
    ) -> Self {
        let (net, stop) = (Arc::clone(net), Arc::new(AtomicBool::new(false)));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            Namespace::enter(side.namespace(&net)).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(client(stopped))
        });
        Self { stop, thread: Some(thread) }
    }

    fn stop(&mut self) -> T {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.take().expect("stopped once").join().expect("the client did its part")
    }
}

impl<T> Drop for Inside<T> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn login(side: Side, id: &str) -> Login {
    let (name, address) = (side.name(), SocketAddr::from((side.address(), 1883)));
    Login::new(address, id, &format!("{name}-user"), &format!("{name}-pass"))
}

/// Publishes numbered messages at QoS 1 until it is stopped, or its broker is gone.
pub struct Publisher {
    pub id: String,
    accepted: Arc<AtomicU64>,
    pace: Pace,
    inside: Inside<()>,
}

impl Publisher {
    /// The first message has the number `first`.
    pub fn start(net: &Arc<Emulator>, side: Side, id: &str, pace: Pace, first: u64) -> Self {
        let accepted = Arc::new(AtomicU64::new(first));
        let (count, name) = (Arc::clone(&accepted), id.to_owned());
        let inside = Inside::start(net, side, async move |stop| {
            let client = Client::connect(login(side, &name)).await.unwrap();
            let topic = format!("{}/{name}", side.topics());
            while !stop.load(Ordering::SeqCst) {
                let next = count.load(Ordering::SeqCst);
                let message = |n| Outgoing::new(topic.clone(), format!("{name} {n}"), QoS::AtLeastOnce);
                // An error ends it: of the last batch nobody knows how much was accepted.
                if client.publish_all((next..next + pace.batch).map(message)).await.is_err() {
                    return;
                }
                count.store(next + pace.batch, Ordering::SeqCst);
                tokio::time::sleep(pace.pause).await;
            }
            client.disconnect().await;
        });
        Self { id: id.to_owned(), accepted, pace, inside }
    }

    /// All messages with smaller numbers are accepted.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::SeqCst)
    }

    /// No message of it has this number or a higher one.
    pub fn unused(&self) -> u64 {
        self.accepted() + self.pace.batch
    }

    /// Gives [`accepted`](Self::accepted), which is all there is if its broker lives.
    pub fn stop(mut self) -> u64 {
        self.inside.stop();
        self.accepted()
    }
}

/// A session that lasts until it is stopped or its broker is gone.
pub struct Subscriber {
    received: Arc<Mutex<BTreeMap<String, Numbers>>>,
    inside: Inside<()>,
}

impl Subscriber {
    /// Subscribes to what the publishers of the other side publish; returns when that is granted.
    pub fn start(net: &Arc<Emulator>, side: Side) -> Self {
        let received = Arc::new(Mutex::new(BTreeMap::<String, Numbers>::new()));
        let into = Arc::clone(&received);
        let (granted, is_granted) = mpsc::channel();
        let inside = Inside::start(net, side, async move |stop| {
            let client = Client::connect(login(side, &format!("{}-subscriber", side.name()))).await.unwrap();
            client.subscribe(&format!("{}/#", side.other().topics()), QoS::AtLeastOnce).await.unwrap();
            granted.send(()).unwrap();
            while !stop.load(Ordering::SeqCst) {
                let Some(message) = client.receive(Duration::from_millis(20)).await else { continue };
                let text = String::from_utf8(message.payload.to_vec()).unwrap();
                let (publisher, number) = text.split_once(' ').unwrap();
                let entry = (number.parse().unwrap(), Instant::now());
                into.lock().unwrap().entry(publisher.to_owned()).or_default().push(entry);
            }
        });
        is_granted.recv_timeout(Duration::from_secs(20)).expect("subscribed");
        Self { received, inside }
    }

    /// What came so far of this publisher.
    pub fn numbers(&self, publisher: &str) -> Numbers {
        self.received.lock().unwrap().get(publisher).cloned().unwrap_or_default()
    }

    /// Waits until the message `last` of `publisher` is there, and then for what must not come.
    pub fn until(&self, publisher: &str, last: u64, within: Duration) {
        let begin = Instant::now();
        while self.numbers(publisher).last().is_none_or(|(number, _)| *number < last) {
            if begin.elapsed() > within {
                let numbers = self.numbers(publisher);
                panic!("{publisher}: {last} not within {within:?}, {} came: {:?}", numbers.len(), numbers.last());
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends the session.
    pub fn stop(mut self) -> BTreeMap<String, Numbers> {
        self.inside.stop();
        self.received.lock().unwrap().clone()
    }
}

/// Panics unless each number is above the one before.
pub fn assert_rising(publisher: &str, numbers: &Numbers) {
    for pair in numbers.windows(2) {
        assert!(pair[0].0 < pair[1].0, "{publisher}: {} after {}", pair[1].0, pair[0].0);
    }
}

/// Panics unless these are exactly the numbers of the range, in order.
pub fn assert_exactly(publisher: &str, numbers: &[(u64, Instant)], range: std::ops::Range<u64>) {
    let got = |at: u64| numbers.get(at as usize).map(|(number, _)| *number);
    for (at, expected) in range.clone().enumerate() {
        assert_eq!(got(at as u64), Some(expected), "{publisher}, message {at} of {}", range.end - range.start);
    }
    assert_eq!(numbers.len() as u64, range.end - range.start, "{publisher}: more than was published");
}
