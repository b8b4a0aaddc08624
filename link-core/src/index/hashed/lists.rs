//! The values of a text that has many.

use super::super::{cell::Arc, leaf::Value};

/// Values in order, in parts. A change makes one part anew.
#[derive(Debug, Clone)]
pub(super) struct List<V> {
    parts: Vec<Arc<[V]>>,
    len: usize,
}

/// Bytes of a part, at most.
const PART: usize = 2048;

impl<V: Value> List<V> {
    pub(super) fn new(values: &[V]) -> Self {
        Self { parts: values.chunks(most::<V>() * 3 / 4 + 1).map(Arc::from).collect(), len: values.len() }
    }

    pub(super) const fn empty() -> Self {
        Self { parts: Vec::new(), len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn parts(&self) -> impl Iterator<Item = &[V]> {
        self.parts.iter().map(|part| &**part)
    }

    pub(super) fn contains(&self, value: &V) -> bool {
        self.parts.get(self.part_of(value)).is_some_and(|part| part.binary_search(value).is_ok())
    }

    /// The part that a value is in, or would have to be.
    fn part_of(&self, value: &V) -> usize {
        self.parts.partition_point(|part| part.first().is_some_and(|first| first <= value)).saturating_sub(1)
    }

    /// Adds a value that is not there. The part that was touched, if it was no more than one.
    pub(super) fn insert(&mut self, value: V) -> Option<usize> {
        self.len += 1;
        let at = self.part_of(&value);
        let Some(part) = self.parts.get_mut(at) else {
            self.parts.push(Arc::from([value]));
            return None;
        };
        let place = part.partition_point(|other| *other < value);
        let new = [&part[..place], &[value], &part[place..]].concat();
        if new.len() <= most::<V>() {
            *part = new.into();
            return Some(at);
        }
        // Values often come in order; then parts stay full.
        let middle = if place + 1 == new.len() { place } else { new.len() / 2 };
        *part = new[..middle].into();
        self.parts.insert(at + 1, new[middle..].into());
        None
    }

    /// Takes a value out that is there. The part that was touched, if it was no more than one.
    pub(super) fn remove(&mut self, value: &V) -> Option<usize> {
        let at = self.part_of(value);
        let part = self.parts.get_mut(at)?;
        let place = part.binary_search(value).ok()?;
        self.len -= 1;
        let mut new = [&part[..place], &part[place + 1..]].concat();
        if new.len() > most::<V>() / 2 || self.parts.len() == 1 {
            self.parts[at] = new.into();
            return Some(at);
        }
        // It goes into a neighbour that has room.
        let has_room = |other: usize| self.parts.get(other).is_some_and(|part| part.len() + new.len() <= most::<V>());
        if has_room(at + 1) {
            new.extend_from_slice(&self.parts[at + 1]);
            self.parts[at] = new.into();
            self.parts.remove(at + 1);
        } else if at > 0 && has_room(at - 1) {
            self.parts[at - 1] = [&*self.parts[at - 1], &*new].concat().into();
            self.parts.remove(at);
        } else {
            self.parts[at] = new.into();
            return Some(at);
        }
        super::shrink(&mut self.parts);
        None
    }

    /// All values.
    pub(super) fn to_vec(&self) -> Vec<V> {
        self.parts.concat()
    }

    pub(super) fn follow(&mut self, newest: &Self, part: usize) {
        self.len = newest.len;
        if self.parts.len() != newest.parts.len() {
            self.parts.clone_from(&newest.parts);
        } else if let Some(new) = newest.parts.get(part) {
            self.parts[part] = Arc::clone(new);
        }
    }

    /// Bytes on the heap of what a copy has by itself.
    pub(super) fn spine(&self) -> usize {
        self.parts.capacity() * size_of::<Arc<[V]>>()
    }

    /// Bytes on the heap of what copies share.
    pub(super) fn heap(&self) -> usize {
        self.parts().map(|part| size_of_val(part) + super::COUNTERS).sum()
    }
}

/// Values of a part, at most.
const fn most<V>() -> usize {
    let most = PART / size_of::<V>();
    if most < 2 { 2 } else { most }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_and_go_in_any_order() {
        let mut list = List::new(&[]);
        let mut copy = list.clone();
        let mut model = std::collections::BTreeSet::new();
        let mut random = 1_u64;
        for round in 0..40_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let value = (random >> 40) as u32 % 6_000;
            let grows = round / 10_000 % 2 == 0;
            let part = if grows && model.insert(value) {
                list.insert(value)
            } else if !grows && model.remove(&value) {
                list.remove(&value)
            } else {
                continue;
            };
            match part {
                Some(part) => copy.follow(&list, part),
                None => copy = list.clone(),
            }
            assert_eq!(list.contains(&value), grows);
        }
        for list in [list, copy] {
            assert_eq!(list.to_vec(), model.iter().copied().collect::<Vec<_>>());
            assert_eq!(list.len(), model.len());
        }
    }
}
