use std::time::Duration;

use super::Scenario;
use crate::plan::{DOUBLED, Kind, MESH, PAIR, Settings, TRIANGLE};

pub(super) fn scenario() -> Scenario {
    use Kind::*;
    Scenario {
        name: "cut_and_heal",
        about: "partitions, cuts in one direction, stalls and flaps",
        variants: vec![
            (PAIR, Settings::USUAL),
            (PAIR, Settings::TIGHT),
            (TRIANGLE, Settings { retention: Duration::from_secs(3), ..Settings::TIGHT }),
            (PAIR, Settings::FAR),
            (DOUBLED, Settings::TIGHT),
            (TRIANGLE, Settings::TIGHT),
            (MESH, Settings::TIGHT),
        ],
        mix: &[
            (Publish, 25),
            (Subscribe, 5),
            (Unsubscribe, 4),
            (Cut, 5),
            (Partition, 5),
            (Stall, 4),
            (Break, 5),
            (Throttle, 2),
            (Freeze, 2),
            (Jump, 1),
        ],
        steps: 60,
        length: Duration::from_secs(60),
        seeds: 0..1000,
    }
}
