use std::time::Duration;

use super::Scenario;
use crate::plan::{DOUBLED, GRID, Kind, PAIR, Settings, TRIANGLE};

pub(super) fn scenario() -> Scenario {
    use Kind::*;
    let warm_up = Duration::from_secs(6);
    Scenario {
        name: "warm_up",
        about: "sessions come back some time after their node, and are known at its peers all the time",
        variants: vec![
            (PAIR, Settings { warm_up, ..Settings::USUAL }),
            (PAIR, Settings { warm_up, ..Settings::TIGHT }),
            (PAIR, Settings { warm_up, ..Settings::FAR }),
            (DOUBLED, Settings { warm_up, ..Settings::TIGHT }),
            (TRIANGLE, Settings { warm_up, ..Settings::TIGHT }),
            (GRID, Settings { warm_up, retention: Duration::from_secs(10), ..Settings::TIGHT }),
        ],
        mix: &[
            (Subscribe, 8),
            (Unsubscribe, 4),
            (Leave, 1),
            (Publish, 40),
            (Crash, 4),
            (CrashWithDisk, 6),
            (Stop, 2),
            (Break, 3),
            (Cut, 1),
            (Partition, 1),
            (Reconcile, 1),
        ],
        steps: 70,
        length: Duration::from_secs(90),
        seeds: 0..1000,
    }
}
