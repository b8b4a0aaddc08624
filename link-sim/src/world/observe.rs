//! What is seen on the wire, and what it says about who keeps the rules.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use link_core::{
    link::PeerStatus,
    node::Way,
    transport::Class,
    wire::{Frame, Incarnation, Limits, RoutePosition, decode, kind},
};

use super::{Law, World, site::HOSTILE};
use crate::plan::Site;

/// What nodes announced at each point of their histories, and what others hold of it.
#[derive(Debug, Default)]
pub(super) struct History {
    announced: BTreeMap<(Site, String, Incarnation, u64), RoutePosition>,
    /// By (who holds, of whom).
    held: BTreeMap<(Site, Site), RoutePosition>,
    /// Between whom a carrier repeated something, by (who sends, who receives).
    repeated: BTreeSet<(Site, Site)>,
    /// Where a carrier lost something.
    lossy: BTreeSet<(Site, Site)>,
}

impl History {
    /// A carrier repeats something.
    pub(super) fn repeated(&mut self, from: Site, to: Site) {
        self.repeated.insert((from, to));
    }

    /// A carrier loses something.
    pub(super) fn lost(&mut self, from: Site, to: Site) {
        self.lossy.insert((from, to));
    }

    /// Whether a carrier lost something.
    pub(super) fn is_lossy(&self, from: Site, to: Site) -> bool {
        self.lossy.contains(&(from, to))
    }

    /// Whether a carrier repeated something.
    pub(super) fn is_repeated(&self, from: Site, to: Site) -> bool {
        self.repeated.contains(&(from, to))
    }

    pub(super) fn forget(&mut self, site: Site, of: Site) {
        self.held.remove(&(site, of));
    }
}

impl World {
    /// A node sends a frame.
    pub(super) fn observe_sent(&mut self, site: Site, id: u32, end: usize, class: Class, frame: &Bytes) {
        let first = frame.first().copied();
        let Some(wire) = self.network.wires.get(&id) else { return };
        let (peer, era) = (wire.ends[1 - end].site(), wire.ends[1 - end].era);
        if first == Some(kind::ROUTE_RESUME) && peer.is_some() && !wire.unsound {
            // Over a connection that keeps its order the first answer is the right one: one exchange is enough.
            self.violate(Law::Convergence, format!("{} has to ask for routes again", self.sites[site].name));
        }
        if let (Some(idle), Some(_)) = (&mut self.idle, peer) {
            match first {
                Some(kind::HEARTBEAT) => idle.heartbeats += 1,
                _ => idle.others += 1,
            }
        }
        if first == Some(kind::CLOSE)
            && let Ok(Frame::Close(close)) = decode(frame.clone(), &Limits::default())
        {
            let here = &self.sites[site].name;
            self.trace.line(self.now, format_args!("{here} says {:?} on wire {id}: {}", close.code, close.reason));
        }
        let right = match class {
            Class::Control => first != Some(kind::BATCH) && first != Some(kind::DATAGRAM),
            Class::Data(_) => first == Some(kind::BATCH),
            Class::Datagram => first == Some(kind::DATAGRAM),
        };
        if !right {
            self.violate(Law::Integrity, format!("a frame of kind {first:?} was sent in {class:?}"));
        }
        let now = peer.and_then(|peer| self.sites[site].receptions.get(&peer)).copied().unwrap_or_default();
        if first == Some(kind::ACK)
            && let Some(peer) = peer
            && let Ok(Frame::Ack(ack)) = decode(frame.clone(), &Limits::default())
            && let Err(what) = self.copies.acknowledges((peer, site, era, Way::Lane(ack.lane), ack.up_to), now)
        {
            self.violate(Law::AcknowledgedIsTaken, format!("{}: {what}", self.sites[site].name));
        }
    }

