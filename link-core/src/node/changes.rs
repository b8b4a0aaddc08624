//! Links come, change and go at run time; peers come and go with them.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::{Gate, LaneHolders, Node, Output, PeerId, Timer};
use crate::{
    delivery::{Budget, Inbox, Outbox},
    link::{ClusterName, Link, LinkConfig, LinkError, LinkId, LinkState, NodeName, Part, Peer},
    routes::{RouteKey, RouteLog, RouteReplica},
    topic::TopicFilter,
    wire::{CloseCode, Incarnation},
};

impl Node {
    /// Adds a link and starts to connect it.
    ///
    /// # Errors
    /// A [`LinkError`] says what is wrong; nothing has changed then.
    pub fn create_link(&mut self, now: Duration, config: LinkConfig) -> Result<(), LinkError> {
        self.now = self.now.max(now);
        self.begin_warm_up();
        self.check(&config)?;
        if self.names.contains_key(&config.name) {
            return Err(LinkError::Exists(config.name));
        }
        let id = LinkId(self.next_link);
        self.next_link = self.next_link.wrapping_add(1);
        let incarnation = Incarnation { counter: self.config.starts.saturating_add(1), nonce: self.rng.next() };
        let mut key = [0; 16];
        key[..8].copy_from_slice(&self.rng.next().to_be_bytes());
        key[8..].copy_from_slice(&self.rng.next().to_be_bytes());
        let mut log = RouteLog::new(incarnation, RouteKey(key), Vec::new(), self.config.route_ring);
        log.set_sketch_from(self.config.sketch_from);
        log.set_covering(self.config.covering);
        self.set_topics(&mut log, &config.topics);
        let (state, reason) = first_state(&config);
        let name = config.name.clone();
        let link = Link {
            id,
            name: name.clone(),
            backoff: Self::backoff(&config),
            config: Arc::new(config),
            incarnation,
            log,
            peers: Vec::new(),
            holders: Arc::new(LaneHolders::new(self.config.lanes)),
            dialling: None,
            dialled_at: 0,
            returning_dial: None,
            returning: None,
            returning_to: 0,
            dialled: None,
            yielded_to: None,
            last_node: None,
            next_server: 0,
            ask_again: false,
            asked_again: false,
            state,
            reason,
            since: self.now,
            last_refusal: None,
        };
        self.links.insert(id, link);
        self.names.insert(name, id);
        self.plan_dial(id, Duration::ZERO);
        self.changed(id);
        self.barriers_need(id);
        Ok(())
    }

    /// Replaces the settings of a link. Queued messages stay. Topics, limits and times take effect at once; a change
    /// of how the peer is reached or checked opens a new connection. A secret given as [`Secret::MASK`](crate::link::Secret::MASK)
    /// keeps the old one.
    ///
    /// # Errors
    /// A [`LinkError`] says what is wrong; nothing has changed then.
    pub fn update_link(&mut self, now: Duration, mut config: LinkConfig) -> Result<(), LinkError> {
        self.now = self.now.max(now);
        self.check(&config)?;
        let id = self.id_of(&config.name)?;
        let Some(link) = self.links.get_mut(&id) else { return Err(LinkError::Unknown(config.name)) };
        config.keep_secrets_of(&link.config);
        let old = std::mem::replace(&mut link.config, Arc::new(config));
        let new = link.config.clone();
        if old.topics != new.topics {
            if let Some(mut link) = self.links.remove(&id) {
                self.set_topics(&mut link.log, &new.topics);
                self.links.insert(id, link);
            }
            self.routes_changed(id);
            self.plan_covering(id);
        }
        if old.queue_bytes != new.queue_bytes || old.overflow != new.overflow {
            for peer in self.peers_of(id).into_iter().filter_map(|peer| self.peers.get(&peer)) {
                peer.gate.budget.set(new.queue_bytes, new.overflow);
            }
        }
        if old.window != new.window {
            for peer in self.peers_of(id) {
                if let Some(peer) = self.peers.get_mut(&peer) {
                    peer.inbox.set_window(new.window as usize);
                }
            }
        }
        if old.enabled != new.enabled {
            self.switch(id, new.enabled);
        } else if old.reconnect_needed(&new) {
            self.restart(id, CloseCode::Restart, "the settings of the link have changed");
        }
        if old.topics != new.topics || old.enabled != new.enabled {
            self.barriers_need(id);
        }
        self.changed(id);
        Ok(())
    }

