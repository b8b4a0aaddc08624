//! HELLO, HELLO, READY: one round trip from a connection to a live session.
//!
//! ```text
//!  dialler                      acceptor
//!  HELLO  ------------------->  knows the dialler, checks names and identity
//!         <-------------------  HELLO: accepts; what it knows, holds and has received
//!  READY  ------------------->  the dialler's own life, what it holds and has received
//!  live from its HELLO on       live from READY on
//! ```
//!
//! Either answers with CLOSE instead, with a code and a sentence that both sides show.

use std::{sync::Arc, time::Duration};

use super::{ConnectionId, Node, Owner, PeerId, Timer};
use crate::{
    host::Origin,
    link::{Link, LinkId, LinkState, Phase, Role, RouteSending, Session},
    mutant::{self, Mutant},
    routes::{Cell, RouteKey},
    transport::Identity,
    wire::{Close, CloseCode, DATAGRAMS, Frame, Hello, Incarnation, LaneMark, PREADD, Ready, RoutePosition, VERSION},
};

/// A connection before it belongs to a peer.
pub(super) struct Greeting {
    pub(super) role: Role,
    /// The link for which this side dialled.
    pub(super) link: Option<LinkId>,
    pub(super) carrier: Carrier,
}

/// What the transport says of a connection.
#[derive(Debug, Clone)]
pub(super) struct Carrier {
    pub(super) identity: Identity,
    pub(super) channels: u16,
    /// Most bytes of a datagram, 0 for none.
    pub(super) datagrams: usize,
    /// Most bytes of a frame, if there is a limit.
    pub(super) max_frame: Option<usize>,
}

impl Carrier {
    /// What both the node, which takes so many bytes of a frame, and the transport take.
    fn most(&self, max_frame: u32) -> u32 {
        self.max_frame.map_or(max_frame, |most| max_frame.min(u32::try_from(most).unwrap_or(u32::MAX)))
    }
}

/// Why a HELLO is not accepted.
type Refusal = (CloseCode, String);

/// What a peer says it has of this side.
struct Resume {
    knows: Option<Incarnation>,
    holds: Option<RoutePosition>,
    received: Vec<LaneMark>,
    /// Of a sketch of all that it has of this side's routes.
    cells: Vec<Cell>,
}

impl Node {
    /// The dialler's HELLO. Which node will answer is not known yet: it says what it knows of the one that did last.
    pub(super) fn greet(&mut self, connection: ConnectionId, id: LinkId) {
        let Some(link) = self.links.get(&id) else { return };
        let last = self.peer_named(link, link.last_node.as_ref());
        let Some(Owner::Greeting(greeting)) = self.connections.get(&connection) else { return };
        let hello = self.hello(link, last, &greeting.carrier);
        self.send(connection, &Frame::Hello(Box::new(hello)));
    }

    pub(super) fn on_greeting_frame(&mut self, connection: ConnectionId, frame: Frame) {
        match frame {
            Frame::Hello(hello) => self.on_hello(connection, *hello),
            Frame::Close(close) => self.on_close(connection, &close),
            Frame::Unknown { .. } => {}
            _ => self.close(connection, CloseCode::Protocol, "the first frame is not HELLO"),
        }
    }

