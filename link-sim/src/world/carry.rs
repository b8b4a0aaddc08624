//! Frames and ends of connections on their way.

use std::time::Duration;

use bytes::Bytes;
use link_core::{
    node::{ConnectionId, Input},
    transport::Class,
    wire::kind,
};

use super::{Event, World};
use crate::{
    network::{AGAIN, Arrival, Item, Party, Taken, class_of, datagram_line, line_of},
    plan::{Noticed, Site},
    rng::Source,
};

impl World {
    pub(super) fn transmit(&mut self, site: Site, connection: ConnectionId, class: Class, frame: Bytes) {
        let Some(running) = self.sites[site].running.as_ref() else { return };
        let Some((id, end)) = running.numbers.wires.get(&connection).copied() else { return };
        self.observe_sent(site, id, end, class, &frame);
        let Some(wire) = self.network.wires.get_mut(&id) else { return };
        let broken = wire.broken;
        let line = if class == Class::Datagram { datagram_line(&mut wire.rng) } else { line_of(class) };
        wire.lines.entry((end, line)).or_default().push(Item::Frame(frame));
        if broken {
            // Whoever sends on a broken connection learns it.
            return self.queue.push(self.now + self.plan.settings.delay * 2, Event::Gone { wire: id, end });
        }
        self.pump(id, end, line);
    }

    /// Lets the transport take what it can of a line.
    pub(super) fn pump(&mut self, id: u32, way: usize, number: u32) {
        let now = self.now;
        let settings = &self.plan.settings;
        let Some(wire) = self.network.wires.get(&id) else { return };
        let (from, to) = (wire.ends[way].site(), wire.ends[1 - way].site());
        let (rate, still) = match (from, to) {
            (Some(from), Some(to)) => (self.network.rate(from, to, now, settings.rate), self.network.cut(from, to)),
            _ => (settings.rate, Duration::ZERO),
        };
        let Some(wire) = self.network.wires.get_mut(&id).filter(|wire| !wire.broken) else { return };
        loop {
            let delay = settings.delay + wire.rng.between(Duration::ZERO, settings.jitter);
            let line = wire.lines.entry((way, number)).or_default();
            match line.take(now, rate, delay, still) {
                Taken::Item { length, written, arrives } => {
                    self.queue.push(written, Event::Written { wire: id, way, line: number, bytes: length });
                    self.queue.push(arrives, Event::Arrive { wire: id, way, line: number });
                }
                Taken::Later(at) => {
                    if !std::mem::replace(&mut line.pumped, true) {
                        self.queue.push(at, Event::Pump { wire: id, way, line: number });
                    }
                    return;
                }
                Taken::Nothing => return,
            }
        }
    }

    pub(super) fn pump_again(&mut self, id: u32, way: usize, number: u32) {
        if let Some(line) = self.network.wires.get_mut(&id).and_then(|wire| wire.lines.get_mut(&(way, number))) {
            line.pumped = false;
            self.pump(id, way, number);
        }
    }

    pub(super) fn written(&mut self, id: u32, way: usize, number: u32, bytes: usize) {
        let Some(wire) = self.network.wires.get(&id) else { return };
        let end = &wire.ends[way];
        let (Party::Node(site, _), connection, true) = (end.party, end.connection, end.open) else { return };
        if bytes == 0 || self.put_off(site, Event::Written { wire: id, way, line: number, bytes }) {
            return;
        }
        self.input(site, Input::Sent { connection, class: class_of(number), bytes });
    }

    pub(super) fn arrive(&mut self, id: u32, way: usize, number: u32) {
        let event = Event::Arrive { wire: id, way, line: number };
        let Some(wire) = self.network.wires.get(&id) else { return };
        let (from, to) = (wire.ends[way].site(), wire.ends[1 - way].site());
        let Some(line) = wire.lines.get(&(way, number)) else { return };
        let cut = from.zip(to).map_or(Duration::ZERO, |(from, to)| self.network.cut(from, to));
        let still = cut.max(line.stalled);
        if still > self.now {
            return self.queue.push(still.min(self.now + AGAIN), event);
        }
        if to.is_some_and(|to| self.sites[to].running.is_some() && self.put_off(to, event)) {
            return;
        }
        let Some(line) = self.network.wires.get_mut(&id).and_then(|wire| wire.lines.get_mut(&(way, number))) else {
            return;
        };
        for arrival in line.arrive() {
            match arrival {
                Arrival::Frame(frame) => self.receive(id, way, number, frame),
                Arrival::Lost => self.trace.line(self.now, format_args!("wire {id}: a frame is lost")),
                Arrival::End => self.gone(id, 1 - way),
            }
        }
    }

    fn receive(&mut self, id: u32, way: usize, number: u32, frame: Bytes) {
        // One in eight datagrams is lost.
        if class_of(number) == Class::Datagram
            && self.network.wires.get_mut(&id).is_some_and(|wire| wire.rng.chance(1, 8))
        {
            return self.trace.line(self.now, format_args!("wire {id}: a datagram is lost"));
        }
        // The model has to know whether the node still reads the connection on which it is told something.
        let to = self.network.wires.get(&id).and_then(|wire| wire.ends[1 - way].site());
        if let Some(to) = to.filter(|_| matches!(frame.first(), Some(&(kind::ACK | kind::DATAGRAM_ACK)))) {
            self.drain(to);
        }
        let Some(wire) = self.network.wires.get(&id) else { return };
        let end = &wire.ends[1 - way];
        let Party::Node(site, life) = end.party else { return };
        let alive = self.sites[site].running.is_some() && self.sites[site].life == life;
        if !end.open || !alive {
            // Somebody answers that there is no such connection, if anybody is there.
            let silent = self.sites[site].running.is_none() && self.sites[site].silent;
            if !silent {
                self.queue.push(self.now + self.plan.settings.delay, Event::Gone { wire: id, end: way });
            }
            return;
        }
        let connection = end.connection;
        self.stats.frames += 1;
        self.trace.line(
            self.now,
            format_args!(
                "{} gets {} of {} bytes in {} of wire {id}",
                self.sites[site].name,
                kind_name(&frame),
                frame.len(),
                super::queue::class_name(class_of(number))
            ),
        );
        self.observe_received(site, id, 1 - way, &frame);
        let routes = frame.first().is_some_and(|kind| (kind::ROUTE_RESUME..=kind::ROUTE_DIFFERENCE).contains(kind));
        self.input(site, Input::Frame { connection, frame });
        if routes {
            self.check_routes(site);
        }
    }

