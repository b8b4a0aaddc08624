//! From the wish for a connection to a connection, and from its end to the next attempt.

use std::time::Duration;

use super::{
    ConnectionId, DialId, Node, Output, Owner, PeerId, Timer,
    handshake::{Carrier, Greeting},
    status::printable,
};
use crate::{
    link::{LinkId, LinkState, Role},
    transport::{DialError, Identity},
    wire::{CloseCode, Retry},
};

impl Node {
    /// Plans an attempt, unless the peer is connected in a way that makes one needless.
    pub(super) fn plan_dial(&mut self, link: LinkId, pause: Duration) {
        if self.should_dial(link) {
            self.timers.set(Timer::Dial(link), self.now + pause);
        }
    }

    pub(super) fn dial(&mut self, id: LinkId) {
        if !self.should_dial(id) {
            return;
        }
        let Some(link) = self.links.get_mut(&id) else { return };
        let server = link.next_server % link.config.servers.len().max(1);
        link.dialled_at = server;
        link.asked_again = std::mem::take(&mut link.ask_again);
        let Some((dial, request)) = self.request(id, server) else { return };
        if let Some(link) = self.links.get_mut(&id).filter(|link| link.state == LinkState::Connecting) {
            link.reason = format!("connecting to {}", request.endpoint);
        }
        self.outputs.push_back(Output::Dial { dial, request });
        self.changed(id);
    }

    fn should_dial(&self, id: LinkId) -> bool {
        let Some(link) = self.links.get(&id) else { return false };
        link.config.enabled
            && !link.config.servers.is_empty()
            && link.dialling.is_none()
            && link.dialled.is_none()
            && link.returning.is_none()
            && !self.yields(id)
    }

    /// Whether a connection that the peer dialled makes one from here needless.
    pub(super) fn yields(&self, id: LinkId) -> bool {
        let peer = self.links.get(&id).and_then(|link| link.yielded_to);
        peer.is_some_and(|peer| self.session(peer).is_some())
    }

    fn was_dialled_by(&self, peer: PeerId) -> bool {
        self.session(peer).is_some_and(|session| session.role == Role::Acceptor)
    }

    pub(super) fn on_connected(&mut self, connection: ConnectionId, dial: Option<DialId>, carrier: Carrier) {
        let link = match dial {
            None => {
                let strangers = self
                    .connections
                    .values()
                    .filter(|owner| matches!(owner, Owner::Greeting(g) if g.role == Role::Acceptor))
                    .count();
                if strangers >= self.config.max_strangers {
                    tracing::warn!(
                        address = carrier.identity.address,
                        "too many connections that have not greeted: refused one"
                    );
                    return self.outputs.push_back(Output::Close { connection });
                }
                None
            }
            Some(dial) => {
                let Some(link) = self.dials.remove(&dial).and_then(|id| self.links.get_mut(&id)) else {
                    return self.outputs.push_back(Output::Close { connection });
                };
                link.dialling = None;
                if link.returning_dial.take_if(|returning| *returning == dial).is_some() {
                    link.returning = Some(connection);
                } else {
                    link.dialled = Some(connection);
                }
                Some((link.id, link.config.connect_timeout))
            }
        };
        let patience = link.map_or(Duration::from_secs(10), |(_, patience)| patience);
        self.timers.set(Timer::Handshake(connection), self.now + patience);
        let role = if link.is_some() { Role::Dialler } else { Role::Acceptor };
        let link = link.map(|(id, _)| id);
        self.connections.insert(connection, Owner::Greeting(Greeting { role, link, carrier }));
        if let Some(link) = link {
            self.greet(connection, link);
        }
    }

    pub(super) fn on_dial_failed(&mut self, dial: DialId, error: &DialError) {
        let Some(id) = self.dials.remove(&dial) else { return };
        let Some(link) = self.links.get_mut(&id) else { return };
        link.dialling = None;
        let reason = printable(&error.to_string()).into_owned();
        tracing::info!(link = %link.name, reason, "could not connect");
        if self.return_failed(id, dial) {
            return;
        }
        let Some(link) = self.links.get_mut(&id) else { return };
        let refused = !matches!(error, DialError::Unreachable { .. });
        if refused {
            link.last_refusal = Some(reason.clone());
        }
        let state = if refused { LinkState::Refused } else { LinkState::Connecting };
        self.link_state(id, state, reason);
        self.next_attempt(id, refused);
    }

    /// Plans the next attempt: at once at the next address, after a pause when all were tried.
    fn next_attempt(&mut self, id: LinkId, refused: bool) {
        let Some(link) = self.links.get_mut(&id) else { return };
        if link.ask_again {
            let pause = link.backoff.fail(&mut self.rng);
            return self.plan_dial(id, pause);
        }
        link.next_server = link.next_server.wrapping_add(1);
        let round_over = link.next_server >= link.config.servers.len();
        let pause = if !round_over {
            Duration::ZERO
        } else {
            link.next_server = 0;
            if refused { link.backoff.refused(&mut self.rng) } else { link.backoff.fail(&mut self.rng) }
        };
        self.plan_dial(id, pause);
    }

    pub(super) fn on_lost(&mut self, connection: ConnectionId, reason: &str) {
        self.outputs.push_back(Output::Close { connection });
        self.gone(connection, None, reason);
    }

