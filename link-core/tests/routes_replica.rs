//! The reader of a route set: what each kind of step does, and what each kind of fault leaves as it was.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where it is wrong")]

mod routes_model;

use link_core::{
    index::FilterIndex,
    interest::InterestChange,
    routes::{Resume, RouteChange, RouteFault, RouteId, RouteLog, RouteReplica},
    topic::TopicFilter,
    wire::{
        CloseCode, Digest, Incarnation, RouteDelta, RouteDifference, RouteOp, RoutePosition, RoutePreadd, RouteSnapshot,
    },
};
use routes_model::*;

/// A reader with the table that its changes make, which is compared with what it says to count after each step.
struct Reader {
    replica: RouteReplica<u32>,
    index: FilterIndex<u32>,
    table: Table,
}

impl Reader {
    fn new(max_routes: usize) -> Self {
        let (mut replica, mut index) = (RouteReplica::new(1, max_routes), FilterIndex::new(7));
        // What others have there is theirs.
        index.insert(&filter("a"), 2);
        index.insert(&filter("theirs"), 2);
        replica.set_key(&mut index, key(1));
        Self { replica, index, table: Table::default() }
    }

    fn at(log: &RouteLog) -> Self {
        let mut reader = Self::new(1000);
        for part in all_parts(log) {
            reader.part(part).unwrap();
        }
        assert_eq!(reader.replica.position(), Some(log.position()));
        reader
    }

    fn delta(&mut self, delta: RouteDelta) -> Result<(), RouteFault> {
        let result = self.replica.apply_delta(&mut self.index, &delta);
        self.took(result)
    }

    fn part(&mut self, part: RouteSnapshot) -> Result<(), RouteFault> {
        let result = self.replica.apply_snapshot(&mut self.index, part);
        self.took(result)
    }

    fn preadd(&mut self, counter: u64, texts: &[&str]) -> Result<(), RouteFault> {
        let filters = texts.iter().map(|text| filter(text)).collect();
        let result = self.replica.apply_preadd(&mut self.index, RoutePreadd { incarnation: life(counter), filters });
        self.took(result)
    }

    fn took(&mut self, result: Result<Vec<RouteChange>, RouteFault>) -> Result<(), RouteFault> {
        let result = result.map(|changes| self.table.take(changes));
        let visible = self.replica.visible(&self.index);
        let indexed: Vec<TopicFilter> =
            self.index.iter().filter(|(_, value)| *value == 1).map(|(filter, _)| filter).collect();
        assert_eq!((indexed.len(), self.index.len()), (visible.len(), visible.len() + 2));
        assert_eq!(indexed.into_iter().collect::<Set>(), self.table.0);
        assert_eq!(visible.len(), self.table.0.len(), "each filter counts once");
        assert_eq!(visible.into_iter().collect::<Set>(), self.table.0);
        result
    }

    fn counts(&self) -> Vec<&str> {
        self.table.0.iter().map(TopicFilter::as_str).collect()
    }
}

fn all_parts(log: &RouteLog) -> Vec<RouteSnapshot> {
    let mut snapshot = log.snapshot();
    std::iter::from_fn(|| snapshot.next_part(log, 0)).collect()
}

fn log_of(texts: &[&str]) -> RouteLog {
    let mut log = log(&["#"], 1000);
    log.apply(&texts.iter().map(|text| added(text)).collect::<Vec<InterestChange>>());
    log
}

fn all(log: &RouteLog, seq: u64) -> RouteDelta {
    log.since(seq, usize::MAX).unwrap()
}

#[test]
fn a_gap_changes_nothing_and_is_mended_by_the_tail() {
    let mut log = log_of(&["a"]);
    let mut reader = Reader::at(&log);
    log.apply(&[added("b")]);
    log.apply(&[added("c"), removed("a")]);
    assert_eq!(reader.delta(all(&log, 2)), Err(RouteFault::Gap { from: 2, held: 1 }));
    assert_eq!((reader.counts(), reader.replica.position().unwrap().seq), (vec!["a"], 1));
    reader.delta(all(&log, 1)).unwrap();
    assert_eq!(reader.counts(), ["b", "c"]);
}

