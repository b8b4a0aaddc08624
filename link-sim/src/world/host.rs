//! Messages on their way to a host.

use std::{sync::Arc, time::Duration};

use link_core::{
    host::Origin,
    message::Message,
    node::{Input, PeerId, Ticket},
    wire::RefusedReason,
};

use super::{Event, Law, World, site::HOSTILE};
use crate::{
    broker::{Verdict, number},
    plan::Site,
    rng::Source,
};

impl World {
    /// A node hands a message to its host.
    pub(super) fn deliver(&mut self, site: Site, peer: PeerId, ticket: Ticket, message: Message, origin: Arc<Origin>) {
        let from = self.site_named(origin.node.as_str()).filter(|_| origin.cluster.as_str() != HOSTILE);
        match from {
            Some(from) => self.check_delivery(site, from, ticket, &message),
            None => {
                if !message.topic.as_str().starts_with("evil/") {
                    let what =
                        format!("{} hands on {} of a hostile peer", self.sites[site].name, message.topic.as_str());
                    self.violate(Law::Imports, what);
                }
            }
        }
        let bytes = message.payload.len() + message.topic.as_str().len() + 2;
        let window = self.plan.settings.window as usize;
        let Some(running) = self.sites[site].running.as_mut() else { return };
        running.peers.insert(peer, from);
        let queue = running.hosts.entry(peer).or_default();
        // What was handed on in an earlier life, and datagrams beside the lanes.
        let windows = if self.plan.settings.datagrams > 0 { 3 } else { 2 };
        let over = queue.bytes > windows * window;
        queue.bytes += bytes;
        queue.waiting.push_back((ticket, message, origin));
        if over {
            let what = format!("{} holds more than {windows} windows of a peer", self.sites[site].name);
            self.violate(Law::Memory, what);
        }
        self.offer(site, peer);
    }

    fn check_delivery(&mut self, site: Site, from: Site, ticket: Ticket, message: &Message) {
        let found = number(&message.payload).and_then(|number| Some((number, self.originals.get(&number)?)));
        let Some((number, original)) = found else {
            return self
                .violate(Law::Integrity, format!("{} got a message that nobody published", self.sites[site].name));
        };
        let mut same = message.clone();
        same.properties.message_expiry = original.properties.message_expiry;
        let later = message.properties.message_expiry > original.properties.message_expiry;
        if same != *original || later || message.properties.message_expiry == Some(0) {
            return self.violate(Law::Integrity, format!("message {number} is not as it was published"));
        }
        let topic = self.knowledge.topic(message.topic.as_str());
        if topic.is_some_and(|topic| !self.knowledge.imports_now(site, from, topic, self.now)) {
            let what = format!("{} hands on message {number}, which its link does not import", self.sites[site].name);
            return self.violate(Law::Imports, what);
        }
        match self.copies.era(from, site, number) {
            Some(era) => {
                let to_era = self.sites[site].receptions.get(&from).copied().unwrap_or_default();
                self.copies.handed((from, site, era, ticket.way, ticket.seq), to_era);
            }
            None => {
                let what = format!("message {number} came from {}, which did not accept it", self.sites[from].name);
                self.violate(Law::OnceAndFromItsSender, what);
            }
        }
    }

    /// The host begins with the next message, if it has time.
    fn offer(&mut self, site: Site, peer: PeerId) {
        let each = self.sites[site].each;
        let time = each + self.rng.between(Duration::ZERO, each / 4);
        let life = self.sites[site].life;
        let Some(running) = self.sites[site].running.as_mut() else { return };
        let Some(queue) = running.hosts.get_mut(&peer) else { return };
        if !queue.busy && !queue.waiting.is_empty() {
            queue.busy = true;
            self.queue.push(self.now + time, Event::Host { site, life, peer });
        }
    }

    pub(super) fn host_done(&mut self, site: Site, life: u32, peer: PeerId) {
        if self.sites[site].life != life || self.put_off(site, Event::Host { site, life, peer }) {
            return;
        }
        if let Some((ticket, refused)) = self.host_takes(site, peer) {
            self.input(site, Input::Delivered { peer, ticket, refused: refused.then_some(RefusedReason::Host) });
            self.offer(site, peer);
        }
    }

    /// The host is done with the first message of a peer, or wants it again later.
    pub(super) fn host_takes(&mut self, site: Site, peer: PeerId) -> Option<(Ticket, bool)> {
        let life = self.sites[site].life;
        let state = &mut self.sites[site];
        let queue = state.running.as_mut()?.hosts.get_mut(&peer)?;
        let (ticket, message, origin) = queue.waiting.front()?;
        let (ticket, message, origin) = (*ticket, message.clone(), origin.clone());
        let verdict = state.broker.deliver(&message, &origin);
        if let Verdict::Busy(time) = verdict {
            let again = self.now + time.max(Duration::from_millis(1));
            self.queue.push(again, Event::Host { site, life, peer });
            return None;
        }
        queue.busy = false;
        queue.waiting.pop_front();
        queue.bytes = queue.bytes.saturating_sub(message.payload.len() + message.topic.as_str().len() + 2);
        let from = self.site_named(origin.node.as_str()).filter(|_| origin.cluster.as_str() != HOSTILE);
        if let (Some(from), Some(number)) = (from, number(&message.payload)) {
            self.taken(site, from, ticket, number, &message, &verdict);
        }
        Some((ticket, verdict == Verdict::Refused))
    }

    fn taken(&mut self, site: Site, from: Site, ticket: Ticket, number: u64, message: &Message, verdict: &Verdict) {
        let Some(era) = self.copies.era(from, site, number) else { return };
        let refused = *verdict == Verdict::Refused;
        self.trace.line(
            self.now,
            format_args!(
                "{} {} message {number} of {}",
                self.sites[site].name,
                if refused { "refuses" } else { "takes" },
                self.sites[from].name
            ),
        );
        self.stats.taken += u64::from(!refused);
        let to_era = self.sites[site].receptions.get(&from).copied().unwrap_or_default();
        let place = (from, site, era, ticket.way, ticket.seq);
        if let Err(what) = self.copies.taken(place, number, to_era, refused) {
            let law = if what.contains("publisher") { Law::Order } else { Law::OnceAndFromItsSender };
            self.violate(law, format!("{}: {what}", self.sites[site].name));
        }
        if let Verdict::Taken(clients) = verdict {
            let wanting = self.sessions.wanting(site, message.topic.as_str());
            if *clients != wanting {
                let what = format!("message {number} went to {clients:?} and is for {wanting:?}");
                self.violate(Law::Host, format!("{}: {what}", self.sites[site].name));
            }
        }
    }
}
