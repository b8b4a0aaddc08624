//! MQTT 5, sections 4.7 and 4.8.2, case by case, against every way to ask an index.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, in what its functions call as well"
)]

mod index_engines;

use std::thread;

use index_engines::{
    Engine, NOBODY, Oracle, Pair, Random, Read, WAYS, Way, engines, engines_of, filter, numbered, relatives_of, short,
    sorted, topic,
};
use link_core::{
    index::{FilterIndex, Matches, Value},
    topic::{MAX_BYTES, Topic, TopicFilter},
};

struct Case {
    name: &'static str,
    /// The value of a filter is its place.
    filters: &'static [&'static str],
    /// Topics, and the values of each.
    topics: &'static [(&'static str, &'static [u32])],
}

const CASES: &[Case] = &[
    Case { name: "no filters", filters: &[], topics: &[("a", &[]), ("/", &[]), ("$SYS", &[])] },
    Case {
        name: "text is compared byte by byte",
        filters: &["a", "A", "a ", "ab", "b", "é", "e\u{301}", "\u{feff}a"],
        topics: &[
            ("a", &[0]),
            ("A", &[1]),
            ("a ", &[2]),
            ("ab", &[3]),
            ("b", &[4]),
            ("é", &[5]),
            ("e\u{301}", &[6]),
            ("\u{feff}a", &[7]),
            (" a", &[]),
            ("aa", &[]),
            ("c", &[]),
        ],
    },
    Case {
        name: "the multi-level wildcard, 4.7.1.2",
        filters: &["sport/tennis/player1/#", "sport/#", "#", "sport/tennis/#"],
        topics: &[
            ("sport/tennis/player1", &[0, 1, 2, 3]),
            ("sport/tennis/player1/ranking", &[0, 1, 2, 3]),
            ("sport/tennis/player1/score/wimbledon", &[0, 1, 2, 3]),
            ("sport", &[1, 2]),
            ("sport/tennis", &[1, 2, 3]),
            ("sport/tennis/player2", &[1, 2, 3]),
            ("sports", &[2]),
            ("spor", &[2]),
            ("sport/tennis/player11", &[1, 2, 3]),
        ],
    },
    Case {
        name: "the single-level wildcard, 4.7.1.3",
        filters: &["sport/tennis/+", "sport/+", "+", "+/tennis/#", "sport/+/player1", "+/+", "/+"],
        topics: &[
            ("sport/tennis/player1", &[0, 3, 4]),
            ("sport/tennis/player1/ranking", &[3]),
            ("sport", &[2]),
            ("sport/", &[1, 5]),
            ("sport/tennis", &[1, 3, 5]),
            ("/finance", &[5, 6]),
            ("sport/golf/player1", &[4]),
        ],
    },
    Case {
        name: "one slash is two empty levels",
        filters: &["/", "+/+", "/+", "+/", "#", "+", "/#", "//", "+/#", "//#", "/+/#", "+/+/#", "+/+/+"],
        topics: &[
            ("/", &[0, 1, 2, 3, 4, 6, 8, 9, 10, 11]),
            ("//", &[4, 6, 7, 8, 9, 10, 11, 12]),
            ("a", &[4, 5, 8]),
            ("/a", &[1, 2, 4, 6, 8, 10, 11]),
            ("a/", &[1, 3, 4, 8, 11]),
            ("///", &[4, 6, 8, 9, 10, 11]),
            ("a//", &[4, 8, 11, 12]),
        ],
    },
    Case {
        name: "an empty level inside",
        filters: &["a//b", "a/+/b", "a/b", "a//+", "a/#", "a//#", "a/+/+", "+//+", "a///b", "a/", "a", "/b"],
        topics: &[
            ("a//b", &[0, 1, 3, 4, 5, 6, 7]),
            ("a/b", &[2, 4]),
            ("a///b", &[4, 5, 8]),
            ("a/x/b", &[1, 4, 6]),
            ("a/", &[4, 5, 9]),
            ("a", &[4, 10]),
            ("a//", &[3, 4, 5, 6, 7]),
            ("/b", &[11]),
            ("//b", &[7]),
        ],
    },
    Case {
        name: "the single-level wildcard takes an empty level",
        filters: &["+", "+/a", "a/+", "a/+/b", "a/+/#", "+/+/+", "/+/"],
        topics: &[("/a", &[1]), ("a/", &[2, 4]), ("a//b", &[3, 4, 5]), ("a", &[0]), ("//", &[5, 6]), ("a//", &[4, 5])],
    },
    Case {
        name: "a filter before # matches its parent",
        filters: &["a/#", "a/b/#", "+/#", "a/+/#", "a", "a/b", "/#", "a//#"],
        topics: &[
            ("a", &[0, 2, 4]),
            ("a/b", &[0, 1, 2, 3, 5]),
            ("a/b/c", &[0, 1, 2, 3]),
            ("a/", &[0, 2, 3, 7]),
            ("/", &[2, 6]),
            ("ab", &[2]),
            ("a/bc", &[0, 2, 3]),
            ("b", &[2]),
        ],
    },
    Case {
        name: "wildcards in the first level pass by topics that begin with $, 4.7.2",
        filters: &[
            "#",
            "+",
            "+/+",
            "+/#",
            "+/monitor/Clients",
            "$SYS/#",
            "$SYS/monitor/+",
            "$SYS",
            "$SYS/+/Clients",
            "$",
            "$/#",
            "+/+/+",
            "$SYS/monitor/Clients",
        ],
        topics: &[
            ("$SYS/monitor/Clients", &[5, 6, 8, 12]),
            ("$SYS/monitor", &[5]),
            ("$SYS", &[5, 7]),
            ("$SYS/", &[5]),
            ("$", &[9, 10]),
            ("$/x", &[10]),
            ("$other", &[]),
            ("$other/monitor/Clients", &[]),
            ("SYS/monitor/Clients", &[0, 3, 4, 11]),
            ("x$", &[0, 1, 3]),
        ],
    },
    Case {
        name: "$ at an inner level is a letter like others",
        filters: &["a/$b", "a/+", "a/#", "+/$b", "#", "/$b", "/+", "/#", "a/$b/#", "+/$b/+"],
        topics: &[
            ("a/$b", &[0, 1, 2, 3, 4, 8]),
            ("/$b", &[3, 4, 5, 6, 7]),
            ("a/$b/$c", &[2, 4, 8, 9]),
            ("a/b", &[1, 2, 4]),
            ("/$", &[4, 6, 7]),
        ],
    },
    Case {
        name: "levels of two, three and four bytes a character",
        filters: &[
            "é",
            "é/€/😀",
            "+/€/+",
            "é/#",
            "é/€",
            "€/+",
            "😀/#",
            "\u{80}/\u{7ff}/\u{800}/\u{ffff}/\u{10000}/\u{10ffff}",
            "É",
            "+/+/😀",
        ],
        topics: &[
            ("é", &[0, 3]),
            ("é/€/😀", &[1, 2, 3, 9]),
            ("é/€", &[3, 4]),
            ("€/é", &[5]),
            ("😀", &[6]),
            ("😀/😀/😀", &[6, 9]),
            ("\u{80}/\u{7ff}/\u{800}/\u{ffff}/\u{10000}/\u{10ffff}", &[7]),
            ("É", &[8]),
            ("è", &[]),
            ("ê/€/😁", &[2]),
        ],
    },
    Case {
        name: "a shared subscription is its filter, 4.8.2",
        filters: &[
            "$share/g/a/+",
            "$share/g/#",
            "$share/g/$SYS/+",
            "$share/é//",
            "a/b",
            "$share",
            "$share/g/$share",
            "$shared/g/a",
        ],
        topics: &[
            ("a/b", &[0, 1, 4]),
            ("$share/g/a/b", &[]),
            ("$SYS/x", &[2]),
            ("/", &[1, 3]),
            ("$share", &[5, 6]),
            ("$shared/g/a", &[7]),
            ("g/a/b", &[1]),
        ],
    },
    Case {
        name: "one word is the beginning of another",
        filters: &[
            "abcdefgh",
            "abcdefghi",
            "abcdefghij/x",
            "abcdefgh/x",
            "abcdefghijklmnopq",
            "abcdefghijklmnop",
            "+/x",
            "abcdefg/#",
        ],
        topics: &[
            ("abcdefgh", &[0]),
            ("abcdefghi", &[1]),
            ("abcdefghij/x", &[2, 6]),
            ("abcdefgh/x", &[3, 6]),
            ("abcdefghijklmnopq", &[4]),
            ("abcdefghijklmnop", &[5]),
            ("abcdefg", &[7]),
            ("abcdefghijklmno", &[]),
            ("abcdef", &[]),
        ],
    },
    Case {
        name: "where the slash is makes the topic",
        filters: &["a/bc", "ab/c", "abc", "/abc", "abc/", "a/b/c", "+/bc", "ab/+", "a//bc", "+/b/+"],
        topics: &[
            ("a/bc", &[0, 6]),
            ("ab/c", &[1, 7]),
            ("abc", &[2]),
            ("/abc", &[3]),
            ("abc/", &[4]),
            ("a/b/c", &[5, 9]),
            ("a//bc", &[8]),
            ("/bc", &[6]),
        ],
    },
    Case {
        name: "control characters and non-characters are letters",
        filters: &["\u{1}", "a\u{7f}/+", "\u{fffe}/\u{ffff}", "\n", "\t/#", "+/\u{ffff}"],
        topics: &[
            ("\u{1}", &[0]),
            ("a\u{7f}/\n", &[1]),
            ("\u{fffe}/\u{ffff}", &[2, 5]),
            ("\n", &[3]),
            ("\t", &[4]),
            ("\u{2}", &[]),
        ],
    },
];

