//! Where the peers' answers are not those of MQTT. The workloads have no such filters and topics, so the peers do the
//! same work there as the others; the test keeps this list complete.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{KINDS, Kind, Role, Way};
use crate::{check::matches, workloads::Texts};

const FILTERS: [&str; 16] =
    ["#", "+", "+/#", "+/b", "a", "a/#", "a/+", "a/+/#", "a/b", "a/$b", "a//b", "/", "/+", "$SYS/#", "$SYS/b", "a/@b"];
const TOPICS: [&str; 12] = ["a", "a/b", "a/b/c", "a/$b", "a/@b", "a/", "/", "/b", "a//b", "$SYS", "$SYS/b", "b"];

/// What a peer says where MQTT says something else.
fn differences(kind: &Kind) -> Vec<String> {
    let mut all = Vec::new();
    for filter in FILTERS {
        let filters = [filter].into_iter().collect::<Texts>();
        let Ok(engine) = catch_unwind(|| (kind.build)(&filters)) else {
            all.push(format!("refuses the filter {filter}"));
            continue;
        };
        for topic in TOPICS {
            let ask = AssertUnwindSafe(|| (engine.answers(Way::Single, &[topic]), engine.is_match(topic)));
            match catch_unwind(ask) {
                Err(_) => all.push(format!("refuses the topic {topic}")),
                Ok((found, any)) => {
                    assert_eq!(any, !found[0].is_empty(), "{}", kind.name);
                    if any != matches(filter, topic) {
                        all.push(format!("{filter} {} {topic}", if any { "matches" } else { "misses" }));
                    }
                }
            }
        }
    }
    all.sort();
    all.dedup();
    all
}

/// The whole list.
fn known(kind: &Kind) -> Vec<&'static str> {
    match kind.key {
        // `$` at an inner level.
        "rmqtt" => vec!["refuses the filter a/$b", "refuses the topic a/$b"],
        // No `$` and no empty level anywhere; a level with `@` is matched by no wildcard.
        "zenoh" => vec![
            "# misses a/@b",
            "+/# misses a/@b",
            "a/# misses a/@b",
            "a/+ misses a/@b",
            "a/+/# misses a/@b",
            "refuses the filter $SYS/#",
            "refuses the filter $SYS/b",
            "refuses the filter /",
            "refuses the filter /+",
            "refuses the filter a/$b",
            "refuses the filter a//b",
            "refuses the topic $SYS",
            "refuses the topic $SYS/b",
            "refuses the topic /",
            "refuses the topic /b",
            "refuses the topic a/",
            "refuses the topic a/$b",
            "refuses the topic a//b",
        ],
        // Wildcards match `$SYS`; no empty level.
        "quill" => vec![
            "# matches $SYS",
            "# matches $SYS/b",
            "+ matches $SYS",
            "+/# matches $SYS",
            "+/# matches $SYS/b",
            "+/b matches $SYS/b",
            "refuses the filter /",
            "refuses the filter /+",
            "refuses the filter a//b",
            "refuses the topic /",
            "refuses the topic /b",
            "refuses the topic a/",
            "refuses the topic a//b",
        ],
        _ => vec![],
    }
}

#[test]
fn none_but_these() {
    for kind in KINDS.iter().filter(|kind| kind.role != Role::Floor) {
        assert_eq!(differences(kind), known(kind), "{}", kind.name);
    }
}
