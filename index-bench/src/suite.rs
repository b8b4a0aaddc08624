//! The rates of all engines under one workload.

use std::{collections::HashSet, time::Duration};

use link_core::index::Matches;

use crate::{
    check::Sample,
    engines::{BATCH, Digest, Engine, Kind, Ours, Role, Way},
    measure::{Effort, Lane, changes, cpu, median, quantile, spent},
    memory::{kept, uncounted},
    report::{Speed, Table},
    workloads::{Texts, Workload},
};

/// Topics that are checked against every filter, if there are a million of them.
const CHECKED: usize = 64;
/// Topics that every engine must answer as the first one does.
const COMPARED: usize = 4_096;
/// Topics whose time is taken one by one.
const TIMED: usize = 50_000;

struct Built {
    kind: Kind,
    engine: Box<dyn Engine>,
    bytes: Option<f64>,
    build_rate: f64,
    wrong: usize,
}

/// Everything of one workload, one table for each draw of topics. `memory` is the room for all engines together.
pub fn run(workload: &Workload, kinds: &[Kind], effort: &Effort, memory: usize) -> Vec<Table> {
    let filters = &workload.filters;
    let (mut built, skipped) = build(workload, kinds, memory);
    let grown = kinds.iter().any(|kind| kind.role == Role::Ours).then(|| {
        let ((_, spent), bytes) = kept(|| spent(|| std::hint::black_box(Ours::grow(filters))));
        (bytes, filters.len() as f64 / spent.as_secs_f64())
    });
    let mut tables = Vec::new();
    for draw in &workload.draws {
        eprintln!("{}: measuring", draw.name);
        let checked = CHECKED.min(CHECKED * 1_000_000 / filters.len());
        let sample = Sample::new(filters, draw.topics.iter().take(checked));
        let topics: Vec<_> = draw.topics.iter().collect();
        let compared = &topics[..topics.len().min(COMPARED)];
        let expected = built.first().map(|first| digests(&*first.engine, first.engine.ways()[0], compared));
        for built in &mut built {
            built.wrong = sample.wrong(&*built.engine, Duration::from_secs(4));
            for &way in built.engine.ways() {
                let found = digests(&*built.engine, way, compared);
                built.wrong +=
                    expected.iter().flatten().zip(found).filter(|(expected, found)| *expected != found).count();
            }
            assert!(built.wrong == 0 || built.kind.role != Role::Ours, "{} is wrong", built.kind.name);
        }
        let mut speeds = uncounted(|| speeds(&built, &topics, effort));
        if let (Some((bytes, rate)), Some(speed)) = (grown, speeds.iter_mut().find(|speed| speed.role == Role::Ours)) {
            speed.grown_bytes = bytes.map(|bytes| bytes as f64 / filters.len() as f64);
            speed.grow_rate = Some(rate);
        }
        tables.push(Table {
            draw: draw.name,
            filters: filters.len(),
            distinct: filters.iter().collect::<HashSet<_>>().len(),
            matches: matches(&built, &topics),
            checked: sample.len(),
            speeds,
            skipped: skipped.clone(),
        });
    }
    for built in &mut built {
        let rates = uncounted(|| changes(&mut *built.engine, filters, effort.turn * 2));
        for speed in tables.iter_mut().flat_map(|table| &mut table.speeds).filter(|s| s.engine == built.kind.name) {
            (speed.remove_rate, speed.insert_rate) = rates;
        }
    }
    tables
}

/// Builds what fits, one engine after the other. The first part of the filters says how much all of them will take.
fn build(workload: &Workload, kinds: &[Kind], memory: usize) -> (Vec<Built>, Vec<String>) {
    let filters = &workload.filters;
    let (mut built, mut skipped, mut used) = (Vec::new(), Vec::new(), 0);
    for kind in kinds.iter().filter(|kind| kind.suits(workload)) {
        let part: Texts = filters.iter().take(filters.len().div_ceil(50)).collect();
        let (_, bytes) = kept(|| (kind.build)(&part));
        let expected = bytes.unwrap_or_default() * filters.len() / part.len();
        if used + expected > memory {
            skipped.push(format!("{}: would take about {:.1} GB", kind.name, expected as f64 / 1e9));
            continue;
        }
        eprintln!("{}: building {}", workload.name, kind.name);
        let ((engine, spent), bytes) = kept(|| spent(|| (kind.build)(filters)));
        used += bytes.unwrap_or_default();
        built.push(Built {
            kind: *kind,
            engine,
            bytes: bytes.map(|bytes| bytes as f64 / filters.len() as f64),
            build_rate: filters.len() as f64 / spent.as_secs_f64(),
            wrong: 0,
        });
    }
    (built, skipped)
}

fn speeds(built: &[Built], topics: &[&str], effort: &Effort) -> Vec<Speed> {
    let lanes = built.iter().flat_map(|built| built.engine.ways().iter().map(move |&way| (built, way)));
    let mut lanes: Vec<_> = lanes.map(|(built, way)| (built, way, Lane::new(&*built.engine, way, topics))).collect();
    for _ in 0..effort.rounds {
        lanes.iter_mut().for_each(|(_, _, lane)| lane.turn(effort));
    }
    let speed = |(built, way, mut lane): (&Built, _, Lane<'_>)| {
        let times = lane.times(TIMED, effort.turn * 2);
        Speed {
            engine: built.kind.name,
            role: built.kind.role,
            way,
            rate: median(&lane.rates),
            rates: lane.rates,
            p50: quantile(&times, 0.5),
            p99: quantile(&times, 0.99),
            bytes: built.bytes,
            grown_bytes: None,
            grow_rate: None,
            build_rate: built.build_rate,
            insert_rate: 0.0,
            remove_rate: 0.0,
            wrong: built.wrong,
        }
    };
    lanes.into_iter().map(speed).collect()
}

/// What is found for each batch of topics, of as many as can be asked for in some seconds.
fn digests(engine: &dyn Engine, way: Way, topics: &[&str]) -> Vec<Digest> {
    let (start, mut buffer) = (cpu(), Matches::new());
    let batches = topics.chunks(BATCH).take_while(|_| cpu() - start < Duration::from_secs(2));
    batches.map(|topics| engine.run(way, topics, &mut buffer)).collect()
}

/// Values found for a topic, on average.
fn matches(built: &[Built], topics: &[&str]) -> f64 {
    let Some(first) = built.first() else { return f64::NAN };
    let topics = &topics[..topics.len().min(10_000)];
    let found = first.engine.answers(first.engine.ways()[0], topics);
    found.iter().map(Vec::len).sum::<usize>() as f64 / topics.len() as f64
}
