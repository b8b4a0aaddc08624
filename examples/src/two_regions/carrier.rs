//! What a link runs over, and what a region needs for it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use clap::ValueEnum;
use link_core::{
    link::{LinkConfig, Secret, TlsSettings},
    topic::TopicFilter,
    transport::{Endpoint, Transport},
};
use link_quic::{QuicSettings, QuicTransport, development::DevelopmentCa};

use super::{EU_AT_US, Failed, Region, everything, loopback, region::cluster};
use crate::proxy::Proxy;

/// What carries the link between two regions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Carrier {
    /// MQTT, through the port of the broker that is dialled.
    #[default]
    Mqtt,
    /// QUIC, on a UDP port, with certificates of an authority that this process makes.
    Quic,
}

/// A running end that waits to be dialled, and how peers get in.
pub(super) enum Means {
    Mqtt { at: SocketAddr },
    Quic { at: SocketAddr, ca: Box<DevelopmentCa> },
}

/// Whom a region pretends to be when it dials.
pub(super) struct Credential {
    pub(super) user: (&'static str, &'static str),
    /// The cluster in its certificate.
    pub(super) certificate: &'static str,
}

/// Over QUIC nothing but silence tells that a connection is dead, and a check should not wait for three times 5 s.
const HEARTBEAT: Duration = Duration::from_secs(1);

impl Means {
    /// Starts the region that is dialled, and what it is dialled by.
    pub(super) async fn start(
        carrier: Carrier,
        name: &str,
        bind: SocketAddr,
        users: &[(&str, &str)],
    ) -> Result<(Self, Region), Failed> {
        if carrier == Carrier::Mqtt {
            let region = Region::start(name, bind, users).await?;
            return Ok((Self::Mqtt { at: region.address() }, region));
        }
        let wrong = |reason: String| Failed::Wrong(reason);
        let ca = DevelopmentCa::new().map_err(|e| wrong(e.to_string()))?;
        let tls = settings(&ca, name)?;
        let quic =
            QuicTransport::listen(loopback(0), &tls, QuicSettings::default()).map_err(|e| wrong(e.to_string()))?;
        let at = quic.local_address().ok_or_else(|| wrong("the UDP port has no address".to_owned()))?;
        Ok((Self::Quic { at, ca: Box::new(ca) }, Region::start_with(name, bind, users, Some(Arc::new(quic))).await?))
    }

    /// A region that dials.
    pub(super) async fn dialling(&self, name: &str, users: &[(&str, &str)], port: u16) -> Result<Region, Failed> {
        let quic: Option<Arc<dyn Transport>> = match self {
            Self::Mqtt { .. } => None,
            Self::Quic { .. } => Some(Arc::new(QuicTransport::default())),
        };
        Region::start_with(name, loopback(port), users, quic).await
    }

    /// What stands between the two.
    pub(super) async fn wire(&self) -> Result<Proxy, Failed> {
        Ok(match self {
            Self::Mqtt { at } => Proxy::start(*at).await?,
            Self::Quic { at, .. } => Proxy::start_udp(*at).await?,
        })
    }

    /// The end that is dialled.
    pub(super) fn address(&self) -> SocketAddr {
        match self {
            Self::Mqtt { at } | Self::Quic { at, .. } => *at,
        }
    }

    /// A link that waits to be dialled by `peer`: by this user, or with a certificate of its name.
    pub(super) fn waiting(&self, peer: &str, user: &str, topics: Vec<TopicFilter>) -> LinkConfig {
        let link = LinkConfig { topics, ..LinkConfig::new(cluster(peer)) };
        match self {
            Self::Mqtt { .. } => LinkConfig { peer_identity: Some(user.to_owned()), ..link },
            Self::Quic { .. } => LinkConfig { heartbeat: HEARTBEAT, ..link },
        }
    }

    /// The link at `us`: it waits for `eu`.
    pub(super) fn us_to_eu(&self, topics: Vec<TopicFilter>) -> LinkConfig {
        self.waiting("eu", EU_AT_US.0, topics)
    }

    /// The link at `eu`.
    pub(super) fn eu_to_us(&self, at: SocketAddr) -> Result<LinkConfig, Failed> {
        let eu = Credential { user: EU_AT_US, certificate: "eu" };
        Ok(LinkConfig { retry_max: Duration::from_secs(1), ..self.dials(at, "us", &eu)? })
    }

    /// A link that dials `at`, where it expects the cluster `peer`.
    pub(super) fn dials(&self, at: SocketAddr, peer: &str, me: &Credential) -> Result<LinkConfig, Failed> {
        let link = LinkConfig { topics: vec![everything()?], ..LinkConfig::new(cluster(peer)) };
        Ok(match self {
            Self::Mqtt { .. } => LinkConfig {
                servers: vec![endpoint("mqtt", at)],
                username: Some(me.user.0.to_owned()),
                password: Some(Secret::new(me.user.1)),
                ..link
            },
            Self::Quic { ca, .. } => over_quic(link, at, settings(ca, me.certificate)?),
        })
    }
}

/// A link that dials `at` with these certificates.
pub(super) fn over_quic(link: LinkConfig, at: SocketAddr, tls: TlsSettings) -> LinkConfig {
    LinkConfig { servers: vec![endpoint("quic", at)], tls: Some(tls), heartbeat: HEARTBEAT, ..link }
}

/// The certificate of a cluster, by this authority.
pub(super) fn settings(ca: &DevelopmentCa, name: &str) -> Result<TlsSettings, Failed> {
    ca.settings(&cluster(name)).map_err(|error| Failed::Wrong(error.to_string()))
}

fn endpoint(scheme: &str, at: SocketAddr) -> Endpoint {
    Endpoint { scheme: scheme.to_owned(), host: at.ip().to_string(), port: at.port() }
}
