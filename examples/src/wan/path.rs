use std::{fmt, time::Duration};

use emulator::Impairment;

/// A wide area path, the same in both directions.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Path {
    /// Bits a second, of whole IP packets.
    pub rate: u64,
    /// Round trip in milliseconds, without queues.
    pub rtt: u64,
    /// Packets that are lost by chance, in percent, in each direction.
    pub loss: f64,
}

/// Which paths are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grid {
    /// All rates, round trips and losses.
    Full,
    /// The corners that tell most.
    Quick,
}

impl Grid {
    /// Its paths, the fast ones first.
    pub fn paths(self) -> Vec<Path> {
        let (rates, rtts, losses): (&[u64], &[u64], &[f64]) = match self {
            Self::Full => (&[100_000_000, 10_000_000, 50_000], &[0, 50, 200], &[0.0, 1.0, 5.0]),
            Self::Quick => (&[100_000_000], &[200], &[0.0, 1.0]),
        };
        let mut paths = Vec::new();
        for &rate in rates {
            for &rtt in rtts {
                paths.extend(losses.iter().map(|&loss| Path { rate, rtt, loss }));
            }
        }
        paths
    }
}

impl Path {
    /// What the emulator does to each direction.
    pub fn impairment(&self) -> Impairment {
        Impairment {
            delay: Duration::from_millis(self.rtt) / 2,
            loss: self.loss / 100.0,
            rate: Some(self.rate),
            queue: if self.is_slow() { Duration::from_secs(3) } else { Duration::from_millis(200) },
            ..Impairment::default()
        }
    }

    /// Bytes a second that the path carries, headers included.
    pub fn bytes_a_second(&self) -> f64 {
        self.rate as f64 / 8.0
    }

    /// Whether one frame of the link takes seconds on it. A queue of 200 ms would not hold one packet there.
    pub fn is_slow(&self) -> bool {
        self.rate < 1_000_000
    }
}

/// As `--only` takes it: `100M/200ms/1%`.
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rate, rtt, loss } = self;
        if *rate >= 1_000_000 {
            write!(f, "{}M", rate / 1_000_000)?
        } else {
            write!(f, "{}k", rate / 1_000)?
        }
        write!(f, "/{rtt}ms/{loss}%")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grid_is_all_combinations_and_each_has_a_name() {
        let names: Vec<_> = Grid::Full.paths().iter().map(Path::to_string).collect();
        assert_eq!((names.len(), &*names[0], &*names[26]), (27, "100M/0ms/0%", "50k/200ms/5%"));
        assert!(Grid::Quick.paths().iter().all(|path| Grid::Full.paths().contains(path)));
    }
}
