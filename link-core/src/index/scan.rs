//! Going through the filters of a table that stand in some relation to a given one.

use super::{
    key::Key,
    leaf::{Entry, Leaf, Value},
    table::Table,
    tree::{Side, Walk},
};
use crate::topic::{Levels, TopicFilter, covers, intersects};

/// Which filters of a table are looked for.
#[derive(Debug, Clone)]
pub(super) enum Relation {
    Any,
    /// Those that cover the given one.
    Covering(TopicFilter),
    CoveredBy(TopicFilter),
    Intersecting(TopicFilter),
}

/// How far it got. Holds nothing of the table, which must be the same one each time.
#[derive(Debug, Clone)]
pub(super) struct Scan {
    relation: Relation,
    exact: Walk,
    wild: Walk,
}

impl Scan {
    pub(super) fn new(relation: Relation) -> Self {
        Self { relation, exact: Walk::new(), wild: Walk::new() }
    }

    /// Looks into the next leaf that may hold some of what is looked for. `false` if there is none.
    pub(super) fn step<'t, V: Value>(&mut self, table: &'t Table<V>, mut found: impl FnMut(Entry<'t, V>)) -> bool {
        let Self { relation, exact, wild } = self;
        let relation = &*relation;
        let key = relation.given().map(|given| table.hasher().filter(given.pattern()));
        let side = |level: usize| key.as_ref().map_or(Side::All, |key| relation.side(key, level));
        let mut check = |entry: Entry<'t, V>| {
            if relation.holds(entry.text) {
                found(entry);
            }
        };
        // Without a wildcard a filter covers none but itself.
        if !matches!(relation, Relation::Covering(given) if given.is_wildcard())
            && let Some(page) = exact.next(&table.exact, side)
        {
            page.entries().for_each(&mut check);
            return true;
        }
        if let Some(block) = wild.next(&table.wild, side) {
            match &key {
                None => block.entries().for_each(&mut check),
                Some(key) => block.on_sides(&table.dictionary, key, side).for_each(&mut check),
            }
            return true;
        }
        false
    }
}

impl Relation {
    fn given(&self) -> Option<&TopicFilter> {
        match self {
            Self::Any => None,
            Self::Covering(given) | Self::CoveredBy(given) | Self::Intersecting(given) => Some(given),
        }
    }

    /// What a filter can have in a level, if it stands in the relation to the given one of this key.
    fn side(&self, key: &Key<'_>, level: usize) -> Side {
        match (self, key.literal(level), level < key.levels as usize || key.open) {
            (Self::Any, ..) => Side::All,
            (Self::Covering(_), Some(hash), _) | (Self::Intersecting(_), Some(hash), _) => Side::Both(hash),
            (Self::CoveredBy(_), Some(hash), _) => Side::Literal(hash),
            (Self::Covering(_), None, _) => Side::Rest,
            (Self::CoveredBy(_) | Self::Intersecting(_), None, true) => Side::All,
            (Self::CoveredBy(_) | Self::Intersecting(_), None, false) => Side::Rest,
        }
    }

    fn holds(&self, text: &str) -> bool {
        let levels = Levels::new(text);
        match self {
            Self::Any => true,
            Self::Covering(given) => covers(levels, given.levels()),
            Self::CoveredBy(given) => covers(given.levels(), levels),
            Self::Intersecting(given) => intersects(levels, given.levels()),
        }
    }
}
