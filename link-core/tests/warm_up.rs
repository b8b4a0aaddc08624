//! A node that starts again announces additions only until it is warm: what its clients wanted before goes on to count.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

mod nodes;

use std::time::Duration;

use link_core::{
    link::{LinkState, ResyncMethod},
    node::{AckError, Input, NodeConfig, Unacked},
    topic::TopicFilter,
    wire::{Frame, PREADD, RouteSnapshot},
};
use nodes::*;

const WARM: Duration = Duration::from_secs(20);

/// The filters of devices with these numbers.
fn fleet(numbers: impl IntoIterator<Item = usize>) -> Vec<TopicFilter> {
    numbers.into_iter().map(|number| filter(&format!("fleet/{number:05}/temp"))).collect()
}

fn warm_up(config: &mut NodeConfig) {
    config.warm_up = WARM;
}

/// `us-1` reads what `eu-1` wants, and dials it.
fn reader(nodes: &mut Nodes) {
    nodes.start("us-1", vec![link("eu", &["eu-1"])], &[], |_| {});
}

fn writer(nodes: &mut Nodes, filters: &[TopicFilter], set: impl FnOnce(&mut NodeConfig)) {
    nodes.start("eu-1", vec![link("us", &[])], filters, set);
}

/// Both are in sync, with `routes` at the reader; the writer has died then.
fn before_the_restart(routes: usize) -> Nodes {
    let mut nodes = Nodes::new();
    writer(&mut nodes, &fleet(0..routes), |_| {});
    reader(&mut nodes);
    nodes.settle();
    nodes.kill("eu-1");
    nodes.seen.clear();
    nodes.always = fleet(0..routes).iter().map(|filter| ("us-1", filter.as_str().to_owned())).collect();
    nodes
}

fn proves(frame: &Frame) -> bool {
    matches!(frame, Frame::RouteDelta(_) | Frame::RouteSnapshot(_) | Frame::RouteDifference(_))
}

fn preadded(frames: &[Frame]) -> Vec<TopicFilter> {
    let preadds = frames.iter().filter_map(|frame| if let Frame::RoutePreadd(one) = frame { Some(one) } else { None });
    preadds.flat_map(|preadd| preadd.filters.clone()).collect()
}

fn asks(frames: &[Frame]) -> bool {
    frames.iter().any(|frame| matches!(frame, Frame::RouteResume(_)))
}

#[test]
fn what_was_wanted_before_counts_until_the_node_is_warm() {
    // Few routes are sent as a whole, many are compared by sketches.
    for (routes, method) in [(5, ResyncMethod::Snapshot), (3000, ResyncMethod::Sketch)] {
        let mut nodes = before_the_restart(routes);
        writer(&mut nodes, &fleet(0..2), warm_up);
        nodes.pass(Duration::from_secs(2));
        nodes.subscribe("eu-1", &[fleet(3..4), vec![filter("new/1")]].concat());
        nodes.pass(Duration::from_secs(11));
        assert!(nodes.wants("us-1", "new/1"));
        let frames = std::mem::take(&mut nodes.seen);
        let (from_eu, from_us): (Vec<_>, Vec<_>) = frames.into_iter().partition(|(from, ..)| *from == "eu-1");
        let [from_eu, from_us] = [from_eu, from_us].map(|side| side.into_iter().map(|(.., f)| f).collect::<Vec<_>>());
        assert!(!from_eu.iter().any(proves), "{from_eu:?}");
        assert!(!asks(&from_us), "several heartbeats came");
        assert_eq!(preadded(&from_eu).len(), 4);

        let [us, eu] = [nodes.peer("us-1", "eu-1").unwrap(), nodes.peer("eu-1", "us-1").unwrap()];
        assert!(us.routes_in.warming && !us.routes_in.equal && !us.in_sync && us.state == LinkState::Syncing);
        assert!(eu.routes_out.warming && !eu.routes_out.equal && !eu.in_sync && eu.state == LinkState::Syncing);
        assert_eq!(us.reason, "connected; the peer is warming up: it announces additions only");
        assert_eq!(eu.reason, "connected; this node is warming up: it announces additions only");
        assert_eq!(nodes.link("us-1").reason, us.reason);

        // All but two are back.
        nodes.subscribe("eu-1", &[fleet(2..3), fleet(4..routes - 1)].concat());
        nodes.pass(Duration::from_secs(1));
        nodes.always.retain(|(_, topic)| *topic != format!("fleet/{:05}/temp", routes - 1));
        assert!(nodes.wants("us-1", &format!("fleet/{:05}/temp", routes - 1)));
        nodes.input("eu-1", Input::Warm);
        nodes.settle();
        assert!(!nodes.wants("us-1", &format!("fleet/{:05}/temp", routes - 1)), "nobody wants it any more");
        let [us, eu] = [nodes.peer("us-1", "eu-1").unwrap(), nodes.peer("eu-1", "us-1").unwrap()];
        assert_eq!(us.held, Some(eu.announced));
        assert_eq!(us.held.unwrap().count, routes as u64);
        assert!(us.state == LinkState::Live && eu.state == LinkState::Live && !us.routes_in.warming);
        assert_eq!((us.routes_in.resync.unwrap().method, eu.routes_out.resync.unwrap().method), (method, method));
        assert!(!asks(&nodes.sent("us-1")));
        // From now on what ends is withdrawn.
        nodes.always.clear();
        nodes.unsubscribe("eu-1", &fleet(0..1));
        nodes.settle();
        assert!(!nodes.wants("us-1", "fleet/00000/temp"));
    }
}

