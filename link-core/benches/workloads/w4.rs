use super::{Draw, Random, Texts, Workload, w2};

/// Hot topics.
const HOT: usize = 100;
/// Values of each filter of a hot topic.
const VALUES: usize = 100;

/// A hundred topics with exactly 1,000 matches each, from ten different filters of a hundred values each, and
/// `others` filters of [`w2()`] that match none of them.
pub fn w4(others: usize, topics: usize, seed: u64) -> Workload {
    let mut random = Random::new(seed);
    let mut all = w2(others, 0, seed).filters;
    for hot in 0..HOT {
        for filter in filters(hot) {
            (0..VALUES).for_each(|_| all.push(&filter));
        }
    }
    let filters = all.shuffled(&mut random);
    let hot: Vec<_> = (0..HOT).map(topic).collect();
    let hot: Texts = hot.iter().map(String::as_str).collect();
    let topics = hot.pick(topics, || random.below(HOT));
    Workload { name: "W4", filters, draws: vec![Draw { name: "W4", topics }] }
}

fn topic(hot: usize) -> String {
    format!("news/desk-{hot:02}/world/live/ticker/text")
}

/// Ten filters that match one hot topic and no other.
fn filters(hot: usize) -> [String; 10] {
    [
        "world/live/ticker/text",
        "+/live/ticker/text",
        "world/+/ticker/text",
        "world/live/+/text",
        "world/live/ticker/+",
        "+/+/ticker/text",
        "world/+/+/text",
        "#",
        "world/live/#",
        "world/+/ticker/text/#",
    ]
    .map(|end| format!("news/desk-{hot:02}/{end}"))
}