    /// Switches a link on or off. Off, nothing crosses it in either direction; queued messages stay.
    ///
    /// # Errors
    /// [`LinkError::Unknown`] if there is no such link.
    pub fn enable_link(&mut self, now: Duration, name: &ClusterName, enabled: bool) -> Result<(), LinkError> {
        let id = self.id_of(name)?;
        let Some(link) = self.links.get(&id) else { return Err(LinkError::Unknown(name.clone())) };
        let mut config = LinkConfig::clone(&link.config);
        config.enabled = enabled;
        self.update_link(now, config)
    }

    /// Removes a link with its routes and its queued messages.
    ///
    /// # Errors
    /// [`LinkError::Unknown`] if there is no such link.
    pub fn delete_link(&mut self, now: Duration, name: &ClusterName) -> Result<(), LinkError> {
        self.now = self.now.max(now);
        let id = self.id_of(name)?;
        self.hang_up(id, CloseCode::Disabled, &format!("the link to `{name}` was deleted"));
        for peer in self.peers_of(id) {
            self.remove_peer(peer);
        }
        self.timers.clear(Timer::Dial(id));
        self.timers.clear(Timer::Covering(id));
        self.names.remove(name);
        self.changed(id);
        self.links.remove(&id);
        self.barriers_forget(id, name);
        Ok(())
    }

    /// Tells every peer that this node stops, and stops.
    pub fn shut_down(&mut self, now: Duration) {
        self.now = self.now.max(now);
        let links: Vec<LinkId> = self.links.keys().copied().collect();
        for id in links {
            self.hang_up(id, CloseCode::Shutdown, "the node stops");
            self.timers.clear(Timer::Dial(id));
        }
        let strangers: Vec<_> = self.connections.keys().copied().collect();
        for connection in strangers {
            self.close(connection, CloseCode::Shutdown, "the node stops");
        }
    }

    /// Sets the topics of a link's log. With those of another link it shares what is large.
    fn set_topics(&self, log: &mut RouteLog, topics: &[TopicFilter]) {
        match self.links.values().find(|other| other.log.has_imports(topics)) {
            Some(other) => log.join(&other.log),
            None => log.set_imports(topics.to_vec(), &self.interest),
        }
    }

    fn check(&self, config: &LinkConfig) -> Result<(), LinkError> {
        if config.name == self.config.cluster {
            return Err(LinkError::Own(config.name.clone()));
        }
        config.check().map_err(|error| LinkError::Config { link: config.name.clone(), error })
    }

    fn id_of(&self, name: &ClusterName) -> Result<LinkId, LinkError> {
        self.names.get(name).copied().ok_or_else(|| LinkError::Unknown(name.clone()))
    }

    pub(super) fn peers_of(&self, id: LinkId) -> Vec<PeerId> {
        self.links.get(&id).map(|link| link.peers.clone()).unwrap_or_default()
    }

    fn switch(&mut self, id: LinkId, enabled: bool) {
        if !enabled {
            let name = self.links.get(&id).map(|link| link.name.to_string()).unwrap_or_default();
            let own = self.config.cluster.clone();
            self.hang_up(id, CloseCode::Disabled, &format!("the link to `{name}` is disabled at `{own}`"));
            self.timers.clear(Timer::Dial(id));
            for peer in self.peers_of(id) {
                self.unroute_peer(peer);
            }
        }
        let Some(link) = self.links.get_mut(&id) else { return };
        let (state, reason) = first_state(&link.config);
        self.link_state(id, state, reason);
        if enabled {
            for peer in self.peers_of(id) {
                self.route_peer(peer);
            }
            self.plan_dial(id, Duration::ZERO);
        }
    }

    fn restart(&mut self, id: LinkId, code: CloseCode, reason: &str) {
        self.hang_up(id, code, reason);
        let Some(link) = self.links.get_mut(&id) else { return };
        link.backoff = Self::backoff(&link.config);
        link.next_server = 0;
        let (state, reason) = first_state(&link.config);
        self.link_state(id, state, reason);
        self.plan_dial(id, Duration::ZERO);
    }

    /// Ends every connection of a link, and the attempt to make one.
    fn hang_up(&mut self, id: LinkId, code: CloseCode, reason: &str) {
        for peer in self.peers_of(id) {
            if let Some(connection) = self.session(peer).map(|session| session.connection) {
                self.close(connection, code, reason);
            }
        }
        let Some(link) = self.links.get_mut(&id) else { return };
        let (dialling, connections) = (link.dialling.take(), [link.dialled, link.returning]);
        link.returning_dial = None;
        self.timers.clear(Timer::Return(id));
        if let Some(dial) = dialling {
            self.dials.remove(&dial);
            self.outputs.push_back(Output::CancelDial { dial });
        }
        for connection in connections.into_iter().flatten() {
            self.close(connection, code, reason);
        }
    }

