use std::time::Duration;

use super::Scenario;
use crate::plan::{DOUBLED, GRID, Kind, PAIR, Settings, TRIANGLE};

pub(super) fn scenario() -> Scenario {
    use Kind::*;
    Scenario {
        name: "restart",
        about: "nodes come back with all, some or nothing of what they knew",
        variants: vec![
            (PAIR, Settings::USUAL),
            (PAIR, Settings::TIGHT),
            (GRID, Settings { retention: Duration::from_secs(3), ..Settings::TIGHT }),
            (PAIR, Settings::FAR),
            (DOUBLED, Settings::TIGHT),
            (TRIANGLE, Settings::TIGHT),
            (GRID, Settings::TIGHT),
        ],
        mix: &[
            (Subscribe, 6),
            (Unsubscribe, 3),
            (Publish, 25),
            (Crash, 8),
            (Stop, 2),
            (Break, 2),
            (Freeze, 1),
            (Jump, 1),
        ],
        steps: 50,
        length: Duration::from_secs(60),
        seeds: 0..1000,
    }
}