    /// The transport turned a peer away. The link that it spoke for learns why.
    pub(super) fn on_refused(&mut self, identity: &Identity, reason: &str) {
        let whom = |user: Option<&String>| user.map(|user| format!(" (user `{user}`)")).unwrap_or_default();
        let sentence = format!("turned away `{}`{}: {reason}", identity.address, whom(identity.user.as_ref()));
        let sentence = printable(&sentence);
        tracing::warn!("{sentence}");
        let meant = self.links.values().find(|link| {
            let by_user = link.config.peer_identity.is_some() && link.config.peer_identity == identity.user;
            by_user || identity.address.starts_with(&format!("from-{}-", link.name))
        });
        if let Some(id) = meant.map(|link| link.id) {
            self.note_refusal(id, &sentence);
        }
    }

    /// Remembers why one side refused the other, and shows it unless the link works all the same.
    pub(super) fn note_refusal(&mut self, id: LinkId, sentence: &str) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let sentence = printable(sentence).into_owned();
        link.last_refusal = Some(sentence.clone());
        self.link_state(id, LinkState::Refused, sentence);
    }

    /// A connection has ended; plans what follows. `code` is the reason if one side closed it on purpose.
    pub(super) fn gone(&mut self, connection: ConnectionId, code: Option<CloseCode>, reason: &str) {
        let reason = &*printable(reason);
        self.timers.clear(Timer::Handshake(connection));
        let mut was_live = false;
        let link = match self.connections.remove(&connection) {
            None => return,
            Some(Owner::Greeting(greeting)) => greeting.link,
            Some(Owner::Peer(peer)) => {
                was_live = self.session(peer).is_some_and(|session| session.is_live());
                self.disconnected(peer, reason);
                if code == Some(CloseCode::Shutdown) {
                    self.replace(peer);
                }
                self.peers.get(&peer).map(|peer| peer.link)
            }
        };
        let Some(id) = link else { return };
        if self.return_ended(id, connection, code) {
            return;
        }
        let refused = code.is_some_and(CloseCode::is_refusal);
        if refused {
            self.note_refusal(id, reason);
        }
        let Some(link) = self.links.get_mut(&id) else { return };
        tracing::info!(link = %link.name, reason, "connection ended");
        if was_live && link.dialled == Some(connection) {
            // A new round, after a pause: a peer that ends each connection is not dialled without rest.
            link.next_server = link.config.servers.len();
        }
        if !refused && (was_live || link.state != LinkState::Refused) {
            let waits = !was_live && link.state == LinkState::Connecting;
            let state = if waits { LinkState::Connecting } else { LinkState::Down };
            self.link_state(id, state, reason.to_owned());
        }
        self.after_end(id, connection, code.map_or(Retry::Backoff, CloseCode::retry));
    }

    fn after_end(&mut self, id: LinkId, connection: ConnectionId, retry: Retry) {
        let dialled_by_peer = self.peers_of(id).into_iter().find(|peer| self.was_dialled_by(*peer));
        let Some(link) = self.links.get_mut(&id) else { return };
        if link.dialled == Some(connection) {
            link.dialled = None;
            if retry == Retry::No && dialled_by_peer.is_some() {
                // It went live while the attempt was under way.
                link.yielded_to = dialled_by_peer;
            }
            match retry {
                // Once: a peer that restarts again and again is met with the usual pause.
                Retry::AtOnce if link.backoff.failures() == 0 => {
                    let _ = link.backoff.fail(&mut self.rng);
                    self.plan_dial(id, Duration::ZERO);
                }
                Retry::LongPause => self.next_attempt(id, true),
                Retry::AtOnce | Retry::Backoff | Retry::No => self.next_attempt(id, false),
            }
        } else {
            // A peer that had dialled may have been the reason not to dial.
            let pause = link.backoff.fail(&mut self.rng);
            self.plan_dial(id, pause);
        }
    }

    pub(super) fn link_state(&mut self, id: LinkId, state: LinkState, reason: String) {
        let now = self.now;
        let Some(link) = self.links.get_mut(&id) else { return };
        if link.state != state {
            link.since = now;
        }
        link.state = state;
        link.reason = reason;
        self.changed(id);
    }

    /// The session of a peer is over. What is queued for it stays.
    fn disconnected(&mut self, id: PeerId, reason: &str) {
        for timer in [Timer::Heartbeat(id), Timer::Silence(id), Timer::Routes(id)] {
            self.timers.clear(timer);
        }
        self.dirty.remove(&id);
        self.expect_back(id);
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if let Some(session) = peer.session.take() {
            peer.heard = session.heard;
        }
        peer.left = peer.left.filter(|left| peer.heard <= *left);
        let has_left = peer.left.is_some();
        peer.gate.live.store(false, std::sync::atomic::Ordering::Relaxed);
        peer.outbox.link_down();
        peer.state = LinkState::Down;
        peer.reason = reason.to_owned();
        peer.since = self.now;
        let (link, retention) = (peer.link, self.links.get(&peer.link).map(|link| link.config.retention));
        if let Some(retention) = retention {
            let retention = if has_left { Duration::ZERO } else { retention };
            self.timers.set(Timer::Retention(id), self.now + retention);
        }
        self.changed(link);
        self.check_barriers(link);
    }
}
