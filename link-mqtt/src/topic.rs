//! The topics that carry a link: `$LINK/v1/<cluster>/<node>/<up|down>/<token>/<k>of<n>`.

use std::fmt;

use link_core::link::{ClusterName, NodeName};

/// First level of every topic of a link. Wildcards in a first level do not match it (MQTT 4.7.2).
const LEVEL: &str = "$LINK";
const VERSION: &str = "v1";

/// Whether a topic or topic filter is of a link, looking through one `$share/<group>/`. A prefix comparison.
pub(crate) fn is_link(text: &str) -> bool {
    let text = match text.strip_prefix("$share/") {
        Some(rest) => rest.split_once('/').map_or("", |(_, filter)| filter),
        None => text,
    };
    text.strip_prefix(LEVEL).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Towards which side a topic carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// The dialler publishes.
    Up,
    /// The dialler subscribes.
    Down,
}

/// One channel of one connection, in one direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LinkTopic {
    /// The cluster that dialled.
    pub(crate) cluster: ClusterName,
    /// The node that dialled.
    pub(crate) node: NodeName,
    pub(crate) direction: Direction,
    /// Random per dial: tells the connections of one node apart.
    pub(crate) token: u64,
    /// Below `channels`.
    pub(crate) channel: u16,
    /// How many channels the connection has; at least 1.
    pub(crate) channels: u16,
}

impl LinkTopic {
    /// Parses a topic; the error says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let levels: Vec<&str> = text.splitn(8, '/').collect();
        let [LEVEL, version, cluster, node, direction, token, channel] = levels.as_slice() else {
            return Err("a link topic is `$LINK/v1/<cluster>/<node>/<up|down>/<token>/<k>of<n>`");
        };
        if *version != VERSION {
            return Err("the version of the link topic is not `v1`");
        }
        let direction = match *direction {
            "up" => Direction::Up,
            "down" => Direction::Down,
            _ => return Err("the direction of a link topic is `up` or `down`"),
        };
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if token.len() != 16 || !token.bytes().all(hex) {
            return Err("the token of a link topic has 16 lower-case hexadecimal digits");
        }
        let token = u64::from_str_radix(token, 16).map_err(|_| "the token of a link topic is not a number")?;
        let (channel, channels) = channel
            .split_once("of")
            .and_then(|(k, n)| Some((number(k)?, number(n)?)))
            .ok_or("the channel of a link topic is `<k>of<n>`")?;
        if channel >= channels {
            return Err("the channel of a link topic is below the number of channels");
        }
        Ok(Self {
            cluster: ClusterName::new(cluster).map_err(|_| "the cluster of a link topic is not a name")?,
            node: NodeName::new(node).map_err(|_| "the node of a link topic is not a name")?,
            direction,
            token,
            channel,
            channels,
        })
    }

    /// The same channel in the given direction.
    pub(crate) fn towards(&self, direction: Direction) -> Self {
        Self { direction, ..self.clone() }
    }
}

impl fmt::Display for LinkTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cluster, node, direction, token, channel, channels } = self;
        let direction = match direction {
            Direction::Up => "up",
            Direction::Down => "down",
        };
        write!(f, "{LEVEL}/{VERSION}/{cluster}/{node}/{direction}/{token:016x}/{channel}of{channels}")
    }
}

/// A decimal number in its one canonical form, so that one channel has one topic.
fn number(text: &str) -> Option<u16> {
    let canonical =
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if canonical { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_topic_is_read_back_as_written() {
        let text = "$LINK/v1/eu/node@10.0.0.1/up/00000000000000ff/1of3";
        let topic = LinkTopic::parse(text).unwrap();
        assert_eq!((topic.token, topic.channel, topic.channels), (255, 1, 3));
        assert_eq!(topic.to_string(), text);
        assert_eq!(topic.towards(Direction::Down).to_string(), text.replace("/up/", "/down/"));
    }

    #[test]
    fn other_texts_are_refused_with_the_reason() {
        for (text, reason) in [
            ("$LINK/v1/eu/n/up/00000000000000ff", "a link topic is"),
            ("$LINK/v1/eu/n/up/00000000000000ff/0of1/x", "a link topic is"),
            ("$LINK/v2/eu/n/up/00000000000000ff/0of1", "`v1`"),
            ("$LINK/v1/+/n/up/00000000000000ff/0of1", "the cluster"),
            ("$LINK/v1/eu/#/up/00000000000000ff/0of1", "the node"),
            ("$LINK/v1/eu/n/+/00000000000000ff/0of1", "`up` or `down`"),
            ("$LINK/v1/eu/n/up/00000000000000FF/0of1", "16 lower-case"),
            ("$LINK/v1/eu/n/up/+00000000000000f/0of1", "16 lower-case"),
            ("$LINK/v1/eu/n/up/00000000000000ff/1of1", "below the number"),
            ("$LINK/v1/eu/n/up/00000000000000ff/0of0", "below the number"),
            ("$LINK/v1/eu/n/up/00000000000000ff/00of1", "`<k>of<n>`"),
            ("$LINK/v1/eu/n/up/00000000000000ff/+0of1", "`<k>of<n>`"),
            ("$LINK/v1/eu/n/up/00000000000000ff/0of65536", "`<k>of<n>`"),
        ] {
            let error = LinkTopic::parse(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn link_topics_are_known_by_their_first_level() {
        for text in ["$LINK", "$LINK/", "$LINK/#", "$LINK/+/x", "$share/g/$LINK/#", "$share/g/$LINK"] {
            assert!(is_link(text), "{text}");
        }
        for text in ["", "#", "+/v1", "$LINKS/x", "a/$LINK/b", "$share/g/a", "$share/$LINK", "$SYS/#"] {
            assert!(!is_link(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_parses_is_canonical(text in "\\$LINK/v1/[a-z+#]{1,2}/[a-z]{1,2}/(up|down|xx)/[0-9a-f+]{15,16}/[0-9+]{1,3}of[0-9]{1,6}") {
            if let Ok(topic) = LinkTopic::parse(&text) {
                prop_assert_eq!(topic.to_string(), text);
            }
        }
    }
}