/// Nothing but speed and order depends on the seed.
const SEEDS: [u64; 3] = [0, 1, u64::MAX];

#[test]
fn every_engine_answers_every_case() {
    for case in CASES {
        let pairs = numbered(case.filters);
        let topics: Vec<_> = case.topics.iter().map(|(text, _)| topic(text)).collect();
        let expected: Vec<_> = case.topics.iter().map(|(_, values)| values.to_vec()).collect();
        check(case.name, &pairs, &topics, &expected);
    }
}

#[test]
fn every_engine_answers_all_cases_together() {
    let filters: Vec<_> = CASES.iter().flat_map(|case| case.filters).collect();
    let topics: Vec<_> = CASES.iter().flat_map(|case| case.topics).map(|(text, _)| topic(text)).collect();
    let pairs = numbered(filters);
    check("all cases", &pairs, &topics, &Oracle::new(&pairs).matches(&topics));
}

/// Also that a filter which is removed is gone, and that nothing else is.
#[test]
fn a_removed_filter_no_longer_matches() {
    for case in CASES {
        let pairs = numbered(case.filters);
        for (removed, (filter, value)) in pairs.iter().enumerate() {
            let mut index = FilterIndex::build(7, pairs.clone());
            let reader = index.reader();
            assert!(index.contains(filter, value));
            assert!(index.remove(filter, value), "{}: {filter}", case.name);
            assert!(!index.remove(filter, value), "{}: {filter}", case.name);
            assert!(!index.contains(filter, value), "{}: {filter}", case.name);
            index.publish();
            for (topic, values) in case.topics {
                let left: Vec<_> = values.iter().copied().filter(|&value| value as usize != removed).collect();
                let mut found = Vec::new();
                index.for_each_match(topic, |&value| found.push(value));
                assert_eq!(sorted(found), left, "{}: {topic:?} without {filter}", case.name);
                let mut found = Matches::new();
                reader.matches_into(topic, &mut found);
                assert_eq!(sorted(found.as_slice().to_vec()), left, "{}: {topic:?} without {filter}", case.name);
                assert_eq!(reader.is_match(topic), !left.is_empty());
            }
        }
    }
}

