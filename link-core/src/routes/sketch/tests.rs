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
    (0..count as u64).map(|number| RouteId::from_number(mix(mix(seed) ^ number))).collect()
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
    assert_eq!(sums, [(1_864, &1), (2_647, &1), (2_893, &255)]);
}

const FIXED: [(&str, u64, u32, &[usize]); 3] = [
    (
        "a/b",
        0xb9d3_74a3_1cb9,
        0x00d4_d7e2,
        &[
            0, 1, 8, 16, 22, 24, 25, 97, 150, 235, 446, 506, 533, 963, 2_879, 2_933, 3_556, 6_367, 7_998, 9_786,
            13_221, 15_080, 28_504, 36_274, 59_632, 64_413, 173_944, 494_254, 2_019_447, 2_339_710,
        ],
    ),
    (
        "a/#",
        0xb887_b9cb_adc4,
        0x0047_f4f3,
        &[
            0, 1, 3, 7, 13, 15, 24, 25, 33, 37, 78, 84, 116, 148, 297, 304, 367, 384, 401, 730, 842, 1_140, 3_256,
            19_545, 28_560, 55_656, 422_949, 509_591, 2_651_741, 4_100_242,
        ],
    ),
    (
        "a",
        0xad02_fbf2_a40e,
        0x00d5_9af3,
        &[
            0, 2, 4, 5, 6, 16, 20, 21, 26, 31, 51, 84, 377, 645, 4_830, 5_109, 19_548, 30_717, 32_652, 77_304, 207_377,
            328_849, 378_915, 1_078_605, 2_022_590, 3_690_847,
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
    assert_eq!(u128::from(RouteId::from_hash(hash).0), by_hash.digest().0 & ((1 << 48) - 1));
    by_hash.remove_hash(hash);
    assert_eq!(by_hash, RouteDigest::new(key()));
}

#[test]
fn ids_and_keys_do_not_print() {
    let texts = format!("{:?} {:?} {:?}", RouteId(77), Sketch::new(&key()), Estimator::new());
    assert!(!texts.contains("77") && !texts.contains("seal"), "{texts}");
}
