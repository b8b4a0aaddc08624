use std::collections::HashSet;

use bytes::Bytes;

use super::{MAX_BYTES, Topic, TopicError, TopicFilter, TopicFilterError};

fn filter(text: &str) -> TopicFilter {
    TopicFilter::new(text).unwrap()
}

#[test]
fn topic_errors_are_exact() {
    let long = "x".repeat(MAX_BYTES + 1);
    for (text, error, message) in [
        ("", TopicError::Empty, "a topic has at least one character"),
        (&long, TopicError::TooLong { length: 65_536 }, "a topic has at most 65535 bytes, this has 65536"),
        ("a/\0", TopicError::Null { at: 2 }, "the null character at byte 2 is not allowed in a topic"),
        (
            "é/+",
            TopicError::Wildcard { wildcard: '+', at: 3 },
            "the wildcard `+` at byte 3 is not allowed in a topic, only in a topic filter",
        ),
        (
            "a#",
            TopicError::Wildcard { wildcard: '#', at: 1 },
            "the wildcard `#` at byte 1 is not allowed in a topic, only in a topic filter",
        ),
    ] {
        assert_eq!(Topic::new(text), Err(error.clone()));
        assert_eq!(Topic::check(text), Err(error.clone()));
        assert_eq!(text.parse::<Topic>(), Err(error.clone()));
        assert_eq!(Topic::from_bytes(Bytes::copy_from_slice(text.as_bytes())), Err(error.clone()));
        assert_eq!(error.to_string(), message);
    }
    let error = Topic::from_bytes(Bytes::from_static(b"ab\xff")).unwrap_err();
    assert_eq!(error, TopicError::NotUtf8 { at: 2 });
    assert_eq!(error.to_string(), "a topic is UTF-8 text, this is not at byte 2");
    // A surrogate has no UTF-8 form (section 1.5.4).
    assert_eq!(Topic::from_bytes(Bytes::from_static(b"a\xed\xa0\x80")), Err(TopicError::NotUtf8 { at: 1 }));
}

#[test]
fn topics_that_are_valid() {
    let longest = "x".repeat(MAX_BYTES);
    let slashes = "/".repeat(MAX_BYTES);
    for text in [
        "/",
        "//",
        "a//b",
        "/a",
        "a/",
        " ",
        "$SYS/x",
        "$",
        "a/$x",
        "$share/g/x",
        "日本/😀",
        "\u{feff}a",
        "a\u{1}",
        "\u{fffe}",
        &longest,
        &slashes,
    ] {
        assert_eq!(Topic::new(text).unwrap().as_str(), text);
        assert!(!filter(text).is_wildcard());
    }
}

#[test]
fn filter_errors_are_exact() {
    use TopicFilterError as E;
    let long = "x".repeat(MAX_BYTES + 1);
    for (text, error, message) in [
        ("", E::Empty, "a topic filter has at least one character"),
        (&*long, E::TooLong { length: 65_536 }, "a topic filter has at most 65535 bytes, this has 65536"),
        ("a\0", E::Null { at: 1 }, "the null character at byte 1 is not allowed in a topic filter"),
        ("a/#/b", E::HashNotLast { at: 2 }, "`#` at byte 2 is not the last level of the topic filter"),
        ("#/", E::HashNotLast { at: 0 }, "`#` at byte 0 is not the last level of the topic filter"),
        ("a#", E::HashNotAlone { at: 1 }, "`#` at byte 1 is not alone in its level"),
        ("é/##", E::HashNotAlone { at: 3 }, "`#` at byte 3 is not alone in its level"),
        ("#a/b", E::HashNotAlone { at: 0 }, "`#` at byte 0 is not alone in its level"),
        ("a+", E::PlusNotAlone { at: 1 }, "`+` at byte 1 is not alone in its level"),
        ("a/+b/#", E::PlusNotAlone { at: 2 }, "`+` at byte 2 is not alone in its level"),
        ("+/++", E::PlusNotAlone { at: 2 }, "`+` at byte 2 is not alone in its level"),
        ("$share/", E::ShareGroupMissing, "`$share/` needs a group: `$share/group/filter`"),
        ("$share//a", E::ShareGroupMissing, "`$share/` needs a group: `$share/group/filter`"),
        (
            "$share/g",
            E::ShareFilterMissing,
            "a shared subscription needs a topic filter after its group: `$share/group/filter`",
        ),
        (
            "$share/g/",
            E::ShareFilterMissing,
            "a shared subscription needs a topic filter after its group: `$share/group/filter`",
        ),
        (
            "$share/g+/a",
            E::ShareGroupWildcard { wildcard: '+', at: 8 },
            "`+` at byte 8 is not allowed in the group of a shared subscription",
        ),
        (
            "$share/#",
            E::ShareGroupWildcard { wildcard: '#', at: 7 },
            "`#` at byte 7 is not allowed in the group of a shared subscription",
        ),
        ("$share/g/$share/h/a", E::ShareNested { at: 9 }, "`$share/` at byte 9 is inside another shared subscription"),
        ("$share/g/a#", E::HashNotAlone { at: 10 }, "`#` at byte 10 is not alone in its level"),
    ] {
        assert_eq!(TopicFilter::new(text), Err(error.clone()), "{text}");
        assert_eq!(TopicFilter::check(text), Err(error.clone()));
        assert_eq!(text.parse::<TopicFilter>(), Err(error.clone()));
        assert_eq!(error.to_string(), message);
    }
    let error = TopicFilter::from_bytes(Bytes::from_static(b"a/\xc0\x80")).unwrap_err();
    assert_eq!(error, E::NotUtf8 { at: 2 });
    assert_eq!(error.to_string(), "a topic filter is UTF-8 text, this is not at byte 2");
}