#[test]
fn without_it_the_rest_is_withdrawn_at_once() {
    for old_peer in [false, true] {
        let mut nodes = before_the_restart(5);
        nodes.always.clear();
        if old_peer {
            // The peer does not know what PREADD is.
            nodes.on_the_way = Box::new(|_, to, mut frame| {
                if let Frame::Hello(hello) = &mut frame
                    && to == "eu-1"
                {
                    hello.capabilities &= !PREADD;
                }
                Some(frame)
            });
        }
        writer(&mut nodes, &fleet(0..2), |config| config.warm_up = if old_peer { WARM } else { Duration::ZERO });
        nodes.settle();
        assert!(nodes.wants("us-1", "fleet/00001/temp") && !nodes.wants("us-1", "fleet/00002/temp"));
        assert!(preadded(&nodes.sent("eu-1")).is_empty());
        assert_eq!(nodes.nodes["eu-1"].is_warming(), old_peer);
    }
}

#[test]
fn it_is_warm_when_its_time_is_over_and_not_before() {
    let mut nodes = before_the_restart(3);
    let start = nodes.now;
    writer(&mut nodes, &fleet(0..1), warm_up);
    nodes.pass(WARM - Duration::from_millis(1));
    assert!(nodes.nodes["eu-1"].is_warming() && nodes.wants("us-1", "fleet/00002/temp"));
    nodes.always.truncate(1);
    nodes.pass(Duration::from_millis(1));
    assert_eq!(nodes.now, start + WARM);
    assert!(!nodes.nodes["eu-1"].is_warming());
    nodes.settle();
    assert!(nodes.wants("us-1", "fleet/00000/temp") && !nodes.wants("us-1", "fleet/00002/temp"));
    // A link that is made later has nothing to wait for, and to be told it again changes nothing.
    nodes.seen.clear();
    nodes.input("eu-1", Input::Warm);
    assert!(nodes.seen.is_empty());
}

#[test]
fn what_ends_meanwhile_goes_when_it_is_warm() {
    let mut nodes = before_the_restart(2);
    writer(&mut nodes, &fleet(0..2), warm_up);
    nodes.pass(Duration::from_secs(2));
    nodes.subscribe("eu-1", &fleet(7..9));
    nodes.pass(Duration::from_secs(1));
    nodes.seen.clear();
    nodes.unsubscribe("eu-1", &[fleet(1..2), fleet(8..9)].concat());
    nodes.pass(Duration::from_secs(1));
    assert!(preadded(&nodes.sent("eu-1")).is_empty(), "nothing was added");
    assert!(nodes.wants("us-1", "fleet/00001/temp") && nodes.wants("us-1", "fleet/00008/temp"));
    nodes.always.truncate(1);
    nodes.input("eu-1", Input::Warm);
    nodes.settle();
    assert!(nodes.wants("us-1", "fleet/00007/temp"));
    assert!(!nodes.wants("us-1", "fleet/00001/temp") && !nodes.wants("us-1", "fleet/00008/temp"));
}

