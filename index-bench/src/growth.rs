//! How the time of a match depends on how many filters there are.

use crate::{
    engines::{Kind, Role, Way},
    measure::{Effort, Lane, median},
    memory::uncounted,
    report::Growth,
    workloads::Workload,
};

/// From here on only our index and the floor are asked: the others would not fit into memory together.
const LARGE: usize = 3_000_000;
const TOPICS: usize = 200_000;

/// Each size of one workload, which `make` makes of a number of filters and of topics.
pub fn run(make: fn(usize, usize) -> Workload, sizes: &[usize], kinds: &[Kind], effort: &Effort) -> Vec<Growth> {
    sizes.iter().flat_map(|&filters| at(&make(filters, TOPICS), kinds, effort)).collect()
}

fn at(workload: &Workload, kinds: &[Kind], effort: &Effort) -> Vec<Growth> {
    let filters = workload.filters.len();
    eprintln!("growth of {}: {filters} filters", workload.name);
    let topics: Vec<_> = workload.draws[0].topics.iter().collect();
    let kinds = kinds
        .iter()
        .filter(|kind| kind.suits(workload) && (filters < LARGE || matches!(kind.role, Role::Ours | Role::Floor)));
    let mut points = Vec::new();
    for kind in kinds {
        let engine = (kind.build)(&workload.filters);
        for &way in engine.ways() {
            let mut lane = Lane::new(&*engine, way, &topics);
            uncounted(|| (0..effort.rounds).for_each(|_| lane.turn(effort)));
            let found = engine.answers(Way::Single, &topics[..20_000.min(10_000_000 / filters.max(1)).max(16)]);
            let matches = found.iter().map(Vec::len).sum::<usize>() as f64 / found.len() as f64;
            let nanoseconds = 1e9 / median(&lane.rates);
            points.push(Growth {
                workload: workload.name,
                engine: kind.name,
                role: kind.role,
                way,
                filters,
                topic: nanoseconds,
                matches,
            });
        }
    }
    points
}
