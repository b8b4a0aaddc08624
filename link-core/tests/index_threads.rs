//! Readers on other threads: each call sees one published state, whole; no state comes before an earlier one; nobody
//! waits for anybody.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, in what its functions call as well"
)]

mod index_engines;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Barrier,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use index_engines::{Engine, Oracle, Pair, Random, Read, Way, filter, numbered, pairs_of, sorted, topic};
use link_core::{
    index::{Cursor, FilterIndex, Matches, Reader, Snapshot},
    topic::TopicFilter,
};

/// Whoever waits longer than that waits for ever.
const FOR_EVER: Duration = Duration::from_secs(120);

/// A value in the index says: this filter, in this state.
fn value(state: u32, place: usize) -> u32 {
    state * 16 + place as u32
}

/// Each state has one value of each of these: with and without wildcards, in different leaves of different trees.
const FILTERS: [&str; 8] = ["a/b", "a/+", "a/#", "+/b", "#", "a/b/#", "other/topic", "other/+/#"];
/// So many of them match.
const TOPICS: [(&str, usize); 2] = [("a/b", 6), ("other/topic", 3)];

/// The state that a reader saw: the same in all values of all topics.
fn state_of(topics: &[&str], values: &[Vec<u32>], last: u32) -> u32 {
    let mut state = None;
    for (topic, values) in topics.iter().zip(values) {
        let (_, count) = TOPICS.iter().find(|(text, _)| text == topic).unwrap();
        let states: Vec<u32> = values.iter().map(|value| value / 16).collect();
        assert!(states.len() == *count && states.iter().all(|&other| other == states[0]), "half a batch: {states:?}");
        assert_eq!(*state.get_or_insert(states[0]), states[0], "two topics of one batch, two states");
    }
    let state = state.unwrap();
    assert!(state >= last, "back in time: {state} after {last}");
    state
}

/// Reads in turn in every way there is. The last state that was seen, and how many.
fn watch(reader: &Reader<u32>, stop: &AtomicBool, noise: usize) -> (u32, usize) {
    let (mut last, mut seen, mut matches) = (0, 0, Matches::new());
    for turn in 0.. {
        let is_last = stop.load(Ordering::SeqCst);
        let before = last;
        last = match turn % 6 {
            0 => {
                let mut values = Vec::new();
                reader.for_each_match("a/b", |&value| values.push(value));
                state_of(&["a/b"], &[values], last)
            }
            1 => {
                let mut values = Vec::new();
                reader.for_each_slice("other/topic", |slice| values.extend_from_slice(slice));
                state_of(&["other/topic"], &[values], last)
            }
            2 => {
                reader.matches_into("a/b", &mut matches);
                state_of(&["a/b"], &[matches.as_slice().to_vec()], last)
            }
            3 => {
                // More topics than are looked up side by side.
                let topics: Vec<&str> = (0..40).map(|at| TOPICS[at % 2].0).collect();
                reader.matches_batch(&topics, &mut matches);
                let values: Vec<_> = (0..topics.len()).map(|at| matches.of(at).to_vec()).collect();
                state_of(&topics, &values, last)
            }
            4 => {
                let snapshot = reader.snapshot();
                assert_eq!(snapshot.len(), FILTERS.len() + noise);
                let values = snapshot.matches(Way::Each, &[topic("a/b"), topic("other/topic")]);
                let state = state_of(&["a/b", "other/topic"], &values, last);
                let marks = [FILTERS[0], FILTERS[4], FILTERS[7]].map(filter);
                let marks = marks.iter().flat_map(|mark| snapshot.covered_by(mark)).collect::<Vec<_>>();
                assert!(marks.iter().filter(|(f, _)| f.as_str() == "#").all(|&(_, value)| value / 16 == state));
                state
            }
            _ => {
                assert_eq!(reader.len(), FILTERS.len() + noise);
                assert!(reader.is_match("a/b") && !reader.is_empty());
                last
            }
        };
        seen += usize::from(last > before);
        if is_last && turn % 6 == 4 {
            break;
        }
    }
    (last, seen)
}

