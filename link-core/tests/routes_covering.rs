//! Covering: what is covered is withdrawn late and little by little, and what no longer is comes back so.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where it is wrong")]

mod routes_model;

use std::{collections::VecDeque, time::Duration};

use link_core::{
    interest::InterestChange,
    routes::{Covering, RouteLog},
    topic::TopicFilter,
    wire::RouteOp,
};
use proptest::prelude::*;
use routes_model::*;

const S: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

fn covering(per_second: u32) -> Covering {
    Covering { per_second, ..Covering::default() }
}

/// Lets all be done that is due until a moment, with everything acknowledged. Gives the largest step.
fn pass(log: &mut RouteLog, now: &mut Duration, time: Duration) -> u64 {
    let (end, mut most) = (*now + time, 0);
    loop {
        let before = log.position().seq;
        log.advance(*now, Some(before));
        most = most.max(log.position().seq - before);
        let Some(at) = log.next_advance().filter(|at| *at <= end) else { break };
        *now = at.max(*now);
    }
    *now = end;
    most
}

fn fleet(log: &mut RouteLog, n: usize) {
    let all: Vec<_> = (0..n).map(|n| added(&format!("dev/{n}"))).collect();
    log.apply(&all);
}

#[test]
fn what_is_covered_is_withdrawn_once_its_cover_is_acknowledged_and_stable() {
    let mut log = log(&["#"], 64);
    log.set_covering(covering(1000));
    log.apply(&[added("a/1"), added("a/2"), added("b")]);
    log.apply(&[added("a/#")]);
    // Nobody is connected, or not all have acknowledged the cover: it does not begin to ripen.
    for acked in [None, Some(3)] {
        log.advance(100 * S, acked);
        assert_eq!((log.position().seq, log.next_advance()), (4, None));
    }
    assert!(log.awaits_acknowledgement());
    log.advance(200 * S, Some(4));
    assert!(!log.awaits_acknowledgement());
    assert_eq!(log.next_advance(), Some(260 * S));
    log.advance(259 * S, Some(4));
    assert_eq!(log.position().seq, 4);
    log.advance(260 * S, Some(4));
    assert_eq!(ops_since(&log, 4), [RouteOp::Remove(filter("a/1")), RouteOp::Remove(filter("a/2"))]);
    assert_eq!((log.hidden(), log.next_advance()), (2, None));
}

#[test]
fn a_cover_that_goes_and_comes_back_begins_to_ripen_anew() {
    let mut log = log(&["#"], 64);
    log.set_covering(covering(1000));
    log.apply(&[added("a/1"), added("a/#")]);
    let mut now = S;
    pass(&mut log, &mut now, 59 * S);
    log.apply(&[removed("a/#")]);
    log.apply(&[added("a/#")]);
    pass(&mut log, &mut now, 59 * S);
    assert_eq!(log.hidden(), 0);
    pass(&mut log, &mut now, 2 * S);
    assert_eq!(log.hidden(), 1);
}

#[test]
fn a_cover_stays_until_what_it_hid_is_announced_and_can_be_wanted_again_meanwhile() {
    let mut log = log(&["#"], 65_536);
    log.set_covering(covering(110));
    log.apply(&[added("#")]);
    fleet(&mut log, 1000);
    let mut now = S;
    log.set_now(now);
    log.apply(&[removed("#")]);
    assert_eq!((log.lingering(), log.hidden()), (1, 990), "ten of a tick, and no more");
    assert!(log.announced().any(|route| route.as_str() == "#"));
    // A route that comes meanwhile is announced: the cover is about to go.
    log.apply(&[added("dev/late")]);
    assert_eq!(ops_since(&log, 11), [RouteOp::Add(filter("dev/late"))]);
    let most = pass(&mut log, &mut now, 5 * S);
    assert_eq!((most, log.lingering(), log.hidden()), (10, 1, 490));
    log.apply(&[added("#")]);
    assert_eq!((log.lingering(), log.hidden()), (0, 490), "it is wanted again, at no cost");
    log.apply(&[removed("#")]);
    pass(&mut log, &mut now, 10 * S);
    assert_eq!((log.lingering(), log.hidden(), log.position().count), (0, 0, 1001));
    assert_eq!(log.next_advance(), None);
}

