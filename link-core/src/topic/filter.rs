use std::{
    borrow::Borrow,
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
};

use bytes::Bytes;
use bytestring::ByteString;

use super::{Levels, MAX_BYTES, Topic, TopicFilterError, relation};

/// A valid topic filter. Cloning shares the text.
///
/// A shared subscription (`$share/group/filter`) is split: the filter is what it matches, the group is kept beside it.
/// Two filters are equal if their whole texts are, group included.
#[derive(Clone)]
pub struct TopicFilter {
    text: ByteString,
    /// Where the filter begins in `text`: behind `$share/group/`, or 0.
    start: usize,
    wildcard: bool,
}

impl TopicFilter {
    /// Parses a topic filter, sharing the buffer of `text` where it can.
    pub fn new(text: impl Into<ByteString>) -> Result<Self, TopicFilterError> {
        let text = text.into();
        let Parsed { start, wildcard } = parse(&text)?;
        Ok(Self { text, start, wildcard })
    }

    /// Parses a topic filter out of a received buffer without copying it.
    ///
    /// The filter keeps the whole buffer alive of which `bytes` is a part.
    pub fn from_bytes(bytes: Bytes) -> Result<Self, TopicFilterError> {
        let text =
            ByteString::try_from(bytes).map_err(|error| TopicFilterError::NotUtf8 { at: error.valid_up_to() })?;
        Self::new(text)
    }

    /// A filter out of levels that come from valid filters.
    pub(crate) fn from_valid(text: ByteString) -> Self {
        let wildcard = has_wildcard(&text);
        debug_assert!(Self::new(text.clone()).is_ok_and(|filter| filter.start == 0));
        Self { text, start: 0, wildcard }
    }

    /// Whether `text` is a topic filter, without making one. Does not allocate.
    ///
    /// U+0000 is refused; control characters and non-characters, which section 1.5.4 leaves to the receiver, are
    /// accepted.
    pub fn check(text: &str) -> Result<(), TopicFilterError> {
        parse(text).map(|_| ())
    }

    /// The whole text, with `$share/group/` if it is there.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The whole text as a shared text.
    pub fn as_byte_string(&self) -> &ByteString {
        &self.text
    }

    /// What is matched: the text without `$share/group/`.
    pub fn pattern(&self) -> &str {
        &self.text[self.start..]
    }

    /// The levels of what is matched, without `$share/group/`.
    pub fn levels(&self) -> Levels<'_> {
        Levels::new(self.pattern())
    }

    /// Whether there is a `+` or `#` in what is matched.
    pub fn is_wildcard(&self) -> bool {
        self.wildcard
    }

    /// The group of a shared subscription.
    pub fn share_group(&self) -> Option<&str> {
        let end = self.start.checked_sub(1)?;
        self.text.get(SHARE.len()..end)
    }

    /// The same filter without its share group.
    pub fn without_share(&self) -> TopicFilter {
        Self { text: self.text.slice_ref(self.pattern()), start: 0, wildcard: self.wildcard }
    }

    /// Whether `topic` matches. Does not allocate.
    pub fn matches(&self, topic: &Topic) -> bool {
        relation::matches(self.levels(), topic.levels())
    }

    /// The filter that matches exactly the topics that both match, if there is any such topic.
    ///
    /// Share groups don't count, and the result has none. The one exception to "exactly": two filters whose
    /// intersection can only be written with more than 65,535 bytes have none.
    pub fn intersect(&self, other: &TopicFilter) -> Option<TopicFilter> {
        relation::intersect(self, other)
    }

    /// Whether every topic that `other` matches is matched by `self` too. Does not allocate.
    ///
    /// Share groups don't count. It is about the topics, not the texts: `+/#` and `#` cover each other.
    pub fn covers(&self, other: &TopicFilter) -> bool {
        relation::covers(self.levels(), other.levels())
    }
}

impl PartialEq for TopicFilter {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for TopicFilter {}

impl Hash for TopicFilter {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl PartialOrd for TopicFilter {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for TopicFilter {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl fmt::Debug for TopicFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TopicFilter").field(&self.as_str()).finish()
    }
}

impl fmt::Display for TopicFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for TopicFilter {
    type Err = TopicFilterError;

    /// Copies the text if it is valid.
    fn from_str(text: &str) -> Result<Self, TopicFilterError> {
        let Parsed { start, wildcard } = parse(text)?;
        Ok(Self { text: text.into(), start, wildcard })
    }
}

impl AsRef<str> for TopicFilter {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

impl Borrow<str> for TopicFilter {
    fn borrow(&self) -> &str {
        &self.text
    }
}

/// A topic is the filter that matches it alone.
impl From<Topic> for TopicFilter {
    fn from(topic: Topic) -> Self {
        Self { text: topic.into(), start: 0, wildcard: false }
    }
}

const SHARE: &str = "$share/";

struct Parsed {
    start: usize,
    wildcard: bool,
}

fn parse(text: &str) -> Result<Parsed, TopicFilterError> {
    if text.is_empty() {
        return Err(TopicFilterError::Empty);
    }
    if text.len() > MAX_BYTES {
        return Err(TopicFilterError::TooLong { length: text.len() });
    }
    if let Some(at) = text.bytes().position(|byte| byte == 0) {
        return Err(TopicFilterError::Null { at });
    }
    let start = split_share(text)?;
    Ok(Parsed { start, wildcard: check_wildcards(text, start)? })
}

/// Where the filter begins behind `$share/group/` (section 4.8.2); 0 if the text is no shared subscription, as is a
/// bare `$share`.
fn split_share(text: &str) -> Result<usize, TopicFilterError> {
    let Some(rest) = text.strip_prefix(SHARE) else { return Ok(0) };
    let group = Levels::new(rest).next().unwrap_or_default();
    if group.is_empty() {
        return Err(TopicFilterError::ShareGroupMissing);
    }
    if let Some(at) = group.bytes().position(|byte| matches!(byte, b'+' | b'#')) {
        let wildcard = char::from(group.as_bytes()[at]);
        return Err(TopicFilterError::ShareGroupWildcard { wildcard, at: SHARE.len() + at });
    }
    let start = SHARE.len() + group.len() + 1;
    match text.get(start..) {
        None | Some("") => Err(TopicFilterError::ShareFilterMissing),
        // Without its group it could not be told from the outer kind.
        Some(filter) if filter.starts_with(SHARE) => Err(TopicFilterError::ShareNested { at: start }),
        Some(_) => Ok(start),
    }
}

/// Checks the place of every wildcard from `start` on (section 4.7.1), and says whether there is one.
fn check_wildcards(text: &str, start: usize) -> Result<bool, TopicFilterError> {
    let bytes = text.as_bytes();
    let mut wildcard = false;
    for (at, &byte) in bytes.iter().enumerate().skip(start) {
        if !matches!(byte, b'+' | b'#') {
            continue;
        }
        wildcard = true;
        let begins = at == start || bytes[at - 1] == b'/';
        let next = bytes.get(at + 1);
        let ends = next.is_none_or(|&next| next == b'/');
        match byte {
            b'+' if !(begins && ends) => return Err(TopicFilterError::PlusNotAlone { at }),
            b'#' if !(begins && ends) => return Err(TopicFilterError::HashNotAlone { at }),
            b'#' if next.is_some() => return Err(TopicFilterError::HashNotLast { at }),
            _ => {}
        }
    }
    Ok(wildcard)
}

fn has_wildcard(text: &str) -> bool {
    text.bytes().any(|byte| matches!(byte, b'+' | b'#'))
}
