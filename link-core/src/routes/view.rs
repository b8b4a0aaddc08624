use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

use crate::{index::FilterIndex, interest::InterestChange, topic::TopicFilter, wire::RouteOp};

/// What of local interest is announced over a link: interest ∩ imports, counted, and reduced by covering.
///
/// ```text
///  interest        imports       wanted          announced
///  a/b         ∩   a/#        =  a/b ×1     ──▶  a/b        announced before its cover came: stays
///  a/+         ∩   a/#        =  a/+ ×1     ──▶  a/+
///  a/c         ∩   a/#        =  a/c ×1          (hidden by a/+)
///  x/y         ∩   a/#        =  nothing
/// ```
///
/// Invariants: a wanted route is announced or hidden, never both; an announced route covers each hidden one. So the
/// announced routes match exactly the topics that the wanted ones match.
#[derive(Debug)]
pub(super) struct View {
    imports: Vec<TopicFilter>,
    /// With the number of interest filters that want each.
    announced: BTreeMap<TopicFilter, u64>,
    hidden: BTreeMap<TopicFilter, u64>,
    /// Announced routes with a wildcard: nothing else covers another route.
    wide: FilterIndex<u8>,
}

impl View {
    /// Nothing is wanted yet. `seed`: of the hash tables, for clients choose the filters.
    pub(super) fn new(imports: Vec<TopicFilter>, seed: u64) -> Self {
        Self {
            imports: reduce(imports, seed),
            announced: BTreeMap::new(),
            hidden: BTreeMap::new(),
            wide: FilterIndex::new(seed),
        }
    }

    /// Takes changes of interest as one step, and gives the changes of the announced set that follow: every addition
    /// before every removal.
    pub(super) fn apply(&mut self, changes: &[InterestChange]) -> Vec<RouteOp> {
        let mut shifts: BTreeMap<TopicFilter, i64> = BTreeMap::new();
        for change in changes {
            let (filter, by) = match change {
                InterestChange::Added(filter) => (filter, 1),
                InterestChange::Removed(filter) => (filter, -1),
            };
            for route in cut(&self.imports, filter) {
                *shifts.entry(route).or_default() += by;
            }
        }
        self.shift(shifts)
    }

    /// Cuts `interest`, which is all that was applied so far, to other imports. Costs one pass over it.
    pub(super) fn set_imports<'a>(
        &mut self,
        imports: Vec<TopicFilter>,
        interest: impl IntoIterator<Item = &'a TopicFilter>,
        seed: u64,
    ) -> Vec<RouteOp> {
        let old = std::mem::replace(&mut self.imports, reduce(imports, seed));
        let mut shifts: BTreeMap<TopicFilter, i64> = BTreeMap::new();
        for filter in interest {
            let (before, after) = (cut(&old, filter), cut(&self.imports, filter));
            for route in before.difference(&after) {
                *shifts.entry(route.clone()).or_default() -= 1;
            }
            for route in after.difference(&before) {
                *shifts.entry(route.clone()).or_default() += 1;
            }
        }
        self.shift(shifts)
    }

    /// The imports, without those that another one covers.
    pub(super) fn imports(&self) -> &[TopicFilter] {
        &self.imports
    }

    /// The announced routes, with how many interest filters want each, in order.
    pub(super) fn announced(&self) -> &BTreeMap<TopicFilter, u64> {
        &self.announced
    }

    /// Number of hidden routes.
    pub(super) fn hidden(&self) -> usize {
        self.hidden.len()
    }

    /// Moves the counts of routes. Only those that begin or cease to be wanted matter.
    fn shift(&mut self, shifts: BTreeMap<TopicFilter, i64>) -> Vec<RouteOp> {
        let mut candidates = Vec::new();
        let mut withdrawn = Vec::new();
        for (route, by) in shifts {
            match self.announced.get_mut(&route).or_else(|| self.hidden.get_mut(&route)) {
                None if by > 0 => candidates.push((route, Some(by.unsigned_abs()))),
                None => {}
                Some(count) => {
                    *count = count.saturating_add_signed(by);
                    if *count == 0 {
                        withdrawn.extend(self.forget(route));
                    }
                }
            }
        }
        // What is withdrawn covers nothing any more, and is removed only behind what it hid.
        let bare: BTreeSet<TopicFilter> = withdrawn
            .iter()
            .filter(|route| route.is_wildcard())
            .flat_map(|route| covered_by(&self.hidden, route))
            .cloned()
            .collect();
        candidates.extend(bare.into_iter().map(|route| (route, None)));
        candidates.sort_by_cached_key(|(route, _)| breadth(route));

        let mut ops = Vec::with_capacity(candidates.len() + withdrawn.len());
        for (route, entering) in candidates {
            let covered = self.wide.covers(&route);
            match entering {
                Some(count) if covered => self.hide(route, count),
                Some(count) => ops.push(self.announce(route, count)),
                None if covered => {}
                None => {
                    // The text that is kept is shared with the interest.
                    let kept = self.hidden.remove_entry(&route);
                    ops.extend(kept.map(|(route, count)| self.announce(route, count)));
                }
            }
        }
        ops.extend(withdrawn.into_iter().map(RouteOp::Remove));
        ops
    }

    fn announce(&mut self, route: TopicFilter, count: u64) -> RouteOp {
        if route.is_wildcard() {
            self.wide.insert(&route, PRESENT);
        }
        self.announced.insert(route.clone(), count);
        RouteOp::Add(route)
    }

    fn hide(&mut self, route: TopicFilter, count: u64) {
        self.hidden.insert(route, count);
    }

    /// A route that is no longer wanted. Gives it back if it was announced.
    fn forget(&mut self, route: TopicFilter) -> Option<TopicFilter> {
        if self.hidden.remove(&route).is_some() {
            return None;
        }
        self.announced.remove(&route)?;
        if route.is_wildcard() {
            self.wide.remove(&route, &PRESENT);
        }
        Some(route)
    }
}