/// Wildcards and differences at each side of the places where an index may change its ways.
#[test]
fn levels_at_every_depth() {
    for depth in [1usize, 2, 3, 8, 15, 16, 17, 18, 31, 32, 33, 64, 65, 257] {
        let base: Vec<String> = (0..depth).map(|level| format!("l{level}")).collect();
        let with = |at: usize, word: &str| {
            let mut levels = base.clone();
            levels[at] = word.to_owned();
            levels.join("/")
        };
        let mut places = vec![0, 1, 14, 15, 16, 17, 32, depth / 2, depth - 1];
        places.retain(|&place| place < depth);
        let places = sorted(places);

        let mut filters =
            vec![base.join("/"), vec!["+"; depth].join("/"), vec!["+"; depth].join("/") + "/#", "#".into()];
        let mut topics =
            vec![base.join("/"), base.join("/") + "/", base.join("/") + "/more", base.join("/") + "/more/x"];
        topics.push(vec![""; depth + 1].join("/"));
        for &at in &places {
            filters.push(with(at, "+"));
            filters.push(with(at, "+") + "/#");
            filters.push(base[..at].join("/") + "/#");
            filters.push(with(at, "other"));
            filters.push(
                vec!["+"; at].into_iter().chain(base[at..].iter().map(String::as_str)).collect::<Vec<_>>().join("/"),
            );
            filters
                .push(base[..at].iter().map(String::as_str).chain(vec!["+"; depth - at]).collect::<Vec<_>>().join("/"));
            let mut two = base.clone();
            two[at] = "+".into();
            two[depth - 1 - at / 2] = "+".into();
            filters.push(two.join("/"));
            topics.push(with(at, "other"));
            topics.push(with(at, ""));
            topics.push(with(at, "$l"));
            topics.push(base[..=at].join("/"));
        }
        filters.sort();
        filters.dedup();
        let topics: Vec<_> = topics.into_iter().filter_map(|text| Topic::new(text).ok()).collect();
        let pairs = numbered(filters);
        let expected = Oracle::new(&pairs).matches(&topics);
        check_with(&FEW_WAYS, 1, &format!("{depth} levels"), &pairs, &topics, &expected);
    }
}

