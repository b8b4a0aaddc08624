//! The acceptance list of the reference, as far as it is about route sets, and the vectors recorded from a real EMQX
//! node.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where it is wrong")]

mod routes_model;

use std::collections::{BTreeMap, BTreeSet};

use link_core::{
    index::FilterIndex,
    interest::Subscriptions,
    routes::{RouteChange, RouteFault, RouteLog, RouteReplica},
    topic::{Topic, TopicFilter},
    wire::{RouteDelta, RouteOp},
};
use routes_model::*;
use serde_json::{Value, json};

/// The routes of several peers, as the shared table has them.
#[derive(Debug, Default, PartialEq)]
struct Routes(BTreeMap<TopicFilter, BTreeSet<&'static str>>);

impl Routes {
    fn take(&mut self, peer: &'static str, changes: Vec<RouteChange>) {
        for change in changes {
            match change {
                RouteChange::Add(filter) => assert!(self.0.entry(filter).or_default().insert(peer)),
                RouteChange::Remove(filter) => {
                    let peers = self.0.get_mut(&filter).unwrap();
                    assert!(peers.remove(peer));
                    if peers.is_empty() {
                        self.0.remove(&filter);
                    }
                }
            }
        }
    }

    fn wanted_by(&self, topic: &str) -> Vec<&'static str> {
        let topic = Topic::new(topic.to_owned()).unwrap();
        let peers = self.0.iter().filter(|(filter, _)| filter.matches(&topic)).flat_map(|(_, peers)| peers);
        peers.copied().collect::<BTreeSet<_>>().into_iter().collect()
    }
}

/// A peer node: its subscriptions, its log, and our copy of it.
struct Peer {
    name: &'static str,
    subscriptions: Subscriptions,
    log: RouteLog,
    replica: RouteReplica<u32>,
    index: FilterIndex<u32>,
}

impl Peer {
    fn new(name: &'static str, imports: &[&str]) -> Self {
        let (mut replica, mut index) = (RouteReplica::new(1, 1000), FilterIndex::new(7));
        replica.set_key(&mut index, key(1));
        Self { name, subscriptions: Subscriptions::new(), log: log(imports, 1000), replica, index }
    }

    /// What its clients did reaches us. Gives the operations that crossed.
    fn sync(&mut self, routes: &mut Routes) -> Vec<RouteOp> {
        let changes = self.subscriptions.drain();
        self.log.apply(&changes);
        let Some(held) = self.replica.position().filter(|held| held.incarnation == self.log.position().incarnation)
        else {
            let mut snapshot = self.log.snapshot();
            while let Some(part) = snapshot.next_part(&self.log, 0) {
                routes.take(self.name, self.replica.apply_snapshot(&mut self.index, part).unwrap());
            }
            return Vec::new();
        };
        let delta = self.log.since(held.seq, usize::MAX).unwrap();
        // Twice: a repetition changes nothing.
        for _ in 0..2 {
            routes.take(self.name, self.replica.apply_delta(&mut self.index, &delta).unwrap());
        }
        delta.ops
    }

    fn restart(&mut self, counter: u64) {
        let imports = self.log.imports().to_vec();
        self.log = RouteLog::new(life(counter), key(1), imports, 1000);
        self.subscriptions = Subscriptions::new();
    }
}

#[test]
fn emqx_acceptance_06_routes_of_several_peers_are_idempotent_and_end_empty() {
    let mut routes = Routes::default();
    let mut peers = [Peer::new("n1", &["#"]), Peer::new("n2", &["#"]), Peer::new("n3", &["#"])];
    for peer in &mut peers {
        for _ in 0..2 {
            peer.subscriptions.subscribe("c", &filter("t/1"));
            peer.subscriptions.subscribe("c", &filter("t/+"));
            peer.sync(&mut routes);
        }
    }
    // Each peer once, however many of its filters match.
    assert_eq!(routes.wanted_by("t/1"), ["n1", "n2", "n3"]);
    for (at, peer) in peers.iter_mut().enumerate() {
        for _ in 0..2 {
            peer.subscriptions.unsubscribe("c", &filter("t/+"));
            peer.subscriptions.unsubscribe("c", &filter("t/1"));
            peer.sync(&mut routes);
        }
        assert_eq!(routes.wanted_by("t/1").len(), 2 - at);
    }
    assert_eq!(routes, Routes::default());
}

