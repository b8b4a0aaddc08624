//! What goes wrong.

use std::time::Duration;

use link_core::{topic::TopicFilter, transport::Class};

use super::{Event, World};
use crate::{
    network::line_of,
    plan::{Action, Site},
};

impl World {
    pub(super) fn harm(&mut self, action: Action) {
        let now = self.now;
        match action {
            Action::Break { a, b, noticed } => {
                for wire in self.network.between(a, b) {
                    self.break_wire(wire, noticed);
                }
            }
            Action::Cut { from, to, time } => self.cut(from, to, time),
            Action::Partition { a, b, time } => {
                self.cut(a, b, time);
                self.cut(b, a, time);
            }
            Action::Stall { from, to, class, time } => {
                self.disturb(from, to, time);
                self.on_line(from, to, class, |line| line.stalled = now + time);
            }
            Action::Throttle { from, to, rate, time } => {
                self.disturb(from, to, time + Duration::from_secs(7));
                let conditions = self.network.paths.entry((from, to)).or_default();
                (conditions.throttled, conditions.rate) = (now + time, rate);
            }
            Action::LoseFrame { from, to, class } => {
                self.disturb(from, to, self.mended());
                self.history.lost(from, to);
                self.unsound(from, to);
                self.on_line(from, to, class, |line| line.lose = true);
                for wire in self.network.between(from, to) {
                    if let Some(wire) = self.network.wires.get_mut(&wire) {
                        wire.lossy = true;
                    }
                    self.queue.push(now + Duration::from_secs(3), Event::Break(wire));
                }
            }
            Action::RepeatFrame { from, to, class, later } => {
                self.disturb(from, to, self.mended());
                self.history.repeated(from, to);
                self.unsound(from, to);
                self.on_line(from, to, class, |line| line.repeat = Some(later));
            }
            Action::TruncateFrame { from, to, class, at } => {
                self.disturb(from, to, self.mended());
                self.unsound(from, to);
                self.on_line(from, to, class, |line| line.truncate = Some(at));
            }
            Action::Crash { site, disk, loud, time } => {
                if self.sites[site].running.is_some() {
                    self.die(site, disk, loud);
                    self.queue.push(now + time, Event::Start(site));
                }
            }
            Action::Stop { site, time } => self.stop(site, time),
            Action::Freeze { site, time } => self.freeze(site, time),
            Action::Jump { site, by } => self.jump(site, by),
            Action::SlowHost { site, each, time } => {
                self.sites[site].each = each;
                self.queue.push(now + time, Event::HostHeals(site));
            }
            Action::Attack { site, attack, seed } => self.attack(site, attack, seed),
            change => self.reconfigure(change),
        }
    }

    /// An operator changes a link.
    fn reconfigure(&mut self, action: Action) {
        let (site, link, time) = match &action {
            Action::Topics { site, link, time, .. }
            | Action::Disable { site, link, time }
            | Action::Delete { site, link, time }
            | Action::Misconfigure { site, link, time, .. } => (*site, *link, *time),
            _ => return,
        };
        let Some(number) = self.link_number(site, link).filter(|_| self.sites[site].running.is_some()) else { return };
        let to = self.plan.topology.cluster_of(site).0.links[number].to;
        // A link that is off or gone is left alone until it is there again.
        if self.knowledge.is_off(site, to) {
            return;
        }
        match action {
            Action::Topics { topics, .. } => {
                let texts: Vec<&str> = topics.iter().map(String::as_str).collect();
                let mut filters: Vec<TopicFilter> =
                    texts.iter().filter_map(|topic| TopicFilter::new((*topic).to_owned()).ok()).collect();
                if let [a, b] = &filters[..]
                    && (a.covers(b) || b.covers(a))
                {
                    filters.truncate(1);
                }
                let kept: Vec<&str> = filters.iter().map(TopicFilter::as_str).collect();
                self.knowledge.set_imports(self.now, site, to, &kept);
                self.change_link(site, number, |config| config.topics.clone_from(&filters));
            }
            Action::Disable { .. } => {
                self.knowledge.set_off(site, to, true);
                self.reset_imports(site, number);
                self.change_link(site, number, |config| config.enabled = false);
            }
            Action::Delete { .. } => self.delete_link(site, number),
            Action::Misconfigure { what, .. } => {
                self.reset_imports(site, number);
                self.change_link(site, number, |config| match what {
                    0 => config.peer_identity = Some("nobody".to_owned()),
                    1 => config.servers = super::site::endpoint(&format!("{}-1", wrong_for(to))).into_iter().collect(),
                    _ => config.servers = super::site::endpoint("nowhere").into_iter().collect(),
                });
            }
            _ => return,
        }
        self.queue.push(self.now + time, Event::Restore(site, number));
    }

    /// The settings that follow begin with the topology's.
    fn reset_imports(&mut self, site: Site, number: usize) {
        let link = self.plan.topology.cluster_of(site).0.links[number];
        self.knowledge.set_imports(self.now, site, link.to, link.topics);
    }

    fn cut(&mut self, from: Site, to: Site, time: Duration) {
        self.disturb(from, to, time);
        let conditions = self.network.paths.entry((from, to)).or_default();
        conditions.cut = conditions.cut.max(self.now + time);
    }

    fn freeze(&mut self, site: Site, time: Duration) {
        if self.sites[site].running.is_none() {
            return;
        }
        let until = self.now + time;
        self.sites[site].frozen = self.sites[site].frozen.max(until);
        self.queue.push(until, Event::Thaw(site));
        for other in 0..self.sites.len() {
            self.disturb(site, other, time);
        }
    }

    /// A node that stood still takes what has come, in its order.
    pub(super) fn thaw(&mut self, site: Site) {
        if self.sites[site].frozen <= self.now {
            for event in std::mem::take(&mut self.sites[site].parked) {
                self.queue.push(self.now, event);
            }
        }
    }

    fn jump(&mut self, site: Site, by: Duration) {
        // It may forget at once a peer that it has met since the last look.
        self.learn_peers(site);
        if let Some(running) = self.sites[site].running.as_mut() {
            running.ahead += by;
            running.wake = None;
            for other in 0..self.sites.len() {
                self.disturb(site, other, Duration::from_secs(1));
            }
            self.after(site);
        }
    }

    /// A time after which a carrier's mistake is found and mended.
    fn mended(&self) -> Duration {
        self.plan.settings.heartbeat * 4 + self.plan.settings.news() * 2
    }

    fn disturb(&mut self, a: Site, b: Site, time: Duration) {
        self.knowledge.disturbed(self.now, a, b, self.now + time);
    }

    fn unsound(&mut self, from: Site, to: Site) {
        for wire in self.network.between(from, to) {
            if let Some(wire) = self.network.wires.get_mut(&wire) {
                wire.unsound = true;
            }
        }
    }

    fn on_line(&mut self, from: Site, to: Site, class: Class, change: impl Fn(&mut crate::network::Line)) {
        for wire in self.network.between(from, to) {
            if let Some(wire) = self.network.wires.get_mut(&wire) {
                let way = wire.from(from);
                change(wire.lines.entry((way, line_of(class))).or_default());
            }
        }
    }
}

/// A cluster that is not the one meant, where there is one.
fn wrong_for(to: &str) -> &'static str {
    if to == "us" { "eu" } else { "us" }
}
