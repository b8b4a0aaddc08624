use std::time::Duration;

use super::Scenario;
use crate::plan::{DOUBLED, GRID, HUB, Kind, PAIR, Settings, TRIANGLE};

pub(super) fn scenario() -> Scenario {
    use Kind::*;
    Scenario {
        name: "misconfiguration",
        about: "links that are off, deleted, refused or point elsewhere, and come right",
        variants: vec![
            (PAIR, Settings::USUAL),
            (PAIR, Settings::TIGHT),
            (GRID, Settings::TIGHT),
            (DOUBLED, Settings::TIGHT),
            (TRIANGLE, Settings::TIGHT),
            (HUB, Settings::TIGHT),
        ],
        mix: &[
            (Misconfigure, 6),
            (Disable, 5),
            (Delete, 4),
            (Topics, 5),
            (Publish, 20),
            (Subscribe, 6),
            (Unsubscribe, 3),
            (Break, 2),
        ],
        steps: 50,
        length: Duration::from_secs(60),
        seeds: 0..1000,
    }
}
