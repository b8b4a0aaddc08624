//! Every message, for every node that it was accepted for.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use link_core::{
    message::QoS,
    node::{ConnectionId, Way},
};

use crate::plan::Site;

/// A message that a node accepted for another one.
#[derive(Debug, Clone)]
pub(crate) struct Accepted {
    pub(crate) number: u64,
    pub(crate) publisher: usize,
    /// The how manieth message of its publisher it is.
    pub(crate) turn: u64,
    pub(crate) topic: usize,
    pub(crate) qos: QoS,
    pub(crate) expiry: Option<Duration>,
    pub(crate) at: Duration,
    /// The sender's clock.
    pub(crate) clock: Duration,
    /// The life of the sender's link.
    pub(crate) era: u32,
}

#[derive(Debug)]
struct Copy {
    accepted: Accepted,
    /// How often the host took it.
    taken: u32,
    /// In which life of the receiver it was taken last.
    taken_in: u32,
    /// The sender has read that it was taken.
    told: bool,
    refused: bool,
    /// The sender has lost it, or forgot the peer.
    gone: bool,
}

/// What of the messages between two nodes, accepted in one life of the sender, did not arrive.
#[derive(Debug, Default)]
pub(crate) struct Missing {
    pub(crate) accepted: u64,
    pub(crate) taken: u64,
    /// Not taken by the host.
    pub(crate) missing: Vec<Accepted>,
    /// Taken, though the sender can't have read it before the receiver died: it may count them as something else.
    pub(crate) ambiguous: u64,
    /// Refused by the host.
    pub(crate) refused: u64,
}

/// Where a message stands between two nodes: who sends, who receives, the sender's life, the way and the number there.
type Place = (Site, Site, u32, Way, u64);

#[derive(Debug, Default)]
pub(crate) struct Copies {
    copies: BTreeMap<(Site, Site, u64), Copy>,
    /// Taken by the host, and the sender has not read it yet.
    untold: BTreeMap<Place, u64>,
    /// In the hands of a host, with the receiver's life in which they came.
    open: BTreeSet<(Place, u32)>,
    /// The last message of a publisher that was taken, by (publisher, sender, receiver, receiver's life).
    last: BTreeMap<(usize, Site, Site, u32), u64>,
    /// Taken in a life of the receiver that is over, and not known to the sender.
    ambiguous: BTreeSet<(Site, Site, u64)>,
    pub(crate) total: u64,
}

impl Copies {
    pub(crate) fn accepted(&mut self, from: Site, to: Site, accepted: Accepted) {
        self.total += 1;
        let copy = Copy { taken: 0, taken_in: 0, told: false, refused: false, gone: false, accepted };
        self.copies.insert((from, to, copy.accepted.number), copy);
    }

    /// In which life of the sender a message was accepted.
    pub(crate) fn era(&self, from: Site, to: Site, number: u64) -> Option<u32> {
        self.copies.get(&(from, to, number)).map(|copy| copy.accepted.era)
    }

    /// A node hands a message to its host. `to_era` is the receiver's life.
    pub(crate) fn handed(&mut self, place: Place, to_era: u32) {
        self.open.insert((place, to_era));
    }

