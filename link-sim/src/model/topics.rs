//! Topic matching by splitting texts, as MQTT 5, section 4.7 says it. Nothing of the library is used here.

/// Whether a topic filter matches a topic.
pub(crate) fn matches(filter: &str, topic: &str) -> bool {
    let filter = without_share(filter);
    let wild_first = filter.starts_with('+') || filter.starts_with('#');
    if topic.starts_with('$') && wild_first {
        return false;
    }
    let filter: Vec<&str> = filter.split('/').collect();
    let topic: Vec<&str> = topic.split('/').collect();
    for (at, level) in filter.iter().enumerate() {
        if *level == "#" {
            // It matches the level before it as well, and anything below.
            return true;
        }
        match topic.get(at) {
            Some(name) if *level == "+" || level == name => {}
            _ => return false,
        }
    }
    filter.len() == topic.len()
}

fn without_share(filter: &str) -> &str {
    let Some(rest) = filter.strip_prefix("$share/") else { return filter };
    rest.split_once('/').map_or(filter, |(_, filter)| filter)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn the_cases_of_the_specification() {
        for (filter, topic) in [
            ("sport/tennis/player1/#", "sport/tennis/player1"),
            ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon"),
            ("sport/#", "sport"),
            ("sport/+", "sport/"),
            ("+/+", "/finance"),
            ("/+", "/finance"),
            ("#", "a/b"),
            ("$SYS/#", "$SYS/x"),
            ("$share/g/a/+", "a/b"),
        ] {
            assert!(matches(filter, topic), "{filter} {topic}");
        }
        for (filter, topic) in [
            ("sport/+", "sport"),
            ("+", "/finance"),
            ("#", "$SYS"),
            ("+/monitor", "$SYS/monitor"),
            ("a", "a/b"),
            ("a/b", "a"),
            ("$share/g/a", "b"),
        ] {
            assert!(!matches(filter, topic), "{filter} {topic}");
        }
    }
}
