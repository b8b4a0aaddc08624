//! Honest cells: the difference is exactly what it is, from few cells, and however the cells were made.

use proptest::prelude::*;

use super::*;

/// What a decoder has to find, once it has enough.
fn exactly(here: &[RouteId], there: &[RouteId], decoder: &Decoder) -> Result<(), TestCaseError> {
    let difference = decoder.difference(|id| here.contains(&id)).unwrap();
    prop_assert_eq!(sorted(difference.here), sorted(here.to_vec()));
    prop_assert_eq!(sorted(difference.there), sorted(there.to_vec()));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Law I7, in steps of some cells each.
    #[test]
    fn the_difference(
        seed: u64, common in 0..300usize, here in 0..200usize, there in 0..200usize, step in 1..200usize,
    ) {
        let (common, here, there) = (ids(seed, common), ids(seed ^ 1, here), ids(seed ^ 2, there));
        let ours = Sketch::build(&key(), common.iter().chain(&here).copied());
        let theirs = Sketch::build(&key(), common.iter().chain(&there).copied());
        let mut decoder = Decoder::new(&key());
        let mut result = Err(SketchFault::NotEnough { cells: 0, open: 0 });
        while let Err(fault) = result {
            let open = matches!(fault, SketchFault::NotEnough { .. });
            prop_assert!(open && decoder.cells() < MAINTAINED_CELLS, "{fault} after {decoder:?}");
            let next = decoder.cells()..decoder.cells() + step;
            result = decoder.extend(ours.cells(next.clone()), theirs.cells(next));
            if result.is_err() {
                prop_assert_eq!(decoder.difference(|_| true), Err(result.unwrap_err()));
            }
        }
        exactly(&here, &there, &decoder)?;
        // More cells say the same.
        let rest = decoder.cells()..MAINTAINED_CELLS;
        decoder.extend(ours.cells(rest.clone()), theirs.cells(rest)).unwrap();
        exactly(&here, &there, &decoder)?;
    }

    /// By single changes in any order, in part abreast, in one piece or several: the same cells.
    #[test]
    fn by_changes_or_anew(seed: u64, stay in 0..40usize, go in 0..40usize, cut in 0..=20_000usize) {
        let (stay, go) = (ids(seed, stay), ids(seed ^ 1, go));
        let range = 0..20_000;
        let mut changed = Cells::new(&key(), range.clone());
        let mut sketch = Sketch::new(&key());
        for id in go.iter().chain(&stay).chain(go.iter().rev()) {
            changed.toggle(*id);
            sketch.toggle(*id);
        }
        let built = Cells::build(&key(), range.clone(), stay.iter().rev().copied());
        prop_assert_eq!(changed.as_slice(), built.as_slice());
        prop_assert_eq!(sketch.cells(0..usize::MAX), &built.as_slice()[..MAINTAINED_CELLS]);

        // Frozen while the ids of `go` come in: they are in the pass, and taken out of its cells again.
        let mut parts = sketch.extend(0..cut, stay.iter().chain(&go).copied());
        let mut rest = sketch.extend(cut..20_000, go.iter().chain(&stay).copied());
        go.iter().for_each(|id| { parts.toggle(*id); rest.toggle(*id); });
        prop_assert_eq!([parts.as_slice(), rest.as_slice()].concat(), built.as_slice());
        prop_assert_eq!((parts.range(), rest.range()), (0..cut, cut..20_000));
        stay.iter().for_each(|id| rest.toggle(*id));
        prop_assert!(rest.as_slice().iter().all(|cell| cell.is_zero()));
    }

    #[test]
    fn bytes_of_cells(ids in 0..1u64 << 48, check in 0..1u32 << 24) {
        let cell = Cell { ids, check };
        let bytes = cell.to_bytes();
        prop_assert_eq!((&bytes[..6], &bytes[6..]), (&ids.to_be_bytes()[2..], &check.to_be_bytes()[1..]));
        prop_assert_eq!(&RouteId(ids).to_bytes()[..], &bytes[..6]);
        prop_assert_eq!(RouteId::from_bytes(RouteId(ids).to_bytes()), RouteId(ids));
        prop_assert_eq!(Cell::from_bytes(bytes), cell);
    }
}

/// Cells of every epoch, changed and built, each of which has some of so many ids.
#[test]
fn every_epoch() {
    let (stay, go) = (ids(5, 3_000), ids(6, 500));
    let mut end = MAINTAINED_CELLS;
    let mut first = 0;
    while first < MAX_CELLS {
        let mut changed = Cells::new(&key(), first..end);
        go.iter().chain(&stay).chain(&go).for_each(|id| changed.toggle(*id));
        let built = Cells::build(&key(), first..end, stay.iter().copied());
        assert_eq!(changed.as_slice(), built.as_slice());
        assert!(built.as_slice().iter().any(|cell| !cell.is_zero()));
        (first, end) = (end, end * 4);
    }
    assert!(Cells::new(&key(), MAX_CELLS - 1..usize::MAX).range() == (MAX_CELLS - 1..MAX_CELLS));
    assert!(Cells::new(&key(), usize::MAX - 1..usize::MAX).as_slice().is_empty());
    #[expect(clippy::reversed_empty_ranges, reason = "a range from a peer may be")]
    let reversed = [Cells::new(&key(), 9..3).range().len(), Sketch::new(&key()).cells(9..3).len()];
    assert_eq!(reversed, [0, 0]);
}