#[test]
fn emqx_acceptance_07_a_later_life_replaces_the_routes_of_the_earlier_one() {
    let mut routes = Routes::default();
    let mut peer = Peer::new("n1", &["#"]);
    peer.subscriptions.subscribe("c", &filter("old"));
    peer.subscriptions.subscribe("c", &filter("both"));
    peer.sync(&mut routes);
    let before = peer.log.position();
    peer.restart(2);
    peer.subscriptions.subscribe("c", &filter("both"));
    peer.subscriptions.subscribe("c", &filter("new"));
    peer.sync(&mut routes);
    assert_eq!(["old", "both", "new"].map(|topic| routes.wanted_by(topic).len()), [0, 1, 1]);
    let late = RouteDelta { from: before.seq, to: before, ops: vec![RouteOp::Add(filter("late"))] };
    assert_eq!(peer.replica.apply_delta(&mut peer.index, &late), Err(RouteFault::OtherLife { came: 1, held: 2 }));
    assert_eq!(routes.wanted_by("late"), [""; 0]);
}

#[test]
fn emqx_acceptance_09_peers_restarts_and_expiry_end_in_the_expected_set() {
    let mut routes = Routes::default();
    let mut peers = [Peer::new("n1", &["#"]), Peer::new("n2", &["#"]), Peer::new("n3", &["#"])];
    for round in 0u64..30 {
        for (at, peer) in peers.iter_mut().enumerate() {
            let turn = (round * 7 + at as u64 * 3) % 11;
            match turn {
                0 => peer.restart(round + 2),
                1 => routes.take(peer.name, peer.replica.retire(&mut peer.index)),
                _ => {}
            }
            for n in 0..6 {
                let topic = filter(&format!("t/{n}"));
                if (round + n) % (at as u64 + 2) == 0 {
                    peer.subscriptions.subscribe("c", &topic);
                } else {
                    peer.subscriptions.unsubscribe("c", &topic);
                }
            }
            if turn != 1 {
                peer.sync(&mut routes);
            }
        }
    }
    for peer in &mut peers {
        peer.sync(&mut routes);
    }
    for n in 0..6u64 {
        let expected: Vec<_> =
            ["n1", "n2", "n3"].into_iter().zip(2..).filter(|(_, every)| (29 + n) % every == 0).collect();
        let expected: Vec<_> = expected.into_iter().map(|(name, _)| name).collect();
        assert_eq!(routes.wanted_by(&format!("t/{n}")), expected, "t/{n}");
    }
}

#[test]
fn emqx_acceptance_10_redundant_link_topics_collapse() {
    let mut routes = Routes::default();
    let mut peer = Peer::new("n1", &["t/1", "t/+", "t/#", "t/1/x", "t/+", "$share/g/t/2"]);
    assert_eq!(peer.log.imports(), [filter("t/#")]);
    peer.sync(&mut routes);
    for text in ["t/1", "t/+", "t/#", "$share/g/t/9/#"] {
        peer.subscriptions.subscribe("c", &filter(text));
        let plain = filter(text).without_share();
        assert_eq!(peer.sync(&mut routes), [RouteOp::Add(plain.clone())], "one operation for {text}");
        peer.subscriptions.unsubscribe("c", &filter(text));
        assert_eq!(peer.sync(&mut routes), [RouteOp::Remove(plain)], "one operation for {text}");
    }
}

#[test]
fn emqx_acceptance_11_link_topics_that_overlap_in_part_make_several_routes() {
    let mut routes = Routes::default();
    let mut peer = Peer::new("n1", &["t/+/1/#", "t/1/+"]);
    peer.sync(&mut routes);
    peer.subscriptions.subscribe("c", &filter("t/+/+"));
    assert_eq!(peer.sync(&mut routes), [RouteOp::Add(filter("t/+/1")), RouteOp::Add(filter("t/1/+"))]);
    assert_eq!(["t/1/1", "t/2/1", "t/1/2", "t/2/2"].map(|topic| routes.wanted_by(topic).len()), [1, 1, 1, 0]);
    peer.subscriptions.unsubscribe("c", &filter("t/+/+"));
    assert_eq!(peer.sync(&mut routes).len(), 2);
    assert_eq!(routes, Routes::default());
}