#[test]
fn a_reader_without_anything_and_a_new_connection_get_all_there_is() {
    let mut nodes = before_the_restart(3);
    writer(&mut nodes, &fleet(0..2), warm_up);
    nodes.pass(Duration::from_secs(1));
    nodes.cut("us-1", "eu-1");
    nodes.subscribe("eu-1", &fleet(50..51));
    nodes.pass(Duration::from_secs(3));
    assert!(nodes.wants("us-1", "fleet/00050/temp"));
    // A reader that has lost its memory knows of what is wanted now, and of no more.
    nodes.always.clear();
    nodes.kill("us-1");
    reader(&mut nodes);
    nodes.pass(Duration::from_secs(1));
    assert!(nodes.wants("us-1", "fleet/00001/temp") && nodes.wants("us-1", "fleet/00050/temp"));
    assert!(!nodes.wants("us-1", "fleet/00002/temp"));
    assert_eq!(nodes.peer("us-1", "eu-1").unwrap().held, None);
    nodes.input("eu-1", Input::Warm);
    nodes.settle();
    assert_eq!(nodes.peer("us-1", "eu-1").unwrap().held.unwrap().count, 3);
}

#[test]
fn many_routes_that_the_peer_has_are_not_sent_again() {
    let mut nodes = before_the_restart(5_000);
    writer(&mut nodes, &fleet(20..5_020), warm_up);
    nodes.pass(Duration::from_secs(1));
    assert_eq!(preadded(&nodes.sent("eu-1")).len(), 20);
    nodes.always.drain(..20);
    nodes.input("eu-1", Input::Warm);
    nodes.settle();
    let sent = nodes.sent("eu-1");
    let parts = sent.iter().filter_map(|f| if let Frame::RouteDifference(part) = f { Some(part) } else { None });
    let (adds, removes) = parts.fold((0, 0), |(a, r), part| (a + part.adds.len(), r + part.removes.len()));
    assert_eq!((adds, removes), (0, 20), "what came while it was warming up is there");
}

#[test]
fn both_may_warm_up_at_once() {
    let mut nodes = Nodes::new();
    writer(&mut nodes, &fleet(0..2), warm_up);
    nodes.start("us-1", vec![link("eu", &["eu-1"])], &fleet(5..7), warm_up);
    nodes.pass(Duration::from_secs(6));
    assert!(nodes.wants("us-1", "fleet/00001/temp") && nodes.wants("eu-1", "fleet/00006/temp"));
    let reason = nodes.link("us-1").reason;
    assert!(reason.contains("this node and the peer are warming up"), "{reason}");
    nodes.input("us-1", Input::Warm);
    nodes.pass(Duration::from_secs(6));
    assert_eq!(nodes.link("us-1").state, LinkState::Syncing);
    assert!(nodes.peer("eu-1", "us-1").unwrap().routes_in.equal);
    nodes.pass(WARM);
    nodes.settle();
    assert!(!asks(&nodes.sent("us-1")));
}

#[test]
fn nothing_is_acknowledged_while_it_warms_up() {
    let mut nodes = before_the_restart(2);
    writer(&mut nodes, &fleet(0..2), warm_up);
    nodes.pass(Duration::from_secs(1));
    nodes.subscribe("eu-1", &[filter("new/1")]);
    let patience = Duration::from_secs(3);
    // One that is held of the life before, and one that came as PREADD.
    nodes.barrier("eu-1", 1, &filter("fleet/00001/temp"), patience);
    nodes.barrier("eu-1", 2, &filter("new/1"), patience);
    nodes.barrier("eu-1", 3, &filter("new/1"), WARM);
    nodes.pass(patience);
    assert!(nodes.wants("us-1", "new/1"));
    for done in std::mem::take(&mut nodes.done) {
        let Err(AckError::Timeout { waiting, acked }) = done else { panic!("{done:?}") };
        assert!(matches!(&waiting[..], [Unacked::WarmingUp { .. }]) && acked.is_empty(), "{waiting:?}");
        assert!(waiting[0].to_string().contains("warming up"), "{}", waiting[0]);
    }
    nodes.input("eu-1", Input::Warm);
    nodes.settle();
    let done = nodes.done.pop().unwrap().unwrap();
    assert_eq!(done.by[&name("us")].len(), 1);
}