#[test]
fn readers_see_whole_states_in_order() {
    let noise = 2_000;
    let mut index = FilterIndex::new(3);
    for n in 0..noise {
        let text = if n % 2 == 0 { format!("noise/{n}") } else { format!("noise/{n}/+") };
        index.insert(&filter(text), 1);
    }
    let filters = FILTERS.map(filter);
    for (place, filter) in filters.iter().enumerate() {
        index.insert(filter, value(0, place));
    }
    let reader = index.reader();
    let stop = AtomicBool::new(false);
    let last = thread::scope(|scope| {
        let readers: Vec<_> = (0..3)
            .map(|_| {
                let reader = reader.clone();
                scope.spawn(|| {
                    let reader = reader;
                    watch(&reader, &stop, noise)
                })
            })
            .collect();
        let (start, mut state) = (Instant::now(), 0);
        let mut random = Random(5);
        while state < 400 || start.elapsed() < Duration::from_secs(2) {
            // All of it at once: each filter gets the value of the next state, and some noise goes and comes.
            let mut order: Vec<usize> = (0..filters.len()).collect();
            random.shuffle(&mut order);
            for place in order {
                assert!(index.insert(&filters[place], value(state + 1, place)));
                assert!(index.remove(&filters[place], &value(state, place)));
            }
            let n = random.below(noise);
            let text = if n.is_multiple_of(2) { format!("noise/{n}") } else { format!("noise/{n}/+") };
            assert!(index.remove(&filter(&text), &1));
            assert!(index.insert(&filter(&text), 1));
            state += 1;
            index.publish();
            if state % 64 == 0 {
                thread::yield_now();
            }
        }
        stop.store(true, Ordering::SeqCst);
        for reader in readers {
            let (last, seen) = reader.join().unwrap();
            assert_eq!(last, state, "what was published before the end is seen at the end");
            assert!(seen > 5, "a reader saw only {seen} states");
        }
        state
    });
    let expected = sorted(FILTERS.iter().enumerate().map(|(place, text)| (filter(text), value(last, place))));
    let found: Vec<Pair> = sorted(index.iter().filter(|(filter, _)| !filter.as_str().starts_with("noise")));
    assert_eq!(found, expected);
}

/// Leaves split and merge while readers look: a topic that has always matched does so in every state.
#[test]
fn growing_and_shrinking_hides_nothing_from_readers() {
    let steady: Vec<Pair> = numbered((0..300).map(|n| match n % 3 {
        0 => format!("crowd/{n}"),
        1 => format!("crowd/{n}/+"),
        _ => format!("+/{n}/x/#"),
    }));
    let mut index = FilterIndex::build(4, steady.clone());
    let reader = index.reader();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let readers: Vec<_> = (0..2u64)
            .map(|seed| {
                let (reader, steady, stop) = (reader.clone(), &steady, &stop);
                scope.spawn(move || {
                    let (mut random, mut matches, mut rounds) = (Random(seed + 1), Matches::new(), 0);
                    while !stop.load(Ordering::SeqCst) || rounds < 10 {
                        let some: Vec<&Pair> = (0..20).map(|_| random.pick(steady)).collect();
                        let topics: Vec<_> = some.iter().map(|(f, _)| random.topic_of(f, &["x", "y"])).collect();
                        reader.matches_batch(&topics, &mut matches);
                        for (at, (filter, value)) in some.iter().enumerate() {
                            assert!(matches.of(at).contains(value), "{filter} and {}", topics[at]);
                        }
                        rounds += 1;
                    }
                })
            })
            .collect();
        for round in 0..4u32 {
            let others: Vec<TopicFilter> = (0..2_500)
                .map(|n| filter(if n % 2 == 0 { format!("crowd/o-{n}") } else { format!("crowd/o-{n}/+") }))
                .collect();
            for (at, other) in others.iter().enumerate() {
                assert!(index.insert(other, round));
                if at % 7 == 0 {
                    index.publish();
                }
            }
            for (at, other) in others.iter().enumerate() {
                assert!(index.remove(other, &round));
                if at % 5 == 0 {
                    index.publish();
                }
            }
        }
        stop.store(true, Ordering::SeqCst);
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
    index.publish();
    assert_eq!(reader.len(), steady.len());
}

/// The writer's work, on a thread of its own: it must end while somebody holds on to something.
fn writes_without_waiting(index: &mut FilterIndex<u32>, while_held: impl FnOnce(&dyn Fn())) {
    let (done, is_done) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            for round in 0..200 {
                for n in 0..10 {
                    index.insert(&filter(format!("written/{n}")), round);
                    index.insert(&filter(format!("written/{n}/+")), round);
                }
                index.publish();
            }
            done.send(()).unwrap();
        });
        while_held(&|| {
            assert_eq!(is_done.recv_timeout(FOR_EVER), Ok(()), "the writer waits");
        });
    });
}

