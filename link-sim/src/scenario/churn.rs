use std::time::Duration;

use super::Scenario;
use crate::plan::{GRID, HUB, Kind, MESH, Settings, TRIANGLE};

pub(super) fn scenario() -> Scenario {
    use Kind::*;
    Scenario {
        name: "churn",
        about: "clients that come, go and move between nodes and clusters",
        variants: vec![
            (GRID, Settings::TIGHT),
            (GRID, Settings::USUAL),
            (TRIANGLE, Settings::TIGHT),
            (MESH, Settings::USUAL),
            (HUB, Settings::TIGHT),
        ],
        mix: &[
            (Move, 14),
            (Subscribe, 14),
            (Unsubscribe, 10),
            (Leave, 6),
            (Publish, 20),
            (Reconcile, 3),
            (Break, 1),
            (Delete, 1),
            (Topics, 2),
        ],
        steps: 90,
        length: Duration::from_secs(40),
        seeds: 0..1000,
    }
}
