//! A node that has left its cluster for good is not waited for, if another node of that cluster says so.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

mod nodes;

use std::time::Duration;

use link_core::{
    link::{NodeName, Scope},
    node::{ConnectionId, Input},
    wire::{Frame, RouteOp},
};
use nodes::*;

const SECOND: Duration = Duration::from_secs(1);

/// `eu-1` and `eu-2` are connected to `us-1`, each with a client.
fn cluster(scope: Scope) -> Nodes {
    let mut nodes = Nodes::new();
    nodes.start("us-1", vec![link("eu", &[]), link("asia", &[])], &[], |_| {});
    for (node, own) in [("eu-1", "t/1"), ("eu-2", "t/2"), ("asia-2", "t/3")] {
        let filters = if scope == Scope::Cluster { vec![filter("t/#")] } else { vec![filter(own)] };
        nodes.start(node, vec![link("us", &["us-1"])], &filters, |config| config.scope = scope);
    }
    nodes.settle();
    nodes
}

fn retire(nodes: &mut Nodes, by: &'static str, node: &str) {
    let now = nodes.now;
    nodes.nodes.get_mut(by).unwrap().retire_node(now, &NodeName::new(node).unwrap());
    nodes.run();
}

fn told(nodes: &mut Nodes, by: &str) -> Vec<(String, u64)> {
    let sent = nodes.sent(by).into_iter();
    sent.filter_map(|f| if let Frame::RouteRetire(r) = f { Some((r.node.to_string(), r.ago)) } else { None }).collect()
}

#[test]
fn its_routes_go_and_no_others() {
    let mut nodes = cluster(Scope::Node);
    nodes.kill("eu-2");
    nodes.pass(SECOND);
    assert!(nodes.wants("us-1", "t/2"), "it is waited for");
    assert_eq!(nodes.publish("us-1", "t/2", "late").accepted, 1);
    retire(&mut nodes, "eu-1", "eu-2");
    assert_eq!(told(&mut nodes, "eu-1"), [("eu-2".to_owned(), 0)]);
    assert!(nodes.peer("us-1", "eu-2").is_none() && !nodes.wants("us-1", "t/2"));
    assert!(nodes.wants("us-1", "t/1") && nodes.wants("us-1", "t/3"));
    // It comes back as a new one.
    nodes.start("eu-2", vec![link("us", &["us-1"])], &[filter("t/2")], |_| {});
    nodes.settle();
    assert!(nodes.wants("us-1", "t/2") && nodes.peer("us-1", "eu-2").is_some());
}

#[test]
fn nobody_is_retired_by_himself_by_strangers_or_while_he_is_there() {
    let mut nodes = cluster(Scope::Node);
    retire(&mut nodes, "eu-1", "eu-1");
    assert!(told(&mut nodes, "eu-1").is_empty(), "of itself it says nothing");
    // One of another cluster, one that does not exist, one that is there.
    retire(&mut nodes, "asia-2", "eu-2");
    retire(&mut nodes, "asia-2", "eu-1");
    retire(&mut nodes, "eu-1", "asia-2");
    retire(&mut nodes, "eu-1", "nobody");
    retire(&mut nodes, "eu-1", "eu-2");
    // A lie about itself.
    nodes.on_the_way = Box::new(|from, _, mut frame| {
        if let Frame::RouteRetire(retire) = &mut frame {
            retire.node = NodeName::new(from).unwrap();
        }
        Some(frame)
    });
    retire(&mut nodes, "eu-1", "eu-9");
    nodes.pass(SECOND * 30);
    for topic in ["t/1", "t/2", "t/3"] {
        assert!(nodes.wants("us-1", topic), "{topic}");
    }
    nodes.settle();
    assert_eq!((nodes.link("us-1").peers.len(), nodes.nodes["us-1"].links(nodes.now)[1].peers.len()), (1, 2));
    // It was heard of since.
    nodes.kill("eu-2");
    nodes.pass(SECOND * 30);
    assert!(nodes.wants("us-1", "t/2"));
    nodes.kill("asia-2");
    nodes.on_the_way = Box::new(|_, _, frame| Some(frame));
    retire(&mut nodes, "eu-1", "asia-2");
    assert!(nodes.wants("us-1", "t/3"), "it is of another cluster");
}

#[test]
fn a_session_of_which_nothing_more_is_heard_ends_the_wait() {
    let mut nodes = cluster(Scope::Node);
    nodes.pass(SECOND);
    // Its machine is gone: nobody notices before the silence does.
    nodes.silent.insert("eu-2");
    nodes.pass(SECOND);
    retire(&mut nodes, "eu-1", "eu-2");
    nodes.pass(SECOND);
    assert!(nodes.wants("us-1", "t/2") && nodes.peer("us-1", "eu-2").is_some(), "it has a session");
    nodes.pass(SECOND * 20);
    assert!(nodes.peer("us-1", "eu-2").is_none() && !nodes.wants("us-1", "t/2"));
    assert!(nodes.wants("us-1", "t/1"));
}

