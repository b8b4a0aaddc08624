//! What clients do.

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use link_core::{
    message::{Message, QoS},
    node::{AckError, AckFrom, Acked, BarrierId, Input, PeerId},
    topic::{Topic, TopicFilter},
};

use super::{Event, Law, World};
use crate::{
    broker::Reports,
    model::{Accepted, Expected},
    plan::{Action, Site},
};

/// How long a subscriber waits for acknowledgements.
const PATIENCE: Duration = Duration::from_secs(10);

impl World {
    pub(super) fn step(&mut self, step: usize) {
        let Some(step) = self.plan.steps.get(step).cloned() else { return };
        self.trace.line(self.now, format_args!("* {:?}", step.action));
        match step.action {
            Action::Subscribe { client, filter } => self.client_subscribes(client, filter),
            Action::Unsubscribe { client, which } => self.client_unsubscribes(client, which),
            Action::Leave { client } => self.client_leaves(client),
            Action::Move { client, to, overlap, pause } => self.client_moves(client, to, overlap, pause),
            Action::Publish { client, topic, qos, size, expiry, count } => {
                for _ in 0..count {
                    self.publish(client, &topic, qos, size, expiry);
                }
            }
            Action::Reconcile { site } => self.reconcile(site),
            fault => self.harm(fault),
        }
    }

    /// Whether a node answers its clients now.
    fn serves(&self, site: Site) -> bool {
        self.sites[site].running.is_some() && self.sites[site].frozen <= self.now
    }

