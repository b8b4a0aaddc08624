use super::{Draw, Random, Texts, Workload};

const TOKENS: [&str; 8] = ["in", "out", "raw", "cmd", "ack", "log", "cfg", "err"];
const LEVELS: usize = 10;

/// Filters that no prefix tells apart: ten levels over eight tokens, each level a `+` with probability one half, and 5 %
/// with a `#` that stands for the fifth level or a later one. A trie visits up to 2^10 paths for a topic.
pub fn w3(filters: usize, topics: usize, seed: u64) -> Workload {
    let mut random = Random::new(seed);
    let mut all = Texts::default();
    for _ in 0..filters {
        let mut levels: Vec<_> =
            (0..LEVELS).map(|_| if random.chance(0.5) { "+" } else { random.of(&TOKENS) }).collect();
        if random.chance(0.05) {
            levels.truncate(4 + random.below(LEVELS - 4));
            levels.push("#");
        }
        all.push(&levels.join("/"));
    }
    let topics = (0..topics).map(|_| (0..LEVELS).map(|_| random.of(&TOKENS)).collect::<Vec<_>>().join("/"));
    let topics = topics.collect::<Vec<_>>();
    let topics = topics.iter().map(String::as_str).collect();
    Workload { name: "W3", filters: all, draws: vec![Draw { name: "W3", topics }] }
}
