//! The laws of sketches, their overhead, and liars.

mod decoding;
mod estimating;
mod lying;

use super::*;
use crate::routes::{RouteDigest, RouteKey};

fn key() -> RouteKey {
    RouteKey(std::array::from_fn(|at| at as u8))
}

/// Ids that nobody chose.
fn ids(seed: u64, count: usize) -> Vec<RouteId> {
    (0..count as u64).map(|number| RouteId(mix(mix(seed) ^ number))).collect()
}

/// As if the other set had nothing: what differs is all that counts.
fn nothing(cells: &[Cell]) -> Vec<Cell> {
    vec![Cell::default(); cells.len()]
}

/// The decoder after these cells, and what it says.
fn decode(cells: &[Cell]) -> (Decoder, Result<(), SketchFault>) {
    let mut decoder = Decoder::new(&key());
    let result = decoder.extend(cells, &nothing(cells));
    (decoder, result)
}

fn sorted(mut ids: Vec<RouteId>) -> Vec<RouteId> {
    ids.sort_unstable();
    ids
}

/// Both ends compute these numbers: they are part of the protocol.
#[test]
fn fixed_cells() {
    let id = |text| RouteId::from_hash(key().hash(text));
    let ids = [id("a/b"), id("a/#")];
    let mut cells = [0..4, 62..64, 4_090..4_102, 16_383..16_500].map(|range| Cells::build(&key(), range, ids));
    let text = |cells: &Cells| {
        let bytes = cells.as_slice().iter().flat_map(|cell| cell.to_bytes());
        bytes.map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    assert_eq!(ids.map(|id| format!("{:016x}", id.0)), ["ad10b9d374a31cb9", "06e259b887b9cbad"]);
    assert_eq!(text(&cells[0]), "");
    cells[0].toggle(ids[0]);
    let all = |id: RouteId| {
        let mut all = Vec::new();
        walk::walk(id.0, 0..MAX_CELLS, |cell| all.push(cell));
        all
    };
    assert_eq!(all(ids[0]), []);
    assert_eq!(all(ids[1]), []);
}

/// One hash of a filter serves the digest and the id.
#[test]
fn the_id_is_of_the_digest() {
    let hash = key().hash("a/b");
    let (mut by_hash, mut by_filter) = (RouteDigest::new(key()), RouteDigest::new(key()));
    by_filter.add(&crate::topic::TopicFilter::new("a/b").unwrap());
    by_hash.add_hash(hash);
    assert_eq!(by_hash, by_filter);
    assert_eq!(u128::from(RouteId::from_hash(hash).0), by_hash.digest().0 & u128::from(u64::MAX));
    by_hash.remove_hash(hash);
    assert_eq!(by_hash, RouteDigest::new(key()));
}

#[test]
fn ids_and_keys_do_not_print() {
    let texts = format!("{:?} {:?} {:?}", RouteId(77), Sketch::new(&key()), Estimator::new(&key()));
    assert!(!texts.contains("77") && !texts.contains("seal"), "{texts}");
}