    /// A node is about to get a frame.
    pub(super) fn observe_received(&mut self, site: Site, id: u32, end: usize, frame: &Bytes) {
        let Some(wire) = self.network.wires.get(&id) else { return };
        let (Some(peer), era) = (wire.ends[1 - end].site(), wire.ends[end].era) else { return };
        match frame.first().copied() {
            Some(kind::HELLO) => {
                // A session that was there may have to give way.
                let others = self.network.between(site, peer).into_iter().filter(|other| *other != id);
                if others.count() > 0 {
                    let until = self.now + self.plan.settings.flight() * 4;
                    self.knowledge.disturbed(self.now, site, peer, until);
                }
            }
            Some(kind::READY) => {
                let eras = [(end, site, peer), (1 - end, peer, site)].map(|(end, a, b)| (end, self.era(a, b)));
                let Some(wire) = self.network.wires.get_mut(&id) else { return };
                for (end, era) in eras {
                    wire.ends[end].era = era;
                }
                if wire.ready.is_none() && !wire.broken && wire.ends.iter().all(|end| end.open) {
                    wire.ready = Some(self.now);
                    self.knowledge.joined(self.now, id, site, peer);
                }
            }
            Some(kind::ROUTE_DELTA | kind::ROUTE_SNAPSHOT | kind::ROUTE_DIFFERENCE | kind::ROUTE_PREADD)
                if wire.ready.is_none() =>
            {
                self.knowledge.may_learn(site, peer);
            }
            Some(kind::ACK) => {
                if let Ok(Frame::Ack(ack)) = decode(frame.clone(), &Limits::default()) {
                    self.copies.told(site, peer, era, Way::Lane(ack.lane), ack.up_to);
                }
            }
            Some(kind::DATAGRAM_ACK) => {
                let way = Way::Datagram(wire.ends[1 - end].connection);
                if let Ok(Frame::DatagramAck(ack)) = decode(frame.clone(), &Limits::default()) {
                    self.copies.told(site, peer, era, way, ack.settled);
                }
            }
            _ => {}
        }
    }

    /// Remembers what a node announces now.
    pub(super) fn note_announced(&mut self, site: Site) {
        let now = self.now;
        let Some(running) = self.sites[site].running.as_ref() else { return };
        for link in running.node.links(running.clock(now)) {
            for peer in &link.peers {
                let RoutePosition { incarnation, seq, .. } = peer.announced;
                let point = (site, link.name.as_str().to_owned(), incarnation, seq);
                let known = *self.history.announced.entry(point).or_insert(peer.announced);
                if known != peer.announced {
                    let what = format!("{} announces two sets at one point to {}", self.sites[site].name, link.name);
                    return self.violate(Law::Routes, what);
                }
            }
        }
    }

    /// What a node holds is never behind what it held. (That it is right is checked by what it forwards, and in the end
    /// by both digests.)
    pub(super) fn check_routes(&mut self, site: Site) {
        let now = self.now;
        let Some(running) = self.sites[site].running.as_ref() else { return };
        let status = running.node.links(running.clock(now));
        for link in status.iter().filter(|link| link.name.as_str() != HOSTILE) {
            for peer in &link.peers {
                self.check_held(site, peer);
            }
        }
    }

    pub(super) fn check_held(&mut self, site: Site, peer: &PeerStatus) {
        let (Some(of), Some(held)) = (self.site_named(peer.node.as_str()), peer.held) else { return };
        let before = self.history.held.insert((site, of), held);
        if before.is_some_and(|before| (held.incarnation, held.seq) < (before.incarnation, before.seq)) {
            let what = format!("{} goes back to an older set of {}", self.sites[site].name, self.sites[of].name);
            return self.violate(Law::Routes, what);
        }
        let point = (of, self.sites[site].cluster.to_owned(), held.incarnation, held.seq);
        if self.history.announced.get(&point).is_some_and(|announced| *announced != held) {
            let what = format!("{} holds a set that {} did not announce", self.sites[site].name, self.sites[of].name);
            self.violate(Law::Routes, what);
        }
    }
}
