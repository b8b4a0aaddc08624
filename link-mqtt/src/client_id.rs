//! The client ids of a dialler.

use link_core::link::{ClusterName, NodeName};

/// The longest client id: the least that the brokers in use allow (mqtt5: 128 bytes).
const LIMIT: usize = 128;

/// The id of the `number`th client (from 1) of a connection: `<prefix>-<number>:<link>` where the node is called like its
/// cluster, `<prefix>-<node>-<number>:<link>` otherwise; the prefix is `from-<cluster>` if none is configured.
///
/// Two nodes of one cluster never share an id, nor do two links of one node, of which one may have the address of the
/// wrong cluster: a broker would close the older connection each time. An id over 128 bytes keeps its beginning and
/// number, with a hash of the whole between them.
pub(crate) fn client_id(
    prefix: Option<&str>,
    cluster: &ClusterName,
    node: &NodeName,
    link: &ClusterName,
    number: u16,
) -> String {
    let mut base = prefix.map_or_else(|| format!("from-{cluster}"), str::to_owned);
    if node.as_str() != cluster.as_str() {
        base.push('-');
        base.push_str(node.as_str());
    }
    let id = format!("{base}-{number}:{link}");
    if id.len() <= LIMIT {
        return id;
    }
    let tail = format!("-{:016x}-{number}", fnv1a(format!("{base}:{link}").as_bytes()));
    let mut keep = LIMIT - tail.len();
    while !base.is_char_boundary(keep) {
        keep -= 1;
    }
    base.truncate(keep);
    base + &tail
}

/// FNV-1a, 64 bits (IETF draft-eastlake-fnv): the same on every machine and in every version.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, b| (hash ^ u64::from(*b)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(prefix: Option<&str>, cluster: &str, node: &str, number: u16) -> String {
        to("us", prefix, cluster, node, number)
    }

    fn to(link: &str, prefix: Option<&str>, cluster: &str, node: &str, number: u16) -> String {
        let name = |name| ClusterName::new(name).unwrap();
        client_id(prefix, &name(cluster), &NodeName::new(node).unwrap(), &name(link), number)
    }

    #[test]
    fn ids_come_from_prefix_node_and_number() {
        assert_eq!(id(None, "eu", "eu", 1), "from-eu-1:us");
        assert_eq!(id(None, "eu", "eu", 2), "from-eu-2:us");
        assert_eq!(id(None, "eu", "a", 1), "from-eu-a-1:us");
        assert_eq!(id(Some("edge"), "eu", "eu", 1), "edge-1:us");
        assert_eq!(id(Some("edge"), "eu", "a", 3), "edge-a-3:us");
        assert_ne!(id(None, "eu", "a-1", 1), id(None, "eu", "a", 1));
        assert_ne!(to("us", None, "eu", "eu", 1), to("ap", None, "eu", "eu", 1));
    }

    #[test]
    fn long_ids_are_shortened_and_stay_different() {
        let long = |end: &str, n| id(Some(&"ä".repeat(60)), "eu", &("n".repeat(100) + end), n);
        assert!(long("a", 1).len() <= LIMIT && long("a", 65_535).len() <= LIMIT);
        assert_ne!(long("a", 1), long("b", 1));
        assert_ne!(long("a", 1), long("a", 2));
        let far = "n".repeat(128);
        assert_ne!(to("us", None, "eu", &far, 1), to("ap", None, "eu", &far, 1));
        assert!(long("a", 12).ends_with("-12"));
    }

    #[test]
    fn the_hash_is_the_published_one() {
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
    }
}
