//! Links with the same topics share what is large about their route sets, and nothing else.
#![cfg(feature = "driver")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where it is wrong")]

mod common;
mod routes_model;

use std::{collections::BTreeSet, time::Duration};

use allocation_counter::measure;
use common::{Broker, drain, message};
use common::{cluster, filter, link};
use link_core::{
    index::FilterIndex,
    interest::InterestChange,
    link::NodeName,
    node::{Input, Node, NodeConfig},
    routes::{Covering, Resume, RouteKey, RouteLog, RouteReplica, SharedLogs},
    topic::{Topic, TopicFilter},
    wire::Incarnation,
};
use proptest::{prelude::*, sample::select};
use routes_model::added;

const FILTERS: usize = 10_000;

/// A node with so many links of the same topics and so many filters that are wanted. Gives the bytes that it keeps.
fn kept(links: usize) -> (Node, u64) {
    let mut node = None;
    let kept = measure(|| {
        let mut config = NodeConfig::new(cluster("us"), NodeName::new("us-1").unwrap());
        config.route_ring = 256;
        let mut made = Node::new(config, [7; 32]);
        for n in 0..links {
            // In another order they are the same.
            let topics: &[&str] = if n % 2 == 0 { &["dev/#", "a/+"] } else { &["a/+", "dev/#"] };
            made.create_link(Duration::ZERO, link(&format!("c{n}"), &[], topics)).unwrap();
        }
        let some: Vec<_> = (0..FILTERS).map(|n| added(&format!("dev/{n}/some/levels/of/it"))).collect();
        made.handle(Duration::ZERO, Input::Interest(some));
        while made.poll_output().is_some() {}
        node = Some(made);
    });
    (node.unwrap(), u64::try_from(kept.bytes_current).unwrap())
}

#[test]
fn ten_links_with_the_same_topics_cost_about_as_much_as_one() {
    let ((one, of_one), (ten, of_ten)) = (kept(1), kept(10));
    assert_eq!((one.route_views(), ten.route_views()), (1, 1));
    assert!(of_ten < of_one + of_one / 5 + 10 * 128 * 1024, "{of_ten} bytes for ten, {of_one} for one");
}

#[test]
fn a_link_with_other_topics_has_a_set_of_its_own_until_they_are_the_same_again() {
    let (mut node, _) = kept(3);
    for (topics, views) in [(vec!["dev/1/#"], 2), (vec!["a/+", "dev/#"], 1), (vec![], 2)] {
        node.update_link(Duration::ZERO, link("c1", &[], &topics)).unwrap();
        assert_eq!(node.route_views(), views, "{topics:?}");
    }
    node.create_link(Duration::ZERO, link("late", &[], &["dev/#", "a/+"])).unwrap();
    assert_eq!(node.route_views(), 2);
    node.delete_link(Duration::ZERO, &cluster("c0")).unwrap();
    node.delete_link(Duration::ZERO, &cluster("c2")).unwrap();
    assert_eq!(node.route_views(), 2);
}

/// A link's log, what its peer holds, and the topics.
struct Side {
    log: RouteLog,
    replica: RouteReplica<u32>,
    index: FilterIndex<u32>,
    topics: Vec<TopicFilter>,
}

fn texts() -> impl Strategy<Value = &'static str> {
    select(vec!["#", "a/#", "a/+", "a/b", "a/c", "a/b/c", "+/b", "b", "b/#", "+"])
}