    fn on_hello(&mut self, connection: ConnectionId, hello: Hello) {
        let Some(Owner::Greeting(greeting)) = self.connections.get(&connection) else { return };
        let (role, carrier) = (greeting.role, greeting.carrier.clone());
        let meant = greeting.link.or_else(|| self.names.get(&hello.cluster).copied());
        let checked = match role {
            Role::Dialler => self.check_answer(meant, &hello),
            Role::Acceptor => self.check_offer(meant, &hello, &carrier.identity),
        };
        let admitted = checked
            .and_then(|link| self.take_over(link, connection, &hello).map(|()| link))
            .and_then(|link| self.admit(link, role, &hello).map(|peer| (link, peer)));
        let (link, peer) = match admitted {
            Ok(found) => found,
            Err((code, reason)) => {
                // The dialler's link is in the greeting, an offer for a known link is shown there too.
                if role == Role::Acceptor
                    && code.is_refusal()
                    && let Some(id) = meant
                {
                    self.note_refusal(
                        id,
                        &format!("refused `{}` at {}: {reason}", hello.cluster, carrier.identity.address),
                    );
                }
                return self.close(connection, code, &reason);
            }
        };
        self.bind(connection, peer, role, carrier.clone(), &hello);
        match role {
            Role::Acceptor => {
                let Some(link) = self.links.get(&link) else { return };
                let mut answer = self.hello(link, Some(peer), &carrier);
                answer.cells = self.first_cells(peer, &hello.routes, hello.kept_from);
                self.send(connection, &Frame::Hello(Box::new(answer)));
            }
            Role::Dialler => {
                self.adopt(peer, hello.incarnation, &hello.lanes);
                let Some(link) = self.links.get(&link) else { return };
                let mut ready = self.ready(link, peer);
                ready.cells = self.first_cells(peer, &hello.routes, hello.kept_from);
                self.send(connection, &Frame::Ready(ready));
                let resume =
                    Resume { knows: hello.knows, holds: hello.holds, received: hello.received, cells: hello.cells };
                self.go_live(connection, peer, &resume);
            }
        }
    }

    pub(super) fn on_ready(&mut self, connection: ConnectionId, peer: PeerId, ready: Ready) {
        let known = self.peers.get(&peer).and_then(|peer| peer.incarnation);
        if is_older(ready.incarnation, known) {
            return self.close(connection, CloseCode::Protocol, "READY is of an older life of the node");
        }
        if self.must_wait(peer, ready.incarnation) {
            return self.close(connection, CloseCode::Window, EARLIER_LIFE);
        }
        let Some(record) = self.peers.get_mut(&peer) else { return };
        if let Some(known) = ready.knows.filter(|known| is_older(record.life, Some(*known))) {
            record.raise_above(known);
            return self.close(connection, CloseCode::Restart, "this node starts a newer life");
        }
        if let Some(session) = self.session_mut(peer) {
            session.peer_routes = ready.routes;
        }
        self.adopt(peer, ready.incarnation, &ready.lanes);
        let resume = Resume { knows: ready.knows, holds: ready.holds, received: ready.received, cells: ready.cells };
        self.go_live(connection, peer, &resume);
        let early = self.session_mut(peer).map(|session| std::mem::take(&mut session.early)).unwrap_or_default();
        for batch in early {
            self.on_batch(connection, peer, batch);
        }
    }

    pub(super) fn on_close(&mut self, connection: ConnectionId, close: &Close) {
        let refused = close.code.is_refusal();
        let reason = format!("{} by the peer: {}", if refused { "refused" } else { "closed" }, close.reason);
        self.outputs.push_back(super::Output::Close { connection });
        self.gone(connection, Some(close.code), &reason);
    }

    fn check_offer(&self, link: Option<LinkId>, hello: &Hello, identity: &Identity) -> Result<LinkId, Refusal> {
        let own = &self.config.cluster;
        check_version(hello)?;
        if hello.cluster == *own {
            return Err((CloseCode::SelfLink, format!("this is cluster `{own}` itself")));
        }
        let Some(link) = link.and_then(|id| self.links.get(&id)) else {
            let reason = format!("cluster `{own}` has no link to `{}`", hello.cluster);
            return Err((CloseCode::UnknownCluster, reason));
        };
        if !link.config.enabled {
            return Err((CloseCode::Disabled, format!("the link to `{}` is disabled at `{own}`", link.name)));
        }
        if hello.expects != *own {
            let reason = format!("`{}` expects cluster `{}` here, but this is `{own}`", hello.cluster, hello.expects);
            return Err((CloseCode::WrongCluster, reason));
        }
        // Without a wish of the link the certificate must be of the cluster, where it says of which it is.
        let wanted = match &link.config.peer_identity {
            Some(wanted) => Some(wanted.as_str()),
            None => identity.names_cluster.then_some(hello.cluster.as_str()),
        };
        if let Some(wanted) = wanted
            && identity.user.as_deref() != Some(wanted)
            && !identity.certificate_names.iter().any(|name| name.eq_ignore_ascii_case(wanted))
        {
            let reason = format!("`{}` may not speak for cluster `{}`", shown(identity), hello.cluster);
            return Err((CloseCode::Identity, reason));
        }
        // The transport trusts the authorities of all links; each may speak for the clusters of its own.
        if let (Some(signed_by), Some(tls)) = (&identity.signed_by, &link.config.tls)
            && let Err(error) = signed_by.verify(&tls.ca)
        {
            let reason =
                format!("the certificate of `{}` is not of an authority of its link: {error}", shown(identity));
            return Err((CloseCode::Identity, reason));
        }
        Ok(link.id)
    }

