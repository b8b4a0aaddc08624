//! What a driver does around a node: inputs, outputs, deadline.

use std::time::Duration;

use link_core::{
    node::{DialId, Input, Output},
    transport::{Dial, DialError, Identity},
};

use super::{Event, Law, World, site::HOSTILE};
use crate::{
    network::{AGAIN, End, Party, Wire},
    plan::Site,
    rng::Source,
};

/// Attempts to connect of one link, for each of its servers, in ten seconds: more than growing pauses allow.
const ATTEMPTS: usize = 30;

impl World {
    /// Lets something happen to a node, and carries out what follows, at once or a moment later.
    pub(super) fn input(&mut self, site: Site, input: Input) {
        let now = self.now;
        let Some(running) = self.sites[site].running.as_mut() else { return };
        running.node.handle(running.clock(now), input);
        self.after(site);
    }

    pub(super) fn after(&mut self, site: Site) {
        self.look_at_warmth(site);
        // A driver takes several inputs before it looks at the outputs.
        let late = self.rng.chance(1, 8);
        let pause = self.rng.between(Duration::ZERO, Duration::from_millis(1));
        let (now, life) = (self.now, self.sites[site].life);
        let Some(running) = self.sites[site].running.as_mut() else { return };
        if running.undrained {
            return;
        }
        if late {
            running.undrained = true;
            self.queue.push(now + pause, Event::Drain(site, life));
        } else {
            self.drain(site);
        }
    }

    pub(super) fn drain_late(&mut self, site: Site, life: u32) {
        if self.sites[site].life != life || self.put_off(site, Event::Drain(site, life)) {
            return;
        }
        if let Some(running) = self.sites[site].running.as_mut() {
            running.undrained = false;
            self.drain(site);
        }
    }

    pub(super) fn drain(&mut self, site: Site) {
        while let Some(output) = self.sites[site].running.as_mut().and_then(|running| running.node.poll_output()) {
            self.carry_out(site, output);
        }
        let (now, life) = (self.now, self.sites[site].life);
        let Some(running) = self.sites[site].running.as_mut() else { return };
        let Some(due) = running.node.poll_timeout() else { return };
        let at = running.at(due).max(now);
        if running.wake.is_none_or(|wake| wake > at || wake < now) {
            running.wake = Some(at);
            self.queue.push(at, Event::Wake(site, life));
        }
    }

    pub(super) fn wake(&mut self, site: Site, life: u32) {
        if self.sites[site].life != life || self.put_off(site, Event::Wake(site, life)) {
            return;
        }
        let now = self.now;
        let Some(running) = self.sites[site].running.as_mut() else { return };
        running.wake = None;
        if running.node.poll_timeout().is_some_and(|due| due <= running.clock(now)) {
            self.input(site, Input::Timeout);
        } else {
            self.drain(site);
        }
    }

    fn carry_out(&mut self, site: Site, output: Output) {
        match output {
            Output::Dial { dial, request } => self.dial(site, dial, &request),
            Output::CancelDial { dial } => {
                if let Some(running) = self.sites[site].running.as_mut() {
                    running.numbers.dials.remove(&dial);
                }
            }
            Output::Transmit { connection, class, frame } => self.transmit(site, connection, class, frame),
            Output::Close { connection } => self.close(site, connection),
            Output::Deliver { peer, ticket, message, origin } => self.deliver(site, peer, ticket, message, origin),
            Output::Forget { peer } => self.forget(site, peer),
            Output::BarrierDone { barrier, result } => self.barrier_done(site, barrier, result),
            Output::Changed { .. } => {}
        }
    }

    fn dial(&mut self, site: Site, dial: DialId, request: &Dial) {
        let to = self.site_named(&request.endpoint.host);
        self.trace.line(self.now, format_args!("{} dials {}", self.sites[site].name, request.endpoint));
        if let Some(idle) = &mut self.idle {
            idle.dials += 1;
        }
        let jitter = self.rng.between(Duration::ZERO, self.plan.settings.jitter);
        let (now, life) = (self.now, self.sites[site].life);
        let trip = self.plan.settings.delay * 2 + jitter;
        let Some(running) = self.sites[site].running.as_mut() else { return };
        running.numbers.dials.insert(dial);
        let attempts = running.attempts.entry(request.link.name.to_string()).or_default();
        attempts.push_back(now);
        while attempts.front().is_some_and(|at| *at + Duration::from_secs(10) < now) {
            attempts.pop_front();
        }
        let often = attempts.len() > ATTEMPTS * request.link.servers.len().max(1);
        self.queue.push(now + trip, Event::Dialled { site, life, dial, to, begun: now });
        if often {
            self.violate(Law::Retry, format!("{} dials {} without rest", self.sites[site].name, request.link.name));
        }
    }

