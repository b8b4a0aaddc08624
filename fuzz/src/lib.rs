//! What the fuzz targets do with their input, so that the tests can replay the corpus.
//!
//! Each target is a function that panics if a law is broken. `cargo fuzz run NAME` searches for inputs, from this
//! folder; `cargo test -p fuzz` replays `corpus/`; `cargo run -p fuzz --bin NAME -- FILE...` replays single files.

mod index_ops;
mod node_inputs;
mod sketch_decode;

use bytes::Bytes;
use link_core::{
    index::FilterIndex,
    topic::{Topic, TopicFilter},
    wire::{self, Entry, Frame, Limits},
};

pub use index_ops::index_ops;
pub use node_inputs::node_inputs;
pub use sketch_decode::sketch_decode;

/// A frame of a peer is refused, or understood and then the same after another round trip.
pub fn frame_decode(data: &[u8]) {
    let limits = Limits::default();
    let Ok(frame) = wire::decode(Bytes::copy_from_slice(data), &limits) else { return };
    let again = wire::decode(wire::encode(&frame), &limits);
    assert_eq!(again.as_ref(), Ok(&frame));
    let Frame::Batch(batch) = frame else { return };
    for entry in batch.entries {
        let Entry::Message { expiry, body } = entry else { continue };
        let Ok(message) = wire::decode_message(body, expiry, &limits) else { continue };
        let again = wire::decode_message(wire::encode_message(&message), expiry, &limits);
        assert_eq!(again, Ok(message));
    }
}

/// Lines: a topic, then filters. Each filter alone, all of them in an index, and the definition agree about the topic.
pub fn topic_match(data: &[u8]) {
    let mut lines = lines(data);
    let Some(topic) = lines.next() else { return };
    let Ok(topic) = Topic::from_bytes(topic) else { return };
    assert_eq!(Topic::check(topic.as_str()), Ok(()));

    let mut index = FilterIndex::new(1);
    let mut matching = Vec::new();
    let filters: Vec<_> = lines.take(16).filter_map(|line| TopicFilter::from_bytes(line).ok()).collect();
    for (value, filter) in filters.iter().enumerate() {
        let matches = filter.matches(&topic);
        assert_eq!(matches, definition(filter, &topic), "{filter:?} {topic:?}");
        assert!(index.insert(filter, value));
        if matches {
            matching.push(value);
        }
    }

    let mut found = Vec::new();
    index.for_each_match(&topic, |&value| found.push(value));
    found.sort_unstable();
    assert_eq!(found, matching, "{topic:?}");
    assert_eq!(index.is_match(&topic), !matching.is_empty());

    for (value, filter) in filters.iter().enumerate() {
        assert!(index.remove(filter, &value));
    }
    assert!(index.is_empty() && index.iter().next().is_none());
}

/// Lines: two filters, then topics. What the two have in common is what each topic says, in both orders.
pub fn filter_intersect(data: &[u8]) {
    let mut lines = lines(data);
    let (Some(a), Some(b)) = (lines.next(), lines.next()) else { return };
    let (Ok(a), Ok(b)) = (TopicFilter::from_bytes(a), TopicFilter::from_bytes(b)) else { return };
    let both = a.intersect(&b);
    match (&both, b.intersect(&a)) {
        (Some(both), Some(other)) => {
            assert!(both.covers(&other) && other.covers(both), "{a:?} {b:?}");
            assert!(a.covers(both) && b.covers(both), "{a:?} {b:?}");
            assert_eq!(TopicFilter::check(both.as_str()), Ok(()));
            assert_eq!(both.share_group(), None);
        }
        (both, other) => assert!(both.is_none() && other.is_none(), "{a:?} {b:?}"),
    }
    if a.covers(&b) {
        assert!(both.as_ref().is_some_and(|both| both.covers(&b)), "{a:?} {b:?}");
    }

    // An index of one filter gives the same answers.
    let mut index = FilterIndex::new(1);
    index.insert(&a, 0u8);
    assert_eq!(index.intersecting(&b).next().is_some(), both.is_some(), "{a:?} {b:?}");
    assert_eq!(index.covering(&b).next().is_some(), a.covers(&b), "{a:?} {b:?}");
    assert_eq!(index.covered_by(&b).next().is_some(), b.covers(&a), "{a:?} {b:?}");

    let witnesses = [&a, &b].map(|filter| Bytes::from(filter.pattern().replace(['+', '#'], "w")));
    for topic in lines.take(16).chain(witnesses).filter_map(|line| Topic::from_bytes(line).ok()) {
        let (of_a, of_b) = (a.matches(&topic), b.matches(&topic));
        let of_both = both.as_ref().is_some_and(|both| both.matches(&topic));
        let is_too_long = both.is_none() && a.as_str().len() + b.as_str().len() > 65_535;
        assert!(of_both == (of_a && of_b) || is_too_long, "{a:?} {b:?} {topic:?}");
        assert!(!of_b || of_a || !a.covers(&b), "{a:?} {b:?} {topic:?}");
    }
}

/// Runs a target on each file that the command line names.
pub fn replay(target: fn(&[u8])) -> std::io::Result<()> {
    for file in std::env::args_os().skip(1) {
        target(&std::fs::read(&file)?);
        println!("passed: {}", file.display());
    }
    Ok(())
}

/// MQTT 5, section 4.7, the slow way.
fn definition(filter: &TopicFilter, topic: &Topic) -> bool {
    let mut filter: Vec<_> = filter.pattern().split('/').collect();
    let topic: Vec<_> = topic.as_str().split('/').collect();
    if topic[0].starts_with('$') && matches!(filter[0], "+" | "#") {
        return false;
    }
    let below = filter.last() == Some(&"#");
    if below {
        filter.pop();
    }
    let fits = if below { filter.len() <= topic.len() } else { filter.len() == topic.len() };
    fits && filter.iter().zip(&topic).all(|(wanted, level)| *wanted == "+" || wanted == level)
}

fn lines(data: &[u8]) -> impl Iterator<Item = Bytes> {
    data.split(|&byte| byte == b'\n').map(Bytes::copy_from_slice)
}
