use std::fmt::Write;

use super::{Draw, Random, Texts, Workload};

const METRICS: [&str; 3] = ["temperature", "humidity", "status"];
const REGIONS: usize = 200;

/// Exact filters only: three metrics of each device.
pub fn w1(filters: usize, topics: usize, seed: u64) -> Workload {
    let mut random = Random::new(seed);
    let mut text = String::new();
    let mut all = Texts::default();
    for n in 0..filters {
        write(&mut text, n / METRICS.len(), METRICS[n % METRICS.len()]);
        all.push(&text);
    }
    let mut drawn = Texts::default();
    for _ in 0..topics {
        let n = random.below(filters);
        let device = n / METRICS.len() + if random.chance(0.05) { STRANGERS } else { 0 };
        write(&mut text, device, METRICS[n % METRICS.len()]);
        drawn.push(&text);
    }
    let filters = all.shuffled(&mut random);
    Workload { name: "W1", filters, draws: vec![Draw { name: "W1", topics: drawn }] }
}

/// A topic that no filter of [`w1`] matches.
pub fn stranger(n: usize) -> String {
    let mut text = String::new();
    write(&mut text, STRANGERS + n, METRICS[n % METRICS.len()]);
    text
}

/// Devices from here on have no filter.
const STRANGERS: usize = 5_000_000;

fn write(text: &mut String, device: usize, metric: &str) {
    text.clear();
    let _ = write!(text, "site/region-{:03}/dev-{device:07}/{metric}", device % REGIONS);
}
