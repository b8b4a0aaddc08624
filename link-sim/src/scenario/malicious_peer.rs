use std::time::Duration;

use super::Scenario;
use crate::plan::{Kind, PAIR, Settings, TRIANGLE};

pub(super) fn scenario() -> Scenario {
    use Kind::*;
    Scenario {
        name: "malicious_peer",
        about: "peers that break every rule, beside others that don't",
        variants: vec![
            (PAIR, Settings { max_routes: 600, ..Settings::TIGHT }),
            (PAIR, Settings::USUAL),
            (TRIANGLE, Settings { max_routes: 600, ..Settings::TIGHT }),
        ],
        mix: &[(Attack, 12), (Publish, 16), (Subscribe, 4), (Break, 1), (TruncateFrame, 3), (RepeatFrame, 1)],
        steps: 60,
        length: Duration::from_secs(40),
        seeds: 0..1000,
    }
}
