use std::collections::HashSet;

use super::{Draw, Random, Texts, Workload, Zipf};

/// What the tokens of a level look like, and how many there are. With these numbers a topic has about 61 matches among
/// 1,000,000 filters.
const LEVELS: [(&str, usize); 7] =
    [("site", 15), ("hall", 22), ("line", 30), ("plc-", 100), ("sig", 60), ("v", 20), ("q", 12)];
/// How many topics the Zipf draw picks from.
const POPULAR: usize = 100_000;

/// Filters of 5 to 7 levels, 20 % with wildcards: one or two `+`, and 30 % of those end in a `#` that stands for the
/// fourth level or a later one. At least two levels stay literal. Exact filters are distinct. The short ones among those
/// with a `#` come up several times, as when several services subscribe to one site: 1,000,000 pairs are about 974,000
/// filters. Topics are drawn as the exact filters.
pub fn w2(filters: usize, topics: usize, seed: u64) -> Workload {
    let mut random = Random::new(seed);
    let vocabulary = LEVELS.map(|(prefix, size)| (0..size).map(|n| format!("{prefix}{n:02}")).collect::<Vec<_>>());
    let mut seen = HashSet::new();
    let mut all = Texts::default();
    while all.len() < filters {
        let mut levels = draw(&vocabulary, &mut random);
        if random.chance(0.2) {
            wildcards(&mut levels, &mut random);
            all.push(&levels.join("/"));
        } else {
            let text = levels.join("/");
            if seen.insert(text.clone()) {
                all.push(&text);
            }
        }
    }
    let uniform = (0..topics.max(POPULAR)).map(|_| draw(&vocabulary, &mut random).join("/")).collect::<Vec<_>>();
    let uniform: Texts = uniform.iter().map(String::as_str).collect();
    let ranks = Zipf::new(POPULAR, 1.0);
    let popular = uniform.pick(topics, || ranks.draw(&mut random));
    let draws = vec![Draw { name: "W2", topics: uniform }, Draw { name: "W2z", topics: popular }];
    Workload { name: "W2", filters: all, draws }
}

fn draw<'a>(vocabulary: &'a [Vec<String>; 7], random: &mut Random) -> Vec<&'a str> {
    let depth = 5 + random.below(3);
    vocabulary[..depth].iter().map(|tokens| tokens[random.below(tokens.len())].as_str()).collect()
}

fn wildcards(levels: &mut Vec<&str>, random: &mut Random) {
    let tail = random.chance(0.3);
    if tail {
        levels.truncate(3 + random.below(levels.len() - 3));
    }
    let plus = if levels.len() > 3 { 1 + random.below(2) } else { 1 };
    for _ in 0..plus {
        // Twice the same level: one `+`.
        let level = random.below(levels.len());
        levels[level] = "+";
    }
    if tail {
        levels.push("#");
    }
}