    /// A host is done with a message that it got in a life of the receiver, and it is another life `now`.
    pub(crate) fn taken(&mut self, place: Place, number: u64, now: u32, refused: bool) -> Result<(), String> {
        let (from, to, _, way, _) = place;
        let Some(to_era) = self.open.range((place, 0)..=(place, u32::MAX)).map(|(_, era)| *era).next() else {
            return Err(format!("message {number} was not handed to the host"));
        };
        self.open.remove(&(place, to_era));
        let Some(copy) = self.copies.get_mut(&(from, to, number)) else {
            return Err(format!("message {number} came from a node that did not accept it for this one"));
        };
        if refused {
            copy.refused = true;
            return Ok(());
        }
        if copy.taken > 0 && copy.taken_in == to_era {
            return Err(format!("message {number} came twice"));
        }
        if copy.taken > 0 && copy.told {
            return Err(format!("message {number} came again, though the sender knew that it was taken"));
        }
        let Accepted { publisher, turn, .. } = copy.accepted;
        if matches!(way, Way::Lane(_)) {
            let last = self.last.entry((publisher, from, to, to_era)).or_default();
            if *last >= turn {
                let what =
                    format!("message {number} is the {turn}th of its publisher, and the {last}th came before it");
                return Err(what);
            }
            *last = turn;
        }
        copy.taken += 1;
        copy.taken_in = to_era;
        if to_era == now {
            self.untold.insert(place, number);
        } else {
            self.ambiguous.insert((from, to, number));
        }
        Ok(())
    }

    /// A receiver, in its life `now`, says that all up to a number is done.
    pub(crate) fn acknowledges(&self, (from, to, era, way, up_to): Place, now: u32) -> Result<(), String> {
        let range = ((from, to, era, way, 0), now)..=((from, to, era, way, up_to), now);
        match self.open.range(range).find(|(_, to_era)| *to_era == now) {
            Some(((.., seq), _)) => Err(format!("{up_to} of {way:?} is acknowledged, and the host still has {seq}")),
            None => Ok(()),
        }
    }

    /// The sender has read that all up to a number is done.
    pub(crate) fn told(&mut self, from: Site, to: Site, era: u32, way: Way, up_to: u64) {
        let places: Vec<(Place, u64)> = self
            .untold
            .range((from, to, era, way, 0)..=(from, to, era, way, up_to))
            .map(|(place, number)| (*place, *number))
            .collect();
        for (place, number) in places {
            self.untold.remove(&place);
            if let Some(copy) = self.copies.get_mut(&(from, to, number)) {
                copy.told = true;
            }
        }
    }

    /// The sender has lost what it had for a peer.
    pub(crate) fn sender_forgot(&mut self, from: Site, to: Site) {
        for copy in self.range_mut(from, to) {
            copy.gone = true;
        }
    }

    /// The receiver has lost what it knew of a peer. What its host has not taken it will not take, unless `finishes`.
    pub(crate) fn receiver_forgot(&mut self, from: Site, to: Site, finishes: bool) {
        let lost: Vec<(Place, u64)> =
            self.untold.range(of(from, to)).map(|(place, number)| (*place, *number)).collect();
        for (place, number) in lost {
            self.untold.remove(&place);
            self.ambiguous.insert((from, to, number));
        }
        if !finishes {
            self.open.retain(|((a, b, ..), _)| (*a, *b) != (from, to));
        }
    }

    /// The messages of one life of a sender.
    pub(crate) fn missing(&self, from: Site, to: Site, era: u32) -> Missing {
        let mut result = Missing::default();
        for ((.., number), copy) in self.copies.range((from, to, 0)..=(from, to, u64::MAX)) {
            if copy.accepted.era != era || copy.gone {
                continue;
            }
            result.accepted += 1;
            result.refused += u64::from(copy.refused);
            if copy.taken > 0 {
                result.taken += 1;
                result.ambiguous += u64::from(!copy.told || self.ambiguous.contains(&(from, to, *number)));
            } else if !copy.refused {
                result.missing.push(copy.accepted.clone());
            }
        }
        result
    }

    fn range_mut(&mut self, from: Site, to: Site) -> impl Iterator<Item = &mut Copy> {
        self.copies.range_mut((from, to, 0)..=(from, to, u64::MAX)).map(|(_, copy)| copy)
    }
}

fn of(from: Site, to: Site) -> std::ops::RangeInclusive<Place> {
    (from, to, 0, Way::Lane(0), 0)..=(from, to, u32::MAX, Way::Datagram(ConnectionId(u32::MAX)), u64::MAX)
}
