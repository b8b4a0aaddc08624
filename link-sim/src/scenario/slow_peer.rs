use std::time::Duration;

use link_core::delivery::Overflow;

use super::Scenario;
use crate::plan::{Kind, PAIR, Settings, TRIANGLE};

pub(super) fn scenario() -> Scenario {
    use Kind::*;
    Scenario {
        name: "slow_peer",
        about: "hosts, lines and peers that can't keep up, and what waits for them",
        variants: vec![
            (PAIR, Settings::TIGHT),
            (PAIR, Settings { overflow: Overflow::DropOldest, ..Settings::TIGHT }),
            (PAIR, Settings { overflow: Overflow::DropOldestQos0, ..Settings::TIGHT }),
            (TRIANGLE, Settings::TIGHT),
            (TRIANGLE, Settings { overflow: Overflow::DropOldest, refuse_every: 11, ..Settings::TIGHT }),
            (PAIR, Settings::FAR),
        ],
        mix: &[
            (Burst, 20),
            (Publish, 10),
            (SlowHost, 8),
            (Throttle, 6),
            (Stall, 3),
            (Freeze, 2),
            (Subscribe, 3),
            (Break, 2),
        ],
        steps: 40,
        length: Duration::from_secs(40),
        seeds: 0..1000,
    }
}
