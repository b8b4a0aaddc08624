//! Vectors recorded from a real EMQX node, and every one of them where MQTT 5 says otherwise and wins.

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

fn list(rows: &[Value]) -> String {
    rows.iter().map(|row| format!("{row}\n")).collect()
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
    assert_eq!(list(&found), MATCHES);
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
    assert_eq!(list(&found), INTERSECTIONS);
}

const MATCHES: &str = r##"
"##;

const INTERSECTIONS: &str = r##"
"##;
