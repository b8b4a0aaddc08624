//! What needs an index that is soon full: it is, in tests of this crate.

use super::*;
use crate::{
    interest::InterestChange,
    routes::{RouteLog, SnapshotCursor},
};

fn filter(n: u32) -> TopicFilter {
    TopicFilter::new(format!("{}/{n}", "t".repeat(200))).unwrap()
}

fn log(routes: u32) -> RouteLog {
    let mut log = RouteLog::new(
        Incarnation { counter: 1, nonce: 7 },
        RouteKey([1; 16]),
        vec![TopicFilter::new("#").unwrap()],
        10_000,
    );
    log.apply(&(0..routes).map(|n| InterestChange::Added(filter(n))).collect::<Vec<_>>());
    log
}

fn take(
    replica: &mut RouteReplica<u32>,
    index: &mut FilterIndex<u32>,
    log: &RouteLog,
    mut snapshot: SnapshotCursor,
) -> Result<(), RouteFault> {
    while let Some(part) = snapshot.next_part(log, 4096) {
        replica.apply_snapshot(index, part)?;
    }
    Ok(())
}

/// The index of a copy with others' filters, of which it has room for few more.
fn crowded() -> FilterIndex<u32> {
    let mut index = FilterIndex::new(7);
    let mut others = 0;
    while index.insert(&filter(1_000_000 + others), 2) {
        others += 1;
    }
    (0..200).for_each(|n| assert!(index.remove(&filter(1_000_000 + n), &2)));
    index
}

#[test]
fn a_full_index_ends_the_step_and_what_is_held_is_what_is_found() {
    let mut index = crowded();
    let mut replica = RouteReplica::new(1, 10_000);
    let few = log(20);
    replica.set_key(&mut index, *few.key());
    take(&mut replica, &mut index, &few, few.snapshot()).unwrap();

    let mut many = log(20);
    many.apply(&(20..2_000).map(|n| InterestChange::Added(filter(n))).collect::<Vec<_>>());
    let fault = replica.apply_delta(&mut index, &many.since(few.position().seq, usize::MAX).unwrap()).unwrap_err();
    assert_eq!((&fault, fault.is_fatal(), replica.position()), (&RouteFault::Full, true, None));
    assert_eq!(take(&mut replica, &mut index, &many, many.snapshot()), Err(RouteFault::Full));
    assert!(!replica.is_loading());
    let indexed: BTreeSet<_> = index.iter().filter(|(_, value)| *value == 1).map(|(filter, _)| filter).collect();
    assert_eq!(replica.visible(&index).into_iter().collect::<BTreeSet<_>>(), indexed);
    assert!((0..20).all(|n| indexed.contains(&filter(n))), "what counted counts");

    take(&mut replica, &mut index, &few, few.snapshot()).unwrap();
    assert_eq!((replica.position(), replica.count()), (Some(few.position()), 20));
}
