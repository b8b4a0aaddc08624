//! Vectors recorded from a real EMQX node, and every one of them where MQTT 5 says otherwise and wins.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in what its functions call as well")]

use link_core::topic::{Topic, TopicFilter};
use serde_json::{Value, json};

fn rows(text: &str) -> Vec<Value> {
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(rows.len() >= 2_500);
    rows
}

/// The rows for which `ours` differs from the last column, that column replaced.
fn differing(rows: Vec<Value>, ours: impl Fn(&str, &str) -> Value) -> Vec<Value> {
    let answer = |row: &Value| ours(row[0].as_str().unwrap(), row[1].as_str().unwrap());
    let answered = rows.into_iter().map(|row| (answer(&row), row));
    answered.filter(|(ours, row)| *ours != row[2]).map(|(ours, row)| json!([row[0], row[1], ours])).collect()
}

fn list(text: &str) -> Vec<Value> {
    text.trim().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn emqx_matches() {
    let found = differing(rows(include_str!("data/emqx_match.jsonl")), |filter, topic| {
        match (TopicFilter::new(filter), Topic::new(topic)) {
            (Ok(filter), Ok(topic)) => json!(u8::from(filter.matches(&topic))),
            (Err(error), _) => json!(error.to_string()),
            (_, Err(error)) => json!(error.to_string()),
        }
    });
    assert_eq!(found, list(MATCHES));
}

#[test]
fn emqx_intersections() {
    let found = differing(rows(include_str!("data/emqx_intersection.jsonl")), |a, b| {
        match (TopicFilter::new(a), TopicFilter::new(b)) {
            (Ok(a), Ok(b)) => {
                let both = a.intersect(&b);
                assert_eq!(b.intersect(&a), both, "{a} and {b} the other way round");
                json!(both.as_ref().map(TopicFilter::as_str))
            }
            (Err(error), _) | (_, Err(error)) => json!(error.to_string()),
        }
    });
    assert_eq!(found, list(INTERSECTIONS));
}

/// The recorded functions take `$share/group/` for two ordinary levels. Section 4.8.2: they are no part of what is
/// matched. Each row ends with the answer of MQTT.
const MATCHES: &str = r##"
["$share/\ufeff/x.y-z_1/$/#","$share/\ufeff/x.y-z_1/$/.",0]
["$share/a/ab","$share/a/ab",0]
["$share/é/.","$share/é/.",0]
["$share/A/😀/a","$share/A/😀/a",0]
["$share/\"q\\/😀/c","$share/\"q\\/😀/c",0]
["$share/😀/+//+","$share/😀/ //$x",0]
["$share/é/#","$share/é",0]
["$share/ //+/x.y-z_1","$share/ //x.y-z_1/x.y-z_1",0]
["$share/A/\ufeff","$share/A/\ufeff",0]
["$share/./+","$share/./b",0]
["$share/$/ab","$share/$/ab",0]
["$share/é/a b/ab","$share/é/a b/ab",0]
["$share/x.y-z_1/\ufeff","$share/x.y-z_1/\ufeff",0]
"##;

/// For the same reason.
const INTERSECTIONS: &str = r##"
[" /+/a/#","$share/ /#"," /+/a/#"]
["$share/é/./+/b","$share/é/.//b",".//b"]
["$share/x.y-z_1/A/#","$share/x.y-z_1/A/#","A/#"]
["$share/a/$/$/日本","$share/a/$/$/日本","$/$/日本"]
["$share//$x/\ufeff/\ufeff/x.y-z_1//A/0/$x//b/é","$share//$x/\ufeff/+/x.y-z_1//A/0/$x//b/+","$x/\ufeff/\ufeff/x.y-z_1//A/0/$x//b/é"]
["+/+/+/b/+/a","$share//a b/b/é/#","a b/b/é/b/+/a"]
["$share/$x/é/a b","+/#","é/a b"]
"##;
