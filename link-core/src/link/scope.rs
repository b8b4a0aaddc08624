/// What a node's broker passes on of what it gets over a link, and so how many copies the nodes of a cluster get. The
/// nodes of one cluster have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Scope {
    /// The broker serves its own clients: each node announces what they want and gets its own copy.
    #[default]
    Node,
    /// The broker knows what all clients of the cluster want, announces it, and passes on what it gets to the right
    /// node: one copy to any one of these nodes is enough.
    Cluster,
}
