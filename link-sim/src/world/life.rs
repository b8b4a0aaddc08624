//! Nodes start, stop and die; links come and go with them.

use std::time::Duration;

use link_core::{
    interest::Subscriptions,
    link::{ClusterName, LinkConfig, LinkError},
    node::{Input, Node},
};

use super::{
    Event, Law, World,
    site::{hostile_link, link_config, start},
};
use crate::{
    broker::Reports,
    network::Item,
    plan::{Disk, Site},
    rng::Source,
};

impl World {
    pub(super) fn start(&mut self, site: Site) {
        if self.sites[site].running.is_some() {
            return;
        }
        let (topology, settings) = (&self.plan.topology, &self.plan.settings);
        let state = &mut self.sites[site];
        state.life += 1;
        state.starts = match state.disk {
            Disk::Kept => state.starts,
            Disk::Old => state.starts.saturating_sub(2),
            Disk::Lost | Disk::Torn => 0,
        };
        let starts = state.starts;
        state.running = start(topology, settings, site, starts, self.now, &mut self.rng);
        state.starts += 1;
        state.silent = false;
        let disk = std::mem::replace(&mut state.disk, Disk::Kept);
        self.trace.line(self.now, format_args!("{} starts, its disk is {disk:?}", self.sites[site].name));
        for number in 0..topology.cluster_of(site).0.links.len() {
            self.make_link(site, number);
        }
        if self.hostile
            && let Some(config) = hostile_link(&self.plan.settings)
        {
            self.with_node(site, |node, clock| node.create_link(clock, config).map_err(|error| error.to_string()));
        }
        let warm_up = self.plan.settings.warm_up;
        let mut back = Duration::from_millis(400);
        if warm_up.is_zero() {
            // A host that reports its durable sessions before the node connects: what MUST be so for no message to be lost.
            self.broker(site, |broker, reports| broker.start(disk, reports));
        } else {
            // Or before it is warm.
            let mut unheard = Subscriptions::new();
            let mut reports = Reports { subscriptions: &mut unheard, published: Vec::new() };
            self.sites[site].broker.start(disk, &mut reports);
            self.knowledge.restores(site, Duration::MAX);
            let restored = self.now + self.rng.between(Duration::ZERO, warm_up * 9 / 10);
            self.queue.push(restored, Event::Restored(site, self.sites[site].life));
            back = warm_up;
        }
        self.after(site);
        self.note_announced(site);
        self.check_host(site);
        let back = self.rng.between(Duration::from_millis(10), back);
        self.queue.push(self.now + back, Event::Return(site));
    }

    /// A host that came back has its durable sessions again, and says so or lets the time to warm up pass.
    pub(super) fn restored(&mut self, site: Site, life: u32) {
        if self.sites[site].life != life || self.put_off(site, Event::Restored(site, life)) {
            return;
        }
        let now = self.now;
        let state = &mut self.sites[site];
        let Some(running) = state.running.as_mut() else { return };
        running.restoring = false;
        let moment = running.subscriptions.moment();
        running.subscriptions.reconcile(moment, state.broker.subscriptions().into_iter().collect());
        self.trace.line(now, format_args!("{} has its sessions again", state.name));
        self.broker(site, |_, _| {});
        self.knowledge.restores(site, now);
        if self.rng.chance(1, 2) {
            self.input(site, Input::Warm);
        }
    }

    /// While a node compares its set with what a peer has, changes wait.
    pub(super) fn look_at_warmth(&mut self, site: Site) {
        let Some(running) = self.sites[site].running.as_mut() else { return };
        if running.warming && !running.node.is_warming() {
            running.warming = false;
            let until = self.now + self.plan.settings.flight() * 8;
            for other in 0..self.sites.len() {
                self.knowledge.disturbed(self.now, site, other, until);
            }
        }
    }

    /// Makes a link of a node, as the topology has it.
    pub(super) fn make_link(&mut self, site: Site, number: usize) {
        let Some(config) = link_config(&self.plan.topology, &self.plan.settings, site, number) else { return };
        let to = self.plan.topology.cluster_of(site).0.links[number].to;
        let topics: Vec<&str> = self.plan.topology.cluster_of(site).0.links[number].topics.to_vec();
        *self.sites[site].eras.entry(to).or_default() += 1;
        self.with_node(site, |node, clock| node.create_link(clock, config).map_err(|error| error.to_string()));
        self.knowledge.set_off(site, to, false);
        self.knowledge.set_imports(self.now, site, to, &topics);
        self.note_announced(site);
    }

