//! How a table changes: records are added behind the last one, and what is dead is cleared away.

use std::collections::BTreeSet;

use super::{
    super::leaf::{Entry, Value},
    Hashed, Step,
    lists::List,
    records::{MOST_INLINE, PAGE, Page, UNIT, Values, size},
    slots::{MOST_PAGES, Place, Ref},
};

/// What only the writer needs to know of a table: where there is room, and what is dead.
#[derive(Debug, Default)]
pub(in super::super) struct Space {
    pages: Vec<Use>,
    /// The page that records are added to, and bytes of it that are used.
    open: Option<(u32, usize)>,
    free_pages: Vec<u32>,
    free_lists: Vec<u32>,
    /// Pages that are not open, by the bytes that are dead in them.
    wasted: BTreeSet<(u32, u32)>,
    waste: usize,
    live: usize,
}

/// Bytes of a page.
#[derive(Debug, Default, Clone, Copy)]
struct Use {
    size: usize,
    /// Of records that are not dead.
    live: usize,
}

impl Use {
    fn waste(self) -> usize {
        self.size - self.live
    }
}

/// So much of what is live may be dead: one part in that many.
const WASTE: usize = 10;
/// What may be dead in any case.
const LITTLE: usize = 1024;

/// Changes a table, and tells how.
pub(in super::super) struct Edit<'a, V> {
    hashed: &'a mut Hashed<V>,
    space: &'a mut Space,
    hash_of: &'a dyn Fn(&str) -> u64,
    touched: &'a mut dyn FnMut(Step),
    /// The page that was touched last.
    last_page: Option<u32>,
}

impl<'a, V: Value> Edit<'a, V> {
    /// Of a table whose texts have the hashes that `hash_of` gives. `touched` is told of everything that is touched, for
    /// a second copy to follow.
    pub(in super::super) fn new(
        hashed: &'a mut Hashed<V>,
        space: &'a mut Space,
        hash_of: &'a dyn Fn(&str) -> u64,
        touched: &'a mut dyn FnMut(Step),
    ) -> Self {
        Self { hashed, space, hash_of, touched, last_page: None }
    }

