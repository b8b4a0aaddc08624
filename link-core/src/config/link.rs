use std::{fs, num::NonZeroU16, path::PathBuf};

use serde::Deserialize;
use thiserror::Error;

use super::{DurationError, parse_duration};
use crate::{
    delivery::Overflow,
    link::{ClusterName, ConfigError, LinkConfig, LinkError, NameError, Secret, TlsSettings},
    topic::{TopicFilter, TopicFilterError},
    transport::EndpointError,
};

/// What is wrong with one link of a configuration file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EntryError {
    /// A key is missing, unknown or of the wrong type.
    #[error("{0}")]
    Toml(String),
    /// The name is wrong.
    #[error("`name`: {0}")]
    Name(#[from] NameError),
    /// A server is wrong.
    #[error("`server` {at}: {error}")]
    Server {
        /// Its position, from 1.
        at: usize,
        /// What is wrong.
        error: EndpointError,
    },
    /// A topic is no topic filter.
    #[error("`topics` {at} `{text}`: {error}")]
    Topic {
        /// Its position, from 1.
        at: usize,
        /// As it is written.
        text: String,
        /// What is wrong.
        error: TopicFilterError,
    },
    /// A duration is wrong.
    #[error("`{key}`: {error}")]
    Duration {
        /// The key.
        key: &'static str,
        /// What is wrong.
        error: DurationError,
    },
    /// A secret or certificate can't be read.
    #[error("`{key}`: {reason}")]
    Source {
        /// The key.
        key: &'static str,
        /// Why not.
        reason: String,
    },
    /// The settings do not fit together.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The link does not fit with the others.
    #[error(transparent)]
    Link(#[from] LinkError),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    server: Vec<String>,
    topics: Vec<String>,
    enable: Option<bool>,
    username: Option<String>,
    password: Option<String>,
    password_file: Option<PathBuf>,
    password_env: Option<String>,
    peer_identity: Option<String>,
    client_id_prefix: Option<String>,
    connections: Option<NonZeroU16>,
    tls: Option<TlsEntry>,
    keep_alive: Option<String>,
    max_inflight: Option<NonZeroU16>,
    max_packet: Option<u32>,
    heartbeat: Option<String>,
    connect_timeout: Option<String>,
    retry_first: Option<String>,
    retry_max: Option<String>,
    return_after: Option<String>,
    queue_bytes: Option<u64>,
    overflow: Option<OverflowEntry>,
    window: Option<u32>,
    datagrams: Option<bool>,
    max_routes: Option<usize>,
    retention: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TlsEntry {
    ca_file: PathBuf,
    certificate_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
    server_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum OverflowEntry {
    Refuse,
    DropOldestQos0,
    DropOldest,
}

pub(super) fn parse(table: toml::Table) -> Result<LinkConfig, EntryError> {
    let entry: Entry =
        table.try_into().map_err(|error: toml::de::Error| EntryError::Toml(error.message().to_owned()))?;
    let mut link = LinkConfig::new(ClusterName::new(&entry.name)?);
    for (index, text) in entry.server.iter().enumerate() {
        link.servers.push(text.parse().map_err(|error| EntryError::Server { at: index + 1, error })?);
    }
    for (index, text) in entry.topics.iter().enumerate() {
        let error = |error| EntryError::Topic { at: index + 1, text: text.clone(), error };
        link.topics.push(TopicFilter::new(text.clone()).map_err(error)?);
    }
    link.password = password(&entry)?;
    link.tls = entry.tls.map(tls).transpose()?;
    link.username = entry.username;
    link.peer_identity = entry.peer_identity;
    link.client_id_prefix = entry.client_id_prefix;
    link.enabled = entry.enable.unwrap_or(link.enabled);
    link.connections = entry.connections.unwrap_or(link.connections);
    link.max_inflight = entry.max_inflight.unwrap_or(link.max_inflight);
    link.max_packet = entry.max_packet.unwrap_or(link.max_packet);
    link.queue_bytes = entry.queue_bytes.unwrap_or(link.queue_bytes);
    link.window = entry.window.unwrap_or(link.window);
    link.datagrams = entry.datagrams.unwrap_or(link.datagrams);
    link.max_routes = entry.max_routes.unwrap_or(link.max_routes);
    link.overflow = match entry.overflow {
        None => link.overflow,
        Some(OverflowEntry::Refuse) => Overflow::Refuse,
        Some(OverflowEntry::DropOldestQos0) => Overflow::DropOldestQos0,
        Some(OverflowEntry::DropOldest) => Overflow::DropOldest,
    };
    for (key, text, field) in [
        ("keep_alive", entry.keep_alive, &mut link.keep_alive),
        ("heartbeat", entry.heartbeat, &mut link.heartbeat),
        ("connect_timeout", entry.connect_timeout, &mut link.connect_timeout),
        ("retry_first", entry.retry_first, &mut link.retry_first),
        ("retry_max", entry.retry_max, &mut link.retry_max),
        ("return_after", entry.return_after, &mut link.return_after),
        ("retention", entry.retention, &mut link.retention),
    ] {
        if let Some(text) = text {
            *field = parse_duration(&text).map_err(|error| EntryError::Duration { key, error })?;
        }
    }
    link.check()?;
    Ok(link)
}

fn password(entry: &Entry) -> Result<Option<Secret>, EntryError> {
    let given = [entry.password.is_some(), entry.password_file.is_some(), entry.password_env.is_some()];
    if given.into_iter().filter(|given| *given).count() > 1 {
        let reason = "give one of `password`, `password_file` and `password_env`".to_owned();
        return Err(EntryError::Source { key: "password", reason });
    }
    if let Some(path) = &entry.password_file {
        let error = |error: std::io::Error| EntryError::Source {
            key: "password_file",
            reason: format!("`{}` can't be read: {error}", path.display()),
        };
        let text = fs::read_to_string(path).map_err(error)?;
        return Ok(Some(Secret::new(text.trim_end_matches(['\r', '\n']))));
    }
    if let Some(name) = &entry.password_env {
        let error = |_| EntryError::Source { key: "password_env", reason: format!("`{name}` is not set") };
        return std::env::var(name).map(|text| Some(Secret::new(text))).map_err(error);
    }
    Ok(entry.password.clone().map(Secret::new))
}

fn tls(entry: TlsEntry) -> Result<TlsSettings, EntryError> {
    let read = |key, path: PathBuf| {
        fs::read(&path)
            .map_err(|error| EntryError::Source { key, reason: format!("`{}` can't be read: {error}", path.display()) })
    };
    let key = entry.key_file.map(|path| read("tls.key_file", path)).transpose()?;
    let not_text = |_| EntryError::Source { key: "tls.key_file", reason: "the key is not PEM text".to_owned() };
    Ok(TlsSettings {
        ca: read("tls.ca_file", entry.ca_file)?,
        certificate: entry.certificate_file.map(|path| read("tls.certificate_file", path)).transpose()?,
        key: key.map(|key| String::from_utf8(key).map(Secret::new).map_err(not_text)).transpose()?,
        server_name: entry.server_name,
    })
}