#[test]
fn a_held_snapshot_does_not_block_the_writer() {
    let pairs = numbered(["a/b", "a/+", "#"]);
    let mut index = FilterIndex::build(1, pairs.clone());
    let reader = index.reader();
    let held = (index.snapshot(), reader.snapshot());
    // They go when the closure ends, also if it fails.
    writes_without_waiting(&mut index, move |wait| {
        wait();
        for snapshot in [&held.0, &held.1] {
            assert_eq!(pairs_of(snapshot, 3), Oracle::new(&pairs).pairs());
            let found = snapshot.matches(Way::Each, &[topic("a/b"), topic("written/1")]);
            assert_eq!(found, [vec![0, 1, 2], vec![2]]);
        }
    });
    assert_eq!(reader.len(), 3 + 200 * 20);
}

#[test]
fn a_slow_reader_does_not_block_the_writer() {
    let mut index = FilterIndex::build(1, numbered(["a/b", "a/+", "#"]));
    let reader = index.reader();
    writes_without_waiting(&mut index, |wait| {
        let mut values = Vec::new();
        reader.for_each_match("a/b", |&value| {
            if values.is_empty() {
                // All that the writer has to do is done while this call is on.
                wait();
                assert_eq!(reader.len(), 3 + 200 * 20);
            }
            values.push(value);
        });
        assert_eq!(sorted(values), [0, 1, 2]);
    });
    let mut values = Vec::new();
    reader.for_each_match("written/1", |&value| values.push(value));
    assert_eq!(values.len(), 201);
}

#[test]
fn a_slow_reader_of_slices_does_not_block_the_writer() {
    let mut index = FilterIndex::build(1, numbered(["a/b", "a/+", "#"]));
    let reader = index.reader();
    writes_without_waiting(&mut index, |wait| {
        let mut values = Vec::new();
        reader.for_each_slice("a/b", |slice| {
            if values.is_empty() {
                wait();
            }
            values.extend_from_slice(slice);
        });
        assert_eq!(sorted(values), [0, 1, 2]);
    });
}

/// Far more at once than any fixed number of places for readers would hold.
#[test]
fn many_readers_at_work_at_once() {
    let count = 200;
    let mut index = FilterIndex::build(1, numbered(["a/b", "#"]));
    let reader = index.reader();
    let (all_in, written) = (Barrier::new(count + 1), Barrier::new(count + 1));
    thread::scope(|scope| {
        for _ in 0..count {
            let (reader, all_in, written) = (reader.clone(), &all_in, &written);
            let work = move || {
                let mut values = Vec::new();
                reader.for_each_match("a/b", |&value| {
                    if values.is_empty() {
                        all_in.wait();
                        written.wait();
                    }
                    values.push(value);
                });
                assert_eq!(sorted(values), [0, 1], "what was there when the call began");
                assert!(!reader.is_match("a/b"));
            };
            thread::Builder::new().stack_size(256 * 1024).spawn_scoped(scope, work).unwrap();
        }
        all_in.wait();
        for round in 0..50 {
            index.insert(&filter("b/+"), round);
            index.publish();
        }
        assert!(index.remove(&filter("a/b"), &0) && index.remove(&filter("#"), &1));
        index.publish();
        written.wait();
    });
}

/// A call inside a call sees a state that is no older.
#[test]
fn calls_inside_calls() {
    let mut index = FilterIndex::build(1, numbered(["a", "+"]));
    let reader = index.reader();
    let mut depth = 0;
    reader.for_each_match("a", |_| {
        depth += 1;
        index.insert(&filter("#"), 10 + depth);
        index.publish();
        let mut inner = Vec::new();
        reader.for_each_match("a", |&value| {
            inner.push(value);
            index.remove(&filter("a"), &0);
            index.publish();
        });
        assert!(inner.contains(&(10 + depth)));
        assert!(!reader.snapshot().matches(Way::Into, &[topic("a")])[0].contains(&0));
    });
    assert_eq!(depth, 2, "the outer call sees what was there when it began");
    assert_eq!(sorted(index.iter().map(|(_, value)| value)), [1, 11, 12]);
}

