//! `docs/reliability.md` names what exists, and leaves nothing out.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

use std::{collections::BTreeSet, fs, path::Path};

use link_sim::scenario;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn document() -> String {
    read("docs/reliability.md")
}

/// What stands between backticks.
fn quoted(text: &str) -> Vec<String> {
    let outside_blocks = text.split("```").step_by(2).collect::<String>();
    outside_blocks.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The cells of the table row whose first cell is `id`.
fn row(id: &str) -> Vec<String> {
    let document = document();
    let rows: Vec<_> = document.lines().filter(|line| line.starts_with(&format!("| {id} |"))).collect();
    assert_eq!(rows.len(), 1, "{id} has {} rows", rows.len());
    rows[0].trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
}

fn is_test(token: &str) -> bool {
    token.contains(".rs::")
}

fn is_scenario(token: &str) -> bool {
    token.split_once('/').is_some_and(|(name, _)| scenario::named(name).is_some())
}

#[test]
fn every_invariant_names_a_law_and_every_law_is_named() {
    let source = read("link-sim/src/world/mod.rs");
    let laws = source.split("pub enum Law {").nth(1).unwrap().split('}').next().unwrap().to_owned();
    let laws: BTreeSet<String> = laws
        .lines()
        .filter_map(|line| line.trim().strip_suffix(',').filter(|name| !name.starts_with("//")).map(str::to_owned))
        .collect();
    assert!(laws.len() > 10, "{laws:?}");
    let named: BTreeSet<String> = quoted(&document())
        .iter()
        .filter_map(|token| token.strip_prefix("Law::"))
        .filter(|law| *law != "Name")
        .map(str::to_owned)
        .collect();
    assert_eq!(named, laws);
    for id in 1..=10 {
        let checked_by = row(&format!("I{id}")).pop().unwrap();
        assert!(quoted(&checked_by).iter().any(|token| token.starts_with("Law::")), "I{id} names no law");
    }
}

#[test]
fn every_fault_and_every_bad_input_is_covered_or_said_not_to_be() {
    let ids = (1..=21).map(|n| format!("F{n}")).chain((1..=16).map(|n| format!("B{n}")));
    for id in ids {
        let cells = row(&id);
        let cover = cells[2..].join(" ");
        let named = quoted(&cover).iter().any(|token| is_test(token) || is_scenario(token));
        assert!(named || cover.contains("not covered"), "{id}: neither covered nor said not to be");
    }
}

#[test]
fn every_test_that_is_named_exists() {
    let mut count = 0;
    for token in quoted(&document()).iter().filter(|token| is_test(token)) {
        let (path, test) = token.split_once("::").unwrap();
        let source = read(path);
        let at = source.find(&format!("fn {test}(")).unwrap_or_else(|| panic!("there is no {token}"));
        // A test by its attribute, one of a `proptest!` block, or one that a `table!` runs several times.
        let before = source[..at].lines().rev().take(4).collect::<String>();
        assert!(
            before.contains("test") || ["proptest!", "table! {"].iter().any(|by| source.contains(by)),
            "{token} is no test"
        );
        count += 1;
    }
    assert!(count > 60, "{count}");
}

#[test]
fn every_event_that_is_named_happens_in_its_scenario() {
    let mut count = 0;
    for token in quoted(&document()).iter().filter(|token| is_scenario(token)) {
        let (name, event) = token.split_once('/').unwrap();
        let scenario = scenario::named(name).unwrap();
        let happens = scenario.mix.iter().any(|(kind, weight)| *weight > 0 && format!("{kind:?}") == event);
        assert!(happens, "there is no {event} in {name}");
        count += 1;
    }
    assert!(count > 30, "{count}");
    let files = fs::read_dir(root().join("link-sim/src/scenario")).unwrap().count() - 1;
    assert_eq!(files, scenario::all().len(), "a scenario is not in `scenario::all`");
}

/// The figures are of the scenarios that there are, and none broke a law.
#[test]
fn the_figures_are_of_every_scenario() {
    let document = document();
    let figures = document.split("## Figures").nth(1).unwrap();
    for scenario in scenario::all() {
        let line = figures.lines().find(|line| line.starts_with(scenario.name));
        let line = line.unwrap_or_else(|| panic!("{} has no figures", scenario.name));
        assert!(line.ends_with(" 0 violations"), "{line}");
    }
}
