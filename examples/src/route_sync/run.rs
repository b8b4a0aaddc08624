use super::{Fleet, Pair, lower_bound, pair::Moved};
use crate::bench::Failure;

/// What `us` has to begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// Nothing.
    First,
    /// The set before `d` changes, all of which `eu` still has in its log.
    WithHistory,
    /// The set before `d` changes, and `eu` has kept none of them.
    WithoutHistory,
    /// The set before `d` changes, of a former life of `eu`.
    Restarted,
}

impl Way {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::WithHistory => "with history",
            Self::WithoutHistory => "without history",
            Self::Restarted => "restarted",
        }
    }
}

/// One synchronisation.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Sync {
    /// Number of routes.
    pub n: usize,
    /// What there was before.
    pub way: Way,
    /// Number of changes.
    pub d: usize,
    /// Bytes of route frames, both ways.
    pub bytes: u64,
    /// Bytes of HELLO and READY, both ways.
    pub handshake_bytes: u64,
    /// Bytes of all other frames, both ways.
    pub other_bytes: u64,
    /// Route frames.
    pub frames: u64,
    /// Round trips after that of the handshake.
    pub round_trips: f64,
    /// CPU of the holder, in milliseconds.
    pub holder_cpu_ms: f64,
    /// CPU of the writer, in milliseconds.
    pub writer_cpu_ms: f64,
    /// Least bytes that tell `d` names.
    pub lower_bound: f64,
    /// Heap of the holder for each route, after a first synchronisation.
    pub bytes_per_route: Option<f64>,
}

/// All synchronisations of a fleet of `n`, with these numbers of changes as far as they are below `n`.
///
/// # Errors
/// If the two do not come to terms.
pub fn syncs(n: usize, changes: &[usize], live_bytes: fn() -> i64) -> Result<Vec<Sync>, Failure> {
    let mut rows = Vec::new();
    for (way, ring) in [(Way::WithHistory, 1 << 18), (Way::WithoutHistory, 0)] {
        let mut fleet = Fleet::new(n)?;
        let mut pair = Pair::new(ring, live_bytes)?;
        pair.change(fleet.all());
        let before = pair.heap();
        let mut first = measure(&mut pair, n, Way::First, n)?;
        first.bytes_per_route = Some((pair.heap() - before) as f64 / n as f64);
        if way == Way::WithHistory {
            rows.push(first);
        }
        for &d in changes.iter().filter(|d| **d < n) {
            pair.cut();
            pair.change(fleet.change(d)?);
            rows.push(measure(&mut pair, n, way, d)?);
        }
        if way == Way::WithoutHistory {
            for (starts, &d) in (1..).zip([0, 1_000].iter().filter(|d| **d < n)) {
                pair.cut();
                fleet.change(d)?;
                pair.restart(ring, starts)?;
                pair.change(fleet.all());
                rows.push(measure(&mut pair, n, Way::Restarted, d)?);
            }
        }
    }
    Ok(rows)
}

fn measure(pair: &mut Pair, n: usize, way: Way, d: usize) -> Result<Sync, Failure> {
    let (us, eu) = pair.cpu();
    let Moved { handshake, routes, other, frames, flights } = pair.sync()?;
    let (us_after, eu_after) = pair.cpu();
    Ok(Sync {
        n,
        way,
        d,
        bytes: routes,
        handshake_bytes: handshake,
        other_bytes: other,
        frames,
        round_trips: f64::from(flights.saturating_sub(2)) / 2.0,
        holder_cpu_ms: (us_after - us).as_secs_f64() * 1e3,
        writer_cpu_ms: (eu_after - eu).as_secs_f64() * 1e3,
        lower_bound: lower_bound(d),
        bytes_per_route: None,
    })
}

#[cfg(test)]
mod tests {
    use super::{super::check, *};

    #[test]
    fn bytes_follow_the_changes() {
        let mut rows = syncs(2_000, &[0, 1, 30], || 0).unwrap();
        rows.extend(syncs(8_000, &[0, 1, 30], || 0).unwrap());
        rows.retain(|row| row.way != Way::First);
        check(&rows).unwrap();
        // A tail that costs something for each route is seen.
        for row in &mut rows {
            row.bytes += row.n as u64 / 50;
        }
        let wrong = check(&rows).unwrap_err().to_string();
        assert!(wrong.contains("d = 0: 40 bytes at n = 2000, 160 at n = 8000"), "{wrong}");
    }

    #[test]
    fn the_same_fleet_moves_the_same_bytes() {
        let bytes =
            || -> Vec<_> { syncs(1_000, &[7], || 0).unwrap().iter().map(|row| (row.bytes, row.frames)).collect() };
        assert_eq!(bytes(), bytes());
    }
}