#[test]
fn without_a_base_a_delta_is_a_gap() {
    let log = log_of(&["a"]);
    assert_eq!(Reader::new(9).delta(all(&log, 0)), Err(RouteFault::Gap { from: 0, held: 0 }));
}

#[test]
fn an_old_delta_is_not_applied() {
    let mut log = log_of(&["a"]);
    let mut reader = Reader::at(&log);
    log.apply(&[added("b")]);
    let old = all(&log, 1);
    reader.delta(old.clone()).unwrap();
    log.apply(&[removed("b")]);
    reader.delta(all(&log, 2)).unwrap();
    reader.delta(old).unwrap();
    assert_eq!((reader.counts(), reader.replica.position()), (vec!["a"], Some(log.position())));
}

#[test]
fn a_wrong_digest_leaves_what_counts_and_asks_for_a_snapshot() {
    let mut log = log_of(&["a"]);
    let mut reader = Reader::at(&log);
    log.apply(&[added("b")]);
    let mut wrong = all(&log, 1);
    wrong.ops = vec![RouteOp::Add(filter("c")), RouteOp::Remove(filter("a"))];
    assert_eq!(reader.delta(wrong), Err(RouteFault::Digest { seq: 2 }));
    assert_eq!(reader.counts(), ["a"]);
    // The tail from the same base could be wrong for ever: nothing is held now.
    assert_eq!(reader.replica.position(), None);
    for part in all_parts(&log) {
        reader.part(part).unwrap();
    }
    assert_eq!((reader.counts(), reader.replica.position()), (vec!["a", "b"], Some(log.position())));
}

#[test]
fn the_same_point_with_another_digest_is_divergence() {
    let mut log = log_of(&["a"]);
    let mut reader = Reader::at(&log);
    log.apply(&[added("b")]);
    let mut delta = all(&log, 1);
    delta.to.seq = 1;
    assert_eq!(reader.delta(delta), Err(RouteFault::Digest { seq: 1 }));
    assert_eq!((reader.counts(), reader.replica.position()), (vec!["a"], None));
}

#[test]
fn an_operation_twice_counts_once() {
    let mut log = log_of(&["a"]);
    let mut reader = Reader::at(&log);
    log.apply(&[added("b"), removed("a")]);
    let mut delta = all(&log, 1);
    delta.ops.extend(delta.ops.clone());
    reader.delta(delta).unwrap();
    assert_eq!(reader.counts(), ["b"]);
}

#[test]
fn a_step_of_an_earlier_life_changes_nothing() {
    let mut log = log_of(&["a"]);
    log.raise(life(5));
    let mut reader = Reader::at(&log);
    let mut old = log_of(&["a", "x"]);
    old.raise(life(4));
    let fault = Err(RouteFault::OtherLife { came: 4, held: 5 });
    for part in all_parts(&old) {
        assert_eq!(reader.part(part), fault);
    }
    assert_eq!(
        reader.delta(RouteDelta { to: RoutePosition { incarnation: life(4), ..log.position() }, from: 0, ops: vec![] }),
        fault
    );
    assert_eq!((reader.counts(), reader.replica.position()), (vec!["a"], Some(log.position())));
    // Neither after the routes are retired, nor under another key.
    assert_eq!(reader.replica.retire(&mut reader.index), [RouteChange::Remove(filter("a"))]);
    reader.table = Table::default();
    reader.replica.set_key(&mut reader.index, key(2));
    assert_eq!(reader.part(all_parts(&old).remove(0)), fault);
    assert_eq!(reader.counts(), [""; 0]);
}

#[test]
fn a_snapshot_of_what_is_behind_changes_nothing() {
    let mut log = log_of(&["a", "b"]);
    let old = all_parts(&log);
    let mut reader = Reader::at(&log);
    log.apply(&[removed("a")]);
    reader.delta(all(&log, 2)).unwrap();
    for part in old {
        reader.part(part).unwrap();
    }
    assert_eq!((reader.counts(), reader.replica.position()), (vec!["b"], Some(log.position())));
}

