//! The writer of a route set.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where it is wrong")]

mod routes_model;

use std::collections::BTreeSet;

use link_core::{
    routes::Resume,
    topic::TopicFilter,
    wire::{RouteOp, RoutePosition},
};
use proptest::prelude::*;
use routes_model::*;

#[test]
fn only_the_first_and_the_last_want_of_a_route_are_changes() {
    let mut log = log(&["a/+"], 16);
    log.apply(&[added("a/b"), added("+/b")]);
    assert_eq!(ops_since(&log, 0), [RouteOp::Add(filter("a/b"))]);
    log.apply(&[removed("a/b")]);
    assert_eq!(log.position().seq, 1);
    log.apply(&[removed("+/b")]);
    assert_eq!(ops_since(&log, 1), [RouteOp::Remove(filter("a/b"))]);
    log.apply(&[removed("+/b"), removed("nobody/wanted")]);
    assert_eq!(log.position().seq, 2);
}

#[test]
fn a_withdrawn_cover_stands_behind_what_it_hid() {
    let mut log = log(&["#"], 16);
    log.apply(&[added("a/1")]);
    log.apply(&[added("a/#")]);
    log.apply(&[added("a/2"), added("a/3/+"), added("a/3/x")]);
    assert_eq!((log.hidden(), log.position().seq), (3, 2));
    log.apply(&[removed("a/#")]);
    // `a/3/+` goes on to hide `a/3/x`.
    let expected = [RouteOp::Add(filter("a/2")), RouteOp::Add(filter("a/3/+")), RouteOp::Remove(filter("a/#"))];
    assert_eq!(ops_since(&log, 2), expected);
    assert_eq!(log.hidden(), 1);
}

#[test]
fn a_cover_that_comes_and_goes_costs_two_changes() {
    let mut log = log(&["#"], 4096);
    let many: Vec<_> = (0..1000).map(|n| added(&format!("dev/{n}"))).collect();
    log.apply(&many);
    log.apply(&[added("#")]);
    log.apply(&[removed("#")]);
    assert_eq!(log.position().seq, 1002);
}

#[test]
fn one_step_replaces_a_cover_by_another_without_showing_what_both_hide() {
    let mut log = log(&["#"], 16);
    log.apply(&[added("a/#")]);
    log.apply(&[added("a/b")]);
    log.apply(&[removed("a/#"), added("a/+")]);
    assert_eq!(ops_since(&log, 1), [RouteOp::Add(filter("a/+")), RouteOp::Remove(filter("a/#"))]);
}

#[test]
fn topics_change_by_ordinary_changes_additions_first() {
    let mut writer = Writer::new(log(&["a/#", "c"], 64));
    writer.toggle(&[filter("a/1"), filter("b/1"), filter("c")]);
    writer.set_imports(vec![filter("b/#"), filter("c")]);
    assert_eq!(ops_since(&writer.log, 2), [RouteOp::Add(filter("b/1")), RouteOp::Remove(filter("a/1"))]);
    assert_eq!(writer.log.position().incarnation, life(1));
    // A doubled topic counts once, and leaves nothing behind.
    writer.set_imports(vec![filter("b/#"), filter("b/#"), filter("b/+")]);
    writer.toggle(&[filter("b/1")]);
    assert_eq!(writer.now(), set(&[]));
}

#[test]
fn a_tail_that_is_longer_than_the_set_gives_way_to_a_snapshot() {
    let mut log = log(&["#"], 65_536);
    let all = |change: fn(&str) -> _| (0..500).map(|n| change(&format!("dev/{n}"))).collect::<Vec<_>>();
    log.apply(&[added("first")]);
    let first = log.position();
    log.apply(&all(added));
    assert_eq!(log.resume(Some(&first)), Resume::Tail { from: 1 });
    log.apply(&all(removed));
    assert_eq!(log.resume(Some(&first)), Resume::Snapshot, "1,000 changes for a set of one");
    let full = log.position();
    log.apply(&[added("a"), added("b")]);
    assert_eq!(log.resume(Some(&full)), Resume::Tail { from: 1001 }, "a few changes");
}

#[test]
fn a_resume_is_as_short_as_the_ring_allows() {
    let mut log = log(&["#"], 2);
    let start = log.position();
    log.apply(&[added("a")]);
    let first = log.position();
    assert_eq!(log.resume(Some(&first)), Resume::UpToDate);
    assert_eq!(log.resume(Some(&start)), Resume::Tail { from: 0 });
    assert_eq!(log.resume(None), Resume::Snapshot);
    log.apply(&[added("b"), added("c")]);
    assert_eq!(log.resume(Some(&start)), Resume::Snapshot, "the ring keeps two changes");
    assert_eq!(log.resume(Some(&first)), Resume::Tail { from: 1 });
    let second = RoutePosition { seq: 2, ..log.since(1, 0).unwrap().to };
    assert_eq!(log.resume(Some(&second)), Resume::Tail { from: 2 });
    let diverged = RoutePosition { digest: first.digest, ..second };
    assert_eq!(log.resume(Some(&diverged)), Resume::Snapshot, "the same point with another digest");
    assert_eq!(log.resume(Some(&RoutePosition { count: 9, ..log.position() })), Resume::Snapshot);
    assert_eq!(log.resume(Some(&RoutePosition { seq: 9, ..second })), Resume::Snapshot, "of the future");
    log.raise(life(2));
    assert_eq!(log.resume(Some(&second)), Resume::Snapshot, "of another life");
    assert_eq!(log.position(), RoutePosition { incarnation: life(2), ..log.position() });
}

