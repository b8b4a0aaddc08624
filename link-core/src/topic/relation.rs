//! How topics and filters relate, level by level. Each function walks both texts once, side by side.

use bytestring::ByteString;

use super::{Levels, MAX_BYTES, TopicFilter};

const ONE: &str = "+";
const ALL: &str = "#";

/// Whether a wildcard in the first level passes this first level by.
pub(crate) fn is_reserved(first: &str) -> bool {
    first.starts_with('$')
}

/// Whether the topic of these levels matches the filter of those (section 4.7). Does not allocate.
///
/// The filter is taken as it is: levels of a shared subscription must come without `$share/group/`, and nothing is
/// validated.
///
/// ```
/// use link_core::topic::{Levels, matches};
///
/// assert!(matches(["a", "#"], Levels::new("a")));
/// assert!(!matches(Levels::new("#"), Levels::new("$SYS/uptime")));
/// ```
pub fn matches<'f, 't>(filter: impl IntoIterator<Item = &'f str>, topic: impl IntoIterator<Item = &'t str>) -> bool {
    let mut topic = topic.into_iter();
    for (at, wanted) in filter.into_iter().enumerate() {
        let level = topic.next();
        let passed_by = at == 0 && level.is_some_and(is_reserved);
        match (wanted, level) {
            // Also without a level: `a/#` matches `a`.
            (ALL, _) => return !passed_by,
            (ONE, Some(_)) if !passed_by => {}
            (wanted, Some(level)) if wanted == level => {}
            _ => return false,
        }
    }
    topic.next().is_none()
}

/// Whether `wide` matches every topic that `narrow` matches.
pub(crate) fn covers(mut wide: Levels<'_>, mut narrow: Levels<'_>) -> bool {
    let mut below_empty = false;
    for at in 0.. {
        let rest = wide.rest();
        let (outer, inner) = (wide.next(), narrow.next());
        let passed_by = at == 0 && inner.is_some_and(is_reserved);
        match (outer, inner) {
            (Some(ALL), _) => return !passed_by,
            (None, None) => return true,
            // What `inner` adds to the levels so far is any number of levels, none included. None is no topic in
            // two places: at the start, and below one empty level. There `+/#` says the same as `#`.
            (Some(_), Some(ALL)) => return rest == Some("+/#") && (at == 0 || below_empty),
            (Some(ONE), Some(_)) if !passed_by => {}
            (Some(outer), Some(inner)) if outer == inner => {}
            _ => return false,
        }
        below_empty = at == 0 && inner == Some("");
    }
    false
}

/// Whether some topic matches both. Does not allocate.
pub(crate) fn intersects(mut a: Levels<'_>, mut b: Levels<'_>) -> bool {
    // Of the text of `intersect`.
    let mut length = 0;
    for at in 0.. {
        let (rest_a, rest_b) = (a.rest(), b.rest());
        let level = match (a.next(), b.next()) {
            (None, None | Some(ALL)) | (Some(ALL), None) => break,
            (Some(ONE | ALL), Some(level)) | (Some(level), Some(ONE | ALL)) if at == 0 && is_reserved(level) => {
                return false;
            }
            (Some(ALL), Some(_)) | (Some(_), Some(ALL)) => {
                let rest = if rest_a == Some(ALL) { rest_b } else { rest_a };
                length += usize::from(at > 0) + rest.map_or(0, str::len);
                break;
            }
            (Some(ONE), Some(level)) | (Some(level), Some(ONE)) => level,
            (Some(level), Some(other)) if level == other => level,
            _ => return false,
        };
        length += usize::from(at > 0) + level.len();
    }
    (1..=MAX_BYTES).contains(&length)
}

/// The filter of the topics that both match.
pub(super) fn intersect(left: &TopicFilter, right: &TopicFilter) -> Option<TopicFilter> {
    let (mut a, mut b) = (left.levels(), right.levels());
    let mut text = String::with_capacity(left.pattern().len().max(right.pattern().len()));
    for at in 0.. {
        let (rest_a, rest_b) = (a.rest(), b.rest());
        let (levels, is_end) = match (a.next(), b.next()) {
            // Also one of them ends and the other has `#` left: `a/#` matches `a`.
            (None, None | Some(ALL)) | (Some(ALL), None) => break,
            (Some(ONE | ALL), Some(level)) | (Some(level), Some(ONE | ALL)) if at == 0 && is_reserved(level) => {
                return None;
            }
            (Some(ALL), Some(_)) => (rest_b?, true),
            (Some(_), Some(ALL)) => (rest_a?, true),
            (Some(ONE), Some(level)) | (Some(level), Some(ONE)) => (level, false),
            (Some(level), Some(other)) if level == other => (level, false),
            _ => return None,
        };
        if at > 0 {
            text.push('/');
        }
        text.push_str(levels);
        if is_end {
            break;
        }
    }
    // It is empty where `/#` meets `+`: one empty level, which is no topic.
    if text.is_empty() || text.len() > MAX_BYTES {
        None
    } else if text == left.pattern() {
        Some(left.without_share())
    } else if text == right.pattern() {
        Some(right.without_share())
    } else {
        Some(TopicFilter::from_valid(ByteString::from(text)))
    }
}