/// The parts of a new life count at once, the routes of the old one until the last part proves the set.
#[test]
fn a_new_life_is_made_before_the_old_one_is_broken() {
    let mut reader = Reader::at(&log_of(&["a", "b"]));
    let mut log = log_of(&["b", "c", "d"]);
    log.raise(life(2));
    let parts = all_parts(&log);
    let mut seen = Vec::new();
    for part in parts {
        reader.part(part).unwrap();
        seen.push(reader.counts().concat());
    }
    assert_eq!(seen, ["ab", "abc", "bcd"]);
    assert_eq!(reader.replica.position(), Some(log.position()));
}

#[test]
fn parts_come_in_turn() {
    let log = log_of(&["a", "b", "c"]);
    let parts = all_parts(&log);
    for (sequence, came, expected) in [(vec![1], 1, 0), (vec![0, 2], 2, 1), (vec![0, 1, 1], 1, 2)] {
        let mut reader = Reader::new(9);
        let mut results = sequence.iter().map(|at| reader.part(parts[*at as usize].clone())).collect::<Vec<_>>();
        let fault = results.pop().unwrap().unwrap_err();
        assert_eq!(fault, RouteFault::Part { came, expected });
        assert!(fault.is_fatal() && fault.close_code() == CloseCode::Protocol);
        assert!(results.iter().all(Result::is_ok));
        assert!(!reader.replica.is_loading());
        assert_eq!(reader.replica.position(), None);
    }
    // Two snapshots at once are no snapshot.
    let mut other = log_of(&["x", "y", "z"]);
    other.raise(life(2));
    let mut reader = Reader::new(9);
    reader.part(parts[0].clone()).unwrap();
    assert_eq!(reader.part(all_parts(&other)[1].clone()), Err(RouteFault::Part { came: 1, expected: 0 }));
}

/// The fault of the reference: a second snapshot is cut, and the resume after it takes the part for the whole.
#[test]
fn a_cut_snapshot_is_never_taken_for_the_whole() {
    let mut log = log_of(&["a", "b", "c"]);
    let mut reader = Reader::at(&log);
    let first = log.position();
    log.raise(life(2));
    log.apply(&[added("d"), added("e")]);
    for cut in 1..5 {
        for part in all_parts(&log).into_iter().take(cut) {
            reader.part(part).unwrap();
        }
        assert!(reader.replica.is_loading());
        reader.replica.interrupted();
        assert!(!reader.replica.is_loading());
        assert_eq!(reader.replica.position(), Some(first), "only what is proven is held");
        assert_eq!(log.resume(reader.replica.position().as_ref()), link_core::routes::Resume::Snapshot);
        assert!(reader.table.0.is_superset(&set(&["a", "b", "c"])));
    }
    // What goes on from the cut one is refused, and so is a tail.
    assert_eq!(reader.part(all_parts(&log).remove(4)), Err(RouteFault::Part { came: 4, expected: 0 }));
    assert!(matches!(reader.delta(all(&log, 3)), Err(RouteFault::OtherLife { .. })));
    assert_eq!(reader.replica.position(), Some(first));
    for part in all_parts(&log) {
        reader.part(part).unwrap();
    }
    assert_eq!((reader.counts(), reader.replica.position()), (vec!["a", "b", "c", "d", "e"], Some(log.position())));
}

#[test]
fn a_proven_tail_ends_what_a_cut_snapshot_left() {
    let mut log = log_of(&["a", "b"]);
    let mut reader = Reader::at(&log);
    // A snapshot of a later moment that is cut, while the tail is still to be had.
    log.apply(&[added("0"), added("c")]);
    reader.part(all_parts(&log).remove(0)).unwrap();
    assert_eq!(reader.counts(), ["0", "a", "b"]);
    reader.replica.interrupted();
    log.apply(&[removed("0"), removed("a")]);
    reader.delta(all(&log, 2)).unwrap();
    assert_eq!((reader.counts(), reader.replica.position()), (vec!["b", "c"], Some(log.position())));
}

