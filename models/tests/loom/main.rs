//! `TwoCopies`, which shows a topic index to its readers, in every order of steps that loom finds to matter.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

mod cell;
#[path = "../../../link-core/src/index/publish.rs"]
mod publish;

use loom::{
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    thread,
};

use cell::{Arc, Published};
use publish::{Replay, TwoCopies};

/// What is copied: two halves, each the list of all changes to it as the digits of a number. Batch `n` appends digit `n`
/// to both, so a state is whole if they are equal, and a change that is lost or made twice shows for ever.
///
/// The halves are atomic only so that loom sees who reads and who writes. Loads are relaxed and writes ask for exclusive
/// access, so loom objects unless something else has put the one before the other.
#[derive(Debug, Default)]
struct Halves {
    left: AtomicUsize,
    right: AtomicUsize,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Left(usize),
    Right(usize),
}

impl Halves {
    /// The whole state that this is.
    fn state(&self) -> usize {
        let (left, right) = self.halves();
        assert_eq!(left, right, "a part of a batch");
        left
    }

    fn halves(&self) -> (usize, usize) {
        (self.left.load(Relaxed), self.right.load(Relaxed))
    }
}

impl Clone for Halves {
    fn clone(&self) -> Self {
        let (left, right) = self.halves();
        Self { left: AtomicUsize::new(left), right: AtomicUsize::new(right) }
    }
}

impl Replay<Step> for Halves {
    fn replay(&mut self, step: Step) {
        let (half, digit) = match step {
            Step::Left(digit) => (&mut self.left, digit),
            Step::Right(digit) => (&mut self.right, digit),
        };
        half.with_mut(|digits| *digits = *digits * 10 + digit);
    }
}

/// The writer, and what it knows to be the truth.
struct Writer {
    copies: TwoCopies<Halves, Step>,
    /// All batches made, those in `shown` first.
    made: (usize, usize),
    /// All batches published, once there is a reader.
    shown: Option<usize>,
}

impl Writer {
    fn new() -> Self {
        Self { copies: TwoCopies::new(Halves::default()), made: (0, 0), shown: None }
    }

    fn reader(&mut self) -> Arc<Published<Halves>> {
        let whole = self.made.0;
        self.shown.get_or_insert(whole);
        let reader = self.copies.published().clone();
        self.check();
        reader
    }

    /// Makes batch `digit`, without publishing it.
    fn change(&mut self, digit: usize) {
        for step in [Step::Left(digit), Step::Right(digit)] {
            let (halves, log) = self.copies.edit();
            assert_eq!(halves.halves(), self.made, "what is changed has all changes before");
            halves.replay(step);
            assert_eq!(log.is_some(), self.shown.is_some(), "steps are written down for readers only");
            log.into_iter().for_each(|log| log.push(step));
            let made = match step {
                Step::Left(_) => &mut self.made.0,
                Step::Right(_) => &mut self.made.1,
            };
            *made = *made * 10 + digit;
            self.check();
        }
    }

    fn publish(&mut self) {
        self.copies.publish();
        if let Some(shown) = &mut self.shown {
            *shown = self.made.0;
        }
        self.check();
    }

    fn check(&self) {
        assert_eq!(self.copies.current().halves(), self.made, "the writer sees every change at once");
        assert_eq!(self.copies.has_pending(), self.shown.is_some_and(|shown| (shown, shown) != self.made));
        assert_eq!(self.copies.count(), 1 + usize::from(self.shown.is_some()));
    }

    /// Both copies are equal in the end.
    fn finish(mut self) {
        self.publish();
        let (back, _) = self.copies.edit();
        assert_eq!(back.halves(), self.made);
    }
}

/// What one reader has seen last, in two loads.
struct Reading {
    published: Arc<Published<Halves>>,
    seen: usize,
}

impl Reading {
    fn new(published: Arc<Published<Halves>>) -> Self {
        Self { published, seen: 0 }
    }

    fn load(&mut self) -> Arc<Halves> {
        let halves = self.published.load();
        let state = halves.state();
        assert!([0, 1, 12, 123].contains(&state), "{state} was never published");
        assert!(state >= self.seen, "back from {} to {state}", self.seen);
        self.seen = state;
        halves
    }
}

/// Runs `execution` in every order of its steps that matters.
fn model(name: &str, bound: Option<usize>, execution: impl Fn() + Send + Sync + 'static) {
    let count = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = count.clone();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(bound);
    builder.check(move || {
        counted.fetch_add(1, Relaxed);
        execution();
    });
    println!("{name}: {} executions", count.load(Relaxed));
}

#[test]
fn readers_see_whole_batches_in_their_order() {
    model("one reader", None, || {
        let mut writer = Writer::new();
        let mut reading = Reading::new(writer.reader());
        let reader = thread::spawn(move || {
            for _ in 0..3 {
                reading.load();
            }
        });
        for digit in 1..=3 {
            writer.change(digit);
            writer.publish();
        }
        reader.join().unwrap();
        writer.finish();
    });
    model("two readers", Some(4), || {
        let mut writer = Writer::new();
        let published = writer.reader();
        let readers = [(); 2].map(|()| {
            let mut reading = Reading::new(published.clone());
            thread::spawn(move || {
                for _ in 0..2 {
                    reading.load();
                }
            })
        });
        drop(published);
        for digit in 1..=2 {
            writer.change(digit);
            writer.publish();
        }
        readers.into_iter().for_each(|reader| reader.join().unwrap());
        writer.finish();
    });
}

/// The reader holds two copies, of different times if it comes to that, until the writer is through: did the writer ever
/// wait for it, none of the two would end, which loom reports.
#[test]
fn what_a_reader_holds_stays_and_the_writer_does_not_wait() {
    model("held", None, || {
        let mut writer = Writer::new();
        let mut reading = Reading::new(writer.reader());
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
        let mut writer = Writer::new();
        writer.change(1);
        writer.publish();
        writer.change(2);
        assert_eq!(writer.copies.heap(), 0, "nothing is written down for nobody");

        let mut first = Reading::new(writer.reader());
        let first = thread::spawn(move || {
            assert!(first.load().state() >= 12, "the first reader sees all there was");
            first.load();
        });
        writer.change(3);

        let mut second = Reading::new(writer.reader());
        assert_eq!(second.load().state(), 12, "the second one sees what is published");
        writer.publish();
        assert_eq!(second.load().state(), 123);
        first.join().unwrap();
        writer.finish();
    });
}

/// A picture of changes that are not published is held while they are published and others follow.
#[test]
fn what_the_writer_shows_around_stays() {
    model("pictures", Some(4), || {
        let mut writer = Writer::new();
        let mut reading = Reading::new(writer.reader());
        let reader = thread::spawn(move || {
            let guard = reading.load();
            let state = guard.state();
            reading.load();
            assert_eq!(guard.state(), state);
        });
        let mut pictures = Vec::new();
        for digit in 1..=3 {
            writer.change(digit);
            let picture = writer.copies.current().clone();
            pictures.push(thread::spawn(move || {
                let state = picture.state();
                assert_eq!(picture.state(), state);
                state
            }));
            if digit != 2 {
                writer.publish();
            }
        }
        let pictures: Vec<usize> = pictures.into_iter().map(|picture| picture.join().unwrap()).collect();
        assert_eq!(pictures, [1, 12, 123]);
        reader.join().unwrap();
        writer.finish();
    });
}