/// 65,535 bytes, in one level, in 65,536 and in between. Nothing recurses: the stack is small.
#[test]
fn the_longest_topics_and_filters() {
    on_a_small_stack(|| {
        let (one, half) = (MAX_BYTES, MAX_BYTES / 2);
        let filters = [
            "/".repeat(one),
            "x".repeat(one),
            "x".repeat(one - 1) + "y",
            "y".to_owned() + &"x".repeat(one - 1),
            "x".repeat(one - 1),
            "€".repeat(one / 3),
            "😀".repeat(one / 4) + "abc",
            "+/".repeat(half) + "#",
            "+/".repeat(half) + "+",
            "a/".repeat(half) + "b",
            "a/".repeat(half) + "+",
            "a/".repeat(half) + "#",
            "a/".repeat(half),
            "/".repeat(one - 1) + "#",
            "/".repeat(one - 1) + "+",
            "+".to_owned() + &"/".repeat(one - 1),
            "x".repeat(one - 2) + "/#",
            "x".repeat(one - 2) + "/+",
            "+/".to_owned() + &"x".repeat(one - 2),
            "$".repeat(one),
            "$share/g/".to_owned() + &"/".repeat(one - 9),
            "#".to_owned(),
        ];
        let topics = [
            "/".repeat(one),
            "/".repeat(one - 1),
            "/".repeat(one - 9),
            "x".repeat(one),
            "x".repeat(one - 1),
            "x".repeat(one - 1) + "y",
            "x".repeat(one - 1) + "z",
            "y".to_owned() + &"x".repeat(one - 1),
            "x".repeat(one - 2),
            "x".repeat(one - 2) + "/",
            "x".repeat(one - 2) + "/x",
            "y/".to_owned() + &"x".repeat(one - 2),
            "€".repeat(one / 3),
            "😀".repeat(one / 4) + "abc",
            "a/".repeat(half) + "b",
            "a/".repeat(half) + "c",
            "a/".repeat(half),
            "a/".repeat(half - 1) + "a",
            "/".to_owned() + &"a".repeat(one - 1),
            "a".to_owned() + &"/".repeat(one - 1),
            "$".repeat(one),
            "$".to_owned() + &"/".repeat(one - 1),
        ];
        let pairs = numbered(filters);
        let topics: Vec<_> = topics.iter().map(topic).collect();
        let expected = Oracle::new(&pairs).matches(&topics);
        assert_eq!((&expected[0], &expected[1]), (&vec![0, 7, 13, 21], &vec![7, 13, 14, 15, 21]));
        for (name, engine) in engines_of(&FEW_WAYS, 3, &pairs).into_iter().skip(1) {
            for ((topic, expected), found) in topics.iter().zip(&expected).zip(engine.matches(&topics)) {
                assert_eq!(found, *expected, "{name}: {}", short(topic.as_str()));
            }
        }
        let mut index = FilterIndex::build(3, pairs.clone());
        let snapshot = index.snapshot();
        assert!(index.pairs() == Oracle::new(&pairs).pairs());
        let oracle = Oracle::new(&pairs);
        for (asked, _) in &pairs {
            assert!(index.relatives(asked) == oracle.relatives(asked), "writer: {}", short(asked.as_str()));
            let found = relatives_of(&snapshot, asked);
            assert!(found == oracle.relatives(asked), "snapshot: {}", short(asked.as_str()));
        }
        for (filter, value) in &pairs {
            assert!(index.remove(filter, value), "{}", short(filter.as_str()));
        }
        assert!(index.is_empty() && topics.iter().all(|topic| !index.is_match(topic)));
    });
}

/// As many levels as go into a text, in steps, with wildcards far down.
#[test]
fn many_levels() {
    on_a_small_stack(|| {
        for depth in [1_000, 4_095, 4_096, 20_000, MAX_BYTES / 2] {
            let slashes = "/".repeat(depth);
            let filters = [
                slashes.clone(),
                slashes[1..].to_owned() + "/+",
                slashes[1..].to_owned() + "/#",
                "+/".repeat(depth) + "#",
            ];
            let mut filters = filters.to_vec();
            filters.push("+".to_owned() + &slashes);
            filters.push(slashes.clone() + "a");
            filters.push(slashes[depth / 2..].to_owned() + "+" + &slashes[..depth / 2]);
            filters.push("+/".repeat(depth / 2) + "a" + &"/+".repeat(depth / 2));
            let topics = [slashes.clone(), slashes.clone() + "a", slashes.clone() + "/", "a".to_owned() + &slashes];
            let mut topics: Vec<_> = topics.iter().map(topic).collect();
            topics.push(topic("/".repeat(depth / 2) + "a" + &"/".repeat(depth / 2)));
            let pairs = numbered(filters);
            let expected = Oracle::new(&pairs).matches(&topics);
            assert!(expected.iter().all(|values| !values.is_empty()));
            for (name, engine) in engines_of(&FEW_WAYS, 5, &pairs).into_iter().skip(1) {
                assert_eq!(engine.matches(&topics), expected, "{name}: {depth} levels");
            }
        }
    });
}

mod faults_of_other_indexes {
    //! What goes wrong elsewhere, by name.
    use super::*;

    fn values(filters: &[&str], of: &str) -> Vec<u32> {
        let mut all = engines(1, &numbered(filters)).into_iter().map(|(name, engine)| {
            let [values] = &engine.matches(&[topic(of)])[..] else { panic!("{name}: one answer for one topic") };
            (name, values.clone())
        });
        let (_, first) = all.next().unwrap();
        all.for_each(|(name, values)| assert_eq!(values, first, "{name}: {of}"));
        first
    }

    #[test]
    fn dollar_at_an_inner_level_is_refused() {
        assert_eq!(values(&["a/$b", "a/$b/#", "a/+", "+/$b"], "a/$b"), [0, 1, 2, 3]);
    }

    #[test]
    fn a_topic_that_begins_with_dollar_never_matches() {
        assert_eq!(values(&["$SYS/x", "$SYS/+", "$SYS/#", "$SYS/x/#"], "$SYS/x"), [0, 1, 2, 3]);
    }

    #[test]
    fn hash_and_plus_match_sys() {
        assert!(values(&["#", "+/x", "+/#", "+/+"], "$SYS/x").is_empty());
        assert!(values(&["#", "+", "+/#"], "$SYS").is_empty());
    }

