//! One copy for a cluster: which of its nodes a lane goes to, where any one of them is enough.
//!
//! ```text
//!  lane      0     1     2     3
//!  holder   eu-1  eu-2  eu-1  eu-2      both are ready
//!                 eu-1        eu-1      eu-2 is away: what it has not been sent goes to eu-1 as well
//!                 eu-2        eu-2      eu-2 is back, and the lanes were empty
//! ```
//!
//! A publisher always takes the same lane, and a lane has one holder, so the order of a publisher holds. A lane changes
//! its holder only
//!
//! - when the holder has been away for longer than it is waited for, which takes along what was never sent to it. What
//!   was sent and is not acknowledged may have arrived: it stays, until that node is back or forgotten;
//! - when nothing is in it, to share the lanes evenly.
//!
//! While any node is ready, what one that is away wanted counts no more: each knows what the whole cluster wants.
//!
//! So each message is in one outbox at any time, and in that of a node which may have it as soon as one may.

use std::collections::BTreeMap;

use super::{Node, PeerId, Timer, publisher::LaneHolders};
use crate::{
    delivery::cost,
    link::{LinkId, Part, Scope},
};

impl Node {
    /// A peer has said of which scope it is.
    pub(super) fn set_scope(&mut self, id: PeerId, scope: Scope) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let link = peer.link;
        match (scope, peer.part) {
            (Scope::Cluster, Part::Own) => peer.part = Part::Expected,
            (Scope::Node, Part::Expected | Part::Ready | Part::Away) => peer.part = Part::Own,
            _ => return,
        }
        peer.gate.set_one_copy(scope == Scope::Cluster);
        self.timers.clear(Timer::Replace(id));
        self.share_lanes(link);
    }

    /// A peer of which it is complete what it wants takes its part of the lanes.
    pub(super) fn check_part(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if !matches!(peer.part, Part::Expected | Part::Away) {
            return;
        }
        let held = peer.replica.position().filter(|_| !peer.replica.is_loading());
        let complete = held.is_some_and(|held| Some(held.incarnation) == peer.incarnation);
        if complete && peer.session.as_ref().is_some_and(|session| session.is_live()) {
            peer.part = Part::Ready;
            let link = peer.link;
            self.timers.clear(Timer::Replace(id));
            // While it was away, also after it had connected, what it wants may have been passed by.
            self.route_peer(id);
            self.share_lanes(link);
        }
    }

    /// Lanes that have fallen empty are shared anew.
    pub(super) fn even_out(&mut self, id: PeerId) {
        if let Some(peer) = self.peers.get(&id).filter(|peer| peer.part == Part::Ready) {
            self.share_lanes(peer.link);
        }
    }

    /// The session of a peer has ended: its lanes wait a while for it.
    pub(super) fn expect_back(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if peer.part == Part::Ready {
            peer.part = Part::Expected;
        }
        if peer.part == Part::Expected
            && let Some(link) = self.links.get(&peer.link)
        {
            self.timers.set_if_clear(Timer::Replace(id), self.now + link.config.heartbeat);
        }
    }

    /// A peer was waited for long enough.
    pub(super) fn replace(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if peer.part == Part::Expected && peer.session.is_none() {
            peer.part = Part::Away;
            let link = peer.link;
            self.share_lanes(link);
        }
    }

    /// A peer is about to be forgotten: what was never sent to it goes to another node of its cluster, if one is known.
    pub(super) fn bequeath(&mut self, id: PeerId) {
        let Some(link) = self.peers.get(&id).and_then(|peer| self.links.get(&peer.link)) else { return };
        let serves = |other: &&PeerId| **other != id && self.part(**other).is_some_and(|part| part != Part::Own);
        let heirs = || link.peers.iter().filter(serves).copied();
        let Some(heir) = heirs().find(|heir| self.part(*heir) == Some(Part::Ready)).or_else(|| heirs().next()) else {
            return;
        };
        let holders = link.holders.clone();
        for lane in holders.lanes().filter(|lane| holders.at(*lane).is_none_or(|holder| holder == id)) {
            holders.set(lane, Some(heir));
        }
        self.hand_over(id, &holders);
    }

    /// Gives each lane without a holder to a node that is ready, evens out, and moves what waits at nodes that are away.
    /// While none is ready all stays as it is.
    pub(super) fn share_lanes(&mut self, id: LinkId) {
        let Some(link) = self.links.get(&id) else { return };
        let (holders, peers) = (link.holders.clone(), link.peers.clone());
        let ready = peers.iter().filter(|peer| self.part(**peer) == Some(Part::Ready));
        let mut held: BTreeMap<PeerId, usize> = ready.map(|peer| (*peer, 0)).collect();
        if held.is_empty() {
            return;
        }
        for holder in holders.lanes().filter_map(|lane| holders.at(lane)) {
            held.entry(holder).and_modify(|lanes| *lanes += 1);
        }
        for lane in holders.lanes() {
            let Some((least, lanes)) = held.iter().min_by_key(|(_, lanes)| **lanes).map(|(id, n)| (*id, *n)) else {
                return;
            };
            let moves = match holders.at(lane) {
                Some(holder) => match held.get_mut(&holder) {
                    Some(most) if *most > lanes + 1 && self.is_idle(holder, lane) && self.is_idle(least, lane) => {
                        *most -= 1;
                        true
                    }
                    Some(_) => false,
                    None => self.part(holder) != Some(Part::Expected),
                },
                None => true,
            };
            if moves {
                holders.set(lane, Some(least));
                held.entry(least).and_modify(|lanes| *lanes += 1);
            }
        }
        for peer in peers {
            if self.part(peer) == Some(Part::Away) {
                // Those that are ready know what the cluster wants by now.
                self.unroute_peer(peer);
                self.hand_over(peer, &holders);
            }
        }
        self.plan_search(id);
    }

    /// Where a message goes that was let in for the holder of its lane: the holder may be another one by now.
    pub(super) fn redirect(&self, id: PeerId, lane: u8, body: usize) -> PeerId {
        let Some(peer) = self.peers.get(&id) else { return id };
        let holder = self.links.get(&peer.link).and_then(|link| link.holders.at(lane)).filter(|holder| *holder != id);
        let Some((holder, other)) = holder.and_then(|holder| Some((holder, self.peers.get(&holder)?))) else {
            return id;
        };
        peer.gate.budget.release(cost(body));
        other.gate.budget.reserve_anyway(cost(body));
        holder
    }

    /// Moves what was never sent to a peer to the holders of its lanes.
    fn hand_over(&mut self, from: PeerId, holders: &LaneHolders) {
        for lane in holders.lanes() {
            let Some(to) = holders.at(lane).filter(|to| *to != from && self.peers.contains_key(to)) else { continue };
            let unsent = self.peers.get_mut(&from).map(|peer| peer.outbox.take_unsent(lane)).unwrap_or_default();
            let Some(peer) = self.peers.get_mut(&to).filter(|_| !unsent.is_empty()) else { continue };
            let live = peer.session.as_ref().is_some_and(|session| session.is_live());
            tracing::info!(node = %peer.node, lane, messages = unsent.len(), "takes over from a node that is away");
            for message in unsent {
                peer.gate.budget.reserve_anyway(cost(message.body.len()));
                peer.outbox.push(lane, message.qos, message.body, message.expires_at, message.accepted_at, live);
            }
            if live {
                self.dirty.insert(to);
            } else {
                self.timers.set_if_clear(Timer::Sweep(to), self.now + super::messages::SWEEP_EVERY);
            }
        }
    }

    fn part(&self, id: PeerId) -> Option<Part> {
        self.peers.get(&id).map(|peer| peer.part)
    }

    fn is_idle(&self, id: PeerId, lane: u8) -> bool {
        self.peers.get(&id).is_some_and(|peer| peer.outbox.is_idle(lane))
    }
}
