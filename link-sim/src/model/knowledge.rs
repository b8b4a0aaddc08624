//! What every node must know of what every other one wants.
//!
//! ```text
//!  b wants t            ____________________________________________
//!  connection a-b  ______________             ______________________
//!                       |--news--|
//!  a forwards t to b    may       must        must (routes stay)
//! ```
//!
//! What node `a` knows of topic `t` at node `b` is certain when the connection has been good, and `b`'s interest has not
//! changed, for the time `news`. It stays certain until `b`'s interest changes, `a` loses its memory, or the time of
//! retention is over; whatever happens to the connection.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    network::AGAIN,
    plan::{Site, Topology},
};

/// What a node is to do with a message for a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    Must,
    MustNot,
    May,
}

pub(crate) struct Knowledge {
    topics: Vec<String>,
    news: Duration,
    /// How much longer than that what is no longer wanted may be known, since a cover of it lingers.
    linger: Duration,
    /// Names of clusters, by node.
    clusters: Vec<&'static str>,
    /// How many subscriptions of a node match each topic.
    counts: Vec<Vec<usize>>,
    /// Topics of the link of a node to a cluster, as far as they matter for each topic.
    imports: BTreeMap<(Site, &'static str), Vec<bool>>,
    /// When they changed last.
    imports_changed: BTreeMap<(Site, &'static str), Duration>,
    /// Links of a node that are switched off or not there.
    off: BTreeMap<(Site, &'static str), bool>,
    /// By (who forwards, who wants).
    known: BTreeMap<(Site, Site), Vec<Known>>,
    /// When the host of a node had its durable sessions again.
    restored: Vec<Duration>,
    /// When a node forgot what it knew of another one, by (who knew, of whom).
    forgot: BTreeMap<(Site, Site), Duration>,
    /// By pairs, the smaller first.
    paths: BTreeMap<(Site, Site), Path>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    since: Duration,
    certain: Option<bool>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Path {
    /// The connection that is good, and since when.
    ready: Option<(u32, Duration)>,
    /// Something is wrong until then.
    disturbed: Duration,
}

impl Knowledge {
    pub(crate) fn new(topology: &Topology, topics: Vec<String>, news: Duration, linger: Duration) -> Self {
        let sites = topology.sites();
        let clusters: Vec<&'static str> = (0..sites).map(|site| topology.cluster_of(site).0.name).collect();
        let mut imports = BTreeMap::new();
        for site in 0..sites {
            for link in topology.cluster_of(site).0.links {
                imports.insert((site, link.to), import_mask(&topics, link.topics));
            }
        }
        let nothing = vec![Known { since: Duration::ZERO, certain: Some(false) }; topics.len()];
        let pairs = topology.pairs();
        let both = pairs.iter().flat_map(|(a, b)| [(*a, *b), (*b, *a)]);
        Self {
            counts: vec![vec![0; topics.len()]; sites],
            known: both.map(|pair| (pair, nothing.clone())).collect(),
            paths: pairs.into_iter().map(|pair| (pair, Path::default())).collect(),
            imports,
            imports_changed: BTreeMap::new(),
            restored: vec![Duration::ZERO; sites],
            forgot: BTreeMap::new(),
            off: BTreeMap::new(),
            clusters,
            topics,
            news,
            linger,
        }
    }

    /// Subscriptions of a node begin and end.
    pub(crate) fn change(&mut self, now: Duration, site: Site, ended: &[String], begun: &[String]) {
        self.with_flips(now, site, |model| {
            for (at, topic) in model.topics.iter().enumerate() {
                let more = begun.iter().filter(|filter| super::matches(filter, topic)).count();
                let less = ended.iter().filter(|filter| super::matches(filter, topic)).count();
                model.counts[site][at] = (model.counts[site][at] + more).saturating_sub(less);
            }
        });
    }

    /// The topics of a node's link are these from now on.
    pub(crate) fn set_imports(&mut self, now: Duration, site: Site, cluster: &'static str, filters: &[&str]) {
        let mask = import_mask(&self.topics, filters);
        self.imports_changed.insert((site, cluster), now);
        self.with_flips(now, site, |model| drop(model.imports.insert((site, cluster), mask)));
    }

    /// The host of a node has its durable sessions again from then on: a peer that does not know of them yet learns it.
    pub(crate) fn restores(&mut self, site: Site, at: Duration) {
        self.restored[site] = at;
    }

    /// A node's link is switched on or off.
    pub(crate) fn set_off(&mut self, site: Site, cluster: &'static str, off: bool) {
        self.off.insert((site, cluster), off);
    }

    /// Whether a node's link is switched off or not there.
    pub(crate) fn is_off(&self, site: Site, cluster: &'static str) -> bool {
        self.off.get(&(site, cluster)).copied().unwrap_or_default()
    }

    /// A node has forgotten what it knew of another one.
    pub(crate) fn forgot(&mut self, now: Duration, site: Site, of: Site) {
        self.forgot.insert((site, of), now);
        for known in self.known.get_mut(&(site, of)).into_iter().flatten() {
            *known = Known { since: now, certain: Some(false) };
        }
    }

    /// Node `a` has acknowledged a filter that node `b` wants: it must know of it from now on. Says whether that was not
    /// certain before. What it acknowledged before it forgot all, over the connection that broke with that, says nothing.
    pub(crate) fn acknowledged(&mut self, a: Site, b: Site, filter: &str) -> bool {
        let since = self.paths.get(&pair(a, b)).and_then(|path| path.ready).map(|(_, since)| since);
        let forgot = self.forgot.get(&(a, b)).copied();
        if since.is_none_or(|since| forgot.is_some_and(|forgot| forgot > since)) {
            return false;
        }
        let mut news = false;
        for topic in 0..self.topics.len() {
            if super::matches(filter, &self.topics[topic]) && self.wanted(b, a, topic) {
                let known = self.known.get_mut(&(a, b)).and_then(|known| known.get_mut(topic));
                news |= known.is_some_and(|known| known.certain.replace(true) != Some(true));
            }
        }
        news
    }

    /// A connection of two nodes is good.
    pub(crate) fn joined(&mut self, now: Duration, wire: u32, a: Site, b: Site) {
        self.settle(now, a, b);
        if let Some(path) = self.paths.get_mut(&pair(a, b)) {
            path.ready = Some((wire, now));
        }
        self.may_learn(a, b);
        self.may_learn(b, a);
    }

    /// Node `a` hears of the routes of node `b`, by whichever connection: it may know them now.
    pub(crate) fn may_learn(&mut self, a: Site, b: Site) {
        let wanted: Vec<bool> = (0..self.topics.len()).map(|topic| self.wanted(b, a, topic)).collect();
        for (known, wanted) in self.known.get_mut(&(a, b)).into_iter().flatten().zip(wanted) {
            if known.certain != Some(wanted) {
                known.certain = None;
            }
        }
    }

    /// A connection of two nodes is not good any more.
    pub(crate) fn parted(&mut self, now: Duration, wire: u32, a: Site, b: Site) {
        self.settle(now, a, b);
        if let Some(path) = self.paths.get_mut(&pair(a, b))
            && path.ready.is_some_and(|(ready, _)| ready == wire)
        {
            path.ready = None;
        }
    }

    /// The connections of two nodes may be slow or still until then.
    pub(crate) fn disturbed(&mut self, now: Duration, a: Site, b: Site, until: Duration) {
        self.settle(now, a, b);
        if let Some(path) = self.paths.get_mut(&pair(a, b)) {
            path.disturbed = path.disturbed.max(until);
        }
    }

    /// Whatever was wrong is over.
    pub(crate) fn healed(&mut self, now: Duration) {
        for (a, b) in self.paths.keys().copied().collect::<Vec<_>>() {
            self.settle(now, a, b);
        }
        for path in self.paths.values_mut() {
            path.disturbed = path.disturbed.min(now + AGAIN * 2);
        }
    }

    /// Looks at what has become certain for a node.
    pub(crate) fn settle_all(&mut self, now: Duration, site: Site) {
        for other in 0..self.clusters.len() {
            self.settle(now, site, other);
        }
    }

    /// What node `a` is to do with a message on a topic, for node `b`.
    pub(crate) fn expected(&mut self, now: Duration, a: Site, b: Site, topic: usize) -> Expected {
        self.settle(now, a, b);
        self.known(a, b, topic)
    }

    /// As [`expected`](Self::expected), as of the last time that it was settled.
    pub(crate) fn known(&self, a: Site, b: Site, topic: usize) -> Expected {
        if self.is_off(a, self.clusters[b]) {
            return Expected::MustNot;
        }
        match self.known.get(&(a, b)).and_then(|known| known.get(topic)).map(|known| known.certain) {
            Some(Some(true)) => Expected::Must,
            Some(Some(false)) | None => Expected::MustNot,
            Some(None) => Expected::May,
        }
    }

    /// Whether node `b` wants a topic of node `a`.
    pub(crate) fn wanted(&self, b: Site, a: Site, topic: usize) -> bool {
        self.counts[b][topic] > 0 && self.imports.get(&(b, self.clusters[a])).is_some_and(|imports| imports[topic])
    }

    /// Whether node `b` may have refused a message of node `a` on a topic, accepted at `since`, as not imported.
    pub(crate) fn may_refuse(&self, b: Site, a: Site, topic: usize, since: Duration) -> bool {
        let link = (b, self.clusters[a]);
        let imported = self.imports.get(&link).is_some_and(|imports| imports[topic]);
        !imported || self.imports_changed.get(&link).is_some_and(|at| *at + self.news * 4 >= since)
    }

    /// Whether node `b` imports a topic of node `a`, or did a moment ago.
    pub(crate) fn imports_now(&self, b: Site, a: Site, topic: usize, now: Duration) -> bool {
        let link = (b, self.clusters[a]);
        let moment = Duration::from_millis(2);
        self.imports.get(&link).is_some_and(|imports| imports[topic])
            || self.imports_changed.get(&link).is_some_and(|at| *at + moment >= now)
    }

    pub(crate) fn topics(&self) -> &[String] {
        &self.topics
    }

    pub(crate) fn topic(&self, text: &str) -> Option<usize> {
        self.topics.iter().position(|topic| topic == text)
    }

    /// What has been true for long enough becomes certain.
    fn settle(&mut self, now: Duration, a: Site, b: Site) {
        let Some(Path { ready: Some((_, ready)), disturbed }) = self.paths.get(&pair(a, b)).copied() else { return };
        for (a, b) in [(a, b), (b, a)] {
            for topic in 0..self.topics.len() {
                let wanted = self.wanted(b, a, topic);
                let news = if wanted { self.news } else { self.news + self.linger };
                let Some(known) = self.known.get_mut(&(a, b)).and_then(|known| known.get_mut(topic)) else { continue };
                if ready.max(disturbed).max(known.since).max(self.restored[b]).saturating_add(news) <= now {
                    known.certain = Some(wanted);
                }
            }
        }
    }

    fn with_flips(&mut self, now: Duration, site: Site, change: impl FnOnce(&mut Self)) {
        let others: Vec<Site> = (0..self.clusters.len()).filter(|a| self.known.contains_key(&(*a, site))).collect();
        let mut before = Vec::new();
        for other in &others {
            self.settle(now, *other, site);
            before.push((0..self.topics.len()).map(|topic| self.wanted(site, *other, topic)).collect::<Vec<_>>());
        }
        change(self);
        for (other, before) in others.into_iter().zip(before) {
            for (topic, before) in before.into_iter().enumerate() {
                let flipped = self.wanted(site, other, topic) != before;
                if let Some(known) = self.known.get_mut(&(other, site)).filter(|_| flipped) {
                    known[topic] = Known { since: now, certain: None };
                }
            }
        }
    }
}

fn import_mask(topics: &[String], filters: &[&str]) -> Vec<bool> {
    topics.iter().map(|topic| filters.iter().any(|filter| super::matches(filter, topic))).collect()
}

fn pair(a: Site, b: Site) -> (Site, Site) {
    (a.min(b), a.max(b))
}
