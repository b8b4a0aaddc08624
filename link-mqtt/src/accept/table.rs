use std::{collections::BTreeMap, sync::Arc};

use super::{
    AcceptorLimits, ClientInfo,
    channel::{Bundle, Channel, Key, same_user},
};
use crate::topic::{Direction, LinkTopic};

/// Who may use which topic.
#[derive(Default)]
pub(super) struct Table {
    bundles: BTreeMap<Key, Arc<Bundle>>,
    /// By `up` topic.
    topics: BTreeMap<String, Arc<Channel>>,
    /// By client id: a client carries one channel at a time.
    clients: BTreeMap<String, Arc<Channel>>,
    /// Ends that the host still owes, of clients whose id was taken over: they are not the end of the new client.
    owed: BTreeMap<String, u32>,
    /// Rises with each connection.
    opened: u64,
}

/// Most client ids whose ends are waited for; beyond, such an end may close a connection, which then dials again.
const MOST_OWED: usize = 1_024;

/// A connection that ends to make room, and why.
type Ended = (Arc<Bundle>, String);

impl Table {
    pub(super) fn channel(&self, up: &str) -> Option<Arc<Channel>> {
        self.topics.get(up).cloned()
    }

    /// Whether the client may open this channel; the error says why not.
    pub(super) fn check(&self, client: &ClientInfo, topic: &LinkTopic, limits: &AcceptorLimits) -> Result<(), String> {
        if let Some(bundle) = self.bundles.get(&key(topic)) {
            if bundle.channels != topic.channels {
                return Err(format!("the connection has {} channels, not {}", bundle.channels, topic.channels));
            }
            if !same_user(&bundle.owner, client) {
                return Err("the connection belongs to another user".to_owned());
            }
            if let Some(channel) = bundle.member(topic.channel)
                && channel.client_id != client.client_id
            {
                return Err("the topic belongs to another client".to_owned());
            }
            if let Some(other) = self.clients.get(&client.client_id)
                && Arc::ptr_eq(&other.bundle, bundle)
                && other.index != topic.channel
            {
                return Err(format!("the client carries channel {} of this connection already", other.index));
            }
            return Ok(());
        }
        if topic.channels > limits.max_channels {
            return Err(format!("{} channels are over the limit of {}", topic.channels, limits.max_channels));
        }
        if self.bundles.len() >= limits.max_connections && self.oldest_unfinished(|_| true).is_none() {
            return Err(format!("the limit of {} connections is reached", limits.max_connections));
        }
        Ok(())
    }

    /// Binds the channel to the client. Also gives the connections that are over by that: the one that the client
    /// carried before, and unfinished ones that are too many.
    pub(super) fn bind(
        &mut self,
        client: &ClientInfo,
        topic: &LinkTopic,
        limits: &AcceptorLimits,
    ) -> Result<(Arc<Channel>, Vec<Ended>), String> {
        self.check(client, topic, limits)?;
        let key = key(topic);
        let known = self.bundles.get(&key).cloned();
        if let Some(channel) = known.as_ref().and_then(|bundle| bundle.member(topic.channel)) {
            return Ok((channel, Vec::new()));
        }
        let mut ended = Vec::new();
        if let Some(channel) = self.clients.remove(&client.client_id) {
            // The host has not reported the end of the client that had this id.
            if self.owed.len() < MOST_OWED {
                *self.owed.entry(client.client_id.clone()).or_default() += 1;
            }
            ended.push((channel.bundle.clone(), format!("client `{}` has connected again", client.client_id)));
        }
        let bundle = match known {
            Some(bundle) => bundle,
            None => {
                ended.extend(self.make_room(client, limits));
                self.opened += 1;
                let bundle = Arc::new(Bundle::new(key.clone(), topic.channels, client.clone(), self.opened));
                self.bundles.insert(key, bundle.clone());
                bundle
            }
        };
        let topics = (topic.towards(Direction::Up).to_string(), topic.towards(Direction::Down).to_string());
        let channel = Arc::new(Channel::new(
            bundle.clone(),
            topic.channel,
            client.client_id.clone(),
            topics,
            limits.inbound_bytes,
        ));
        bundle.join(&channel);
        self.topics.insert(channel.up.clone(), channel.clone());
        self.clients.insert(client.client_id.clone(), channel.clone());
        Ok((channel, ended))
    }

    /// Unfinished connections that a new one of this client pushes out: clients that never finish must not keep their
    /// user, or others, out for ever.
    fn make_room(&self, client: &ClientInfo, limits: &AcceptorLimits) -> Vec<Ended> {
        let own = |bundle: &Bundle| same_user(&bundle.owner, client);
        let unfinished = self.bundles.values().filter(|bundle| !bundle.is_open() && own(bundle)).count();
        let oldest = if unfinished >= limits.max_unfinished {
            self.oldest_unfinished(own)
        } else if self.bundles.len() >= limits.max_connections {
            self.oldest_unfinished(|_| true)
        } else {
            None
        };
        oldest.map(|bundle| (bundle, "newer connections came before it was complete".to_owned())).into_iter().collect()
    }

    fn oldest_unfinished(&self, which: impl Fn(&Bundle) -> bool) -> Option<Arc<Bundle>> {
        let candidates = self.bundles.values().filter(|bundle| !bundle.is_open() && which(bundle));
        candidates.min_by_key(|bundle| bundle.opened).cloned()
    }

    /// The connection that ends with this client.
    pub(super) fn disconnected(&mut self, client_id: &str) -> Option<Arc<Bundle>> {
        if let Some(owed) = self.owed.get_mut(client_id) {
            *owed -= 1;
            if *owed == 0 {
                self.owed.remove(client_id);
            }
            return None;
        }
        self.clients.remove(client_id).map(|channel| channel.bundle.clone())
    }

    /// Forgets a connection; gives the clients that still carry it.
    pub(super) fn remove(&mut self, bundle: &Arc<Bundle>) -> Vec<String> {
        if self.bundles.get(&bundle.key).is_some_and(|known| Arc::ptr_eq(known, bundle)) {
            self.bundles.remove(&bundle.key);
        }
        let mut clients = Vec::new();
        for channel in bundle.leave() {
            self.topics.remove(&channel.up);
            if self.clients.get(&channel.client_id).is_some_and(|known| Arc::ptr_eq(known, &channel)) {
                self.clients.remove(&channel.client_id);
                clients.push(channel.client_id.clone());
            }
        }
        clients
    }
}

fn key(topic: &LinkTopic) -> Key {
    Key { cluster: topic.cluster.clone(), node: topic.node.clone(), token: topic.token }
}