/// What a refused part brought does not count, and so is news when it comes again.
#[test]
fn a_snapshot_that_ends_wrong_loses_no_route_of_the_next_one() {
    let log = log_of(&["a", "b"]);
    let mut wrong = all_parts(&log);
    for part in &mut wrong {
        part.to.digest = Digest(part.to.digest.0 ^ 1);
    }
    let mut reader = Reader::new(9);
    reader.part(wrong.remove(0)).unwrap();
    assert_eq!(reader.part(wrong.remove(0)), Err(RouteFault::Digest { seq: 2 }));
    assert_eq!((reader.counts(), reader.replica.position()), (vec!["a"], None));
    for part in all_parts(&log) {
        reader.part(part).unwrap();
    }
    assert_eq!(reader.counts(), ["a", "b"]);
}

#[test]
fn too_many_routes_are_refused_before_anything_changes() {
    let mut log = log_of(&["a", "b"]);
    let mut reader = Reader::new(2);
    for part in all_parts(&log) {
        reader.part(part).unwrap();
    }
    log.apply(&[added("c")]);
    let fault = RouteFault::TooMany { limit: 2 };
    assert!(fault.is_fatal() && fault.close_code() == CloseCode::TooManyRoutes);
    assert_eq!(reader.delta(all(&log, 2)), Err(fault.clone()));
    assert_eq!(reader.part(all_parts(&log).remove(0)), Err(fault.clone()));
    // A count that lies does not help.
    let mut lie = all(&log, 2);
    lie.to.count = 2;
    assert_eq!(reader.delta(lie), Err(fault));
    let mut parts = all_parts(&log);
    for part in &mut parts {
        part.to.count = 2;
        part.to.seq = 9;
    }
    let results: Vec<_> = parts.into_iter().map(|part| reader.part(part)).collect();
    assert_eq!(results, [Ok(()), Ok(()), Err(RouteFault::Digest { seq: 9 })]);
    assert_eq!(reader.counts(), ["a", "b"]);
}

#[test]
fn a_shared_subscription_is_no_route() {
    let mut log = log_of(&["a"]);
    let mut reader = Reader::at(&log);
    log.apply(&[added("b")]);
    let mut delta = all(&log, 1);
    delta.ops.push(RouteOp::Add(filter("$share/g/a")));
    let fault = RouteFault::Shared { filter: filter("$share/g/a") };
    assert!(fault.is_fatal() && fault.close_code() == CloseCode::Protocol);
    assert_eq!(reader.delta(delta), Err(fault.clone()));
    let mut part = log.snapshot().next_part(&log, usize::MAX).unwrap();
    part.filters.push(filter("$share/g/a"));
    assert_eq!(reader.part(part), Err(fault));
    assert_eq!(reader.counts(), ["a"]);
}

