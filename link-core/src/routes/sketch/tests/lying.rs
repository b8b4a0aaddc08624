//! Cells that no two sets have: they end with a fault or with something that the digest refutes, after bounded work.

use proptest::prelude::*;

use super::*;

/// The work of a decoder is bounded by its cells, and so is what it finds.
fn is_bounded(decoder: &Decoder) {
    assert!(decoder.found() <= decoder.cells() && decoder.walks() <= 2 * decoder.cells() + 1, "{decoder:?}");
}

/// The cell of an id alone, in so many cells: what a liar does who knows the key.
fn single(id: RouteId) -> Cell {
    Cells::build(&key(), 0..1, [id]).as_slice()[0]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn noise(seed: u64, count in 1..600usize) {
        let cells: Vec<_> = ids(seed, count).iter().map(|id| Cell { ids: id.0, check: mix(id.0) as u32 >> 8 }).collect();
        let (decoder, result) = decode(&cells);
        prop_assert!(result.is_err());
        is_bounded(&decoder);
    }

    /// Cells of a real difference, of which one bit is wrong.
    #[test]
    fn one_bit(seed: u64, count in 0..120usize, at in 0..256usize, bit in 0..72u32) {
        let mut cells = Cells::build(&key(), 0..256, ids(seed, count)).as_slice().to_vec();
        cells[at] ^= if bit < 48 { Cell { ids: 1 << bit, check: 0 } } else { Cell { ids: 0, check: 1 << (bit - 48) } };
        let (decoder, result) = decode(&cells);
        prop_assert!(result.is_err(), "{:?}", decoder);
        is_bounded(&decoder);
    }

    /// Single ids anywhere, some of them several times, some of them where they belong.
    #[test]
    fn singles(seed: u64, kinds in 1..100usize, count in 1..400usize) {
        let ids = ids(seed, kinds);
        let cells: Vec<_> = (0..count).map(|at| single(ids[mix(seed ^ at as u64) as usize % kinds])).collect();
        let (decoder, _) = decode(&cells);
        is_bounded(&decoder);
    }

    /// Changed anywhere, in cells that come in several parts.
    #[test]
    fn parts(seed: u64, count in 0..100usize, lies in prop::collection::vec((0..300usize, 0..20usize), 1..20), cut in 0..300usize) {
        let some = ids(seed, 100);
        let mut cells = Cells::build(&key(), 0..300, some[..count].iter().copied()).as_slice().to_vec();
        lies.iter().for_each(|(at, id)| cells[*at] ^= single(some[*id]));
        let mut decoder = Decoder::new(&key());
        for part in [&cells[..cut], &cells[cut..]] {
            let result = decoder.extend(part, &nothing(part));
            if result == Err(SketchFault::Corrupt) {
                prop_assert_eq!(decoder.extend(&[], &[]), Err(SketchFault::Corrupt));
                prop_assert_eq!(decoder.difference(|_| true), Err(SketchFault::Corrupt));
            }
            is_bounded(&decoder);
        }
        // If it ends well, what it found does have these cells.
        if let Ok(Difference { here, .. }) = decoder.difference(|_| true) {
            let rebuilt = Cells::build(&key(), 0..300, here);
            prop_assert_eq!(rebuilt.as_slice(), &cells);
        }
    }
}

/// The same id in each of its cells but one, which shows it again after it was taken out.
#[test]
fn an_id_that_shows_twice() {
    let id = ids(3, 1)[0];
    let mut its_cells = Vec::new();
    walk::walk(id.0, 0..256, |cell| its_cells.push(cell));
    assert!(its_cells.len() > 2);
    for missing in its_cells {
        let mut cells = vec![Cell::default(); 256];
        Cells::build(&key(), 0..256, [id]).as_slice().iter().enumerate().for_each(|(at, cell)| cells[at] = *cell);
        cells[missing] = Cell::default();
        let (decoder, result) = decode(&cells);
        assert_eq!(result, Err(SketchFault::Corrupt));
        is_bounded(&decoder);
    }
}

/// An id in cells that are not its own shows nothing.
#[test]
fn an_id_in_the_wrong_place() {
    let id = ids(4, 1)[0];
    let mut cells = Cells::build(&key(), 0..256, [id]).as_slice().to_vec();
    let elsewhere = cells.iter().position(|cell| cell.is_zero()).unwrap();
    cells.iter_mut().for_each(|cell| *cell = Cell::default());
    cells[elsewhere] = single(id);
    let (decoder, result) = decode(&cells);
    assert_eq!((result, decoder.found()), (Err(SketchFault::NotEnough { cells: 256, open: 1 }), 0));
}

/// A cell of two ids whose check is that of neither: without the check it would show the xor of both.
#[test]
fn two_ids_do_not_show() {
    let two = ids(5, 2);
    let mut found = 0;
    for at in 0..64 {
        let cell = single(two[0]) ^ single(two[1]);
        found += decode(&vec![cell; at]).0.found();
    }
    assert_eq!(found, 0);
}

/// Every cell shows an id that does not belong there: a walk for each, and nothing is found.
#[test]
fn misplaced_everywhere() {
    let mut some = ids(6, 8_000).into_iter();
    let mut misplaced = |at: usize| some.find(|id| Cells::build(&key(), at..at + 1, [*id]).as_slice()[0].is_zero());
    // The first cell has every id.
    let cells = (0..2_000).map(|at| if at == 0 { Cell::default() } else { single(misplaced(at).unwrap()) });
    let cells: Vec<_> = cells.collect();
    let (decoder, result) = decode(&cells);
    assert_eq!((result, decoder.found()), (Err(SketchFault::NotEnough { cells: 2_000, open: 1_999 }), 0));
    is_bounded(&decoder);
    assert!(decoder.walks() >= 1_999, "{}", decoder.walks());
}

/// Every cell of a million, in a time that a peer may take: some 100 ms in a fast build.
#[test]
fn a_large_lie() {
    let count = if cfg!(debug_assertions) { 20_000 } else { 1_000_000 };
    for kinds in [1, 1_000, count] {
        let some = ids(7, kinds);
        let cells: Vec<_> = (0..count).map(|at| single(some[at % kinds])).collect();
        let (decoder, result) = decode(&cells);
        assert!(result.is_err());
        is_bounded(&decoder);
    }
}

#[test]
fn sizes() {
    let mut decoder = Decoder::new(&key());
    let cells = vec![Cell::default(); MAX_CELLS];
    assert_eq!(decoder.extend(&cells[..3], &cells[..2]), Err(SketchFault::Uneven { here: 3, there: 2 }));
    assert_eq!(decoder.extend(&cells, &cells), Ok(()));
    assert_eq!(decoder.extend(&cells[..1], &cells[..1]), Err(SketchFault::TooMany));
    assert_eq!((decoder.cells(), decoder.extend(&[], &[])), (MAX_CELLS, Ok(())));
}