    #[test]
    fn empty_levels_are_refused() {
        assert_eq!(values(&["/", "/+", "+/", "+/+"], "/"), [0, 1, 2, 3]);
        assert_eq!(values(&["a//b", "a/+/b", "a//#"], "a//b"), [0, 1, 2]);
    }

    #[test]
    fn more_than_two_branches_at_once_panic() {
        let mut filters = vec![String::new()];
        for level in ["a", "b", "c", "d", "e", "f"] {
            filters = filters.iter().flat_map(|f| [format!("{f}/{level}"), format!("{f}/+")]).collect();
        }
        let all: Vec<_> = filters.iter().map(String::as_str).collect();
        assert_eq!(values(&all, "/a/b/c/d/e/f").len(), 64);
        assert_eq!(values(&all, "/a/b/x/d/e/f").len(), 32);
    }

    #[test]
    fn hash_misses_the_parent() {
        assert_eq!(values(&["a/#", "a/+/#", "+/#"], "a"), [0, 2]);
    }

    #[test]
    fn a_removed_hash_stays() {
        for text in ["#", "a/#", "+/#", "a/+/#", "$SYS/#", "/#"] {
            let mut index = FilterIndex::new(1);
            let reader = index.reader();
            let of = Random(9).topic_of(&filter(text), &["x"]);
            for _ in 0..3 {
                assert!(index.insert(&filter(text), 1));
                index.publish();
                assert!(index.is_match(&of) && reader.is_match(&of), "{text} and {of}");
                assert!(index.remove(&filter(text), &1));
                assert!(!index.is_match(&of), "{text} and {of}");
                index.publish();
                assert!(!reader.is_match(&of), "{text} and {of}");
            }
        }
    }

    #[test]
    fn tables_never_shrink() {
        let mut index = FilterIndex::new(1);
        let empty = index.memory_usage();
        let filters: Vec<_> = (0..20_000).map(|n| filter(format!("site/{}/dev-{n}/+/x", n % 100))).collect();
        filters.iter().for_each(|filter| assert!(index.insert(filter, 7)));
        let full = index.memory_usage();
        filters[100..].iter().for_each(|filter| assert!(index.remove(filter, &7)));
        let few = index.memory_usage();
        assert!(few < full / 20, "{few} bytes for 100 filters, {full} for 20,000");
        filters[..100].iter().for_each(|filter| assert!(index.remove(filter, &7)));
        let none = index.memory_usage();
        assert!(none < empty + 4_096, "{none} bytes for no filters, {empty} for none yet");
    }
}

#[test]
fn share_groups_do_not_count() {
    let mut index = FilterIndex::new(1);
    assert!(index.insert(&filter("$share/g/a/+"), 1));
    assert!(!index.insert(&filter("a/+"), 1));
    assert!(!index.insert(&filter("$share/h/a/+"), 1));
    assert_eq!((index.len(), index.iter().collect::<Vec<_>>()), (1, vec![(filter("a/+"), 1)]));
    assert!(index.contains(&filter("$share/other/a/+"), &1) && index.contains(&filter("a/+"), &1));
    assert!(index.is_match("a/b") && !index.is_match("$share/g/a/b"));
    let asked = filter("$share/x/a/b");
    assert!(index.covers(&asked));
    assert_eq!(index.covering(&asked).count(), 1);
    assert_eq!(index.intersecting(&asked).count(), 1);
    assert_eq!(index.covered_by(&filter("$share/x/#")).count(), 1);
    assert_eq!(index.covered_by(&asked).count(), 0);
    assert!(index.remove(&filter("$share/h/a/+"), &1));
    assert!(index.is_empty() && !index.is_match("a/b"));

    let built = FilterIndex::build(1, [("$share/g/a", 1), ("a", 1), ("$share/h/a", 2)].map(|(f, v)| (filter(f), v)));
    assert_eq!(built.pairs(), [(filter("a"), 1), (filter("a"), 2)]);
}

#[test]
fn a_value_counts_once_for_each_filter() {
    let texts = ["#", "+/#", "+/+", "a/#", "a/+", "+/b", "a/b", "a/b/#", "$share/g/a/b"];
    let pairs: Vec<Pair> = texts.iter().map(|text| (filter(text), 5)).collect();
    for (name, engine) in engines(1, &pairs) {
        assert_eq!(engine.matches(&[topic("a/b"), topic("a")]), [vec![5; 8], vec![5; 3]], "{name}");
    }
    let mut index = FilterIndex::build(1, pairs.clone());
    assert_eq!(index.len(), 8);
    for (left, (filter, value)) in (0..8).rev().zip(&pairs) {
        assert!(index.remove(filter, value));
        assert_eq!(index.matches(&[topic("a/b")]), [vec![5; left]]);
    }
}

#[test]
fn one_value_under_many_filters() {
    let mut pairs: Vec<Pair> = (0..900).map(|n| (filter(format!("a/{n}/+")), 5)).collect();
    pairs.extend((0..900).map(|n| (filter(format!("b/{n}")), 5)));
    pairs.push((filter("a/#"), 5));
    for (name, engine) in engines(1, &pairs) {
        let topics = ["a/899/x", "b/0", "a", "b", "b/900"].map(topic);
        assert_eq!(engine.matches(&topics), [vec![5; 2], vec![5], vec![5], vec![], vec![]], "{name}");
        assert_eq!(engine.relatives(&filter("#")).covered_by.len(), pairs.len());
    }
}