    /// Fills an empty table with distinct texts.
    pub(in super::super) fn fill(&mut self, entries: &[Entry<'_, V>]) {
        let mut all = Vec::with_capacity(entries.len());
        let bytes: usize = entries.iter().map(|entry| size(entry.text, Values::Inline(entry.values))).sum();
        self.hashed.pages.reserve(bytes / PAGE);
        for entry in entries {
            let Some(at) = self.add_all(entry.text, entry.values) else { continue };
            all.push(((self.hash_of)(entry.text), at));
        }
        self.hashed.slots.fill(all);
    }

    /// Adds a value that is not there. `false` if there is no room for it.
    pub(in super::super) fn insert(&mut self, hash: u64, text: &str, value: V) -> bool {
        let Some((place, record)) = self.hashed.locate(hash, text) else {
            let Some(at) = self.append(text, Values::Inline(&[value])) else { return false };
            let Self { hashed, touched, .. } = self;
            hashed.slots.insert(hash, at, &mut |step| touched(Step::Slots(step)));
            return true;
        };
        let old = record.size();
        match record.values() {
            Values::List(list) => {
                let part = self.hashed.lists[list as usize].insert(value);
                self.touched_list(list, part);
            }
            Values::Inline(values) => {
                let at = values.partition_point(|other| *other < value);
                let values = [&values[..at], &[value], &values[at..]].concat();
                let Some(at) = self.add_all(text, &values) else { return false };
                self.replace(place, at, old);
            }
        }
        self.clear_away();
        true
    }

    /// Takes a value out that is there.
    pub(in super::super) fn remove(&mut self, hash: u64, text: &str, value: &V) {
        let Some((place, record)) = self.hashed.locate(hash, text) else { return };
        let (old, values) = (record.size(), record.values());
        match values {
            Values::List(list) => {
                let part = self.hashed.lists[list as usize].remove(value);
                self.touched_list(list, part);
                let left = self.hashed.lists[list as usize].len();
                if left == 1 || left * size_of::<V>() <= MOST_INLINE / 2 {
                    let values = self.hashed.lists[list as usize].to_vec();
                    if let Some(at) = self.append(text, Values::Inline(&values)) {
                        self.replace(place, at, old);
                        self.hashed.lists[list as usize] = List::empty();
                        self.space.free_lists.push(list);
                        (self.touched)(Step::List(list));
                    }
                }
            }
            Values::Inline(values) if values.len() > 1 => {
                let values: Vec<V> = values.iter().copied().filter(|other| other != value).collect();
                if let Some(at) = self.append(text, Values::Inline(&values)) {
                    self.replace(place, at, old);
                }
            }
            Values::Inline(_) => {
                let at = self.hashed.slots.record(place);
                let Self { hashed, touched, .. } = self;
                hashed.slots.remove(place, &mut |step| touched(Step::Slots(step)));
                self.kill(at, old);
            }
        }
        if self.hashed.slots.len() == 0 {
            self.hashed.pages = Vec::new();
            self.hashed.lists = Vec::new();
            *self.space = Space::default();
            (self.touched)(Step::Page(0));
            (self.touched)(Step::List(0));
        }
        self.clear_away();
    }

    fn touched_list(&mut self, list: u32, part: Option<usize>) {
        (self.touched)(part.map_or(Step::List(list), |part| Step::Part(list, part as u32)));
    }

    /// The record in a slot is another one from now on.
    fn replace(&mut self, place: Place, new: Ref, old_size: usize) {
        let old = self.hashed.slots.record(place);
        let Self { hashed, touched, .. } = self;
        hashed.slots.replace(place, new, &mut |step| touched(Step::Slots(step)));
        self.kill(old, old_size);
    }

    /// Adds a record, and a list if there are too many values for it.
    fn add_all(&mut self, text: &str, values: &[V]) -> Option<Ref> {
        if size_of_val(values) <= MOST_INLINE || values.len() == 1 {
            return self.append(text, Values::Inline(values));
        }
        let list = self.space.free_lists.pop().unwrap_or_else(|| {
            self.hashed.lists.push(List::empty());
            (self.hashed.lists.len() - 1) as u32
        });
        self.hashed.lists[list as usize] = List::new(values);
        (self.touched)(Step::List(list));
        self.append(text, Values::List(list))
    }

    /// Adds a record behind the last one. `None` if all pages that can be named are there.
    fn append(&mut self, text: &str, values: Values<'_, V>) -> Option<Ref> {
        let size = size(text, values);
        let (page, used) = match self.space.open {
            Some((page, used)) if used + size <= self.space.pages[page as usize].size => (page, used),
            _ => self.open(size)?,
        };
        self.hashed.pages[page as usize].write(used / UNIT, text, values);
        if let Some((open, used)) = &mut self.space.open
            && *open == page
        {
            *used += size;
        }
        self.space.pages[page as usize].live += size;
        self.space.live += size;
        if self.space.open.is_none_or(|(open, _)| open != page) {
            self.waste(page, 0, self.space.pages[page as usize].waste());
        }
        self.touch_page(page);
        Some(Ref::new(page, (used / UNIT) as u32))
    }

    /// Makes a page with room for a record: its own, if it is large.
    fn open(&mut self, size: usize) -> Option<(u32, usize)> {
        let large = size > PAGE / 4;
        let bytes = if large { size } else { self.space.live.next_power_of_two().clamp(256, PAGE).max(size) };
        let new = Page::new(bytes);
        let room = Use { size: new.size(), live: 0 };
        let page = match self.space.free_pages.pop() {
            Some(page) => {
                self.hashed.pages[page as usize] = new;
                self.space.pages[page as usize] = room;
                page
            }
            None if self.hashed.pages.len() >= MOST_PAGES => return None,
            None => {
                self.hashed.pages.push(new);
                self.space.pages.push(room);
                (self.hashed.pages.len() - 1) as u32
            }
        };
        if !large && let Some((old, _)) = self.space.open.replace((page, 0)) {
            self.waste(old, 0, self.space.pages[old as usize].waste());
            if self.space.pages[old as usize].live == 0 {
                self.free(old);
            }
        }
        Some((page, 0))
    }

    /// A record is dead from now on.
    fn kill(&mut self, at: Ref, size: usize) {
        let page = at.page() as u32;
        let before = self.space.pages[at.page()].waste();
        self.space.pages[at.page()].live -= size;
        self.space.live -= size;
        if self.space.open.is_some_and(|(open, _)| open == page) {
            return;
        }
        self.waste(page, before, before + size);
        if self.space.pages[at.page()].live == 0 {
            self.free(page);
        }
    }

    /// What is dead in a page that is not open.
    fn waste(&mut self, page: u32, before: usize, after: usize) {
        let Space { wasted, waste, .. } = &mut *self.space;
        wasted.remove(&(before as u32, page));
        *waste = *waste - before + after;
        if after > 0 {
            wasted.insert((after as u32, page));
        }
    }

    /// Forgets a page that nothing is live in, and that is counted as waste.
    fn free(&mut self, page: u32) {
        let room = self.space.pages[page as usize].size;
        self.space.wasted.remove(&(room as u32, page));
        self.space.waste -= room;
        self.space.pages[page as usize] = Use::default();
        self.hashed.pages[page as usize] = Page::new(0);
        self.space.free_pages.push(page);
        self.last_page = None;
        self.touch_page(page);
    }

    /// Moves what is live out of the pages with the most that is dead, as long as too much is.
    fn clear_away(&mut self) {
        for _ in 0..2 {
            if self.space.waste <= self.space.live / WASTE + LITTLE {
                return;
            }
            let Some((_, page)) = self.space.wasted.pop_last() else { return };
            self.move_out(page);
        }
    }

    fn move_out(&mut self, page: u32) {
        let old = self.hashed.pages[page as usize].clone();
        for (unit, record) in old.records() {
            let at = Ref::new(page, unit as u32);
            // It came in as text.
            let text = std::str::from_utf8(record.text()).unwrap_or_default();
            let hash = (self.hash_of)(text);
            // A dead record is in no slot.
            let Some((place, _)) = self.hashed.slots.find(hash, |other| other == at) else { continue };
            let Some(new) = self.append(text, record.values()) else { return };
            let Self { hashed, touched, .. } = self;
            hashed.slots.replace(place, new, &mut |step| touched(Step::Slots(step)));
            self.space.pages[page as usize].live -= record.size();
            self.space.live -= record.size();
            self.space.waste += record.size();
        }
        self.free(page);
    }

    fn touch_page(&mut self, page: u32) {
        if self.last_page != Some(page) {
            self.last_page = Some(page);
            (self.touched)(Step::Page(page));
        }
    }
}

impl Space {
    /// Bytes on the heap.
    pub(in super::super) fn heap(&self) -> usize {
        let pages = self.pages.capacity() * size_of::<Use>() + self.wasted.len() * 12;
        pages + (self.free_pages.capacity() + self.free_lists.capacity()) * size_of::<u32>()
    }
}
