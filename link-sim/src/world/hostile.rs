//! Peers that break the rules.

use link_core::node::{ConnectionId, Input};
use link_core::transport::Identity;

use super::{World, site::HOSTILE};
use crate::network::Party;
use crate::plan::{Attack, Site};

impl World {
    pub(super) fn attack(&mut self, _site: Site, _attack: Attack, _seed: u64) {
        let _ = (Identity::default(), ConnectionId(0), HOSTILE, Input::Timeout, Party::Hostile);
    }
}
