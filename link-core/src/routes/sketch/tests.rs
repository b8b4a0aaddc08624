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

/// Both ends compute these numbers: they are part of the protocol. Computed by another implementation, which finds each
/// step in integers.
#[test]
fn fixed_cells() {
    for (text, id, check, its_cells) in FIXED {
        assert_eq!(RouteId::from_hash(key().hash(text)), RouteId(id));
        let mut found = Vec::new();
        walk::walk(id, 0..MAX_CELLS, |cell| found.push(cell));
        assert_eq!(found, its_cells);
        let cells = Cells::build(&key(), 0..1, [RouteId(id)]);
        assert_eq!(cells.as_slice(), [Cell { ids: id, check }]);
    }
    let mut estimator = Estimator::new();
    FIXED.iter().for_each(|(_, id, ..)| estimator.enter(RouteId(*id)));
    let sums = estimator.to_bytes();
    let sums: Vec<_> = sums.iter().enumerate().filter(|(_, sum)| **sum != 0).collect();
    assert_eq!(sums, [(511, &1), (4_007, &255)]);
}

const FIXED: [(&str, u64, u32, &[usize]); 2] = [
    (
        "a/b",
        0xad10_b9d3_74a3_1cb9,
        0x9e97_7a87,
        &[
            0, 2, 3, 12, 14, 21, 31, 35, 54, 67, 121, 204, 267, 338, 342, 658, 769, 3_075, 5_296, 13_127, 42_925,
            83_092, 114_232, 240_652, 618_099, 2_379_432,
        ],
    ),
    (
        "a/#",
        0xe259_b887_b9cb_adc4,
        0x0122_79e9,
        &[
            0, 1, 2, 14, 35, 60, 114, 245, 420, 475, 978, 1_027, 1_065, 2_064, 2_244, 3_048, 6_078, 16_024, 23_249,
            55_129, 141_523, 149_672, 329_717, 399_931, 519_684, 896_678, 1_166_164, 2_526_409,
        ],
    ),
];

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
    let texts = format!("{:?} {:?} {:?}", RouteId(77), Sketch::new(&key()), Estimator::new());
    assert!(!texts.contains("77") && !texts.contains("seal"), "{texts}");
}
