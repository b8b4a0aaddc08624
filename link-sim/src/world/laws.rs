//! What holds at every moment.

use link_core::{delivery::Overflow, link::PeerStatus};

use super::{Law, World, site::HOSTILE};
use crate::{model::Expected, plan::Site};

/// Most bytes of one data channel that wait for a transport: some batches.
const MOST_DATA: usize = 256 << 10;
/// Most bytes of control frames that wait for a transport.
const MOST_CONTROL: usize = 1 << 20;

impl World {
    /// A look at every node.
    pub(super) fn look(&mut self) {
        for site in 0..self.sites.len() {
            if self.sites[site].running.is_none() || self.sites[site].frozen > self.now {
                continue;
            }
            self.learn_peers(site);
            self.look_at(site);
            self.look_at_interest(site);
        }
        self.look_at_lines();
    }

    /// What a node has given to its transports and they have not taken is bounded, however long they stand still.
    fn look_at_lines(&mut self) {
        let of_nodes = |wire: &'_ crate::network::Wire, way: usize| wire.ends[way].site().is_some();
        let wires = self.network.wires.values();
        let lines = wires.flat_map(|wire| wire.lines.iter().filter(move |((way, _), _)| of_nodes(wire, *way)));
        let over = lines.filter(|((_, line), state)| state.waits() > if *line == 0 { MOST_CONTROL } else { MOST_DATA });
        if let Some(((_, line), state)) = over.max_by_key(|(_, state)| state.waits()) {
            let what = format!("{} bytes wait for a transport in line {line}", state.waits());
            self.violate(Law::Memory, what);
        }
    }

    fn look_at(&mut self, site: Site) {
        let now = self.now;
        let Some(running) = self.sites[site].running.as_ref() else { return };
        for link in running.node.links(running.clock(now)) {
            for peer in &link.peers {
                if let Err((law, what)) = self.peer_is_right(site, link.name.as_str(), peer) {
                    let what = format!("{}, link {}, peer {}: {what}", self.sites[site].name, link.name, peer.node);
                    self.violate(law, what);
                }
                if link.name.as_str() != HOSTILE {
                    self.check_held(site, peer);
                }
            }
        }
    }

    fn peer_is_right(&self, site: Site, link: &str, peer: &PeerStatus) -> Result<(), (Law, String)> {
        if !peer.sent.balances() {
            return Err((Law::Ledger, format!("sent does not balance: {:?}", peer.sent)));
        }
        if !peer.received.balances() {
            return Err((Law::Ledger, format!("received does not balance: {:?}", peer.received)));
        }
        let settings = &self.plan.settings;
        let most = settings.queue_bytes * if settings.overflow == Overflow::Refuse { 1 } else { 2 };
        if peer.queued_bytes > most {
            return Err((Law::Memory, format!("{} bytes are queued, {most} are allowed", peer.queued_bytes)));
        }
        if peer.held.is_some_and(|held| held.count > settings.max_routes as u64) {
            return Err((Law::Memory, "it holds more routes than allowed".to_owned()));
        }
        if link == HOSTILE {
            return Ok(());
        }
        let from = self.site_named(peer.node.as_str());
        let honest = !from.is_some_and(|from| self.history.is_repeated(from, site));
        if honest && peer.received.duplicates > 0 {
            return Err((Law::OnceAndFromItsSender, format!("{} messages were sent again", peer.received.duplicates)));
        }
        if peer.received.lost_by_rollback > 0 {
            return Err((Law::NothingLost, format!("{} were passed over", peer.received.lost_by_rollback)));
        }
        Ok(())
    }

    /// Whether each topic is wanted by somebody is as the model says.
    fn look_at_interest(&mut self, site: Site) {
        let now = self.now;
        let Some(running) = self.sites[site].running.as_ref() else { return };
        if running.undrained {
            return;
        }
        let publisher = running.publisher.clone();
        self.knowledge.settle_all(now, site);
        for topic in 0..self.knowledge.topics().len() {
            let mut must = None;
            let mut may = false;
            for other in 0..self.sites.len() {
                match self.knowledge.known(site, other, topic) {
                    Expected::Must => must = Some(other),
                    Expected::May => may = true,
                    Expected::MustNot => {}
                }
            }
            let text = &self.knowledge.topics()[topic];
            let wants = publisher.wants(text);
            let here = &self.sites[site].name;
            if let Some(other) = must.filter(|_| !wants) {
                let what = format!("{here} does not know that {} wants {text}", self.sites[other].name);
                return self.violate(Law::InterestIsKnown, what);
            }
            if wants && must.is_none() && !may {
                return self.violate(Law::NoInterestNoMessage, format!("{here} believes that somebody wants {text}"));
            }
        }
    }
}