#[test]
fn a_peer_that_adds_without_end_is_closed() {
    let mut nodes = Nodes::new();
    let mut few = link("eu", &["eu-1"]);
    few.max_routes = 10;
    nodes.start("us-1", vec![few], &[], |_| {});
    writer(&mut nodes, &fleet(0..8), warm_up);
    nodes.pass(Duration::from_secs(1));
    for batch in 0..100 {
        nodes.subscribe("eu-1", &fleet(100 + batch..101 + batch));
        nodes.unsubscribe("eu-1", &fleet(100 + batch..101 + batch));
        nodes.subscribe("eu-1", &fleet(300 + batch..301 + batch));
        nodes.pass(Duration::from_millis(10));
        nodes.unsubscribe("eu-1", &fleet(300 + batch..301 + batch));
        nodes.pass(Duration::from_millis(10));
    }
    let closes = |frame: &Frame| matches!(frame, Frame::Close(close) if close.reason.contains("more than 10 routes"));
    assert!(nodes.seen.iter().any(|(from, _, frame)| *from == "us-1" && closes(frame)));
    let known = (0..400).filter(|n| nodes.wants("us-1", fleet([*n])[0].as_str())).count();
    assert_eq!(known, 10, "what came stays, no more is taken");
    // When it is warm its eight routes are all there is.
    nodes.pass(WARM);
    nodes.settle();
    assert_eq!((0..400).filter(|n| nodes.wants("us-1", fleet([*n])[0].as_str())).count(), 8);
}

#[test]
fn a_frame_of_a_life_before_changes_nothing() {
    let mut nodes = before_the_restart(2);
    writer(&mut nodes, &fleet(0..2), warm_up);
    // Its frames claim to be of an earlier life.
    nodes.on_the_way = Box::new(|_, _, mut frame| {
        if let Frame::RoutePreadd(preadd) = &mut frame
            && !preadd.filters.is_empty()
        {
            preadd.incarnation.counter = 0;
        }
        Some(frame)
    });
    nodes.pass(Duration::from_secs(1));
    nodes.subscribe("eu-1", &[filter("new/1")]);
    nodes.pass(Duration::from_secs(1));
    assert!(!nodes.wants("us-1", "new/1") && nodes.wants("us-1", "fleet/00001/temp"));
    nodes.input("eu-1", Input::Warm);
    nodes.settle();
    assert!(nodes.wants("us-1", "new/1"));
}

#[test]
fn a_snapshot_cut_while_it_comes_and_additions_add_up() {
    let mut nodes = before_the_restart(0);
    writer(&mut nodes, &fleet(0..2), warm_up);
    nodes.pass(Duration::from_secs(1));
    // The last part of what it sends when it is warm never comes.
    nodes.on_the_way = Box::new(|_, _, frame| match frame {
        Frame::RouteSnapshot(part) => Some(Frame::RouteSnapshot(RouteSnapshot { last: false, ..part })),
        frame => Some(frame),
    });
    nodes.always = vec![("us-1", "fleet/00000/temp".to_owned()), ("us-1", "fleet/00001/temp".to_owned())];
    nodes.input("eu-1", Input::Warm);
    nodes.pass(Duration::from_secs(1));
    assert!(nodes.peer("us-1", "eu-1").unwrap().held.is_none_or(|held| held.count == 0));
    nodes.on_the_way = Box::new(|_, _, frame| Some(frame));
    nodes.cut("us-1", "eu-1");
    nodes.settle();
    assert_eq!(nodes.peer("us-1", "eu-1").unwrap().held.unwrap().count, 2);
}
