//! After the plan: everything is healed, and then everything must be in order.
//!
//! ```text
//!  faults end ──▶ every link live, routes equal ──▶ queues empty ──▶ silence ──▶ every message accounted for
//!                 within `Settings::heal`
//! ```

use std::time::Duration;

use link_core::{
    delivery::Overflow,
    link::{LinkState, PeerStatus},
    message::QoS,
};

use super::{Event, Law, World, site::HOSTILE};
use crate::plan::{Noticed, Site};

/// What was sent while nothing happened.
#[derive(Debug, Default)]
pub(super) struct Idle {
    pub(super) heartbeats: usize,
    pub(super) others: usize,
    pub(super) dials: usize,
}

/// After this time an accepting node gives up a connection on which nobody greeted.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How often it is looked whether a state is reached.
const STEP: Duration = Duration::from_millis(100);

impl World {
    pub(super) fn settle(&mut self) {
        self.trace.line(self.now, format_args!("* everything heals"));
        self.heal();
        // Clients that are on their way arrive.
        self.run_for(crate::plan::MOVE);
        let heal = self.plan.settings.heal();
        if let Err(what) = self.wait(heal, Self::converged) {
            return self.violate(Law::Convergence, format!("after {heal:?}: {what}"));
        }
        // Time for all that may be queued, as slow as the slowest host.
        let drain = Duration::from_secs(300) + heal;
        if let Err(what) = self.wait(drain, Self::drained) {
            return self.violate(Law::NothingLost, format!("after {drain:?} it still waits: {what}"));
        }
        self.run_for(self.plan.settings.news() + self.plan.settings.connect_timeout.max(HANDSHAKE));
        if let Err(what) = self.converged() {
            return self.violate(Law::Convergence, format!("it did not stay so: {what}"));
        }
        self.look();
        self.silence();
        for site in 0..self.sites.len() {
            self.check_host(site);
        }
        self.account();
    }

    fn run_for(&mut self, time: Duration) {
        self.run_until(self.now + time);
    }

    /// Lets time pass until something is so.
    fn wait(&mut self, most: Duration, check: impl Fn(&Self) -> Result<(), String>) -> Result<(), String> {
        let end = self.now + most;
        loop {
            match check(self) {
                Ok(()) => return Ok(()),
                Err(what) if self.now >= end => return Err(what),
                Err(_) if self.violation.is_some() => return Ok(()),
                Err(_) => self.run_for(STEP),
            }
        }
    }

    fn heal(&mut self) {
        let now = self.now;
        self.network.paths.clear();
        self.knowledge.healed(now);
        let mut lossy = Vec::new();
        for (id, wire) in &mut self.network.wires {
            wire.lines.values_mut().for_each(crate::network::Line::heal);
            if wire.lossy {
                lossy.push(*id);
            }
        }
        for wire in lossy {
            self.break_wire(wire, Noticed::ByBoth);
        }
        for site in 0..self.sites.len() {
            let state = &mut self.sites[site];
            state.frozen = now;
            state.each = self.plan.settings.host;
            self.queue.push(now, Event::Thaw(site));
            if state.running.is_none() {
                self.queue.push(now, Event::Start(site));
            }
            for link in 0..self.plan.topology.cluster_of(site).0.links.len() {
                self.restore_link(site, link);
            }
        }
    }

    /// Every peer of every node, by node and peer node.
    fn peers(&self) -> Vec<(Site, Site, PeerStatus)> {
        let mut peers = Vec::new();
        for (site, state) in self.sites.iter().enumerate() {
            let Some(running) = state.running.as_ref() else { continue };
            for link in running.node.links(running.clock(self.now)) {
                if link.name.as_str() == HOSTILE {
                    continue;
                }
                for peer in link.peers {
                    if let Some(other) = self.site_named(peer.node.as_str()) {
                        peers.push((site, other, peer));
                    }
                }
            }
        }
        peers
    }

    /// Whether every link is live, and both ends of it have both route sets.
    fn converged(&self) -> Result<(), String> {
        let peers = self.peers();
        let find = |a: Site, b: Site| peers.iter().find(|(x, y, _)| (*x, *y) == (a, b)).map(|(.., peer)| peer);
        for (site, state) in self.sites.iter().enumerate() {
            if state.running.is_none() {
                return Err(format!("{} does not run", state.name));
            }
            for link in state_links(self, site).iter().filter(|link| !link.dials.is_empty()) {
                let live = |(a, b, peer): &&(Site, Site, PeerStatus)| {
                    *a == site && self.sites[*b].cluster == link.to && peer.state == LinkState::Live
                };
                if peers.iter().find(live).is_none() {
                    return Err(format!("{} has no live peer of {}", state.name, link.to));
                }
            }
        }
        for (a, b, peer) in peers.iter().filter(|(.., peer)| peer.state != LinkState::Down) {
            let names = format!("{} and {}", self.sites[*a].name, self.sites[*b].name);
            let Some(other) = find(*b, *a) else { return Err(format!("{names}: only one knows the other")) };
            if peer.state != LinkState::Live || !peer.in_sync {
                return Err(format!("{names}: {}: {}", peer.state, peer.reason));
            }
            if other.held != Some(peer.announced) || peer.held != Some(other.announced) {
                return Err(format!("{names}: the route sets differ"));
            }
        }
        Ok(())
    }