    /// A node closes a connection: what it has said goes out before.
    pub(super) fn close(&mut self, site: Site, connection: ConnectionId) {
        let Some(running) = self.sites[site].running.as_mut() else { return };
        let Some((id, end)) = running.numbers.wires.remove(&connection) else { return };
        self.trace.line(self.now, format_args!("{} closes wire {id}", self.sites[site].name));
        self.part(id);
        let Some(wire) = self.network.wires.get_mut(&id) else { return };
        wire.ends[end].open = false;
        for ((way, number), line) in &mut wire.lines {
            if *way == end && *number > 0 {
                line.forget_waiting();
            }
        }
        wire.lines.entry((end, 0)).or_default().push(Item::End);
        self.pump(id, end, 0);
        self.bury(id);
    }

    /// One end learns that its connection is gone.
    pub(super) fn gone(&mut self, id: u32, end: usize) {
        let Some(wire) = self.network.wires.get(&id) else { return };
        let at = &wire.ends[end];
        let (party, connection, open) = (at.party, at.connection, at.open);
        if let (Party::Node(site, life), true) = (party, open) {
            if self.sites[site].running.is_some() && self.put_off(site, Event::Gone { wire: id, end }) {
                return;
            }
            self.part(id);
            if let Some(wire) = self.network.wires.get_mut(&id) {
                wire.ends[end].open = false;
            }
            if self.sites[site].life == life {
                self.trace.line(self.now, format_args!("{} loses wire {id}", self.sites[site].name));
                if let Some(running) = self.sites[site].running.as_mut() {
                    running.numbers.wires.remove(&connection);
                }
                self.input(site, Input::Lost { connection, reason: "the connection is gone".to_owned() });
            }
        } else if let Some(wire) = self.network.wires.get_mut(&id) {
            wire.ends[end].open = false;
        }
        self.bury(id);
    }

    /// A connection breaks in the middle: some of what is under way still arrives.
    pub(super) fn break_wire(&mut self, id: u32, noticed: Noticed) {
        let delay = self.plan.settings.delay;
        self.part(id);
        let Some(wire) = self.network.wires.get_mut(&id).filter(|wire| !wire.broken) else { return };
        self.trace.line(self.now, format_args!("wire {id} breaks"));
        wire.broken = true;
        for line in wire.lines.values_mut() {
            let kept = wire.rng.index(line.in_flight() + 1);
            line.cut_behind(kept);
        }
        let ends: &[usize] = match noticed {
            Noticed::ByBoth => &[0, 1],
            Noticed::ByFirst => &[0],
            Noticed::ByNobody => &[],
        };
        for end in ends {
            let after = wire.rng.between(Duration::ZERO, delay * 2);
            self.queue.push(self.now + after, Event::Gone { wire: id, end: *end });
        }
    }

    /// The model learns that a connection is not good any more.
    pub(super) fn part(&mut self, id: u32) {
        let Some(wire) = self.network.wires.get_mut(&id) else { return };
        wire.ready = None;
        if let (Some(a), Some(b)) = (wire.ends[0].site(), wire.ends[1].site()) {
            self.knowledge.parted(self.now, id, a, b);
        }
    }

    /// A connection that nobody has any more is forgotten.
    fn bury(&mut self, id: u32) {
        let dead = self.network.wires.get(&id).is_some_and(|wire| wire.ends.iter().all(|end| !end.open));
        if dead {
            self.network.wires.remove(&id);
        }
    }
}

/// The kind of a frame as a word.
fn kind_name(frame: &[u8]) -> &'static str {
    match frame.first().copied() {
        Some(kind::HELLO) => "HELLO",
        Some(kind::READY) => "READY",
        Some(kind::CLOSE) => "CLOSE",
        Some(kind::HEARTBEAT) => "HEARTBEAT",
        Some(kind::ROUTE_RESUME) => "ROUTE_RESUME",
        Some(kind::ROUTE_DELTA) => "ROUTE_DELTA",
        Some(kind::ROUTE_SNAPSHOT) => "ROUTE_SNAPSHOT",
        Some(kind::ROUTE_ACK) => "ROUTE_ACK",
        Some(kind::ROUTE_NEED) => "ROUTE_NEED",
        Some(kind::ROUTE_CELLS) => "ROUTE_CELLS",
        Some(kind::ROUTE_DIFFERENCE) => "ROUTE_DIFFERENCE",
        Some(kind::BATCH) => "BATCH",
        Some(kind::ACK) => "ACK",
        Some(kind::DATAGRAM) => "DATAGRAM",
        Some(kind::DATAGRAM_ACK) => "DATAGRAM_ACK",
        Some(_) => "a frame",
        None => "nothing",
    }
}
