//! Which clusters there are, and who dials whom.

/// One node, by its position among all nodes of a topology.
pub type Site = usize;

/// Clusters of nodes, and their links.
#[derive(Debug, Clone)]
pub struct Topology {
    /// For people.
    pub name: &'static str,
    /// The clusters, in the order in which their nodes are numbered.
    pub clusters: &'static [Cluster],
}

/// One cluster.
#[derive(Debug, Clone, Copy)]
pub struct Cluster {
    /// Its name. Its nodes are called `<name>-1`, `<name>-2` and so on.
    pub name: &'static str,
    /// How many nodes it has.
    pub nodes: usize,
    /// Its links.
    pub links: &'static [Link],
}

/// One link, as each node of a cluster has it.
#[derive(Debug, Clone, Copy)]
pub struct Link {
    /// The peer cluster.
    pub to: &'static str,
    /// Names of nodes that are dialled. The `n`th node of the cluster begins with the `n`th of them. Empty: waits to be dialled.
    pub dials: &'static [&'static str],
    /// What this cluster wants of the peer.
    pub topics: &'static [&'static str],
}

/// Everything.
const ALL: &[&str] = &["#"];

macro_rules! link {
    ($to:literal) => {
        Link { to: $to, dials: &[], topics: ALL }
    };
    ($to:literal, $($dials:literal),+) => {
        Link { to: $to, dials: &[$($dials),+], topics: ALL }
    };
}

/// Two nodes; one dials.
pub const PAIR: Topology = Topology {
    name: "pair",
    clusters: &[
        Cluster { name: "us", nodes: 1, links: &[link!("eu", "eu-1")] },
        Cluster { name: "eu", nodes: 1, links: &[link!("us")] },
    ],
};

/// Two nodes that want a part of each other's topics.
pub const FILTERED: Topology = Topology {
    name: "filtered",
    clusters: &[
        Cluster { name: "us", nodes: 1, links: &[Link { to: "eu", dials: &["eu-1"], topics: &["a/#", "b/+"] }] },
        Cluster { name: "eu", nodes: 1, links: &[Link { to: "us", dials: &[], topics: &["+/b/#", "fleet/#", "c"] }] },
    ],
};

/// Two nodes that dial each other: a doubled link.
pub const DOUBLED: Topology = Topology {
    name: "doubled",
    clusters: &[
        Cluster { name: "us", nodes: 1, links: &[link!("eu", "eu-1")] },
        Cluster { name: "eu", nodes: 1, links: &[link!("us", "us-1")] },
    ],
};

/// Three clusters, each linked to both others.
pub const TRIANGLE: Topology = Topology {
    name: "triangle",
    clusters: &[
        Cluster { name: "us", nodes: 1, links: &[link!("eu", "eu-1"), link!("as")] },
        Cluster { name: "eu", nodes: 1, links: &[link!("us"), link!("as", "as-1")] },
        Cluster { name: "as", nodes: 1, links: &[link!("us", "us-1"), link!("eu")] },
    ],
};

/// Two clusters of two nodes, each node connected to each of the other cluster.
pub const GRID: Topology = Topology {
    name: "grid",
    clusters: &[
        Cluster { name: "us", nodes: 2, links: &[link!("eu", "eu-1", "eu-2")] },
        Cluster { name: "eu", nodes: 2, links: &[link!("us", "us-2", "us-1")] },
    ],
};

/// Four clusters, each linked to all others, some of them twice.
pub const MESH: Topology = Topology {
    name: "mesh",
    clusters: &[
        Cluster { name: "us", nodes: 1, links: &[link!("eu", "eu-1"), link!("as", "as-1"), link!("af", "af-1")] },
        Cluster { name: "eu", nodes: 1, links: &[link!("us", "us-1"), link!("as", "as-1"), link!("af", "af-1")] },
        Cluster { name: "as", nodes: 1, links: &[link!("us"), link!("eu", "eu-1"), link!("af")] },
        Cluster { name: "af", nodes: 1, links: &[link!("us"), link!("eu"), link!("as", "as-1")] },
    ],
};

/// One cluster in the middle of three that are not linked to each other.
pub const HUB: Topology = Topology {
    name: "hub",
    clusters: &[
        Cluster { name: "hub", nodes: 1, links: &[link!("us"), link!("eu"), link!("as", "as-1")] },
        Cluster { name: "us", nodes: 1, links: &[link!("hub", "hub-1")] },
        Cluster { name: "eu", nodes: 2, links: &[link!("hub", "hub-1")] },
        Cluster { name: "as", nodes: 1, links: &[link!("hub")] },
    ],
};

impl Topology {
    /// How many nodes it has.
    pub fn sites(&self) -> usize {
        self.clusters.iter().map(|cluster| cluster.nodes).sum()
    }

    /// The cluster of a node, and its number in it from 0.
    pub fn cluster_of(&self, site: Site) -> (&Cluster, usize) {
        let mut left = site;
        for cluster in self.clusters {
            if left < cluster.nodes {
                return (cluster, left);
            }
            left -= cluster.nodes;
        }
        (&self.clusters[self.clusters.len() - 1], 0)
    }

    /// The name of a node.
    pub fn node_name(&self, site: Site) -> String {
        let (cluster, number) = self.cluster_of(site);
        format!("{}-{}", cluster.name, number + 1)
    }

    /// The link from a node's cluster to that of another, if there is one.
    pub fn link(&self, from: Site, to: Site) -> Option<&Link> {
        let to = self.cluster_of(to).0.name;
        self.cluster_of(from).0.links.iter().find(|link| link.to == to)
    }

    /// Pairs of nodes whose clusters are linked, each pair once, the smaller first.
    pub fn pairs(&self) -> Vec<(Site, Site)> {
        let sites = self.sites();
        let all = (0..sites).flat_map(|a| (a + 1..sites).map(move |b| (a, b)));
        all.filter(|(a, b)| self.link(*a, *b).is_some() && self.link(*b, *a).is_some()).collect()
    }
}