/// A reader that panics in its closure harms neither the writer nor the others.
#[test]
fn a_reader_that_panics_harms_nobody() {
    let mut index = FilterIndex::build(1, numbered(["a", "+", "#"]));
    let reader = index.reader();
    for round in 0..50 {
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            reader.for_each_match("a", |_| std::panic::resume_unwind(Box::new("on purpose")));
        }));
        assert!(panicked.is_err());
        assert!(index.insert(&filter("a"), 100 + round));
        index.publish();
        assert_eq!(reader.matches(Way::Into, &[topic("a")])[0].len(), 4 + round as usize);
    }
}

/// Pictures of every state, looked at and dropped by other threads in any order.
#[test]
fn snapshots_stay_as_they_are_on_other_threads() {
    let mut index = FilterIndex::new(1);
    let reader = index.reader();
    let checked = AtomicUsize::new(0);
    let sent = thread::scope(|scope| {
        let (mut senders, mut sent) = (Vec::new(), 0);
        for _ in 0..2 {
            let (sender, receiver) = mpsc::sync_channel::<(Snapshot<u32>, Vec<Pair>)>(30);
            senders.push(sender);
            let checked = &checked;
            scope.spawn(move || {
                let mut held: Vec<(Snapshot<u32>, Vec<Pair>)> = Vec::new();
                let mut random = Random(7);
                let check = |(snapshot, pairs): &(Snapshot<u32>, Vec<Pair>)| {
                    assert!(pairs_of(snapshot, pairs.len()) == *pairs);
                    checked.fetch_add(1, Ordering::SeqCst);
                };
                for received in receiver {
                    held.push(received);
                    check(random.pick(&held));
                    if held.len() > 20 {
                        let old = held.swap_remove(random.below(held.len()));
                        check(&old);
                    }
                }
                held.iter().for_each(check);
            });
        }
        let (mut random, mut oracle) = (Random(9), Oracle::default());
        for round in 0..400 {
            for _ in 0..5 {
                let n = random.below(300);
                let (filter, value) = (filter(format!("a/{n}{}", if n % 3 == 0 { "/+" } else { "" })), n as u32 % 5);
                if oracle.insert(&filter, value) {
                    assert!(index.insert(&filter, value));
                } else {
                    assert!(oracle.remove(&filter, value) && index.remove(&filter, &value));
                }
            }
            index.publish();
            let snapshot = if round % 2 == 0 { index.snapshot() } else { reader.snapshot() };
            senders[round % 2].send((snapshot, oracle.pairs())).unwrap();
            sent += 1;
        }
        sent
    });
    assert!(checked.load(Ordering::SeqCst) > sent);
}

/// Readers and pictures outlive the writer, on their own threads.
#[test]
fn readers_outlive_the_writer() {
    let mut index = FilterIndex::build(1, numbered(["a/b", "a/+"]));
    let reader = index.reader();
    let snapshot = index.snapshot();
    index.insert(&filter("#"), 9);
    let (gone, is_gone) = mpsc::channel::<()>();
    let reading = thread::spawn(move || {
        assert_eq!(is_gone.recv_timeout(FOR_EVER), Ok(()));
        let found = [reader.matches(Way::Into, &[topic("a/b")]), snapshot.matches(Way::Into, &[topic("a/b")])];
        drop((reader, snapshot));
        found
    });
    drop(index);
    gone.send(()).unwrap();
    // What was never published is never seen.
    assert_eq!(reading.join().unwrap(), [[[0, 1]], [[0, 1]]]);
}

/// The writer may move between threads, and so may everything else.
#[test]
fn all_of_it_goes_to_other_threads() {
    fn send<T: Send>() {}
    fn share<T: Sync>() {}
    send::<FilterIndex<u32>>();
    share::<FilterIndex<u32>>();
    send::<Reader<u32>>();
    share::<Reader<u32>>();
    send::<Snapshot<u32>>();
    share::<Snapshot<u32>>();
    send::<Cursor<u32>>();
    send::<Matches<u32>>();

    let mut index = FilterIndex::new(1);
    let reader = index.reader();
    for round in 0..20 {
        index = thread::spawn(move || {
            index.insert(&filter("a/+"), round);
            index.publish();
            index
        })
        .join()
        .unwrap();
        assert_eq!(reader.len(), round as usize + 1);
    }
}
