//! The configuration file: what is right is taken, what is wrong is named exactly and stops nothing else.
#![cfg(all(feature = "config", feature = "driver"))]
#![allow(clippy::unwrap_used, reason = "test code")]

use std::{fs, time::Duration};

use link_core::{
    config::Config,
    delivery::Overflow,
    driver::{Linker, StartError},
    link::{LinkConfig, LinkError},
    memory::MemoryBroker,
};

fn parse(links: &str) -> Config {
    Config::parse(&format!("cluster = \"us\"\nnode = \"us-1\"\n{links}")).unwrap()
}

/// The one fault of a file with one link.
fn fault(link: &str) -> String {
    let config = parse(&format!("[[link]]\n{link}"));
    assert!(config.links.is_empty(), "taken: {link}");
    config.faults.into_iter().map(|fault| fault.to_string()).collect::<Vec<_>>().join("; ")
}

#[test]
fn every_setting_is_read() {
    let config = parse(
        r##"
        [[link]]
        name = "eu"
        server = ["mqtts://eu-1.example.org", "eu-2.example.org:1884", "quic://[::1]:9000"]
        topics = ["fleet/#", "alarms/+"]
        enable = false
        username = "u"
        password = "p"
        peer_identity = "link-eu"
        client_id_prefix = "us-link"
        connections = 3
        keep_alive = "20s"
        max_inflight = 64
        max_packet = 65536
        heartbeat = "500ms"
        connect_timeout = "3s"
        retry_first = "100ms"
        retry_max = "1m"
        queue_bytes = 1048576
        overflow = "drop_oldest"
        window = 262144
        max_routes = 1000
        retention = "1h"
    "##,
    );
    assert!(config.faults.is_empty(), "{:?}", config.faults);
    let link = &config.links[0];
    let servers: Vec<String> = link.servers.iter().map(ToString::to_string).collect();
    assert_eq!(servers, ["mqtts://eu-1.example.org:8883", "mqtt://eu-2.example.org:1884", "quic://[::1]:9000"]);
    assert_eq!(link.topics.iter().map(|t| t.as_str()).collect::<Vec<_>>(), ["fleet/#", "alarms/+"]);
    assert_eq!((link.enabled, link.connections.get(), link.max_inflight.get()), (false, 3, 64));
    assert_eq!((link.username.as_deref(), link.peer_identity.as_deref()), (Some("u"), Some("link-eu")));
    assert_eq!(link.password.as_ref().map(|p| p.reveal()), Some("p"));
    assert_eq!((link.heartbeat, link.retry_max), (Duration::from_millis(500), Duration::from_secs(60)));
    assert_eq!((link.keep_alive, link.connect_timeout), (Duration::from_secs(20), Duration::from_secs(3)));
    assert_eq!((link.retry_first, link.retention), (Duration::from_millis(100), Duration::from_secs(3600)));
    assert_eq!((link.queue_bytes, link.overflow, link.window), (1_048_576, Overflow::DropOldest, 262_144));
    assert_eq!((link.max_routes, link.max_packet), (1000, 65_536));
    assert_eq!(link.client_id_prefix.as_deref(), Some("us-link"));
}