    fn check_answer(&self, link: Option<LinkId>, hello: &Hello) -> Result<LinkId, Refusal> {
        let own = &self.config.cluster;
        check_version(hello)?;
        let Some(link) = link.and_then(|id| self.links.get(&id)) else {
            return Err((CloseCode::UnknownCluster, "the link was deleted".to_owned()));
        };
        if hello.cluster != link.name || hello.expects != *own {
            let reason = format!(
                "`{own}` expects cluster `{}` there, but it is `{}` and expects `{}`",
                link.name, hello.cluster, hello.expects
            );
            return Err((CloseCode::WrongCluster, reason));
        }
        Ok(link.id)
    }

    /// Finds or makes the peer of a checked HELLO, and decides between two connections to it.
    fn admit(&mut self, id: LinkId, role: Role, hello: &Hello) -> Result<PeerId, Refusal> {
        let Some(link) = self.links.get(&id) else {
            return Err((CloseCode::UnknownCluster, "the link was deleted".to_owned()));
        };
        let found = self.peer_named(link, Some(&hello.node));
        let own_wins = self.config.cluster < link.name;
        let peer = match found {
            Some(peer) => peer,
            None if link.peers.len() >= self.config.max_peers => {
                return Err((CloseCode::TooManyPeers, format!("`{}` has {} nodes here", link.name, link.peers.len())));
            }
            None => self.create_peer(id, &hello.node),
        };
        if let Some(old) = self.session(peer) {
            let (old_connection, old_role) = (old.connection, old.role);
            // The same side dialled again: it has lost the older connection. Both sides dialled: the connection of
            // the cluster with the smaller name stays, on both sides alike.
            let replace = old_role == role || (role == Role::Dialler) == own_wins;
            if !replace {
                if role == Role::Dialler
                    && let Some(link) = self.links.get_mut(&id)
                {
                    link.yielded_to = Some(peer);
                }
                return Err((CloseCode::Superseded, "there is a connection of the other side already".to_owned()));
            }
            if old_role == Role::Dialler
                && role == Role::Acceptor
                && let Some(link) = self.links.get_mut(&id)
            {
                link.yielded_to = Some(peer);
            }
            self.close(old_connection, CloseCode::Superseded, "a newer connection took over");
        }
        let Some(link) = self.links.get_mut(&id) else { return Ok(peer) };
        link.last_node = Some(hello.node.clone());
        let about_us = role == Role::Dialler || hello.about.as_ref() == Some(&self.config.node);
        let Some(record) = self.peers.get_mut(&peer) else { return Ok(peer) };
        if let Some(known) = hello.knows.filter(|known| about_us && is_older(record.life, Some(*known))) {
            record.raise_above(known);
        }
        let known = record.incarnation;
        if role == Role::Dialler && is_older(hello.incarnation, known) {
            // It did not know that it was asked for by name; the next HELLO tells it, if it goes to the same address.
            // Once: an address where an older life answers each time is not the only one to try.
            if let Some(link) = self.links.get_mut(&id) {
                link.ask_again = !link.asked_again;
            }
            return Err((CloseCode::Restart, "an older life of the node answered".to_owned()));
        }
        if role == Role::Dialler && self.must_wait(peer, hello.incarnation) {
            return Err((CloseCode::Window, EARLIER_LIFE.to_owned()));
        }
        Ok(peer)
    }