    /// Lets a broker do something, and carries on what it reports.
    pub(super) fn broker(&mut self, site: Site, act: impl FnOnce(&mut dyn crate::Broker, &mut Reports<'_>)) {
        let state = &mut self.sites[site];
        let Some(running) = state.running.as_mut() else { return };
        let mut reports = Reports { subscriptions: &mut running.subscriptions, published: Vec::new() };
        act(state.broker.as_mut(), &mut reports);
        let published = reports.published;
        let changes = running.subscriptions.drain();
        if !changes.is_empty() {
            self.input(site, Input::Interest(changes));
            self.note_announced(site);
        }
        for (client, message) in published {
            self.offer_message(site, &client, &message);
        }
    }

    fn client_subscribes(&mut self, client: usize, filter: String) {
        let Some(state) = self.clients.get_mut(client) else { return };
        state.filters.insert(filter.clone());
        if let Some(site) = state.at {
            self.subscribe(site, client, &filter);
        }
    }

    pub(super) fn subscribe(&mut self, site: Site, client: usize, filter: &str) {
        let (name, durable) = (self.clients[client].name.clone(), self.clients[client].durable);
        let Ok(parsed) = TopicFilter::new(filter.to_owned()) else { return };
        if !self.serves(site) {
            return;
        }
        if self.sessions.subscribe(site, &name, filter, durable) {
            self.knowledge.change(self.now, site, &[], &[filter.to_owned()]);
        }
        self.broker(site, |broker, reports| broker.subscribe(&name, &parsed, durable, reports));
        self.wait_acked(site, filter, parsed);
    }

    /// Every third subscriber waits until all peers have acknowledged what it wants.
    fn wait_acked(&mut self, site: Site, text: &str, filter: TopicFilter) {
        let Some(running) = self.sites[site].running.as_mut() else { return };
        running.subscribed += 1;
        if running.subscribed % 3 != 0 {
            return;
        }
        let barrier = BarrierId(running.subscribed);
        running.barriers.insert(barrier, text.to_owned());
        let deadline = running.clock(self.now) + PATIENCE;
        self.input(site, Input::Barrier { barrier, filter, from: AckFrom::All, deadline });
    }

    /// From now on every node that has acknowledged an interest forwards.
    pub(super) fn barrier_done(&mut self, site: Site, barrier: BarrierId, result: Result<Acked, AckError>) {
        let Some(running) = self.sites[site].running.as_mut() else { return };
        let Some(filter) = running.barriers.remove(&barrier) else { return };
        let Ok(acked) = result else { return };
        for node in acked.by.values().flatten() {
            if let Some(other) = self.site_named(node.as_str()) {
                self.stats.acked += u64::from(self.knowledge.acknowledged(other, site, &filter));
            }
        }
    }

    fn client_unsubscribes(&mut self, client: usize, which: usize) {
        let Some(state) = self.clients.get_mut(client) else { return };
        let at = which.checked_rem(state.filters.len());
        let Some(filter) = at.and_then(|at| state.filters.iter().nth(at).cloned()) else { return };
        let Some(site) = state.at else { return };
        let name = state.name.clone();
        if !self.serves(site) {
            return;
        }
        self.clients[client].filters.remove(&filter);
        let Ok(parsed) = TopicFilter::new(filter.clone()) else { return };
        if self.sessions.unsubscribe(site, &name, &filter) {
            self.knowledge.change(self.now, site, &[filter], &[]);
        }
        self.broker(site, |broker, reports| broker.unsubscribe(&name, &parsed, reports));
    }

    fn client_leaves(&mut self, client: usize) {
        let Some(state) = self.clients.get(client) else { return };
        if let Some(site) = state.at
            && self.serves(site)
        {
            self.clients[client].filters.clear();
            self.leave(site, client);
        }
    }

    fn leave(&mut self, site: Site, client: usize) {
        if !self.serves(site) {
            return;
        }
        let name = self.clients[client].name.clone();
        let gone = self.sessions.leave(site, &name);
        self.knowledge.change(self.now, site, &gone, &[]);
        self.broker(site, |broker, reports| broker.leave(&name, reports));
    }

    fn client_moves(&mut self, client: usize, to: Site, overlap: bool, pause: Duration) {
        let Some(from) = self.clients.get(client).and_then(|state| state.at).filter(|from| *from != to) else { return };
        if overlap {
            self.moved(client, None, Some(to));
            self.queue.push(self.now + pause, Event::Moved { client, leaves: Some(from), enters: None });
        } else {
            self.clients[client].at = None;
            self.leave(from, client);
            self.queue.push(self.now + pause, Event::Moved { client, leaves: None, enters: Some(to) });
        }
    }

    pub(super) fn moved(&mut self, client: usize, leaves: Option<Site>, enters: Option<Site>) {
        if let Some(site) = leaves.filter(|site| self.clients[client].at != Some(*site)) {
            self.leave(site, client);
        }
        if let Some(site) = enters {
            self.clients[client].at = Some(site);
            self.resubscribe(site, client);
        }
    }

    /// Clients whose node came back subscribe again.
    pub(super) fn clients_return(&mut self, site: Site) {
        for client in 0..self.clients.len() {
            if self.clients[client].at == Some(site) {
                self.resubscribe(site, client);
            }
        }
    }

    /// A client makes its session as it wants it.
    fn resubscribe(&mut self, site: Site, client: usize) {
        if !self.serves(site) {
            return;
        }
        let state = &self.clients[client];
        let wanted: Vec<String> = state.filters.iter().cloned().collect();
        let stale: Vec<String> =
            self.sessions.of(site, &state.name).into_iter().filter(|filter| !state.filters.contains(filter)).collect();
        let name = state.name.clone();
        for filter in wanted {
            self.subscribe(site, client, &filter);
        }
        for filter in stale {
            let Ok(parsed) = TopicFilter::new(filter.clone()) else { continue };
            if self.sessions.unsubscribe(site, &name, &filter) {
                self.knowledge.change(self.now, site, &[filter], &[]);
            }
            self.broker(site, |broker, reports| broker.unsubscribe(&name, &parsed, reports));
        }
    }

    fn publish(&mut self, client: usize, topic: &str, qos: QoS, size: usize, expiry: Option<u32>) {
        let Some(site) = self.clients.get(client).and_then(|client| client.at).filter(|site| self.serves(*site)) else {
            return;
        };
        let Ok(parsed) = Topic::new(topic.to_owned()) else { return };
        self.stats.published += 1;
        let number = self.stats.published;
        self.clients[client].published += 1;
        let mut payload = number.to_be_bytes().to_vec();
        payload.extend((0..size).map(|at| (number as usize + at) as u8));
        let mut message = Message::new(parsed, Bytes::from(payload), qos);
        message.retain = number.is_multiple_of(5);
        message.properties.message_expiry = expiry;
        if number.is_multiple_of(3) {
            message.properties.user.push(("n".into(), number.to_string().into()));
        }
        self.originals.insert(number, message.clone());
        let name = self.clients[client].name.clone();
        self.broker(site, |broker, reports| broker.publish(&name, &message, reports));
    }

    /// A broker has reported a publish: whoever must know of an interest forwards it, and nobody else.
    fn offer_message(&mut self, site: Site, client: &str, message: &Message) {
        let now = self.now;
        self.learn_peers(site);
        let Some(running) = self.sites[site].running.as_mut() else { return };
        let clock = running.clock(now);
        let mut offers = Vec::new();
        let published = running.publisher.offer(clock, client, message, |offered| offers.push(offered));
        let peers: Vec<(PeerId, Option<Site>)> =
            offers.iter().map(|offer| (offer.peer(), running.peers.get(&offer.peer()).copied().flatten())).collect();
        let to: BTreeSet<Site> = peers.iter().filter_map(|(_, to)| *to).collect();
        self.check_interest(site, message, &to, published.full);
        let publisher = self.clients.iter().position(|state| state.name == client).unwrap_or_default();
        let number = crate::broker::number(&message.payload).unwrap_or_default();
        let topic = self.knowledge.topic(message.topic.as_str()).unwrap_or_default();
        for to in to {
            self.trace.line(
                now,
                format_args!("{} accepts message {number} for {}", self.sites[site].name, self.sites[to].name),
            );
            let accepted = Accepted {
                number,
                publisher,
                turn: self.clients[publisher].published,
                topic,
                qos: message.qos,
                expiry: message.properties.message_expiry.map(|s| Duration::from_secs(u64::from(s))),
                at: now,
                clock,
                era: self.era(site, to),
            };
            self.copies.accepted(site, to, accepted);
        }
        for offer in offers {
            self.input(site, Input::Publish(offer));
        }
    }

    fn check_interest(&mut self, site: Site, message: &Message, to: &BTreeSet<Site>, full: usize) {
        let Some(topic) = self.knowledge.topic(message.topic.as_str()) else { return };
        let mut missed = Vec::new();
        // What the node has decided a moment ago is not in the shared table yet.
        let undrained = self.sites[site].running.as_ref().is_some_and(|running| running.undrained);
        for other in 0..self.sites.len() {
            let accepted = to.contains(&other);
            match self.knowledge.expected(self.now, site, other, topic) {
                Expected::Must if !accepted => missed.push(self.sites[other].name.clone()),
                Expected::MustNot if accepted && !undrained => {
                    let (here, there) = (&self.sites[site].name, &self.sites[other].name);
                    let what = format!("{here} forwards {} to {there}, which does not want it", message.topic.as_str());
                    self.violate(Law::NoInterestNoMessage, what);
                }
                _ => {}
            }
        }
        if missed.len() > full {
            let what = format!(
                "{} does not forward {} to {missed:?}, which want it",
                self.sites[site].name,
                message.topic.as_str()
            );
            self.violate(Law::InterestIsKnown, what);
        }
    }

    /// The host's truth is compared with what the linker knows: nothing may follow from it.
    fn reconcile(&mut self, site: Site) {
        self.check_host(site);
        let state = &mut self.sites[site];
        let Some(running) = state.running.as_mut().filter(|running| !running.restoring) else { return };
        let moment = running.subscriptions.moment();
        running.subscriptions.reconcile(moment, state.broker.subscriptions().into_iter().collect());
        let changes = running.subscriptions.drain();
        if !changes.is_empty() {
            let what = format!("{} did not report {changes:?}", self.sites[site].name);
            self.violate(Law::Host, what);
        }
    }

    /// A broker has the sessions that its clients made.
    pub(super) fn check_host(&mut self, site: Site) {
        if self.sites[site].running.is_none() {
            return;
        }
        let subscriptions = self.sites[site].broker.subscriptions();
        let held: BTreeSet<(String, String)> =
            subscriptions.into_iter().map(|(client, filter)| (client, filter.as_str().to_owned())).collect();
        let wanted = self.sessions.all(site);
        if held != wanted {
            let what =
                format!("{} has the wrong sessions: {:?}", self.sites[site].name, held.symmetric_difference(&wanted));
            self.violate(Law::Host, what);
        }
    }
}
