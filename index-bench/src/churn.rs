//! W5: readers beside a writer.

use std::{
    hint::black_box,
    sync::{
        Mutex, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use link_core::index::{Matches, Reader};

use crate::{
    engines::{Engine, Kind, Ours, Role, Way, read},
    measure::{Effort, cpu, median},
    memory::uncounted,
    report::Churn,
    workloads::{Texts, w2},
};

/// Changes that are published together at most.
const BATCH: usize = 64;
/// The longest that a change waits to be published.
const PERIOD: Duration = Duration::from_millis(1);
/// Writes a second of the paced writer.
const PACE: usize = 10_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writer {
    None,
    Paced,
    Unpaced,
}

/// An index that threads share.
trait Shared: Sync {
    fn read(&self, topics: &[&str], buffer: &mut Matches<u32>);
    /// Changes something, and publishes it.
    fn write(&self, change: &mut dyn FnMut(&mut dyn Engine));
}

/// Ours: readers take no lock.
struct Free {
    reader: Reader<u32>,
    writer: Mutex<Box<dyn Engine>>,
}

impl Shared for Free {
    fn read(&self, topics: &[&str], buffer: &mut Matches<u32>) {
        black_box(read(&self.reader, Way::Single, topics, buffer));
    }

    fn write(&self, change: &mut dyn FnMut(&mut dyn Engine)) {
        let mut engine = self.writer.lock().unwrap();
        change(&mut **engine);
        engine.publish();
    }
}

/// A peer behind a lock, as a broker would use it.
struct Locked(RwLock<Box<dyn Engine>>);

impl Shared for Locked {
    fn read(&self, topics: &[&str], buffer: &mut Matches<u32>) {
        for topic in topics.chunks(1) {
            black_box(self.0.read().unwrap().run(Way::Single, topic, buffer));
        }
    }

    fn write(&self, change: &mut dyn FnMut(&mut dyn Engine)) {
        change(&mut **self.0.write().unwrap());
    }
}

/// Rates of our index, and of peers behind a lock. The filters are those of W2, half as many again are not subscribed at
/// any one time; a write subscribes to one of those, or unsubscribes from one of the others.
pub fn run(filters: usize, readers: usize, kinds: &[Kind], effort: &Effort) -> Vec<Churn> {
    let workload = w2(filters * 3 / 2, 200_000, 5);
    let present: Texts = workload.filters.iter().take(filters).collect();
    let topics: Vec<_> = workload.draws[0].topics.iter().collect();
    let kinds = kinds.iter().filter(|kind| kind.role == Role::Ours || ["rmqtt", "quill"].contains(&kind.key));
    let churn = |kind: &Kind| {
        eprintln!("W5: {}", kind.name);
        let shared: Box<dyn Shared> = if kind.role == Role::Ours {
            let ours = Ours::build(&present);
            Box::new(Free { reader: ours.reader(), writer: Mutex::new(Box::new(ours)) })
        } else {
            Box::new(Locked(RwLock::new((kind.build)(&present))))
        };
        let mut window = Window { filters: &workload.filters, size: filters, next: 0, insert: true };
        let mut rounds = Vec::new();
        for _ in 0..effort.rounds {
            rounds.push(
                [Writer::None, Writer::Paced, Writer::Unpaced]
                    .map(|writer| round(&*shared, &topics, readers, writer, &mut window, effort.turn * 2)),
            );
        }
        let of = |part: fn(&[Round; 3]) -> f64| median(&rounds.iter().map(part).collect::<Vec<_>>());
        Churn {
            engine: kind.name,
            role: kind.role,
            alone: of(|round| round[0].reads_cpu),
            paced: of(|round| round[1].reads_cpu),
            unpaced: of(|round| round[2].reads_cpu),
            alone_wall: of(|round| round[0].reads_wall),
            paced_wall: of(|round| round[1].reads_wall),
            unpaced_wall: of(|round| round[2].reads_wall),
            paced_writes: of(|round| round[1].writes_wall),
            writes: of(|round| round[2].writes_cpu),
            writes_wall: of(|round| round[2].writes_wall),
        }
    };
    kinds.map(churn).collect()
}

/// Which filters are subscribed: `size` of them from `next` on, in a ring.
struct Window<'a> {
    filters: &'a Texts,
    size: usize,
    next: usize,
    insert: bool,
}

impl Window<'_> {
    /// An insert, and then a remove, by turns.
    fn change(&mut self, engine: &mut dyn Engine) {
        let len = self.filters.len();
        if self.insert {
            let n = (self.next + self.size) % len;
            engine.insert(self.filters.get(n), u32::try_from(n).unwrap());
        } else {
            let n = self.next;
            assert!(engine.remove(self.filters.get(n), u32::try_from(n).unwrap()), "filter {n} is gone");
            self.next = (n + 1) % len;
        }
        self.insert = !self.insert;
    }
}

/// A second's worth of each.
struct Round {
    /// Topics per CPU second of one reader.
    reads_cpu: f64,
    /// Topics a second of one reader.
    reads_wall: f64,
    /// Writes per CPU second of the writer.
    writes_cpu: f64,
    writes_wall: f64,
}

fn round(
    shared: &dyn Shared,
    topics: &[&str],
    readers: usize,
    writer: Writer,
    window: &mut Window<'_>,
    time: Duration,
) -> Round {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let (stop, share) = (&stop, topics.len() / readers);
        let reader = |n: usize| move || uncounted(|| rates(|| read_until(shared, &topics[n * share..], stop)));
        let readers: Vec<_> = (0..readers).map(|n| scope.spawn(reader(n))).collect();
        let writer = scope.spawn(move || uncounted(|| rates(|| write_until(shared, window, writer, stop))));
        thread::sleep(time);
        stop.store(true, Ordering::Relaxed);
        let reads: Vec<_> = readers.into_iter().map(|reader| reader.join().unwrap()).collect();
        let (writes_cpu, writes_wall) = writer.join().unwrap();
        let mean = |part: fn(&(f64, f64)) -> f64| reads.iter().map(part).sum::<f64>() / reads.len() as f64;
        Round { reads_cpu: mean(|rate| rate.0), reads_wall: mean(|rate| rate.1), writes_cpu, writes_wall }
    })
}

/// What `work` counts, per second of CPU time and of time.
fn rates(work: impl FnOnce() -> usize) -> (f64, f64) {
    let (busy, start) = (cpu(), Instant::now());
    let done = work() as f64;
    (done / (cpu() - busy).as_secs_f64(), done / start.elapsed().as_secs_f64())
}

fn read_until(shared: &dyn Shared, topics: &[&str], stop: &AtomicBool) -> usize {
    let (mut done, mut buffer) = (0, Matches::new());
    for topics in topics.chunks(32).cycle() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        shared.read(topics, &mut buffer);
        done += topics.len();
    }
    done
}

fn write_until(shared: &dyn Shared, window: &mut Window<'_>, writer: Writer, stop: &AtomicBool) -> usize {
    let (mut done, start) = (0, Instant::now());
    while writer != Writer::None && !stop.load(Ordering::Relaxed) {
        let due = match writer {
            Writer::Paced => (start.elapsed().as_micros() as usize * PACE / 1_000_000).saturating_sub(done).min(BATCH),
            _ => BATCH,
        };
        if due > 0 {
            shared.write(&mut |engine| (0..due).for_each(|_| window.change(engine)));
            done += due;
        }
        if writer == Writer::Paced && due < BATCH {
            thread::sleep(PERIOD);
        }
    }
    done
}