#[test]
fn emqx_acceptance_12_a_wildcard_against_literal_topics() {
    let literals = ["t/1", "t/2", "t/3", "t/4"];
    let mut peer = Peer::new("n1", &literals);
    peer.sync(&mut Routes::default());
    peer.subscriptions.subscribe("c", &filter("t/+"));
    peer.log.apply(&peer.subscriptions.drain());
    assert_eq!(peer.log.announced().cloned().collect::<Set>(), set(&literals), "N literal topics, N routes");
    let mut peer = Peer::new("n1", &["t/1", "t/2", "t/#", "t/3"]);
    peer.subscriptions.subscribe("c", &filter("t/+"));
    peer.log.apply(&peer.subscriptions.drain());
    assert_eq!(peer.log.announced().cloned().collect::<Set>(), set(&["t/+"]), "with a covering topic, one");
}

/// Rows `[subscription, link topics, routes pushed]`. The order of the pushed routes says nothing.
#[test]
fn emqx_advertises() {
    let rows: Vec<Value> =
        include_str!("data/emqx_advertise.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 1500);
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let mut differing = Vec::new();
    for row in rows {
        let (topic, pushed) = (row[0].as_str().unwrap(), texts(&row[2]).into_iter().collect::<BTreeSet<_>>());
        let imports: Result<Vec<TopicFilter>, _> = texts(&row[1]).into_iter().map(TopicFilter::new).collect();
        let ours = match (TopicFilter::new(topic.to_owned()), imports) {
            (Ok(topic), Ok(imports)) => {
                let mut subscriptions = Subscriptions::new();
                subscriptions.subscribe("c", &topic);
                let mut log = RouteLog::new(life(1), key(1), imports, 16);
                log.apply(&subscriptions.drain());
                json!(log.announced().map(TopicFilter::as_str).collect::<BTreeSet<_>>())
            }
            (Err(error), _) | (_, Err(error)) => json!(error.to_string()),
        };
        if ours != json!(pushed) {
            differing.push(json!([topic, row[1], ours]));
        }
    }
    let listed: Vec<Value> = DIFFERING.trim().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let printed: Vec<String> = differing.iter().map(Value::to_string).collect();
    assert_eq!(differing, listed, "\n{}", printed.join("\n"));
}

/// Where ours differ, each row with our answer or our error. Three reasons, and none else:
///
/// - `$share/group/` is two ordinary levels to the recorded function. To MQTT 5, section 4.8.2, it is no part of what
///   is matched, neither in a subscription nor in a link's topic, and has its own syntax;
/// - `$LINK/` belongs to the links themselves and is never interest;
/// - route ids are not announced: two subscriptions of which the intersection is the same make one route, counted. (One
///   subscription alone, as in these rows, does not show it.)
const DIFFERING: &str = r##"
["+/./$",["$/é","$share/+//c/+","é/a/$x/+/#","é/a/+/+","é/a/c/+/a"],"`+` at byte 7 is not allowed in the group of a shared subscription"]
["$share/a/b/0/x.y-z_1",["$share/a/+/#","+/a/b/+/ab"],["b/0/x.y-z_1"]]
["é",["$share/日本","+","+/😀/+//+/0/😀/x.y-z_1/a b","/0/#","\u007f/a/+/ /é/é/$/+/0/a/ /😀/日本/+","é/#"],"a shared subscription needs a topic filter after its group: `$share/group/filter`"]
["$share/+/a/\u007f/\"q\\/+/a b/+/ /+/\ufeff/+/x.y-z_1/ab/$x/\u007f",["b","😀/+/b/a b/c/./日本/😀/😀/+//a/$/+","😀/x.y-z_1/+/+/c/\ufeff/+/+/😀/+//a/$/ab","😀/x.y-z_1/+/é/+/ab/日本/😀/+/0//+/$/ab","😀/x.y-z_1/b/+/c/+/+/😀/😀/+//a/$/ab"],"`+` at byte 7 is not allowed in the group of a shared subscription"]
["$LINK/A/$x/c",["#","$LINK/+/$x/#"],[]]
["$share/0",["+/é/+/#","0/é"],"a shared subscription needs a topic filter after its group: `$share/group/filter`"]
["$LINK/#",["$LINK/#","+/a","\u007f/c/+"],[]]
["+/+/+",["$share/ab/#","+/$x/#","x.y-z_1/x.y-z_1/A"],["+/+/+"]]
["#",["$share/a/+/+/a"],["+/+/a"]]
["$share",["$/$x/a b/A/0","$queue//😀","$share/"],"`$share/` needs a group: `$share/group/filter`"]
["$share",["$share/#","+/#"],"`#` at byte 7 is not allowed in the group of a shared subscription"]
["b/b/é/A/$x",["$share/#","+/$x/+/ ","b/+/+/A/$x/0","b/b/é/+/+","é"],"`#` at byte 7 is not allowed in the group of a shared subscription"]
["+/+//a/+/é/a/+/b/+/ /😀/+/a",["$/日本/+/\ufeff/#","$share/+","0/./+/+/+","ab/é/#","\ufeff/ /a b/+/#"],"`+` at byte 7 is not allowed in the group of a shared subscription"]
["+/+/a/+",["$share/+/+/ab","$share/b/a/+","+/b/a/+"],"`+` at byte 7 is not allowed in the group of a shared subscription"]
["$LINK",["$LINK"],[]]
["0/😀/A/+/+",["$share/#","+/é/日本","b/+/日本"],"`#` at byte 7 is not allowed in the group of a shared subscription"]
["$LINK/+/\u007f/a/a",[" /日本","$LINK/+/\u007f/a/+","+/+/+/+/#"],[]]
["$share/+/日本/+",["$x/ab","+/$/+//.//+/é/./ab/ab/+","a","x.y-z_1/$/+/+/+//b/+/+/#"],"`+` at byte 7 is not allowed in the group of a shared subscription"]
["a",["#","$share/+"],"`+` at byte 7 is not allowed in the group of a shared subscription"]
["$share/./#",["$share/+/#","+/#"],"`+` at byte 7 is not allowed in the group of a shared subscription"]
["$share",["$share/#","+"],"`#` at byte 7 is not allowed in the group of a shared subscription"]
["$share/+",["é/+/#"],"`+` at byte 7 is not allowed in the group of a shared subscription"]
["$share/é/\"q\\/ab/b",["$share/+/#","+/ab/+/#"],"`+` at byte 7 is not allowed in the group of a shared subscription"]
["$share/ab/+/a b/😀",["$$/a/./#","$share/+/+/+/😀","+/+/+/a b/#","+/+/x.y-z_1/+/+"],"`+` at byte 7 is not allowed in the group of a shared subscription"]
["$LINK/0",["#","$LINK/+"],[]]
["$share/é",["#","$share/#"],"a shared subscription needs a topic filter after its group: `$share/group/filter`"]
["$LINK/a b/é/#",["$LINK/a b/é/#","+/a b/é/\ufeff"],[]]
["$//+",["$share/#","+/\u007f/é/\"q\\","A/#","😀/b/x.y-z_1/$x"],"`#` at byte 7 is not allowed in the group of a shared subscription"]
["$LINK/./$x/",["$LINK/#","+/./+//#"],[]]
["$share/+/$x",["$share/#","+/+/+","é/a"],"`+` at byte 7 is not allowed in the group of a shared subscription"]
["$share/a/A/\"q\\",["$share/#","+/#"],"`#` at byte 7 is not allowed in the group of a shared subscription"]
["$share/$x/+/\ufeff/+",["$share/$x/+/+/a"],["+/\ufeff/a"]]
["+/0/$x/A",["$share/#","+/+/x.y-z_1","A/#"],"`#` at byte 7 is not allowed in the group of a shared subscription"]
["$share//A",["$share/+/+/#","+//+/#"],"`$share/` needs a group: `$share/group/filter`"]
["$share/A",["+/a/+/\ufeff/#","+/😀/x.y-z_1/ab/b","a b/+","é/#"],"a shared subscription needs a topic filter after its group: `$share/group/filter`"]
"##;