#[test]
fn emqx_acceptance_19_bad_configuration_is_refused_with_exact_reasons() {
    let long = "x".repeat(129);
    let base = "server = []\ntopics = []\n";
    let cases = [
        ("server = []\ntopics = []".to_owned(), "link 1: missing field `name`"),
        ("name = \"eu\"\ntopics = []".to_owned(), "link 1 (`eu`): missing field `server`"),
        ("name = \"eu\"\nserver = []".to_owned(), "link 1 (`eu`): missing field `topics`"),
        (format!("name = \"\"\n{base}"), "link 1 (``): `name`: a name has at least one character"),
        (format!("name = \"e u\"\n{base}"), "link 1 (`e u`): `name`: ` ` at byte 1 is not allowed in a name"),
        (format!("name = \"-eu\"\n{base}"), "`-` at byte 0 is not allowed in a name"),
        (format!("name = \"{long}\"\n{base}"), "`name`: a name has at most 128 bytes, this has 129"),
        (format!("name = \"us\"\n{base}"), "`us` is this cluster: a cluster does not link to itself"),
        ("name = \"eu\"\nserver = []\ntopics = [\"$LINK/#\"]".to_owned(), "topic 1 `$LINK/#`: `$LINK/` belongs"),
        ("name = \"eu\"\nserver = []\ntopics = [\"a\", \"a/#/b\"]".to_owned(), "`topics` 2 `a/#/b`: "),
        ("name = \"eu\"\nserver = []\ntopics = [\"\"]".to_owned(), "`topics` 1 ``: "),
        (
            "name = \"eu\"\nserver = []\ntopics = [\"$share/g/a\"]".to_owned(),
            "topic 1 `$share/g/a`: a link's topics are plain",
        ),
        (
            "name = \"eu\"\nserver = []\ntopics = [\"a/b\", \"c\", \"a/#\"]".to_owned(),
            "topic 1 `a/b` is redundant: `a/#` covers it",
        ),
        ("name = \"eu\"\nserver = []\ntopics = [\"a\", \"a\"]".to_owned(), "topic 1 `a` is redundant: `a` covers it"),
        ("name = \"eu\"\nserver = [\"x:0\"]\ntopics = []".to_owned(), "`server` 1: `x:0` is not an address: the port"),
        ("name = \"eu\"\nserver = [\"mqtt://\"]\ntopics = []".to_owned(), "the host is missing"),
        (
            "name = \"eu\"\nserver = [\"a\", \"mqtt://a\"]\ntopics = []".to_owned(),
            "server `mqtt://a:1883` is listed twice",
        ),
        (format!("name = \"eu\"\n{base}heartbeat = \"5\""), "`heartbeat`: `5` is not a duration"),
        (format!("name = \"eu\"\n{base}heartbeat = \"1ms\""), "`heartbeat` is 1ms, but must be at least 10 ms"),
        (format!("name = \"eu\"\n{base}windows = 1"), "unknown field `windows`"),
        (format!("name = \"eu\"\n{base}window = 1"), "`window` is 1, but must be at least 1024 bytes"),
        (format!("name = \"eu\"\n{base}connections = 0"), "nonzero"),
        (format!("name = \"eu\"\n{base}client_id_prefix = \"a b\""), "`client_id_prefix` has ` `"),
        (
            format!("name = \"eu\"\n{base}password_env = \"NO_SUCH_VARIABLE_HERE\""),
            "`NO_SUCH_VARIABLE_HERE` is not set",
        ),
        (format!("name = \"eu\"\n{base}password_file = \"/no/such/file\""), "`/no/such/file` can't be read"),
        (format!("name = \"eu\"\n{base}password = \"a\"\npassword_env = \"b\""), "give one of `password`"),
    ];
    for (link, expected) in cases {
        let fault = fault(&link);
        assert!(fault.contains(expected), "for\n{link}\nthe fault is\n{fault}\nand lacks\n{expected}");
    }
}

#[test]
fn a_wrong_link_stops_no_other_and_a_second_of_one_name_is_refused() {
    let config = parse(
        r#"
        [[link]]
        name = "eu"
        server = []
        topics = ["a"]
        [[link]]
        name = "bad"
        server = []
        topics = ["a/#/b"]
        [[link]]
        name = "eu"
        server = []
        topics = ["b"]
        [[link]]
        name = "ap"
        server = []
        topics = []
    "#,
    );
    assert_eq!(config.links.iter().map(|link| link.name.as_str()).collect::<Vec<_>>(), ["eu", "ap"]);
    assert_eq!(config.links[0].topics[0].as_str(), "a", "the first of two stays");
    let faults: Vec<String> = config.faults.iter().map(ToString::to_string).collect();
    assert!(faults[0].starts_with("link 2 (`bad`): "), "{faults:?}");
    assert_eq!(faults[1], "link 3 (`eu`): there is a link `eu` already");
}

#[test]
fn the_time_to_warm_up_is_none_if_it_is_not_said() {
    assert_eq!(parse("").warm_up, Duration::ZERO);
    assert_eq!(parse("warm_up = \"30s\"").warm_up, Duration::from_secs(30));
}

#[test]
fn the_file_itself_must_be_right() {
    for (text, expected) in [
        ("cluster = \"us\"", "missing field `node`"),
        ("cluster = \"us\"\nnode = \"n\"\nlinks = []", "unknown field `links`"),
        ("cluster = \"u s\"\nnode = \"n\"", "`cluster`: ` ` at byte 1"),
        ("cluster = ", "the configuration can't be read"),
        ("cluster = \"us\"\nnode = \"n\"\nwarm_up = \"soon\"", "`warm_up`: `soon` is not a duration"),
    ] {
        let error = match Config::parse(text) {
            Err(error) => error.to_string(),
            Ok(config) => format!("{config:?}"),
        };
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_password_file_may_end_with_a_line_break_and_no_secret_is_shown() {
    let path = std::env::temp_dir().join(format!("link-core-password-{}", std::process::id()));
    fs::write(&path, "correct horse\n").unwrap();
    let config = parse(&format!(
        "[[link]]\nname = \"eu\"\nserver = []\ntopics = []\npassword_file = {:?}",
        path.to_str().unwrap()
    ));
    fs::remove_file(&path).unwrap();
    assert_eq!(config.links[0].password.as_ref().unwrap().reveal(), "correct horse");
    assert!(!format!("{config:?}").contains("horse"));
}

#[tokio::test]
async fn a_linker_does_not_start_with_two_links_of_one_name() {
    let link = || LinkConfig::new("eu".parse().unwrap());
    let builder = Linker::builder("us".parse().unwrap(), "us-1".parse().unwrap());
    let result = builder.link(link()).link(link()).start(MemoryBroker::new());
    assert!(matches!(result.err(), Some(StartError::Link(LinkError::Exists(name))) if name.as_str() == "eu"));
}