    /// Whether the host still has messages of two lives: a peer that begins life after life does not fill the memory.
    fn must_wait(&self, id: PeerId, incarnation: Incarnation) -> bool {
        self.peers
            .get(&id)
            .is_some_and(|peer| peer.incarnation != Some(incarnation) && peer.abandoned > 0 && peer.inbox.pending() > 0)
    }

    fn bind(&mut self, connection: ConnectionId, id: PeerId, role: Role, carrier: Carrier, hello: &Hello) {
        self.connections.insert(connection, Owner::Peer(id));
        self.set_scope(id, hello.scope);
        let now = self.now;
        if mutant::on(Mutant::ClearThenFill)
            && let Some(peer) = self.peers.get_mut(&id).filter(|peer| peer.incarnation != Some(hello.incarnation))
        {
            peer.replica.retire(&mut self.table);
            self.table_changed = true;
        }
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let max_frame = carrier.most(hello.max_frame) as usize;
        let Carrier { identity, channels, datagrams, max_frame: _ } = carrier;
        let agreed =
            hello.capabilities & DATAGRAMS != 0 && self.links.get(&peer.link).is_some_and(|link| link.config.datagrams);
        peer.replica.set_key(&mut self.table, RouteKey(hello.route_key));
        peer.replica.interrupted();
        // It is there.
        (peer.heard, peer.left) = (now, None);
        peer.session = Some(Session {
            connection,
            role,
            phase: Phase::AwaitReady,
            address: identity.address,
            channels,
            max_frame,
            window: hello.window as usize,
            control_queued: 0,
            data_queued: vec![0; usize::from(channels)],
            datagrams_queued: 0,
            datagrams: if agreed { datagrams.min(max_frame) } else { 0 },
            heard: now,
            routes: RouteSending {
                sent: 0,
                snapshot: None,
                reconciling: None,
                difference: None,
                comparisons: 0,
                warming: self.warming && hello.capabilities & PREADD != 0 && !mutant::on(Mutant::Cold),
                theirs: 0,
                confirmed: None,
                last: Duration::ZERO,
            },
            peer_routes: hello.routes,
            peer_warming: false,
            synced: false,
            heartbeat: None,
            round_trip: None,
            resuming: None,
            cells_asked: 0,
            routes_moved: false,
            early: Vec::new(),
            early_bytes: 0,
            route_faults: 0,
        });
    }

