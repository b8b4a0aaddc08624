//! The small language of topics and filters, small so that they meet.

use crate::rng::Source;

const WORDS: [&str; 3] = ["a", "b", "c"];

/// Every topic that clients publish to.
pub fn topics() -> Vec<String> {
    let one = WORDS.iter().map(|word| (*word).to_owned());
    let two = WORDS.iter().flat_map(|a| WORDS.iter().map(move |b| format!("{a}/{b}")));
    let three = ["a", "b"].iter().flat_map(|a| WORDS.iter().map(move |b| format!("{a}/b/{b}")));
    let odd = ["/a", "a/", "$x/a", "fleet/7"].map(str::to_owned);
    one.chain(two).chain(three).chain(odd).collect()
}

pub(super) fn topic(source: &mut impl Source) -> String {
    let topics = topics();
    source.pick(&topics).cloned().unwrap_or_default()
}

pub(super) fn filter(source: &mut impl Source) -> String {
    let mut levels = Vec::new();
    for _ in 0..1 + source.index(3) {
        levels.push(match source.index(9) {
            0..3 => "a",
            3..5 => "b",
            5 => "c",
            6..8 => "+",
            _ => "",
        });
    }
    if source.chance(1, 4) {
        levels.push("#");
    }
    let text = levels.join("/");
    match (text.as_str(), source.index(12)) {
        ("", _) => "a".to_owned(),
        (_, 0) => "#".to_owned(),
        (_, 1) => format!("$share/g/{text}"),
        (_, 2) => "$x/#".to_owned(),
        _ => text,
    }
}
