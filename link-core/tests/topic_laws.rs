//! `matches`, `covers` and `intersect` against what they mean: sets of topics, enumerated.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in what its functions call as well")]

use std::collections::BTreeMap;

use link_core::topic::{Topic, TopicFilter};
use proptest::prelude::*;

/// `x` is in no filter, so it stands for every other word.
const WORDS: [&str; 5] = ["", "a", "b", "$s", "x"];
const DEPTH: usize = 5;

/// A set of topics: one bit for each of [`all_topics`].
type Set = Vec<u64>;

fn and(a: &Set, b: &Set) -> Set {
    a.iter().zip(b).map(|(a, b)| a & b).collect()
}

/// Every topic of up to [`DEPTH`] levels of [`WORDS`].
fn all_topics() -> Vec<Topic> {
    let mut all = Vec::new();
    let mut longest: Vec<Vec<&str>> = vec![vec![]];
    for _ in 0..DEPTH {
        longest = longest.iter().flat_map(|t| WORDS.map(|word| [t.as_slice(), &[word]].concat())).collect();
        all.extend(longest.iter().filter_map(|levels| Topic::new(levels.join("/")).ok()));
    }
    all
}

/// Every filter of up to `depth` levels.
fn all_filters(depth: usize) -> Vec<TopicFilter> {
    let words = ["", "a", "b", "$s", "+"];
    let mut all = vec!["#".to_owned()];
    let mut longest: Vec<Vec<&str>> = vec![vec![]];
    for at in 0..depth {
        longest = longest.iter().flat_map(|f| words.map(|word| [f.as_slice(), &[word]].concat())).collect();
        all.extend(longest.iter().map(|levels| levels.join("/")));
        if at + 1 < depth {
            all.extend(longest.iter().map(|levels| levels.join("/") + "/#"));
        }
    }
    all.iter().filter_map(|text| TopicFilter::new(text.as_str()).ok()).collect()
}

/// Section 4.7, word for word and slow.
fn oracle(filter: &[&str], topic: &[&str]) -> bool {
    fn rest(filter: &[&str], topic: &[&str]) -> bool {
        match (filter, topic) {
            (["#"], _) | ([], []) => true,
            (["+", filter @ ..], [_, topic @ ..]) => rest(filter, topic),
            ([word, filter @ ..], [level, topic @ ..]) => word == level && rest(filter, topic),
            _ => false,
        }
    }
    let wildcard_first = matches!(filter.first(), Some(&"+" | &"#"));
    let dollar_first = topic.first().is_some_and(|level| level.starts_with('$'));
    !(wildcard_first && dollar_first) && rest(filter, topic)
}

fn topics_of(filter: &TopicFilter, topics: &[Topic]) -> Set {
    let filter: Vec<_> = filter.as_str().split('/').collect();
    let of = |topic: &Topic| oracle(&filter, &topic.as_str().split('/').collect::<Vec<_>>());
    topics.chunks(64).map(|some| some.iter().rev().fold(0, |bits, topic| bits << 1 | u64::from(of(topic)))).collect()
}

#[test]
fn every_small_pair_behaves_as_its_topics_do() {
    let topics = all_topics();
    let filters = all_filters(3);
    let sets: BTreeMap<_, _> = filters.iter().map(|filter| (filter.clone(), topics_of(filter, &topics))).collect();
    for (filter, set) in &sets {
        assert!(set.iter().any(|&bits| bits != 0), "{filter} matches something");
        for (at, topic) in topics.iter().enumerate() {
            assert_eq!(filter.matches(topic), set[at / 64] >> (at % 64) & 1 == 1, "{filter} and {topic}");
        }
    }
    for (a, of_a) in &sets {
        for (b, of_b) in &sets {
            let common = and(of_a, of_b);
            assert_eq!(a.covers(b), common == *of_b, "{a} covers {b}");
            match a.intersect(b) {
                None => assert!(common.iter().all(|&bits| bits == 0), "{a} and {b} have topics in common"),
                // Every intersection of small filters is a small filter.
                Some(both) => assert_eq!(sets[&both], common, "{a} and {b} make {both}"),
            }
        }
    }
}

