use std::time::Duration;

use super::Scenario;
use crate::plan::{DOUBLED, GRID, Kind, PAIR, Settings, TRIANGLE};

pub(super) fn scenario() -> Scenario {
    use Kind::*;
    Scenario {
        name: "exactly_once",
        about: "no accepted message is lost, repeated or out of order",
        variants: vec![
            (PAIR, Settings::TIGHT),
            (PAIR, Settings { refuse_every: 7, ..Settings::TIGHT }),
            (PAIR, Settings::USUAL),
            (PAIR, Settings { max_frame: 3050, ..Settings::TIGHT }),
            (DOUBLED, Settings::TIGHT),
            (TRIANGLE, Settings::TIGHT),
            (GRID, Settings::TIGHT),
        ],
        mix: &[
            (Publish, 30),
            (Burst, 6),
            (Subscribe, 4),
            (Break, 8),
            (Stall, 3),
            (LoseFrame, 3),
            (RepeatFrame, 4),
            (TruncateFrame, 2),
            (CrashWithDisk, 1),
            (SlowHost, 2),
        ],
        steps: 60,
        length: Duration::from_secs(40),
        seeds: 0..1000,
    }
}