#[test]
fn share_groups_are_split_off() {
    let shared = filter("$share/workers//a/+");
    assert_eq!(shared.share_group(), Some("workers"));
    assert_eq!(shared.pattern(), "/a/+");
    assert_eq!(shared.as_str(), "$share/workers//a/+");
    assert_eq!(shared.without_share(), filter("/a/+"));
    assert_eq!(shared.without_share().share_group(), None);
    assert!(shared.is_wildcard());
    assert!(shared.matches(&Topic::new("/a/b").unwrap()));
    assert!(shared.covers(&filter("/a/b")) && filter("/a/+").covers(&shared));
    assert_eq!(shared.intersect(&filter("#")), Some(filter("/a/+")));
    assert_eq!(shared.intersect(&shared), Some(filter("/a/+")));

    // Only a first level `$share` with another level behind it is reserved.
    assert_eq!(filter("$share").share_group(), None);
    assert_eq!(filter("$share/g/$share").pattern(), "$share");
    assert_eq!(filter("$shared/g/a").share_group(), None);
    assert_eq!(filter("$share/$g/$SYS/#").share_group(), Some("$g"));
}

#[test]
fn texts_are_shared_and_looked_up_as_str() {
    let bytes = Bytes::from_static(b"..a/b/..");
    let topic = Topic::from_bytes(bytes.slice(2..5)).unwrap();
    assert_eq!(topic.as_str().as_ptr(), bytes[2..].as_ptr());
    assert!(HashSet::from([topic]).contains("a/b"));
    assert!(HashSet::from([filter("$share/g/a")]).contains("$share/g/a"));
    assert_eq!(filter("a//").levels().collect::<Vec<_>>(), ["a", "", ""]);
    let wide = filter("a/#");
    assert_eq!(
        wide.intersect(&filter("#")).unwrap().as_str().as_ptr(),
        wide.as_str().as_ptr(),
        "an unchanged filter is not copied"
    );
}

#[test]
fn intersection_of_filters_too_long_together() {
    let half = "x".repeat(40_000);
    assert_eq!(filter(&format!("{half}/+")).intersect(&filter(&format!("+/{half}"))), None);
}

#[test]
fn many_levels_need_no_stack() {
    std::thread::Builder::new()
        .stack_size(128 * 1024)
        .spawn(|| {
            let deep = "/".repeat(MAX_BYTES);
            let wild = filter(&format!("{}#", "+/".repeat(MAX_BYTES / 2)));
            assert!(wild.matches(&Topic::new(deep.as_str()).unwrap()));
            assert!(wild.covers(&filter(&deep)));
            assert_eq!(wild.intersect(&filter(&deep)), Some(filter(&deep)));
        })
        .unwrap()
        .join()
        .unwrap();
}