    /// Takes note of the peer's life; a new one starts the inbox anew.
    fn adopt(&mut self, id: PeerId, incarnation: Incarnation, lanes: &[LaneMark]) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if peer.incarnation != Some(incarnation) {
            peer.abandoned += peer.inbox.pending();
            peer.incarnation = Some(incarnation);
            peer.epoch = peer.epoch.wrapping_add(1);
            peer.inbox.restart(lanes);
        } else {
            peer.inbox.resume(lanes);
        }
    }

    fn go_live(&mut self, connection: ConnectionId, id: PeerId, resume: &Resume) {
        self.timers.clear(Timer::Handshake(connection));
        let yields = self.peers.get(&id).is_some_and(|peer| self.yields(peer.link));
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let Some(link) = self.links.get_mut(&peer.link) else { return };
        let received = (resume.knows == Some(peer.life)).then_some(resume.received.as_slice());
        let (window, max_frame) = peer.session.as_ref().map_or((0, 0), |session| (session.window, session.max_frame));
        if let Err(fault) = peer.outbox.resume(received, window, max_frame) {
            return self.close(connection, CloseCode::Protocol, &fault.to_string());
        }
        if link.dialled == Some(connection) {
            link.yielded_to = None;
        } else if link.dialled.is_none() && !yields {
            link.yielded_to = Some(id);
        }
        let (link, heartbeat, holds) = (link.id, link.config.heartbeat, resume.holds);
        if let Some(session) = &mut peer.session {
            session.phase = Phase::Live;
            session.heard = self.now;
        }
        peer.gate.live.store(true, std::sync::atomic::Ordering::Relaxed);
        peer.state = LinkState::Syncing;
        peer.since = self.now;
        self.timers.clear(Timer::Retention(id));
        self.timers.clear(Timer::Dial(link));
        self.timers.set(Timer::Heartbeat(id), self.now + heartbeat);
        self.timers.set(Timer::Silence(id), self.now + heartbeat * 3);
        self.timers.set(Timer::Sweep(id), self.now + super::messages::SWEEP_EVERY);
        self.link_state(link, LinkState::Syncing, "connected".to_owned());
        self.show_syncing(id);
        self.route_peer(id);
        self.expect_routes(id);
        self.tell_retired(id);
        self.begin_additions(connection, id);
        self.resume_routes(connection, id, holds, &resume.cells);
        self.check_synced(id);
        self.check_part(id);
        self.dirty.insert(id);
    }

    fn hello(&self, link: &Link, peer: Option<PeerId>, carrier: &Carrier) -> Hello {
        let peer = peer.and_then(|peer| self.peers.get(&peer));
        let life = peer.map_or(link.incarnation, |peer| peer.life);
        Hello {
            min_version: VERSION,
            max_version: VERSION,
            cluster: self.config.cluster.clone(),
            node: self.config.node.clone(),
            expects: link.name.clone(),
            about: peer.map(|peer| peer.node.clone()),
            incarnation: life,
            knows: peer.and_then(|peer| peer.incarnation),
            capabilities: PREADD | if carrier.datagrams > 0 && link.config.datagrams { DATAGRAMS } else { 0 },
            scope: self.config.scope,
            max_frame: carrier.most(self.config.limits.max_frame),
            window: link.config.window,
            imports: link.config.topics.clone(),
            route_key: link.log.key().0,
            routes: link.announced_in(life),
            holds: peer.and_then(|peer| peer.replica.position()),
            lanes: peer.map(|peer| peer.outbox.bases()).unwrap_or_default(),
            received: peer.map(|peer| peer.inbox.watermarks()).unwrap_or_default(),
            kept_from: link.log.kept_from(),
            cells: Vec::new(),
        }
    }

    fn ready(&self, link: &Link, peer: PeerId) -> Ready {
        let peer = self.peers.get(&peer);
        let life = peer.map_or(link.incarnation, |peer| peer.life);
        Ready {
            incarnation: life,
            routes: link.announced_in(life),
            lanes: peer.map(|peer| peer.outbox.bases()).unwrap_or_default(),
            knows: peer.and_then(|peer| peer.incarnation),
            holds: peer.and_then(|peer| peer.replica.position()),
            received: peer.map(|peer| peer.inbox.watermarks()).unwrap_or_default(),
            cells: Vec::new(),
        }
    }

    pub(super) fn peer_named(&self, link: &Link, node: Option<&crate::link::NodeName>) -> Option<PeerId> {
        let node = node?;
        link.peers.iter().copied().find(|id| self.peers.get(id).is_some_and(|peer| peer.node == *node))
    }

    /// Where messages of a peer come from, for the host.
    pub(super) fn origin(cluster: &crate::link::ClusterName, node: &crate::link::NodeName) -> Arc<Origin> {
        Arc::new(Origin { cluster: cluster.clone(), node: node.clone() })
    }
}

const EARLIER_LIFE: &str = "the host still has messages of earlier lives of this node";

/// Whether `life` can't follow on `known`: it is another one, and its counter is not higher.
fn is_older(life: Incarnation, known: Option<Incarnation>) -> bool {
    known.is_some_and(|known| life != known && life.counter <= known.counter)
}

fn check_version(hello: &Hello) -> Result<(), Refusal> {
    if (hello.min_version..=hello.max_version).contains(&VERSION) {
        return Ok(());
    }
    let Hello { min_version, max_version, .. } = hello;
    Err((CloseCode::Version, format!("this side speaks version {VERSION}, the peer {min_version} to {max_version}")))
}

fn shown(identity: &Identity) -> String {
    identity.user.clone().or_else(|| identity.certificate_names.first().cloned()).unwrap_or_else(|| "nobody".to_owned())
}