#[derive(Debug, Clone)]
enum Act {
    Interest(Vec<(bool, &'static str)>),
    Topics(usize, Vec<&'static str>),
    Advance(u64, bool),
}

fn act() -> impl Strategy<Value = Act> {
    let topics = select(vec![vec!["#"], vec!["#"], vec!["a/#", "b"], vec!["b", "a/#", "a/b"], vec!["+/b"], vec![]]);
    prop_oneof![
        4 => prop::collection::vec((any::<bool>(), texts()), 1..4).prop_map(Act::Interest),
        2 => (0..4usize, topics).prop_map(|(side, topics)| Act::Topics(side, topics)),
        2 => (1..200u64, any::<bool>()).prop_map(|(seconds, acked)| Act::Advance(seconds, acked)),
    ]
}

proptest! {
    /// Whatever shares with what: each peer's copy is proven, and matches what interest and topics have in common. Keys
    /// and histories stay apart.
    #[test]
    fn each_log_says_what_it_would_say_alone(acts in prop::collection::vec(act(), 1..40)) {
        let mut sides: Vec<Side> = (0..4u8).map(|n| {
            let mut log = RouteLog::new(Incarnation { counter: 1, nonce: n.into() }, RouteKey([n; 16]), vec![], 32);
            log.set_covering(Covering::default());
            let (mut replica, mut index) = (RouteReplica::new(1, 1000), FilterIndex::new(7));
            replica.set_key(&mut index, *log.key());
            Side { log, replica, index, topics: vec![] }
        }).collect();
        let mut interest: BTreeSet<TopicFilter> = BTreeSet::new();
        let mut now = Duration::ZERO;
        for act in acts {
            match act {
                Act::Interest(wanted) => {
                    let changes: Vec<InterestChange> = wanted.into_iter().filter_map(|(add, text)| {
                        let filter = filter(text);
                        let turned = if add { interest.insert(filter.clone()) } else { interest.remove(&filter) };
                        turned.then(|| if add { InterestChange::Added(filter) } else { InterestChange::Removed(filter) })
                    }).collect();
                    for mut logs in SharedLogs::group(sides.iter_mut().map(|side| &mut side.log)) {
                        logs.apply(now, &changes);
                    }
                }
                Act::Topics(at, topics) => {
                    let topics: Vec<TopicFilter> = topics.into_iter().map(filter).collect();
                    let mut side = sides.remove(at);
                    match sides.iter().find(|other| other.log.has_imports(&topics)) {
                        Some(other) => side.log.join(&other.log),
                        None => side.log.set_imports(topics.clone(), &interest),
                    }
                    side.topics = topics;
                    sides.insert(at, side);
                }
                Act::Advance(seconds, acked) => {
                    now += Duration::from_secs(seconds);
                    let seqs: Vec<u64> = sides.iter().map(|s| s.log.in_view(s.log.position().seq)).collect();
                    for mut logs in SharedLogs::group(sides.iter_mut().map(|side| &mut side.log)) {
                        logs.advance(now, seqs.iter().min().copied().filter(|_| acked));
                    }
                }
            }
            for side in &mut sides {
                match side.log.resume(side.replica.position().as_ref()) {
                    Resume::UpToDate => {}
                    Resume::Tail { from } => {
                        let delta = side.log.since(from, usize::MAX).unwrap();
                        side.replica.apply_delta(&mut side.index, &delta).unwrap();
                    }
                    Resume::Snapshot => {
                        let part = side.log.snapshot().next_part(&side.log, usize::MAX).unwrap();
                        side.replica.apply_snapshot(&mut side.index, part).unwrap();
                    }
                }
                prop_assert_eq!(side.replica.position(), Some(side.log.position()));
                prop_assert_eq!(side.replica.visible(&side.index).into_iter().collect::<BTreeSet<_>>(), side.log.announced().cloned().collect::<BTreeSet<_>>());
                for topic in ["a", "b", "c", "a/b", "a/c", "c/b", "a/b/c", "b/c"].map(|text| Topic::new(text).unwrap()) {
                    let wanted = interest.iter().any(|f| f.matches(&topic)) && side.topics.iter().any(|f| f.matches(&topic));
                    let said = side.log.announced().any(|f| f.matches(&topic));
                    prop_assert!(said || !wanted, "{} is wanted", topic.as_str());
                    prop_assert!(!said || wanted || side.log.lingering() > 0, "{} is not wanted", topic.as_str());
                }
            }
            for (a, b) in [(0, 1), (1, 2), (2, 3), (0, 3)] {
                let same = sides[a].log.imports() == sides[b].log.imports();
                prop_assert!(same || !sides[a].log.shares_with(&sides[b].log));
            }
        }
    }
}

#[tokio::test]
async fn links_part_and_come_together_while_they_are_connected() {
    let network = link_core::memory::MemoryNetwork::new();
    let names = ["eu", "ap", "sa"];
    let peers: Vec<Broker> = names
        .iter()
        .map(|name| Broker::start(&network, name, &format!("{name}-1"), vec![link("us", &[], &["#"])]))
        .collect();
    let links = names.iter().map(|name| link(name, &[&format!("{name}-1")], &["t/#"])).collect();
    let us = Broker::start(&network, "us", "us-1", links);
    let mut client = us.subscriber("c", &["t/1", "t/2", "u/1"]);
    for peer in &peers {
        peer.wait_routes("us", 2).await;
    }
    for (topics, routes) in [(vec!["t/2", "u/#"], 2), (vec!["t/#"], 2), (vec!["#"], 3), (vec!["t/#"], 2)] {
        us.linker.update_link(link("ap", &["ap-1"], &topics)).await.unwrap();
        us.subscriber("more", &["t/3"]);
        peers[1]
            .wait("us", "equal", |status| {
                status.peers[0].in_sync && status.peers[0].held.is_some_and(|held| held.count == routes)
            })
            .await;
        for (peer, name) in peers.iter().zip(names) {
            peer.client("p").publish(&message("t/2", name)).unwrap();
            us.wait(name, "in sync", |status| status.peers[0].in_sync).await;
        }
        let mut got: Vec<_> = drain(&mut client, Duration::from_millis(100)).await;
        got.sort_by(|a, b| a.payload.cmp(&b.payload));
        assert_eq!(got.iter().map(|message| &message.payload[..]).collect::<Vec<_>>(), [b"ap", b"eu", b"sa"]);
    }
}