#[test]
fn a_snapshot_is_void_when_what_has_to_follow_it_is_lost() {
    let mut log = log(&["#"], 3);
    log.apply(&[added("a"), added("b"), added("c")]);
    let mut snapshot = log.snapshot();
    assert_eq!(snapshot.next_part(&log, 0).unwrap().filters, [filter("a")]);
    log.apply(&[added("d"), added("e"), removed("b")]);
    assert_eq!(snapshot.next_part(&log, 0).unwrap().filters, [filter("b")]);
    log.apply(&[added("f")]);
    assert_eq!(snapshot.next_part(&log, 0), None);
    let mut snapshot = log.snapshot();
    log.raise(life(2));
    assert_eq!(snapshot.next_part(&log, 0), None);
}

#[test]
fn the_snapshot_of_nothing_is_one_empty_part() {
    let log = log(&["#"], 3);
    let mut snapshot = log.snapshot();
    let part = snapshot.next_part(&log, 100).unwrap();
    assert!(part.last && part.filters.is_empty() && part.to == log.position());
    assert_eq!(snapshot.next_part(&log, 100), None);
}

fn calls() -> impl Strategy<Value = Vec<Vec<TopicFilter>>> {
    prop::collection::vec(prop::collection::vec(filters(), 1..4), 1..25)
}

proptest! {
    /// I10: at each seq the set matches what is wanted, as if there were no covering.
    #[test]
    fn covering_changes_no_topic_at_any_seq(
        imports in prop::collection::vec(filters(), 1..4), calls in calls(), other in prop::collection::vec(filters(), 1..4)
    ) {
        let topics = universe();
        let mut log = link_core::routes::RouteLog::new(life(1), key(1), imports.clone(), 4096);
        let mut writer = Writer::new(log);
        let mut imports = imports;
        let last = calls.len();
        for (at, call) in calls.into_iter().map(Some).chain([None]).enumerate() {
            let before = reach(&wanted(&imports, &writer.interest), &topics);
            let from = writer.log.position().seq;
            match call {
                Some(filters) => writer.toggle(&filters),
                None => { imports.clone_from(&other); writer.set_imports(other.clone()); }
            }
            let after = reach(&wanted(&imports, &writer.interest), &topics);
            for seq in from..=writer.log.position().seq {
                let now = reach(&writer.history[&(life(1), seq)], &topics);
                for (topic, ((before, after), now)) in topics.iter().zip(before.iter().zip(&after).zip(&now)) {
                    prop_assert!(!(*before && *after) || *now, "{topic:?} is missing at {seq} in call {at} of {last}");
                    prop_assert!(!*now || *before || *after, "{topic:?} is too much at {seq}");
                }
            }
            prop_assert_eq!(reach(&writer.now(), &topics), after);
        }
        log = writer.log;
        prop_assert_eq!(log.position().count, log.announced().count() as u64);
    }

    /// Net changes of (from, to] lead to the set at `to` from the set at every seq of [from, to].
    #[test]
    fn a_delta_holds_from_every_seq_in_between(calls in calls(), from in any::<prop::sample::Index>(), bytes in 0usize..60) {
        let mut writer = Writer::new(log(&["#", "$x/#"], 4096));
        calls.iter().for_each(|filters| writer.toggle(filters));
        let from = from.index(writer.log.position().seq as usize + 1) as u64;
        let delta = writer.log.since(from, bytes).unwrap();
        prop_assert!(delta.to.seq > from || from == writer.log.position().seq);
        let expected = writer.at(&delta.to).clone();
        prop_assert_eq!(delta.to.count, expected.len() as u64);
        let touched: BTreeSet<_> = delta.ops.iter().map(filter_of).collect();
        prop_assert_eq!(touched.len(), delta.ops.len(), "one change for each filter");
        let removes = delta.ops.iter().position(|op| matches!(op, RouteOp::Remove(_))).unwrap_or(delta.ops.len());
        prop_assert!(delta.ops[removes..].iter().all(|op| matches!(op, RouteOp::Remove(_))));
        if delta.ops.len() > 1 {
            prop_assert!(delta.ops.iter().map(|op| filter_of(op).as_str().len() + 4).sum::<usize>() <= bytes);
        }
        for seq in from..=delta.to.seq {
            let mut set = writer.history[&(life(1), seq)].clone();
            apply(&mut set, &delta.ops);
            prop_assert_eq!(&set, &expected, "from {}", seq);
        }
    }

    /// A snapshot gives the set as it was at its beginning, whatever happens in the meantime.
    #[test]
    fn a_snapshot_is_of_one_moment(calls in calls(), meanwhile in calls(), bytes in 0usize..40) {
        let mut writer = Writer::new(log(&["#", "$x/#"], 4096));
        calls.iter().for_each(|filters| writer.toggle(filters));
        let (expected, position) = (writer.now(), writer.log.position());
        let mut snapshot = writer.log.snapshot();
        let mut meanwhile = meanwhile.into_iter();
        let mut sent = Vec::new();
        for number in 0.. {
            let part = snapshot.next_part(&writer.log, bytes).unwrap();
            prop_assert_eq!((part.to, part.part), (position, number));
            prop_assert!(part.filters.len() < 2 || part.filters.iter().map(|f| f.as_str().len() + 4).sum::<usize>() <= bytes);
            prop_assert!(!part.filters.is_empty() || expected.is_empty());
            sent.extend(part.filters);
            if part.last {
                break;
            }
            meanwhile.next().into_iter().for_each(|filters| writer.toggle(&filters));
        }
        prop_assert!(sent.is_sorted());
        prop_assert_eq!(sent, expected.into_iter().collect::<Vec<_>>());
    }
}