    /// Whether nothing waits that could go.
    fn drained(&self) -> Result<(), String> {
        for (a, b, peer) in self.peers() {
            let connected = peer.state == LinkState::Live;
            if (connected && peer.sent.queued > 0) || peer.received.pending > 0 {
                return Err(format!(
                    "{} for {}: {:?}, {:?}",
                    self.sites[a].name, self.sites[b].name, peer.sent, peer.received
                ));
            }
        }
        Ok(())
    }

    /// Without events there are only heartbeats, one in its time.
    fn silence(&mut self) {
        if self.violation.is_some() || self.hostile {
            return;
        }
        self.idle = Some(Idle::default());
        let beats = 3;
        self.run_for(self.plan.settings.heartbeat * beats);
        let Some(idle) = self.idle.take() else { return };
        let sessions = self.peers().iter().filter(|(.., peer)| peer.state == LinkState::Live).count();
        if idle.others > 0 || idle.dials > 0 || idle.heartbeats > sessions * (beats as usize + 1) {
            self.violate(Law::Silence, format!("{sessions} sessions and nothing to do: {idle:?}"));
        }
    }

    /// Every message is where the ledgers say.
    fn account(&mut self) {
        let peers = self.peers();
        for (a, b, peer) in &peers {
            if self.violation.is_some() {
                return;
            }
            let names = format!("{} to {}", self.sites[*a].name, self.sites[*b].name);
            if let Err((law, what)) = self.account_for(*a, *b, peer, &peers) {
                self.violate(law, format!("{names}: {what}"));
            }
        }
    }

    fn account_for(
        &self,
        a: Site,
        b: Site,
        peer: &PeerStatus,
        peers: &[(Site, Site, PeerStatus)],
    ) -> Result<(), (Law, String)> {
        let era = self.era(a, b);
        let found = self.copies.missing(a, b, era);
        let sent = &peer.sent;
        if sent.accepted != found.accepted {
            return Err((Law::Ledger, format!("{} were accepted, the ledger says {sent:?}", found.accepted)));
        }
        for message in &found.missing {
            self.may_be_missing(a, b, message, peer)?;
        }
        // A message that was taken without its sender knowing it may be counted as something else.
        let elsewhere = sent.expired + sent.dropped.total() + sent.queued;
        let missing = found.missing.len() as u64 + found.refused;
        // An acknowledgement that a carrier lost takes its refusals with it: they count as delivered.
        let unread = if self.history.is_lossy(b, a) { found.refused } else { 0 };
        if elsewhere + unread < missing || elsewhere > missing + found.ambiguous {
            let what =
                format!("{missing} did not arrive, up to {} are unknown, the ledger says {sent:?}", found.ambiguous);
            return Err((Law::Ledger, what));
        }
        if sent.delivered > found.taken + unread || sent.delivered + found.ambiguous < found.taken {
            return Err((Law::Ledger, format!("{} were taken, the ledger says {sent:?}", found.taken)));
        }
        let reception = peers.iter().find(|(x, y, _)| (*x, *y) == (b, a)).map(|(.., peer)| peer.received);
        // Datagrams of a connection that broke are counted as lost, and may have come.
        let unsettled = if self.plan.settings.datagrams > 0 { sent.dropped.link_down } else { 0 };
        let fresh = unread == 0
            && unsettled == 0
            && !self.sites[b].receptions.contains_key(&a)
            && !self.sites[a].receptions.contains_key(&b);
        if let Some(received) = reception.filter(|_| fresh && sent.queued == 0) {
            let refused = sent.dropped.not_imported + sent.dropped.refused_by_host + sent.dropped.malformed;
            if (received.delivered, received.refused) != (sent.delivered, refused) {
                return Err((Law::Ledger, format!("the ends differ: {sent:?} and {received:?}")));
            }
        }
        Ok(())
    }

    fn may_be_missing(
        &self,
        a: Site,
        b: Site,
        message: &crate::model::Accepted,
        peer: &PeerStatus,
    ) -> Result<(), (Law, String)> {
        let clock = self.sites[a].running.as_ref().map_or(Duration::ZERO, |running| running.clock(self.now));
        let expired = message.expiry.is_some_and(|expiry| message.clock + expiry <= clock) && peer.sent.expired > 0;
        let dropped = match self.plan.settings.overflow {
            Overflow::Refuse => false,
            Overflow::DropOldestQos0 => message.qos == QoS::AtMostOnce,
            Overflow::DropOldest => true,
        } && peer.sent.dropped.overflow > 0;
        let brief = message.qos == QoS::AtMostOnce && peer.sent.dropped.link_down + peer.sent.dropped.on_the_way > 0;
        let not_imported =
            self.knowledge.may_refuse(b, a, message.topic, message.at) && peer.sent.dropped.not_imported > 0;
        let room = self.plan.settings.max_frame as usize;
        let large = self.originals.get(&message.number).is_some_and(|original| original.payload.len() + 100 > room);
        let too_large = large && peer.sent.dropped.too_large > 0;
        let waits = peer.state != LinkState::Live && peer.sent.queued > 0;
        if expired || dropped || brief || not_imported || too_large || waits {
            return Ok(());
        }
        let what =
            format!("message {} ({:?}) was accepted and is nowhere: {:?}", message.number, message.qos, peer.sent);
        Err((Law::NothingLost, what))
    }
}

fn state_links(world: &World, site: Site) -> &'static [crate::plan::Link] {
    world.plan.topology.cluster_of(site).0.links
}