/// A difference of more than one epoch, in the steps of the protocol: what is kept, then more by the pass.
#[test]
fn across_epochs() {
    let (common, here, there) = (ids(1, 2_000), ids(2, 5_000), ids(3, 4_000));
    let ours = Sketch::build(&key(), common.iter().chain(&here).copied());
    let theirs = Sketch::build(&key(), common.iter().chain(&there).copied());
    let mut decoder = Decoder::new(&key());
    for range in [0..64, 64..1_024, 1_024..4_096] {
        let result = decoder.extend(ours.cells(range.clone()), theirs.cells(range));
        assert!(matches!(result, Err(SketchFault::NotEnough { .. })), "{result:?}");
    }
    for range in [4_096..11_000, 11_000..13_500, 13_500..20_000] {
        let ours = ours.extend(range.clone(), common.iter().chain(&here).copied());
        let theirs = theirs.extend(range, common.iter().chain(&there).copied());
        let _ = decoder.extend(ours.as_slice(), theirs.as_slice());
    }
    let ours: std::collections::BTreeSet<_> = here.iter().copied().collect();
    let difference = decoder.difference(|id| ours.contains(&id)).unwrap();
    assert_eq!((sorted(difference.here), sorted(difference.there)), (sorted(here), sorted(there)));
}

/// With checks of 12 bits a xor of several ids that passes for one would lead every fifth comparison of 1,000 astray, mostly in
/// the first cells, to which it belongs as well. Since those are looked at last it hardly ever does.
#[test]
fn a_false_id_in_the_first_cells() {
    narrow::CHECKS.set((1 << 12) - 1);
    let mut astray = 0;
    for seed in 0..120 {
        let cells = Cells::build(&key(), 0..1_500, ids(seed, 1_000));
        let (decoder, result) = decode(cells.as_slice());
        astray += u32::from(result.is_err() || decoder.found() != 1_000);
    }
    narrow::CHECKS.set(u32::MAX);
    println!("{astray} of 120");
    assert!(astray <= 5, "{astray} of 120");
}

/// The fewest cells from which so many differences decode.
fn cells_needed(seed: u64, differences: usize) -> usize {
    let (mut few, mut enough) = (0, differences * 2 + 40);
    let cells = Cells::build(&key(), 0..enough, ids(seed, differences));
    assert_eq!(decode(cells.as_slice()).1, Ok(()));
    // What decodes from some cells decodes from more.
    while enough - few > 1 {
        let middle = few.midpoint(enough);
        match decode(&cells.as_slice()[..middle]).1 {
            Ok(()) => enough = middle,
            Err(_) => few = middle,
        }
    }
    enough
}

/// Figure 5 of the paper, and the study's own measurement: 1.00 cells for one difference, up to 1.76 for some, 1.36 in
/// the end.
#[test]
fn cells_for_each_difference() {
    let expected = [(1, 200, 1.00), (2, 400, 1.53), (4, 400, 1.76), (8, 300, 1.76), (16, 200, 1.69), (128, 50, 1.44)];
    let more = [(1_024, 8, 1.37), (4_096, 3, 1.36), (20_000, 1, 1.36), (100_000, 1, 1.36)];
    // The large ones in a fast build only.
    let more = if cfg!(debug_assertions) { &more[..2] } else { &more[..] };
    for (differences, seeds, expected) in expected.iter().chain(more) {
        let needed = (0..*seeds).map(|seed| cells_needed(seed ^ (*differences as u64) << 32, *differences));
        let mean = needed.sum::<usize>() as f64 / *seeds as f64 / *differences as f64;
        println!("{differences}: {mean:.3} cells for each");
        assert!((mean / expected - 1.0).abs() < 0.1, "{differences}: {mean:.3} cells for each, not {expected}");
    }
}

/// The sizes that the protocol asks for. 64 cells fail for 16 differences about twice in a thousand times: two of the ids
/// are then in the same ones of the 64.
#[test]
fn blocks_are_enough() {
    let failures = |seeds: std::ops::Range<u64>, differences: usize, cells: usize| {
        let sets = seeds.clone().map(|seed| Cells::build(&key(), 0..cells, ids(seed, differences)));
        let failures = sets.filter(|cells| decode(cells.as_slice()).1.is_err()).count();
        println!("{cells} cells fail for {differences} differences in {failures} of {seeds:?}");
        failures
    };
    let many = if cfg!(debug_assertions) { 4_000 } else { 100_000 };
    assert!(failures(0..many, 8, 64) <= many as usize / 500);
    assert!(failures(0..many, 16, 64) <= many as usize / 250);
    assert_eq!(failures(0..many / 20, 512, 1_024), 0);
    assert_eq!(failures(0..10, 2_800, MAINTAINED_CELLS), 0);
}

#[test]
fn nothing_differs() {
    let (decoder, result) = decode(&[]);
    assert_eq!((result, decoder.difference(|_| true)), (Ok(()), Ok(Difference::default())));
    let sketch = Sketch::build(&key(), ids(1, 100));
    let mut decoder = Decoder::new(&key());
    assert_eq!(decoder.extend(sketch.cells(0..64), sketch.cells(0..64)), Ok(()));
    assert_eq!(decoder.difference(|_| unreachable!()), Ok(Difference::default()));
}