#[test]
fn one_filter_with_many_values() {
    for text in ["a/b", "a/+", "a/#", "#", "$SYS/x", "a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/+/r"] {
        for count in [1, 2, 3, 7, 8, 9, 31, 32, 33, 64, 65, 300] {
            values_in_every_order(text, count);
        }
    }
}

fn values_in_every_order(text: &str, count: u32) {
    let of = Random(3).topic_of(&filter(text), &["b"]);
    let values: Vec<u32> = (0..count).map(|n| n * 7).collect();
    let pairs: Vec<Pair> = values.iter().map(|&value| (filter(text), value)).collect();
    // A neighbour, which must keep its own.
    let beside =
        [filter("a/b"), filter("+/b"), filter("a/b/#")].into_iter().find(|other| *other != filter(text)).unwrap();
    for order in 0..3 {
        let mut pairs = pairs.clone();
        match order {
            0 => {}
            1 => pairs.reverse(),
            _ => Random(u64::from(count) + 1).shuffle(&mut pairs),
        }
        let mut index = FilterIndex::new(1);
        index.insert(&beside, NOBODY);
        let reader = index.reader();
        for (filter, value) in &pairs {
            assert!(index.insert(filter, *value));
            assert!(!index.insert(filter, *value));
        }
        let with = |values: &[u32]| sorted(values.iter().copied().chain(beside.matches(&of).then_some(NOBODY)));
        assert_eq!(index.matches(std::slice::from_ref(&of))[0], with(&values), "{count} values of {text}");
        let snapshot = index.snapshot();
        index.publish();
        assert_eq!((reader.len(), snapshot.len()), (count as usize + 1, count as usize + 1));
        // Back to one, and to none.
        for (at, (filter, value)) in pairs.iter().enumerate() {
            assert!(!index.remove(filter, &(value + 1)));
            assert!(index.remove(filter, value));
            assert!(!index.contains(filter, value));
            let left = sorted(pairs[at + 1..].iter().map(|(_, value)| *value));
            if left.len() < 10 || at % 50 == 0 {
                assert_eq!(index.matches(std::slice::from_ref(&of))[0], with(&left), "{text} after {at} of {count}");
            }
        }
        index.publish();
        assert_eq!((index.pairs(), reader.len()), (vec![(beside.clone(), NOBODY)], 1));
        let mut found = Vec::new();
        snapshot.for_each_match(&of, |&value| found.push(value));
        assert_eq!(sorted(found), with(&values));
    }
}

#[test]
fn one_filter_with_a_hundred_thousand_values() {
    let all: Vec<u32> = (0..100_000).collect();
    let mut values = all.clone();
    Random(5).shuffle(&mut values);
    for text in ["hot/+/x", "hot/a/x"] {
        let (hot, topics) = (filter(text), ["hot/a/x", "cold/a/x"].map(topic));
        // Some come in bulk, the others one by one.
        let (bulk, single) = values.split_at(97_000);
        let mut index = FilterIndex::build(1, bulk.iter().map(|&value| (&hot, value)));
        let reader = index.reader();
        for &value in single {
            assert!(!index.contains(&hot, &value) && index.insert(&hot, value) && index.contains(&hot, &value));
        }
        assert!(!index.insert(&hot, values[0]));
        index.publish();
        let snapshot = index.snapshot();
        assert!(index.matches(&topics) == [all.clone(), vec![]]);
        assert!(index.pairs().iter().map(|(_, value)| value).eq(&all));
        assert_eq!(index.relatives(&filter("hot/#")).covered_by.len(), all.len());
        for way in WAYS {
            assert!(reader.matches(way, &topics) == [all.clone(), vec![]], "{way:?}");
        }

        for &value in single {
            assert!(index.remove(&hot, &value) && !index.contains(&hot, &value));
        }
        index.publish();
        let left = sorted(bulk.iter().copied());
        assert!(reader.matches(Way::Into, &topics) == [left, vec![]]);
        assert!(snapshot.matches(Way::Into, &topics) == [all.clone(), vec![]]);
        assert_eq!(snapshot.len(), all.len());
    }
}

/// Up to some thousand values, and down again.
#[test]
fn one_filter_whose_values_come_and_go() {
    let count = 5_000;
    let mut values: Vec<u32> = (0..count).collect();
    Random(6).shuffle(&mut values);
    for text in ["hot/+/x", "hot/a/x"] {
        let (hot, topics) = (filter(text), ["hot/a/x", "cold/a/x"].map(topic));
        let mut index = FilterIndex::new(1);
        let reader = index.reader();
        for (at, &value) in values.iter().enumerate() {
            assert!(index.insert(&hot, value));
            if at % 500 == 0 {
                index.publish();
                assert!(reader.matches(Way::Into, &topics) == [sorted(values[..=at].to_vec()), vec![]]);
            }
        }
        for (at, &value) in values.iter().enumerate() {
            assert!(index.remove(&hot, &value));
            if at % 500 == 0 || at + 3 > values.len() {
                index.publish();
                assert!(reader.matches(Way::Into, &topics) == [sorted(values[at + 1..].to_vec()), vec![]]);
            }
        }
        assert!(index.is_empty() && index.iter().next().is_none());
    }
}