#[test]
fn who_connects_later_is_told_and_a_node_that_is_back_stays() {
    let mut nodes = cluster(Scope::Node);
    nodes.kill("eu-2");
    nodes.cut("eu-1", "us-1");
    nodes.seen.clear();
    retire(&mut nodes, "eu-1", "eu-2");
    assert!(nodes.wants("us-1", "t/2"));
    nodes.pass(SECOND * 3);
    let told_of = told(&mut nodes, "eu-1");
    assert!(told_of.len() == 1 && told_of[0].1 > 0, "{told_of:?}");
    assert!(!nodes.wants("us-1", "t/2"));
    // It comes back, and goes away for a moment; it is told of again.
    nodes.start("eu-2", vec![link("us", &["us-1"])], &[filter("t/2")], |_| {});
    nodes.settle();
    nodes.kill("eu-2");
    nodes.cut("eu-1", "us-1");
    nodes.pass(SECOND * 3);
    assert_eq!(told(&mut nodes, "eu-1").len(), 1);
    assert!(nodes.wants("us-1", "t/2"), "it was heard of after it had left");
}

#[test]
fn so_many_are_remembered() {
    let mut nodes = cluster(Scope::Node);
    nodes.cut("eu-1", "us-1");
    nodes.seen.clear();
    for number in 0..100 {
        retire(&mut nodes, "eu-1", &format!("eu-1{number:02}"));
    }
    retire(&mut nodes, "eu-1", "eu-150");
    nodes.pass(SECOND * 3);
    let told = told(&mut nodes, "eu-1");
    assert_eq!((told.len(), told[0].0.as_str(), told[63].0.as_str()), (64, "eu-136", "eu-150"));
}

#[test]
fn what_was_never_sent_to_it_goes_to_another_node_of_its_cluster() {
    let mut nodes = cluster(Scope::Cluster);
    nodes.got.clear();
    // Both serve some of the publishers: one of them has the lane of this one.
    nodes.publish("us-1", "t/x", "0");
    let (holder, _) = nodes.got.iter().find(|(node, _)| node.starts_with("eu")).unwrap().clone();
    let other = if holder == "eu-1" { "eu-2" } else { "eu-1" };
    nodes.silent.insert(holder);
    let at = nodes.peer("us-1", holder).unwrap().peer;
    nodes.cut(holder, "us-1");
    assert_eq!(nodes.peer("us-1", holder).unwrap().peer, at);
    nodes.publish("us-1", "t/x", "1");
    assert!(nodes.peer("us-1", holder).unwrap().sent.accepted > 0);
    let got = |nodes: &Nodes| nodes.got.iter().filter(|(node, what)| *node == other && what == "1").count();
    let before = got(&nodes);
    retire(&mut nodes, other, holder);
    assert!(nodes.peer("us-1", holder).is_none());
    assert_eq!((before, got(&nodes)), (0, 1), "{:?}", nodes.got);
}

#[test]
fn late_frames_of_it_bring_nothing_back() {
    let mut nodes = cluster(Scope::Node);
    let mut late = nodes.seen.iter().filter(|(from, to, _)| (*from, *to) == ("eu-2", "us-1"));
    let snapshot =
        late.find_map(|(.., frame)| matches!(frame, Frame::RouteSnapshot(_)).then(|| frame.clone())).unwrap();
    nodes.subscribe("eu-2", &[filter("t/22")]);
    nodes.pass(SECOND);
    let is_delta = |frame: &Frame| matches!(frame, Frame::RouteDelta(delta) if matches!(&delta.ops[..], [RouteOp::Add(f)] if f.as_str() == "t/22"));
    let delta = nodes.seen.iter().find(|(.., frame)| is_delta(frame)).unwrap().2.clone();
    nodes.kill("eu-2");
    retire(&mut nodes, "eu-1", "eu-2");
    // By whichever connection they come, that of its life is not there any more.
    for connection in 0..40 {
        for frame in [&snapshot, &delta] {
            let frame = link_core::wire::encode(frame);
            let status = nodes.peer("us-1", "eu-1").unwrap();
            if nodes.is_of("us-1", connection, &["eu-1", "asia-2"]) {
                continue;
            }
            nodes.input("us-1", Input::Frame { connection: ConnectionId(connection), frame });
            assert_eq!(nodes.peer("us-1", "eu-1").unwrap().held, status.held);
        }
    }
    assert!(nodes.peer("us-1", "eu-2").is_none() && !nodes.wants("us-1", "t/2") && !nodes.wants("us-1", "t/22"));
}