    /// A link of a node is as in the topology again, whatever was done to it.
    pub(super) fn restore_link(&mut self, site: Site, number: usize) {
        let Some(config) = link_config(&self.plan.topology, &self.plan.settings, site, number) else { return };
        let link = self.plan.topology.cluster_of(site).0.links[number];
        let Some(running) = self.sites[site].running.as_ref() else { return };
        let exists = running.node.links(running.clock(self.now)).iter().any(|status| status.name == config.name);
        if !exists {
            return self.make_link(site, number);
        }
        self.knowledge.set_off(site, link.to, false);
        self.knowledge.set_imports(self.now, site, link.to, link.topics);
        self.with_node(site, |node, clock| node.update_link(clock, config).map_err(|error| error.to_string()));
        self.note_announced(site);
    }

    /// Changes the settings of a link.
    pub(super) fn change_link(&mut self, site: Site, number: usize, change: impl FnOnce(&mut LinkConfig)) {
        let Some(mut config) = link_config(&self.plan.topology, &self.plan.settings, site, number) else { return };
        change(&mut config);
        self.with_node(site, |node, clock| match node.update_link(clock, config) {
            Ok(()) | Err(LinkError::Unknown(_)) => Ok(()),
            Err(error) => Err(error.to_string()),
        });
        self.note_announced(site);
    }

    /// Deletes a link, with all that is known of its peers.
    pub(super) fn delete_link(&mut self, site: Site, number: usize) {
        let to = self.plan.topology.cluster_of(site).0.links[number].to;
        let Ok(name) = ClusterName::new(to) else { return };
        self.learn_peers(site);
        self.with_node(site, |node, clock| {
            // It may be gone already.
            let _ = node.delete_link(clock, &name);
            Ok(())
        });
        self.knowledge.set_off(site, to, true);
        for other in (0..self.sites.len()).filter(|other| self.sites[*other].cluster == to).collect::<Vec<_>>() {
            self.forgets(site, other, true);
        }
    }

    fn with_node(&mut self, site: Site, call: impl FnOnce(&mut Node, Duration) -> Result<(), String>) {
        let now = self.now;
        let Some(running) = self.sites[site].running.as_mut() else { return };
        let clock = running.clock(now);
        if let Err(error) = call(&mut running.node, clock) {
            self.violate(Law::Host, error);
        }
        self.after(site);
    }

    /// A node is stopped as an operator does: it says good-bye.
    pub(super) fn stop(&mut self, site: Site, time: Duration) {
        let now = self.now;
        let Some(running) = self.sites[site].running.as_mut() else { return };
        running.node.shut_down(running.clock(now));
        self.drain(site);
        self.die(site, Disk::Kept, true);
        self.queue.push(now + time, Event::Start(site));
    }

    /// A node dies.
    pub(super) fn die(&mut self, site: Site, disk: Disk, loud: bool) {
        if self.sites[site].running.is_none() {
            return;
        }
        // A message that the host has in its hands may be taken; nobody will know.
        let peers: Vec<_> = self.sites[site]
            .running
            .iter()
            .flat_map(|running| running.hosts.iter())
            .filter(|(_, q)| q.busy)
            .map(|(p, _)| *p)
            .collect();
        for peer in peers {
            if self.rng.chance(1, 2) {
                self.host_takes(site, peer);
            }
        }
        self.trace.line(self.now, format_args!("{} dies", self.sites[site].name));
        for id in self.network.of(site) {
            self.part(id);
            let Some(wire) = self.network.wires.get_mut(&id) else { continue };
            let end = wire.from(site);
            wire.ends[end].open = false;
            for ((way, _), line) in &mut wire.lines {
                if *way == end {
                    line.forget_waiting();
                }
            }
            if loud && !wire.broken {
                wire.lines.entry((end, 0)).or_default().push(Item::End);
                self.pump(id, end, 0);
            }
        }
        let state = &mut self.sites[site];
        state.running = None;
        state.silent = !loud;
        state.disk = disk;
        state.frozen = Duration::ZERO;
        self.thaw(site);
        for other in 0..self.sites.len() {
            if other != site {
                self.forgets(site, other, false);
            }
        }
        let (before, after) = self.sessions.crash(site, disk);
        self.knowledge.change(self.now, site, &before, &after);
    }
}