/// Values of one byte, of odd sizes, and larger than a word.
#[test]
fn values_of_any_size() {
    fn run<V: Value + std::fmt::Debug>(values: &[V]) {
        let texts = ["a/+", "a/b", "#", "a/#", "+/b"];
        let mut index = FilterIndex::new(1);
        let reader = index.reader();
        for text in texts {
            for value in values {
                assert!(index.insert(&filter(text), *value));
                assert!(!index.insert(&filter(text), *value));
            }
        }
        let snapshot = index.snapshot();
        index.publish();
        let mut all: Vec<V> = values.repeat(texts.len());
        all.sort_unstable();
        let mut matches = Matches::new();
        reader.matches_batch(&["x", "a/b", "$x"], &mut matches);
        assert_eq!(sorted(matches.of(0).to_vec()), sorted(values.to_vec()));
        assert_eq!(sorted(matches.of(1).to_vec()), all);
        assert!(matches.of(2).is_empty());
        assert_eq!(index.iter().count(), all.len());
        assert_eq!(index.covered_by(&filter("+/+")).count(), 3 * values.len());
        for text in texts {
            for value in values {
                assert!(index.contains(&filter(text), value));
                assert!(index.remove(&filter(text), value));
                assert!(!index.remove(&filter(text), value));
            }
        }
        index.publish();
        assert!(index.is_empty() && reader.is_empty() && !reader.is_match("a/b"));
        assert_eq!((snapshot.len(), snapshot.is_match("a/b")), (all.len(), true));
    }
    run(&[7u8]);
    run(&[i8::MIN, 0, i8::MAX]);
    run(&(0..=u8::MAX).collect::<Vec<_>>());
    run(&[0u16, 1, u16::MAX]);
    run(&[u64::MIN, 1, 1 << 63, u64::MAX]);
    run(&(0..40).map(|n| 1u128 << n).collect::<Vec<_>>());
    run(&[[0u64; 4], [1; 4], [u64::MAX; 4], [0, 0, 0, 1]]);
    run(&[[1u8, 2, 3], [3, 2, 1], [0, 0, 0], [255, 0, 255]]);
    run(&(0..40).map(|n| [n as u16, 1, 2, 3, 40 - n as u16]).collect::<Vec<_>>());
    run(&[[7u8; 100], [8; 100]]);
    run(&[[1u128; 3], [u128::MAX; 3]]);
    run(&[i32::MIN, -1, 0, i32::MAX]);
}

#[test]
fn an_empty_index_answers() {
    let index = FilterIndex::<u32>::new(1);
    assert!(index.is_empty() && index.iter().next().is_none() && !index.has_pending());
    for (name, engine) in engines(1, &[]) {
        let topics = ["a", "/", "$SYS/x", "a/b/c"].map(topic);
        assert_eq!(engine.matches(&topics), vec![Vec::<u32>::new(); 4], "{name}");
        assert!(engine.pairs().is_empty());
        assert_eq!(engine.relatives(&filter("#")), index_engines::Relatives::default());
    }
}

#[test]
fn changes_show_when_they_are_published() {
    let mut index = FilterIndex::new(1);
    assert!(index.insert(&filter("a"), 1));
    // The first reader shows what is there.
    let reader = index.reader();
    assert!(!index.has_pending() && reader.is_match("a"));
    assert!(index.insert(&filter("b"), 2));
    assert!(!index.insert(&filter("a"), 1) && !index.remove(&filter("a"), &9) && !index.remove(&filter("x"), &1));
    assert!(index.has_pending() && index.is_match("b") && !reader.is_match("b"));
    let (early, now) = (reader.snapshot(), index.snapshot());
    assert!(!reader.is_match("b"), "a snapshot publishes nothing");
    index.publish();
    assert!(!index.has_pending() && reader.is_match("b") && index.reader().is_match("b"));
    assert!(!early.is_match("b") && now.is_match("b"));
    assert_eq!((reader.len(), early.len(), now.len(), index.len()), (2, 1, 2, 2));
    // Nothing new: nothing happens.
    index.publish();
    assert!(!index.has_pending());
    assert!(index.remove(&filter("a"), &1));
    assert!(index.has_pending() && reader.is_match("a"));
    index.publish();
    assert!(!reader.is_match("a") && early.is_match("a") && now.is_match("a"));
    drop(index);
    assert!(reader.is_match("b") && early.is_match("a"));
}

