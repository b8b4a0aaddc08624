//! `TwoCopies`, which shows a topic index to its readers, in every order of steps that loom finds to matter.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

mod cell;
#[path = "../../../link-core/src/index/publish.rs"]
mod publish;

use loom::{
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    thread::{self, JoinHandle},
};

use cell::{Arc, Published};
use publish::{Follow, TwoCopies};

/// What is copied: two halves, each the list of all changes to it as the digits of a number. Batch `n` appends digit `n`
/// to both, so a state is whole if they are equal, and a change that is lost or made twice shows for ever.
///
/// The halves are atomic only so that loom sees who reads and who writes. Loads are relaxed and writes ask for exclusive
/// access, so loom objects unless something else has put the one before the other.
#[derive(Debug)]
struct Halves {
    left: AtomicUsize,
    right: AtomicUsize,
    most_steps: usize,
}

#[derive(Debug, Clone, Copy)]
enum Half {
    Left,
    Right,
}

impl Halves {
    fn new(left: usize, right: usize, most_steps: usize) -> Self {
        Self { left: AtomicUsize::new(left), right: AtomicUsize::new(right), most_steps }
    }

    /// The whole state that this is.
    fn state(&self) -> usize {
        let (left, right) = self.load();
        assert_eq!(left, right, "a part of a batch");
        left
    }

    fn load(&self) -> (usize, usize) {
        (self.left.load(Relaxed), self.right.load(Relaxed))
    }

    fn half(&self, half: Half) -> &AtomicUsize {
        match half {
            Half::Left => &self.left,
            Half::Right => &self.right,
        }
    }

    fn change(&mut self, half: Half, change: impl FnOnce(&mut usize)) {
        match half {
            Half::Left => self.left.with_mut(change),
            Half::Right => self.right.with_mut(change),
        }
    }
}

impl Clone for Halves {
    fn clone(&self) -> Self {
        let (left, right) = self.load();
        Self::new(left, right, self.most_steps)
    }

    fn clone_from(&mut self, newest: &Self) {
        self.follow(newest, vec![Half::Left, Half::Right]);
    }
}

impl Follow<Half> for Halves {
    fn follow(&mut self, newest: &Self, steps: Vec<Half>) {
        for half in steps {
            let value = newest.half(half).load(Relaxed);
            self.change(half, |digits| *digits = value);
        }
    }

    fn most_steps(&self) -> usize {
        self.most_steps
    }
}

/// The writer, and what it knows to be the truth.
struct Writer {
    copies: TwoCopies<Halves, Half>,
    /// Both halves, with every change.
    made: (usize, usize),
    /// All batches published, once there is a reader.
    shown: Option<usize>,
}

impl Writer {
    fn new(most_steps: usize) -> Self {
        Self { copies: TwoCopies::new(Halves::new(0, 0, most_steps)), made: (0, 0), shown: None }
    }

    fn reader(&mut self) -> Reading {
        let whole = self.made.0;
        self.shown.get_or_insert(whole);
        let published = self.copies.published().clone();
        self.check();
        Reading { published, seen: 0 }
    }

    /// Makes batch `digit`, without publishing it.
    fn change(&mut self, digit: usize) {
        self.change_half(Half::Left, digit);
        self.change_half(Half::Right, digit);
    }

    fn change_half(&mut self, half: Half, digit: usize) {
        let made = self.made;
        self.copies.edit(|halves, touched| {
            assert_eq!(halves.load(), made, "what is changed has every change before");
            halves.change(half, |digits| *digits = *digits * 10 + digit);
            touched(half);
        });
        let made = match half {
            Half::Left => &mut self.made.0,
            Half::Right => &mut self.made.1,
        };
        *made = *made * 10 + digit;
        self.check();
    }

    fn publish(&mut self) {
        self.copies.publish();
        if let Some(shown) = &mut self.shown {
            *shown = self.made.0;
        }
        self.check();
    }

    fn check(&self) {
        assert_eq!(self.copies.current().load(), self.made, "the writer sees every change at once");
        assert_eq!(self.copies.has_pending(), self.shown.is_some_and(|shown| (shown, shown) != self.made));
        assert_eq!(self.copies.all().count(), 1 + usize::from(self.shown.is_some()));
    }

    /// Both copies are equal in the end.
    fn finish(mut self) {
        self.publish();
        let made = self.made;
        assert_eq!(self.copies.current().load(), made);
        self.copies.edit(|back, _| assert_eq!(back.load(), made));
    }
}

struct Reading {
    published: Arc<Published<Halves>>,
    /// The state that was loaded last.
    seen: usize,
}

impl Reading {
    fn load(&mut self) -> Arc<Halves> {
        let halves = self.published.load();
        let state = halves.state();
        assert!([0, 1, 12, 123].contains(&state), "{state} was never published");
        assert!(state >= self.seen, "back from {} to {state}", self.seen);
        self.seen = state;
        halves
    }