#[test]
fn a_toggled_cover_costs_a_bounded_number_of_changes_whatever_it_covers() {
    const N: u64 = 10_000;
    let mut log = log(&["#"], 65_536);
    log.set_covering(Covering::default());
    fleet(&mut log, N as usize);
    let mut now = S;
    let each = u64::from(Covering::default().per_second / 11);
    let toggle =
        |log: &mut RouteLog, now: &mut Duration, pause: Duration, first: InterestChange, then: InterestChange| {
            let (begun, before, mut largest) = (*now, log.position().seq, 0);
            for _ in 0..1000 {
                for change in [&first, &then] {
                    let before = log.position().seq;
                    log.set_now(*now);
                    log.apply(std::slice::from_ref(change));
                    largest = largest.max(log.position().seq - before);
                    largest = largest.max(pass(log, now, pause));
                }
            }
            (log.position().seq - before, largest, *now - begun)
        };
    // While it is young: two changes each time.
    let (changes, largest, _) = toggle(&mut log, &mut now, MS * 10, added("#"), removed("#"));
    assert_eq!((changes, largest), (2000, 1));
    // After it has hidden all.
    log.apply(&[added("#")]);
    assert!(pass(&mut log, &mut now, 59 * S) == 0);
    let largest = pass(&mut log, &mut now, 30 * S);
    assert_eq!((log.hidden() as u64, log.position().count), (N, 1));
    assert!(largest <= each, "{largest}");
    let (changes, largest, took) = toggle(&mut log, &mut now, MS, removed("#"), added("#"));
    assert!(largest <= each + 1, "{largest} changes in one step");
    assert!(changes > 500, "{changes}: it did not even begin");
    assert!(changes <= 2000 + (took.as_secs_f64() * 1000.0) as u64 + each, "{changes} in {took:?}");
    // In the end all is as it is wanted.
    log.apply(&[removed("#")]);
    pass(&mut log, &mut now, 30 * S);
    assert_eq!((log.hidden(), log.lingering(), log.position().count), (0, 0, N));
}

#[test]
fn of_two_that_cover_each_other_one_stays() {
    let mut log = log(&["#"], 65_536);
    log.set_covering(covering(110));
    log.apply(&[added("#")]);
    fleet(&mut log, 20);
    log.apply(&[removed("#")]);
    assert_eq!(log.lingering(), 1);
    // Few enough are left for both to sweep in one tick.
    let back = log.announced().filter(|route| !route.is_wildcard()).cloned();
    let gone: Vec<_> = back.map(InterestChange::Removed).collect();
    log.apply(&gone);
    log.apply(&[added("+/#")]);
    log.apply(&[added("#")]);
    assert!(["#", "+/#"].iter().all(|wide| log.announced().any(|route| route.as_str() == *wide)));
    let mut now = S;
    pass(&mut log, &mut now, 100 * S);
    assert_eq!((log.position().count, log.hidden()), (1, 11));
}

#[test]
fn changed_topics_take_effect_at_once() {
    let mut writer = Writer::new(log(&["#"], 65_536));
    writer.set_covering(covering(11));
    writer.toggle(&[filter("#")]);
    writer.toggle(&(0..100).map(|n| filter(&format!("a/{n}"))).collect::<Vec<_>>());
    writer.toggle(&[filter("#")]);
    assert_eq!((writer.log.lingering(), writer.log.hidden()), (1, 99));
    writer.set_imports(vec![filter("a/+")]);
    assert_eq!((writer.log.lingering(), writer.log.hidden()), (0, 0));
    assert_eq!(writer.now(), wanted(&[filter("a/+")], &writer.interest));
}