/// `Matches` keeps nothing of the last time.
#[test]
fn a_buffer_is_used_again() {
    let mut index = FilterIndex::build(1, numbered(["a", "+", "#", "b/c"]));
    let reader = index.reader();
    let mut matches = Matches::default();
    assert!(matches.as_slice().is_empty() && matches.is_empty());
    reader.matches_into("a", &mut matches);
    assert_eq!((sorted(matches.as_slice().to_vec()), matches.len()), (vec![0, 1, 2], 3));
    assert_eq!(matches.of(0), matches.as_slice());
    reader.matches_into("$x", &mut matches);
    assert!(matches.as_slice().is_empty() && matches.is_empty() && matches.of(0).is_empty());
    reader.matches_batch(&["b/c", "$x", "a"], &mut matches);
    assert_eq!([0, 1, 2].map(|at| sorted(matches.of(at).to_vec())), [vec![2, 3], vec![], vec![0, 1, 2]]);
    reader.matches_batch(&["$x"], &mut matches);
    assert!(matches.of(0).is_empty());
    reader.matches_into("a", &mut matches);
    matches.clear();
    assert!(matches.as_slice().is_empty());
}

/// Every pair is met once, however small the steps.
#[test]
fn a_cursor_meets_every_pair_once() {
    let mut pairs = numbered((0..2_000).map(|n| format!("a/{}/{n}/+", n % 7)));
    pairs.extend(numbered((0..2_000).map(|n| format!("a/{n}"))));
    pairs.extend((0..3_000).map(|value| (filter("many/values"), value)));
    pairs.extend((0..3_000).map(|value| (filter("many/+"), value)));
    pairs.extend(numbered(["#", "/", "+/#", "é/+"]));
    let (oracle, asked) = (Oracle::new(&pairs), filter("a/+/7/#"));
    let relatives = oracle.relatives(&asked);
    for leaves in [1, 2, 7, 100, 10_000] {
        let mut index = FilterIndex::build(1, pairs.clone());
        let snapshot = index.snapshot();
        let cursors = [
            (snapshot.cursor(), &oracle.pairs()),
            (snapshot.cursor_covering(&asked), &relatives.covering),
            (snapshot.cursor_covered_by(&asked), &relatives.covered_by),
            (snapshot.cursor_intersecting(&asked), &relatives.intersecting),
        ];
        drop(snapshot);
        for (mut cursor, expected) in cursors {
            let (mut met, mut steps) = (Vec::new(), 0);
            while cursor.step(leaves, |text, values| met.extend(values.iter().map(|&value| (filter(text), value)))) {
                steps += 1;
                assert!(steps < 10_000, "it ends");
                // The index may change meanwhile.
                index.insert(&filter(format!("new/{steps}")), 1);
                index.remove(&filter(format!("a/{}/{steps}/+", steps % 7)), &steps);
                index.remove(&filter("many/+"), &steps);
            }
            assert!(!cursor.step(leaves, |_, _| panic!("behind the end")));
            assert_eq!(sorted(met), *expected, "{leaves} leaves at a time");
        }
    }
}

/// All ways to ask about all of it, under several seeds.
fn check(name: &str, pairs: &[Pair], topics: &[Topic], expected: &[Vec<u32>]) {
    for seed in SEEDS {
        check_with(&WAYS, seed, name, pairs, topics, expected);
    }
}

fn check_with(ways: &[Way], seed: u64, name: &str, pairs: &[Pair], topics: &[Topic], expected: &[Vec<u32>]) {
    let oracle = Oracle::new(pairs);
    let general = ["#", "+", "+/#", "+/+", "/", "/#", "a/#", "+/b", "$SYS/#", "$share/g/+/#", "none"].map(filter);
    // The oracle takes its time with filters that are long.
    let most = (30_000 / (pairs.len() * topics.iter().map(|topic| topic.levels().count()).max().unwrap_or(1) + 1))
        .clamp(6, 30);
    let own = pairs.iter().map(|(filter, _)| filter.clone());
    let of_topics = topics.iter().map(|topic| topic.clone().into());
    let asked: Vec<TopicFilter> = general.into_iter().chain(own.take(most)).chain(of_topics.take(most / 3)).collect();
    let relatives: Vec<_> = asked.iter().map(|filter| oracle.relatives(filter)).collect();
    for (engine_name, engine) in engines_of(ways, seed, pairs) {
        let found = engine.matches(topics);
        assert_eq!(found.len(), topics.len());
        for ((topic, found), expected) in topics.iter().zip(&found).zip(expected) {
            assert_eq!(found, expected, "{name}: {}, seed {seed}, {engine_name}", short(topic.as_str()));
        }
        assert_eq!(engine.pairs(), oracle.pairs(), "{name}: seed {seed}, {engine_name}");
        // What an engine says about filters does not depend on the way it is asked for matches.
        if engine_name == "oracle" || engine_name.contains(", ") && !engine_name.ends_with(", Into") {
            continue;
        }
        for (filter, relatives) in asked.iter().zip(&relatives) {
            let found = engine.relatives(filter);
            assert_eq!(found, *relatives, "{name}: {}, seed {seed}, {engine_name}", short(filter.as_str()));
        }
    }
}

/// For cases that are large.
const FEW_WAYS: [Way; 2] = [Way::Into, Way::Batch(17)];

fn on_a_small_stack(run: fn()) {
    thread::Builder::new().stack_size(256 * 1024).spawn(run).unwrap().join().unwrap();
}