/// What an index of routes says of each.
const PRESENT: u8 = 0;

/// Those of `routes` that `wide` covers. Costs a look at each that begins as `wide` does before its first wildcard.
fn covered_by<'a>(
    routes: &'a BTreeMap<TopicFilter, u64>,
    wide: &'a TopicFilter,
) -> impl Iterator<Item = &'a TopicFilter> {
    let text = wide.as_str();
    let begin = &text[..text.find(['+', '#']).unwrap_or(text.len())];
    // `a/#` covers `a` as well.
    let parent = begin.strip_suffix('/').and_then(|parent| routes.get_key_value(parent));
    let below = routes.range::<str, _>((Bound::Included(begin), Bound::Unbounded));
    let below = below.take_while(move |(route, _)| route.as_str().starts_with(begin));
    parent.into_iter().chain(below).map(|(route, _)| route).filter(|route| wide.covers(route))
}

/// The distinct routes that a filter makes with the imports.
fn cut(imports: &[TopicFilter], filter: &TopicFilter) -> BTreeSet<TopicFilter> {
    imports.iter().filter_map(|import| import.intersect(filter)).collect()
}

/// Filters without those that another one covers.
fn reduce(filters: Vec<TopicFilter>, seed: u64) -> Vec<TopicFilter> {
    let mut filters: Vec<TopicFilter> = filters.iter().map(TopicFilter::without_share).collect();
    filters.sort_by_cached_key(breadth);
    let mut kept = FilterIndex::new(seed);
    filters.retain(|filter| !kept.covers(filter) && kept.insert(filter, PRESENT));
    filters
}

/// Orders filters so that one which covers another comes first: fewer levels before `#`, then with `#`, then more `+`.
fn breadth(filter: &TopicFilter) -> (usize, bool, Reverse<usize>, TopicFilter) {
    // It says the same as `/+/#`: one empty level alone is no topic.
    if filter.as_str() == "/#" {
        return (2, false, Reverse(1), filter.clone());
    }
    let levels = filter.levels().count();
    let open = filter.levels().last() == Some("#");
    let plus = filter.levels().filter(|level| *level == "+").count();
    (levels - usize::from(open), !open, Reverse(plus), filter.clone())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filters() -> impl Strategy<Value = TopicFilter> {
        let level = prop::sample::select(vec!["a", "b", "+", "$x", ""]);
        (prop::collection::vec(level, 1..4), any::<bool>()).prop_map(|(levels, open)| {
            let text = levels.join("/") + if open { "/#" } else { "" };
            TopicFilter::new(if text.is_empty() { "#".to_owned() } else { text }).unwrap()
        })
    }

    proptest! {
        #[test]
        fn covered_routes_are_found_where_they_begin_alike(
            wide in filters(),
            routes in prop::collection::btree_map(filters(), Just(1), 0..40),
        ) {
            let expected: Vec<&TopicFilter> = routes.keys().filter(|route| wide.covers(route)).collect();
            prop_assert_eq!(covered_by(&routes, &wide).collect::<BTreeSet<_>>(), expected.into_iter().collect());
        }

        #[test]
        fn what_covers_is_broader(f in filters(), g in filters()) {
            if f.covers(&g) && !g.covers(&f) {
                prop_assert!(breadth(&f) < breadth(&g), "{f} covers {g}");
            }
        }

        #[test]
        fn each_hidden_route_has_an_announced_cover(
            imports in prop::collection::vec(filters(), 0..4),
            calls in prop::collection::vec(prop::collection::vec((any::<bool>(), filters()), 0..4), 0..30),
        ) {
            let mut view = View::new(imports.clone(), 7);
            let mut interest = BTreeSet::new();
            for call in calls {
                let changes: Vec<InterestChange> = call.into_iter().filter_map(|(add, filter)| {
                    let turned = if add { interest.insert(filter.clone()) } else { interest.remove(&filter) };
                    turned.then(|| if add { InterestChange::Added(filter) } else { InterestChange::Removed(filter) })
                }).collect();
                view.apply(&changes);
                let wanted: BTreeSet<TopicFilter> = interest.iter().flat_map(|filter| cut(view.imports(), filter)).collect();
                let kept: BTreeSet<TopicFilter> = view.announced.keys().chain(view.hidden.keys()).cloned().collect();
                prop_assert_eq!(kept, wanted);
                prop_assert!(view.hidden.keys().all(|h| view.announced.keys().any(|a| a != h && a.covers(h))));
                prop_assert_eq!(view.announced.keys().filter(|route| route.is_wildcard()).count(), view.wide.len());
            }
        }
    }
}
