//! Going through the filters of a table that stand in some relation to a given one.

use super::{
    key::Key,
    leaf::{Entry, Leaf, Value},
    shapes::Shape,
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
    exact: Parts,
    shaped: Parts,
    wild: Walk,
}

/// The parts of a table by hash.
#[derive(Debug, Clone, Copy)]
enum Parts {
    From(usize),
    Done,
}

impl Scan {
    pub(super) fn new(relation: Relation) -> Self {
        let relation = match relation {
            // All filters that match one topic, the same in words that need no search.
            Relation::Intersecting(given) if !given.is_wildcard() => Relation::Covering(given),
            relation => relation,
        };
        Self { relation, exact: Parts::From(0), shaped: Parts::From(0), wild: Walk::new() }
    }

    /// Looks into the next part that may hold some of what is looked for. `false` if there is none.
    pub(super) fn step<'t, V: Value>(&mut self, table: &'t Table<V>, mut found: impl FnMut(Entry<'t, V>)) -> bool {
        let relation = &self.relation;
        let mut check = |entry: Entry<'t, V>| {
            if relation.holds(entry.text) {
                found(entry);
            }
        };
        if let Parts::From(part) = self.exact {
            let more = match relation {
                // Without a wildcard a filter covers none but itself.
                Relation::Covering(given) | Relation::CoveredBy(given) if !given.is_wildcard() => {
                    table.exact.entries(table.hasher().text(given.pattern()), |_| true, &mut check);
                    false
                }
                Relation::Covering(_) => false,
                Relation::Any | Relation::CoveredBy(_) | Relation::Intersecting(_) => {
                    table.exact.part(part, &mut check)
                }
            };
            self.exact = if more { Parts::From(part + 1) } else { Parts::Done };
            return true;
        }
        if let Parts::From(part) = self.shaped {
            let more = match relation {
                Relation::Covering(given) => {
                    covering(table, given, &mut check);
                    false
                }
                Relation::CoveredBy(given) if !given.is_wildcard() => false,
                Relation::Any | Relation::CoveredBy(_) | Relation::Intersecting(_) => {
                    table.shaped.part(part, &mut check)
                }
            };
            self.shaped = if more { Parts::From(part + 1) } else { Parts::Done };
            return true;
        }
        let key = relation.given().map(|given| table.hasher().filter(given.pattern()));
        let side = |level: usize| key.as_ref().map_or(Side::All, |key| relation.side(key, level));
        let Some(block) = self.wild.next(&table.wild, side) else { return false };
        match &key {
            None => block.entries().for_each(&mut check),
            Some(key) => block.on_sides(&table.dictionary, key, side).for_each(&mut check),
        }
        true
    }
}

/// The filters with a shape that cover a given one, and some that may not: one lookup for each shape.
fn covering<'t, V: Value>(table: &'t Table<V>, given: &TopicFilter, found: &mut impl FnMut(Entry<'t, V>)) {
    if table.shaped.texts() == 0 {
        return;
    }
    // The two filters that are as broad as one of more levels: no topic has no level, or one empty level alone.
    let text = match given.pattern() {
        "#" => "+/#",
        "/#" => "/+/#",
        text => text,
    };
    let hasher = table.hasher();
    for (shape, hash) in table.shapes.covering(&hasher.filter(text)) {
        table.shaped.entries(hash, |text| Shape::of(&hasher.filter(text)) == Some(shape), found);
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