    fn start(mut self, loads: usize) -> JoinHandle<()> {
        thread::spawn(move || {
            for _ in 0..loads {
                self.load();
            }
        })
    }
}

/// So many are never needed: the copy that is behind is told what was touched.
const MANY: usize = 8;
/// One batch is more than is written down: the copy that is behind becomes a clone.
const FEW: usize = 1;

/// Runs `execution` in every order of its steps that matters, or only in those with up to `switches` switches from a
/// thread that could go on.
fn model(name: &str, switches: Option<usize>, execution: impl Fn() + Send + Sync + 'static) {
    let count = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = count.clone();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = switches.map(|switches| builder.preemption_bound.unwrap_or(switches));
    builder.check(move || {
        let count = counted.fetch_add(1, Relaxed);
        assert!(switches.is_some() || count < 20_000, "too many orders to try them all");
        execution();
    });
    println!("{name}: {} executions", count.load(Relaxed));
}

fn one_reader(most_steps: usize) {
    let mut writer = Writer::new(most_steps);
    let reader = writer.reader().start(3);
    for digit in 1..=3 {
        writer.change(digit);
        writer.publish();
    }
    reader.join().unwrap();
    writer.finish();
}

#[test]
fn a_reader_sees_whole_batches_in_their_order() {
    model("one reader", None, || one_reader(MANY));
    model("one reader, clones", None, || one_reader(FEW));
}

#[test]
fn two_readers_see_whole_batches_in_their_order() {
    model("two readers", Some(3), || {
        let mut writer = Writer::new(MANY);
        let readers = [(); 2].map(|()| writer.reader().start(2));
        for digit in 1..=2 {
            writer.change(digit);
            writer.publish();
        }
        readers.into_iter().for_each(|reader| reader.join().unwrap());
        writer.finish();
    });
}

/// The reader holds two copies, perhaps of different times, until the writer is through. If the writer ever waited for
/// it, none of the two would end, and loom would say so.
#[test]
fn what_a_reader_holds_stays_and_the_writer_does_not_wait() {
    model("held", None, || {
        let mut writer = Writer::new(MANY);
        let mut reading = writer.reader();
        let writer = thread::spawn(move || {
            for digit in 1..=3 {
                writer.change(digit);
                writer.publish();
            }
            writer
        });
        let held = [(); 2].map(|()| {
            let copy = reading.load();
            (copy.state(), copy)
        });
        let writer = writer.join().unwrap();
        for (state, copy) in held {
            assert_eq!(copy.state(), state);
        }
        assert_eq!(reading.load().state(), 123);
        writer.finish();
    });
}

#[test]
fn the_first_reader_may_come_late_and_between_batches() {
    model("late", None, || {
        let mut writer = Writer::new(MANY);
        writer.change(1);
        writer.publish();
        writer.change(2);
        assert_eq!(writer.copies.heap(), 0, "nothing is written down for nobody");

        let mut first = writer.reader();
        assert_eq!(first.load().state(), 12, "the first reader sees all there was");
        let first = first.start(2);
        writer.change(3);

        let mut second = writer.reader();
        assert_eq!(second.load().state(), 12, "the second one sees what is published");
        writer.publish();
        assert_eq!(second.load().state(), 123);
        first.join().unwrap();
        writer.finish();
    });
}

/// Copies that the writer gives away amid a batch are held while it goes on.
#[test]
fn what_the_writer_gives_away_stays() {
    model("given away", Some(3), || {
        let mut writer = Writer::new(MANY);
        let reader = writer.reader().start(2);
        let mut holders = Vec::new();
        for digit in 1..=3 {
            writer.change_half(Half::Left, digit);
            let (copy, made) = (writer.copies.current().clone(), writer.made);
            holders.push(thread::spawn(move || {
                assert_eq!(copy.load(), made);
                assert_eq!(copy.load(), made);
            }));
            writer.change_half(Half::Right, digit);
            if digit != 2 {
                writer.publish();
            }
        }
        holders.into_iter().for_each(|holder| holder.join().unwrap());
        reader.join().unwrap();
        writer.finish();
    });
}

#[test]
fn the_copies_are_equal_after_a_publish_unless_one_is_held() {
    model("equal", None, || {
        let mut writer = Writer::new(MANY);
        let mut reading = writer.reader();
        writer.change(1);
        assert!(writer.copies.heap() > 0);
        writer.publish();
        assert_eq!(writer.copies.heap(), 0, "no step is left to be taken");

        let held = reading.load();
        writer.change(2);
        writer.publish();
        assert!(writer.copies.heap() > 0);
        drop(held);
        writer.change(3);
        writer.publish();
        assert_eq!(writer.copies.heap(), 0);
        writer.finish();
    });
}