    pub(super) fn create_peer(&mut self, id: LinkId, node: &NodeName) -> PeerId {
        let peer = PeerId(self.next_peer);
        self.next_peer = self.next_peer.wrapping_add(1);
        let Some(link) = self.links.get_mut(&id) else { return peer };
        link.peers.push(peer);
        let budget = Arc::new(Budget::new(link.config.queue_bytes, link.config.overflow));
        let gate = Arc::new(Gate::new(budget.clone(), id, link.holders.clone()));
        let mut replica = RouteReplica::new(peer, link.config.max_routes);
        replica.set_sketch_from(self.config.sketch_from);
        let record = Peer {
            link: id,
            node: node.clone(),
            origin: Self::origin(&link.name, node),
            life: link.incarnation,
            incarnation: None,
            epoch: 0,
            abandoned: 0,
            outbox: Outbox::new(self.config.lanes, budget),
            inbox: Inbox::new(link.config.window as usize),
            replica,
            resync_out: None,
            resync_in: None,
            part: Part::Own,
            gate: gate.clone(),
            session: None,
            heard: self.now,
            left: None,
            state: LinkState::Down,
            reason: "not connected yet".to_owned(),
            since: self.now,
            bytes_out: 0,
            bytes_in: 0,
        };
        self.peers.insert(peer, record);
        self.change_gates(|gates| drop(gates.insert(peer, gate)));
        peer
    }

    /// A peer node was away for longer than it is remembered, or has left its cluster.
    pub(super) fn retire(&mut self, peer: PeerId) {
        if self.session(peer).is_none() {
            if let Some(record) = self.peers.get(&peer) {
                let why = if record.left.is_some() { "has left its cluster" } else { "away for too long" };
                tracing::warn!(node = %record.node, "{why}: its routes and its queue are dropped");
                self.changed(record.link);
            }
            self.bequeath(peer);
            self.remove_peer(peer);
        }
    }

    pub(super) fn remove_peer(&mut self, id: PeerId) {
        self.unroute_peer(id);
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.replica.retire(&mut self.table);
            self.table_changed = true;
        }
        self.timers.clear(Timer::Retention(id));
        self.timers.clear(Timer::Sweep(id));
        self.timers.clear(Timer::Replace(id));
        self.dirty.remove(&id);
        let Some(peer) = self.peers.remove(&id) else { return };
        self.change_gates(|gates| drop(gates.remove(&id)));
        self.outputs.push_back(Output::Forget { peer: id });
        if let Some(link) = self.links.get_mut(&peer.link) {
            link.peers.retain(|other| *other != id);
            for lane in link.holders.lanes().filter(|lane| link.holders.at(*lane) == Some(id)) {
                link.holders.set(lane, None);
            }
        }
        self.share_lanes(peer.link);
    }

    fn change_gates(&self, change: impl FnOnce(&mut super::publisher::Gates)) {
        let mut gates = super::publisher::Gates::clone(&self.gates.load());
        change(&mut gates);
        self.gates.store(Arc::new(gates));
    }

    pub(super) fn changed(&mut self, id: LinkId) {
        if let Some(link) = self.links.get(&id) {
            self.outputs.push_back(Output::Changed { link: link.name.clone() });
        }
    }

    /// In how many different route sets the links announce it: those of the same topics share one.
    pub fn route_views(&self) -> usize {
        let mut views: Vec<&RouteLog> = Vec::new();
        for link in self.links.values() {
            if !views.iter().any(|log| log.shares_with(&link.log)) {
                views.push(&link.log);
            }
        }
        views.len()
    }

    /// Every filter with a local subscriber.
    pub fn interest(&self) -> &BTreeSet<TopicFilter> {
        &self.interest
    }
}

fn first_state(config: &LinkConfig) -> (LinkState, String) {
    if !config.enabled {
        (LinkState::Disabled, "disabled by the operator".to_owned())
    } else if config.servers.is_empty() {
        (LinkState::Connecting, "waiting to be dialled: the link has no servers".to_owned())
    } else {
        (LinkState::Connecting, "not connected yet".to_owned())
    }
}