#[test]
fn corner_cases() {
    let filter = |text: &str| TopicFilter::new(text).unwrap();
    for (a, b, both) in [
        ("#", "+", Some("+")),
        ("#", "$SYS/#", None),
        ("+/x", "$SYS/x", None),
        ("$SYS/#", "$SYS/+", Some("$SYS/+")),
        ("a/#", "a", Some("a")),
        ("a/+/#", "a", None),
        ("a/+/#", "a/#", Some("a/+/#")),
        ("+/#", "#", Some("+/#")),
        ("a/+", "+/b", Some("a/b")),
        ("a/+/c", "a/b/#", Some("a/b/c")),
        ("/#", "+", None),
        ("/#", "+/#", Some("/#")),
        ("t/+/+", "t/+/1/#", Some("t/+/1")),
    ] {
        let both = both.map(filter);
        assert_eq!(filter(a).intersect(&filter(b)), both, "{a} and {b}");
        assert_eq!(filter(b).intersect(&filter(a)), both, "{b} and {a}");
    }
    for (wide, narrow, covers) in [
        ("#", "+/#", true),
        ("+/#", "#", true),
        ("/#", "/+/#", true),
        ("/+/#", "/#", true),
        ("+/+/#", "/#", true),
        ("a/+/#", "a/#", false),
        ("a/#", "a/+/#", true),
        ("a/#", "a", true),
        ("#", "$SYS/#", false),
        ("+/a", "$SYS/a", false),
        ("+/+/#", "#", false),
    ] {
        assert_eq!(filter(wide).covers(&filter(narrow)), covers, "{wide} covers {narrow}");
    }
}

fn any_filter() -> impl Strategy<Value = TopicFilter> {
    let level = prop::sample::select(vec!["", "a", "b", "$s", "+"]);
    (prop::collection::vec(level, 0..4), any::<bool>()).prop_filter_map("a valid filter", |(mut levels, hash)| {
        levels.extend(hash.then_some("#"));
        TopicFilter::new(levels.join("/")).ok()
    })
}

fn same(x: &Option<TopicFilter>, y: &Option<TopicFilter>) -> bool {
    match (x, y) {
        (Some(x), Some(y)) => x.covers(y) && y.covers(x),
        (x, y) => x.is_none() && y.is_none(),
    }
}

proptest! {
    #[test]
    fn intersection_and_covering_are_one_order(a in any_filter(), b in any_filter(), c in any_filter()) {
        prop_assert!(a.covers(&a));
        prop_assert_eq!(a.intersect(&a), Some(a.clone()));
        if a.covers(&b) && b.covers(&c) {
            prop_assert!(a.covers(&c));
        }
        let ab = a.intersect(&b);
        prop_assert!(same(&ab, &b.intersect(&a)));
        if let Some(ab) = &ab {
            prop_assert!(a.covers(ab) && b.covers(ab));
        }
        prop_assert_eq!(a.covers(&b), same(&ab, &Some(b.clone())));
        let left = ab.and_then(|ab| ab.intersect(&c));
        let right = b.intersect(&c).and_then(|bc| a.intersect(&bc));
        prop_assert!(same(&left, &right));
    }

    #[test]
    fn parsing_any_text_answers_as_the_rules_say(text in "[a+#/$\\x00é]{0,8}|\\$share/[a+#/$]{0,6}|\\PC{0,12}") {
        let special = text.contains(['+', '#', '\0']);
        prop_assert_eq!(Topic::new(text.as_str()).is_ok(), !text.is_empty() && !special);

        let body = text.strip_prefix("$share/").map_or(Some(text.as_str()), |rest| {
            let (group, body) = rest.split_once('/')?;
            (!group.is_empty() && !group.contains(['+', '#']) && !body.starts_with("$share/")).then_some(body)
        });
        let valid = !text.contains('\0') && body.is_some_and(|body| {
            let levels: Vec<_> = body.split('/').collect();
            let alone = levels.iter().all(|level| level.len() == 1 || !level.contains(['+', '#']));
            !body.is_empty() && alone && !levels[..levels.len() - 1].contains(&"#")
        });
        prop_assert_eq!(TopicFilter::new(text.as_str()).is_ok(), valid);
    }
}
