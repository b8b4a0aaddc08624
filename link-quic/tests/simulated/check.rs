//! What has to hold at the end of a run.

use std::time::Duration;

use crate::{
    record::{Record, What},
    world::End,
};

/// Whether all that was accepted from `since` on has come, at the life that is there now.
pub fn is_complete(record: &Record, since: Duration) -> bool {
    End::BOTH.iter().all(|&end| {
        let delivered = record.delivered(end.other(), record.life(end.other()));
        record.accepted(end).iter().all(|(publisher, accepted)| {
            let last = accepted.last().filter(|(at, _)| *at >= since);
            let came = delivered.get(publisher).and_then(|list| list.last());
            last.is_none_or(|(_, last)| came.is_some_and(|(_, came)| came >= last))
        })
    })
}

/// Accepted from `since` on: exactly once, in the order of each publisher. Before: to the first life of the receiver all
/// up to where it or the sender ended; to a later life from some message on, without a gap.
pub fn check(name: &str, record: &Record, since: Duration) {
    for sender in End::BOTH {
        let (receiver, accepted) = (sender.other(), record.accepted(sender));
        for life in 1..=record.life(receiver) {
            let delivered = record.delivered(receiver, life);
            let unknown = delivered.keys().find(|publisher| !accepted.contains_key(publisher));
            assert_eq!(unknown, None, "{name}: nothing was accepted of it at {sender:?}");
            for (publisher, accepted) in &accepted {
                let case = format!("{name}: publisher {publisher:?} at {sender:?} to life {life}");
                let came = delivered.get(publisher).map_or(&[][..], |list| list);
                let numbers = |list: &[(Duration, u64)]| list.iter().map(|(_, number)| *number).collect::<Vec<_>>();
                let first = came.first().and_then(|(_, first)| accepted.iter().position(|(_, number)| number == first));
                let first = if life == 1 { 0 } else { first.unwrap_or(accepted.len()) };
                let until_here = accepted.get(first..first + came.len()).unwrap_or(&accepted[first..]);
                assert_eq!(numbers(came), numbers(until_here), "{case}: twice, out of order, or with a gap");
                if life == record.life(receiver) {
                    let wanted = accepted.partition_point(|(at, _)| *at < since);
                    assert!(wanted == accepted.len() || first <= wanted, "{case}: it begins too late");
                    assert!(
                        wanted == accepted.len() || first + came.len() == accepted.len(),
                        "{case}: it ends before {:?}",
                        accepted.last()
                    );
                }
            }
        }
    }
}

/// Two runs of one seed: the same, to the packet.
pub fn same(one: &Record, other: &Record) {
    alike("packet", &one.packets, &other.packets);
    alike("event", &one.events, &other.events);
}

fn alike<T: PartialEq + std::fmt::Debug>(what: &str, one: &[T], other: &[T]) {
    if let Some(at) = (0..one.len().max(other.len())).find(|&at| one.get(at) != other.get(at)) {
        panic!("{what} {at} differs: {:?} and {:?}", one.get(at), other.get(at));
    }
}

/// The changes of the link's state, for a person.
pub fn states(record: &Record) -> String {
    let changes = record.events.iter().filter(|event| matches!(event.what, What::Started | What::State(..)));
    changes.map(|e| format!("\n  {:>9.3?} {:?} {} {:?}", e.at, e.end, e.life, e.what)).collect()
}

pub fn summary(record: &Record) -> String {
    let count = |choose: fn(&What) -> bool| record.events.iter().filter(|event| choose(&event.what)).count();
    let last = record.events.last().map(|event| event.at).unwrap_or_default();
    format!(
        "{} accepted, {} delivered, {} changes of state, {} packets, {last:?}",
        count(|what| matches!(what, What::Accepted(_))),
        count(|what| matches!(what, What::Delivered(_))),
        count(|what| matches!(what, What::State(..))),
        record.packets.len()
    )
}