#[test]
fn a_peer_that_never_finishes_does_not_fill_the_memory() {
    let mut reader = Reader::new(10);
    let certified = log_of(&["0"]);
    reader.part(all_parts(&certified).remove(0)).unwrap();
    for round in 0..50u64 {
        let names: Vec<String> = (0..10).map(|n| format!("{round}-{n}")).collect();
        let log = log_of(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let mut parts = all_parts(&log);
        parts.pop();
        for mut part in parts {
            part.to.seq += round;
            reader.part(part).unwrap();
        }
        reader.replica.interrupted();
        assert!(reader.table.0.len() <= 40);
        assert!(reader.table.0.contains(&filter("0")));
    }
}

#[test]
fn additions_of_a_new_life_count_until_a_step_is_proven() {
    let first = log_of(&["a", "b"]);
    let mut reader = Reader::at(&first);
    reader.preadd(2, &["b", "c", "d", "c"]).unwrap();
    reader.preadd(2, &[]).unwrap();
    // It has no position, and the old one goes on to be held.
    assert_eq!((reader.counts(), reader.replica.position()), (vec!["a", "b", "c", "d"], Some(first.position())));
    assert!(!reader.replica.is_loading());
    let mut log = log_of(&["b", "c"]);
    log.raise(life(2));
    for part in all_parts(&log) {
        reader.part(part).unwrap();
    }
    assert_eq!((reader.counts(), reader.replica.position()), (vec!["b", "c"], Some(log.position())));
    // In a life that is held a tail ends them.
    reader.preadd(2, &["x"]).unwrap();
    log.apply(&[added("y")]);
    reader.delta(all(&log, 2)).unwrap();
    assert_eq!((reader.counts(), reader.replica.position()), (vec!["b", "c", "y"], Some(log.position())));
}

#[test]
fn additions_of_an_earlier_life_change_nothing_and_those_of_a_later_one_end_it() {
    let mut log = log_of(&["a"]);
    log.raise(life(5));
    let mut reader = Reader::at(&log);
    assert_eq!(reader.preadd(4, &["x"]), Err(RouteFault::OtherLife { came: 4, held: 5 }));
    assert_eq!(reader.counts(), ["a"]);
    reader.preadd(6, &["b"]).unwrap();
    // Whatever of the life before comes after that.
    log.apply(&[added("z")]);
    assert_eq!(reader.part(all_parts(&log).remove(0)), Err(RouteFault::OtherLife { came: 5, held: 6 }));
    assert_eq!(reader.preadd(5, &["x"]), Err(RouteFault::OtherLife { came: 5, held: 6 }));
    assert_eq!(reader.counts(), ["a", "b"]);
    let fault = RouteReplica::new(1, 9)
        .apply_preadd(&mut FilterIndex::new(7), RoutePreadd { incarnation: life(1), filters: vec![] });
    assert_eq!(fault, Err(RouteFault::NoKey));
}

#[test]
fn additions_keep_what_a_cut_snapshot_brought() {
    let mut reader = Reader::at(&log_of(&["a"]));
    let mut log = log_of(&["b", "c"]);
    log.raise(life(2));
    reader.part(all_parts(&log).remove(0)).unwrap();
    reader.preadd(3, &["b", "d"]).unwrap();
    assert_eq!((reader.counts(), reader.replica.is_loading()), (vec!["a", "b", "d"], false));
    reader.replica.interrupted();
    assert_eq!(reader.counts(), ["a", "b", "d"]);
}

#[test]
fn additions_without_end_do_not_fill_the_memory() {
    let mut reader = Reader::new(10);
    reader.part(all_parts(&log_of(&["0"])).remove(0)).unwrap();
    let names: Vec<String> = (0..40).map(|n| format!("{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    reader.preadd(2, &names[..11]).unwrap();
    let fault = RouteFault::TooMany { limit: 10 };
    for more in [&names[10..12], &names[5..40]] {
        assert_eq!(reader.preadd(2, more), Err(fault.clone()));
        assert_eq!(reader.table.0.len(), 11, "all that counts, and nothing of what is too much");
    }
    // What counts already costs nothing.
    reader.preadd(3, &names[..11]).unwrap();
    for life_of in 3..50u64 {
        let own: Vec<String> = (0..10).map(|n| format!("{life_of}-{n}")).collect();
        let own: Vec<&str> = own.iter().map(String::as_str).collect();
        let mut log = log_of(&own);
        log.raise(life(life_of));
        let mut parts = all_parts(&log);
        parts.pop();
        for part in parts {
            reader.part(part).unwrap();
        }
        let _ = reader.preadd(life_of, &own);
        assert!(reader.table.0.len() <= 40, "{}", reader.table.0.len());
        assert!(reader.table.0.contains(&filter("0")));
    }
}

#[test]
fn another_key_asks_for_a_snapshot_and_keeps_what_counts() {
    let mut log = log_of(&["a", "b"]);
    let mut reader = Reader::at(&log);
    reader.replica.set_key(&mut reader.index, key(1));
    assert_eq!(reader.replica.position(), Some(log.position()));
    reader.replica.set_key(&mut reader.index, key(2));
    assert_eq!((reader.counts(), reader.replica.position()), (vec!["a", "b"], None));
    log = RouteLog::new(life(2), key(2), vec![filter("#")], 16);
    log.apply(&[added("b"), added("c")]);
    for part in all_parts(&log) {
        reader.part(part).unwrap();
    }
    assert_eq!((reader.counts(), reader.replica.position()), (vec!["b", "c"], Some(log.position())));
}

#[test]
fn a_step_needs_a_key() {
    let fault = RouteReplica::new(1, 9)
        .apply_snapshot(&mut FilterIndex::new(7), all_parts(&log_of(&["a"])).remove(0))
        .unwrap_err();
    assert_eq!(fault, RouteFault::NoKey);
    assert!(fault.is_fatal());
}

#[test]
fn retired_routes_end_with_what_a_cut_snapshot_left() {
    let mut log = log_of(&["a"]);
    let mut reader = Reader::at(&log);
    log.apply(&[added("0"), added("b")]);
    reader.part(all_parts(&log).remove(0)).unwrap();
    let changes = reader.replica.retire(&mut reader.index);
    reader.table.take(changes);
    assert_eq!((reader.counts(), reader.replica.position()), (vec![], None));
    assert!(reader.replica.visible(&reader.index).is_empty());
    // The peer of the same life comes back.
    for part in all_parts(&log) {
        reader.part(part).unwrap();
    }
    assert_eq!(reader.counts(), ["0", "a", "b"]);
}

/// What a difference adds counts at once, what it removes with its last part and never without it.
#[test]
fn what_a_difference_removes_waits_for_its_last_part() {
    let log = log_of(&["a", "b", "e", "f"]);
    let id = |text: &str| RouteId::from_hash(log.key().hash(text));
    let part = |part, last, adds: &[&str], removes: &[&str]| RouteDifference {
        to: log.position(),
        part,
        last,
        adds: adds.iter().map(|text| filter(text)).collect(),
        removes: removes.iter().map(|text| id(text)).collect(),
    };
    let mut reader = Reader::at(&log_of(&["a", "b", "c", "d"]));
    let take = |reader: &mut Reader, part| {
        let result = reader.replica.apply_difference(&mut reader.index, part);
        reader.took(result)
    };
    take(&mut reader, part(0, false, &["e"], &["c"])).unwrap();
    assert_eq!(reader.counts(), ["a", "b", "c", "d", "e"]);
    // The connection breaks; another one begins anew, and ends with an id that is not right.
    reader.replica.interrupted();
    take(&mut reader, part(0, false, &["e", "f"], &["c"])).unwrap();
    let seq = log.position().seq;
    assert_eq!(take(&mut reader, part(1, true, &[], &["b"])), Err(RouteFault::Digest { seq }));
    assert_eq!(reader.counts(), ["a", "b", "c", "d", "e", "f"]);
    take(&mut reader, part(0, false, &["e"], &["c"])).unwrap();
    take(&mut reader, part(1, true, &["f"], &["d"])).unwrap();
    assert_eq!(reader.counts(), ["a", "b", "e", "f"]);
    assert_eq!(reader.replica.position(), Some(log.position()));
}

/// Where another life stands says nothing, also where that life's changes would be kept.
#[test]
fn a_position_of_another_life_leads_nowhere() {
    let log = log_of(&["a", "b", "c"]);
    let Incarnation { counter, nonce } = log.position().incarnation;
    for seq in 0..=log.position().seq {
        for incarnation in [Incarnation { counter: counter - 1, nonce }, Incarnation { counter, nonce: !nonce }] {
            let holds = RoutePosition { incarnation, seq, ..log.position() };
            assert_eq!(log.resume(Some(&holds)), Resume::Snapshot, "{holds:?}");
        }
    }
}

/// Each deliberate bug of a step breaks a test.
#[cfg(feature = "mutants")]
#[test]
fn deliberate_bugs_are_found() {
    use link_core::mutant::{Mutant, set};
    let found_by: [(Mutant, fn()); 4] = [
        (Mutant::EarlyRemoval, what_a_difference_removes_waits_for_its_last_part),
        (Mutant::UncheckedDifference, what_a_difference_removes_waits_for_its_last_part),
        (Mutant::PartialCells, what_a_difference_removes_waits_for_its_last_part),
        (Mutant::OtherLife, a_position_of_another_life_leads_nowhere),
    ];
    for (mutant, test) in found_by {
        set(Some(mutant));
        let found = std::panic::catch_unwind(test).is_err();
        set(None);
        assert!(found, "nothing finds {mutant:?}");
    }
}
