//! Cells of a peer against the sketch of a set of our own.

use std::collections::BTreeSet;

use link_core::routes::{
    Cell, Cells, Decoder, Difference, Estimator, MAINTAINED_CELLS, RouteId, RouteKey, SketchFault,
};

/// Bytes: how many ids our set has, how many theirs, how many of ours theirs has too, how many cells a step takes, the
/// kind of lie, then what their cells are made of and changed by.
///
/// What decodes is what these cells are the difference of; nothing else decodes; all of it is as much work as there are
/// cells.
pub fn sketch_decode(data: &[u8]) {
    let Some((&[ours, theirs, common, step, kind], data)) = data.split_first_chunk() else { return };
    let key = RouteKey([kind; 16]);
    let ours: BTreeSet<_> = (0..ours).map(id).collect();
    let theirs: BTreeSet<_> =
        ours.iter().take(common.into()).copied().chain((0..theirs).map(|number| id(!number))).collect();
    let end = 16 + data.len().min(4_096);
    let here = Cells::build(&key, 0..end, ours.iter().copied());
    let mut there = Cells::build(&key, 0..end, theirs.iter().copied()).as_slice().to_vec();
    let mut is_honest = true;
    for (at, words) in data.chunks(Cell::BYTES).enumerate() {
        let bytes = std::array::from_fn(|at| words.get(at).copied().unwrap_or_default());
        let came = Cell::from_bytes(bytes);
        // Where the lie goes: in order, or anywhere.
        let place = if kind & 4 == 0 { at } else { usize::from(u16::from_be_bytes([bytes[7], bytes[8]])) } % end;
        let before = there[place];
        match kind % 4 {
            0 => {}
            1 => there[place] = came,
            2 => there[place] = before ^ came,
            // A single id, with the right check.
            _ => there[place] = before ^ Cells::build(&key, 0..1, [id(bytes[0])]).as_slice()[0],
        }
        is_honest &= there[place] == before;
    }

    let mut decoder = Decoder::new(&key);
    let mut result = Ok(());
    while decoder.cells() < end && result != Err(SketchFault::Corrupt) {
        let next = decoder.cells()..end.min(decoder.cells() + 1 + usize::from(step));
        result = decoder.extend(&here.as_slice()[next.clone()], &there[next]);
        assert!(decoder.found() <= decoder.cells());
        assert_eq!(decoder.difference(|id| ours.contains(&id)).err(), result.err());
    }
    let difference = decoder.difference(|id| ours.contains(&id));
    if is_honest {
        assert_ne!(result, Err(SketchFault::Corrupt));
        // So many cells tell a difference of so few ids, whatever the first of them do.
        let rest = [&ours, &theirs].map(|ids| Cells::build(&key, end..MAINTAINED_CELLS + end, ids.iter().copied()));
        assert_eq!(decoder.extend(rest[0].as_slice(), rest[1].as_slice()), Ok(()));
        let whole = decoder.difference(|id| ours.contains(&id));
        assert_eq!(whole.as_ref().map(found), Ok(ours.symmetric_difference(&theirs).copied().collect()));
        assert!(difference.is_err() || difference == whole);
    }
    if let Ok(difference) = difference {
        let all = Cells::build(&key, 0..end, found(&difference));
        let cells = here.as_slice().iter().zip(&there).map(|(here, there)| *here ^ *there);
        assert!(all.as_slice().iter().copied().eq(cells));
        assert!(difference.here.iter().all(|id| ours.contains(id)));
        assert!(!difference.there.iter().any(|id| ours.contains(id)));
    }

    let bytes: Vec<_> = data.iter().copied().cycle().take(if data.is_empty() { 0 } else { Estimator::BYTES }).collect();
    if let Ok(estimator) = Estimator::from_bytes(&bytes) {
        assert_eq!(estimator.to_bytes(), bytes);
        assert_eq!(estimator.estimate(&estimator), 0);
        assert!(estimator.estimate(&Estimator::new()) <= 64 << 20);
    }
}

/// Some id for each number.
fn id(number: u8) -> RouteId {
    RouteId::from_number((u64::from(number) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

fn found(difference: &Difference) -> BTreeSet<RouteId> {
    let all: BTreeSet<_> = difference.here.iter().chain(&difference.there).copied().collect();
    assert_eq!(all.len(), difference.here.len() + difference.there.len(), "an id twice");
    all
}