#[derive(Debug, Clone)]
enum Step {
    Toggle(Vec<TopicFilter>),
    /// Time passes, and the peers have acknowledged all but so many changes.
    Pass(u64, u64),
    Imports(Vec<TopicFilter>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let toggle = prop::collection::vec(filters(), 1..4).prop_map(Step::Toggle);
    let pass = (prop::sample::select(vec![0, 1, 30, 99, 100, 101, 700, 5000]), 0u64..3)
        .prop_map(|(time, behind)| Step::Pass(time, behind));
    let imports = prop::collection::vec(filters(), 1..4).prop_map(Step::Imports);
    prop::collection::vec(prop_oneof![12 => toggle, 12 => pass, 1 => imports], 1..60)
}

proptest! {
    /// I10 with covering that goes on bit by bit, its budget, and where it ends.
    #[test]
    fn covering_changes_no_topic_keeps_to_its_budget_and_ends_with_what_is_maximal(
        imports in prop::collection::vec(filters(), 1..4),
        steps in steps(),
        per_second in prop::sample::select(vec![11, 22, 1000]),
    ) {
        let topics = universe();
        let mut writer = Writer::new(RouteLog::new(life(1), key(1), imports.clone(), 4096));
        writer.set_covering(Covering { stable: S, per_second });
        let (mut imports, mut now) = (imports, S);
        let mut own: VecDeque<(Duration, u64)> = VecDeque::new();
        let length = steps.len();
        let last = (0..400).map(|_| Step::Pass(100, 0));
        for (at, step) in steps.into_iter().chain(last).enumerate() {
            let (from, lingered) = (writer.log.position().seq, writer.log.lingering());
            if let Step::Pass(time, behind) = &step {
                now += MS * u32::try_from(*time).unwrap();
                writer.advance(now, from.checked_sub(*behind));
                if writer.log.position().seq == from {
                    continue;
                }
            }
            let wanted_before = wanted(&imports, &writer.interest);
            let before = reach(&wanted_before, &topics);
            let is_import = matches!(step, Step::Imports(_));
            match step {
                Step::Toggle(filters) => { writer.set_now(now); writer.toggle(&filters); }
                Step::Pass(..) => {}
                Step::Imports(other) => { imports.clone_from(&other); writer.set_imports(other); }
            }
            let wanted_after = wanted(&imports, &writer.interest);
            let after = reach(&wanted_after, &topics);
            for seq in from..=writer.log.position().seq {
                let set = reach(&writer.history[&(life(1), seq)], &topics);
                for (topic, ((before, after), set)) in topics.iter().zip(before.iter().zip(&after).zip(&set)) {
                    prop_assert!(!(*before && *after) || *set, "{topic:?} is missing at {seq} in step {at} of {length}");
                    let lingers = lingered > 0 || writer.log.lingering() > 0;
                    prop_assert!(!*set || *before || *after || lingers, "{topic:?} is too much at {seq}");
                }
            }
            let set = reach(&writer.now(), &topics);
            prop_assert!(after.iter().zip(&set).all(|(after, set)| *set || !*after));
            prop_assert!(writer.log.lingering() > 0 || after == set);
            // What covering did of its own: nothing of it began or ceased to be wanted.
            let unchanged = |op: &RouteOp| match op {
                RouteOp::Add(filter) => wanted_before.contains(filter),
                RouteOp::Remove(filter) => wanted_after.contains(filter),
            };
            let made = ops_since(&writer.log, from).iter().filter(|op| unchanged(op)).count() as u64;
            own.push_back((now, if is_import { 0 } else { made }));
            while own.front().is_some_and(|(at, _)| *at + S <= now) {
                own.pop_front();
            }
            let in_a_second: u64 = own.iter().map(|(_, made)| made).sum();
            prop_assert!(in_a_second <= u64::from(per_second), "{in_a_second} changes in a second");
        }
        prop_assert_eq!((writer.log.lingering(), writer.log.next_advance()), (0, None));
        let (all, maximal) = (wanted(writer.log.imports(), &writer.interest), writer.now());
        prop_assert_eq!(writer.log.hidden() + maximal.len(), all.len());
        for wide in &maximal {
            let covered: Vec<_> = maximal.iter().filter(|other| *other != wide && wide.covers(other)).collect();
            prop_assert!(covered.is_empty(), "{wide} covers {covered:?}");
        }
    }
}
