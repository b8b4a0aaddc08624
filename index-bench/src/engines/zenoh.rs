use zenoh_keyexpr::{
    keyexpr,
    keyexpr_tree::{IKeyExprTree, IKeyExprTreeMut, IKeyExprTreeNode, IKeyExprTreeNodeMut, KeBoxTree},
};

use super::Matcher;

/// The tree with which zenoh routes, `+` and `#` written `*` and `**`.
#[derive(Default)]
pub struct Tree(KeBoxTree<Vec<u32>>);

impl Matcher for Tree {
    fn insert(&mut self, filter: &str, value: u32) {
        let node = self.0.node_mut_or_create(parse(&translate(filter)));
        match node.weight_mut() {
            Some(values) => values.push(value),
            None => drop(node.insert_weight(vec![value])),
        }
    }

    fn remove(&mut self, filter: &str, value: u32) -> bool {
        let text = translate(filter);
        let key = parse(&text);
        let Some(values) = self.0.weight_at_mut(key) else { return false };
        let Some(place) = values.iter().position(|&other| other == value) else { return false };
        values.swap_remove(place);
        if values.is_empty() {
            self.0.remove(key);
        }
        true
    }

    fn each(&self, topic: &str, mut found: impl FnMut(u32)) {
        let nodes = self.0.intersecting_nodes(parse(topic));
        nodes.filter_map(|node| node.weight()).flatten().for_each(|&value| found(value));
    }

    fn is_match(&self, topic: &str) -> bool {
        self.0.intersecting_nodes(parse(topic)).any(|node| node.weight().is_some())
    }
}

fn translate(filter: &str) -> String {
    filter.replace('+', "*").replace('#', "**")
}

fn parse(text: &str) -> &keyexpr {
    keyexpr::new(text).expect("workloads have no texts that zenoh refuses")
}
