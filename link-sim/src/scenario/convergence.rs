use std::time::Duration;

use super::Scenario;
use crate::plan::{DOUBLED, FILTERED, GRID, HUB, Kind, MESH, PAIR, Settings, TRIANGLE};

pub(super) fn scenario() -> Scenario {
    use Kind::*;
    Scenario {
        name: "convergence",
        about: "route sets are equal at both ends after whatever happened",
        variants: vec![
            (PAIR, Settings::USUAL),
            (PAIR, Settings::FAR),
            (PAIR, Settings::TIGHT),
            (DOUBLED, Settings { max_frame: 8 << 10, ..Settings::FAR }),
            (FILTERED, Settings::TIGHT),
            (DOUBLED, Settings::TIGHT),
            (TRIANGLE, Settings::USUAL),
            (GRID, Settings::TIGHT),
            (MESH, Settings::TIGHT),
            (HUB, Settings::USUAL),
        ],
        mix: &[
            (Subscribe, 20),
            (Unsubscribe, 14),
            (Leave, 3),
            (Publish, 10),
            (Break, 4),
            (Topics, 3),
            (Reconcile, 2),
            (CrashWithDisk, 2),
            (LoseFrame, 6),
            (RepeatFrame, 3),
        ],
        steps: 60,
        length: Duration::from_secs(40),
        seeds: 0..1000,
    }
}