    pub(super) fn dialled(&mut self, site: Site, life: u32, dial: DialId, to: Option<Site>, begun: Duration) {
        if self.sites[site].life != life || self.put_off(site, Event::Dialled { site, life, dial, to, begun }) {
            return;
        }
        let now = self.now;
        let patience = begun + self.plan.settings.connect_timeout;
        let Some(running) = self.sites[site].running.as_mut() else { return };
        if !running.numbers.dials.contains(&dial) {
            return;
        }
        let reachable = to.filter(|to| self.sites[*to].running.is_some());
        if let Some(to) = reachable {
            // No answer comes back: it is tried again by the system until the time is over.
            let still = self.network.cut(site, to).max(self.network.cut(to, site)).max(self.sites[to].frozen);
            if still > now && now < patience {
                let again = still.min(patience).min(now + AGAIN);
                return self.queue.push(again, Event::Dialled { site, life, dial, to: Some(to), begun });
            }
        }
        if let Some(running) = self.sites[site].running.as_mut() {
            running.numbers.dials.remove(&dial);
        }
        match reachable {
            Some(to) if now < patience => self.connect(site, to, dial),
            _ => {
                let host = to.map_or("nowhere", |to| self.sites[to].name.as_str());
                let Some(endpoint) = super::site::endpoint(host) else { return };
                let reason = "no answer".to_owned();
                self.input(site, Input::DialFailed { dial, error: DialError::Unreachable { endpoint, reason } });
            }
        }
    }

    fn connect(&mut self, from: Site, to: Site, dial: DialId) {
        let ends = [self.end(from), self.end(to)];
        let [Some(dialler), Some(acceptor)] = ends else { return };
        let (here, there) = (dialler.connection, acceptor.connection);
        let rng = self.rng.fork(self.rng.clone().word());
        self.rng.word();
        let id = self.network.add(Wire::new([dialler, acceptor], rng));
        self.trace.line(
            self.now,
            format_args!("{} and {} are connected by {id}", self.sites[from].name, self.sites[to].name),
        );
        for (site, connection, end) in [(from, here, 0), (to, there, 1)] {
            if let Some(running) = self.sites[site].running.as_mut() {
                running.numbers.wires.insert(connection, (id, end));
            }
        }
        let (channels, datagrams) = (self.plan.settings.channels, self.plan.settings.datagrams);
        let identity = |world: &Self, site: Site| Identity {
            address: world.sites[site].name.clone(),
            user: Some(world.sites[site].cluster.to_owned()),
            ..Identity::default()
        };
        let (dialler, acceptor) = (identity(self, from), identity(self, to));
        self.input(
            to,
            Input::Connected { connection: there, dial: None, identity: dialler, channels, datagrams, max_frame: None },
        );
        self.input(
            from,
            Input::Connected {
                connection: here,
                dial: Some(dial),
                identity: acceptor,
                channels,
                datagrams,
                max_frame: None,
            },
        );
    }

    fn end(&mut self, site: Site) -> Option<End> {
        let life = self.sites[site].life;
        let running = self.sites[site].running.as_mut()?;
        Some(End::new(Party::Node(site, life), running.numbers.connection()))
    }

    fn forget(&mut self, site: Site, peer: link_core::node::PeerId) {
        let of = self.sites[site].running.as_ref().and_then(|running| running.peers.get(&peer).copied()).flatten();
        let Some(of) = of else { return };
        self.trace.line(self.now, format_args!("{} forgets {}", self.sites[site].name, self.sites[of].name));
        self.forgets(site, of, true);
    }

    /// A node has lost what it knew of another one: the queue, the routes, the watermarks.
    pub(super) fn forgets(&mut self, site: Site, of: Site, finishes: bool) {
        self.knowledge.forgot(self.now, site, of);
        self.copies.sender_forgot(site, of);
        self.copies.receiver_forgot(of, site, finishes);
        self.history.forget(site, of);
        *self.sites[site].receptions.entry(of).or_default() += 1;
    }

    /// Learns which peers a node has.
    pub(super) fn learn_peers(&mut self, site: Site) {
        let now = self.now;
        let Some(running) = self.sites[site].running.as_ref() else { return };
        let status = running.node.links(running.clock(now));
        let mut peers = Vec::new();
        for link in &status {
            for peer in &link.peers {
                let known = link.name.as_str() != HOSTILE;
                let of = self.site_named(peer.node.as_str()).filter(|_| known);
                peers.push((peer.peer, of));
            }
        }
        if let Some(running) = self.sites[site].running.as_mut() {
            running.peers.extend(peers);
        }
    }
}
