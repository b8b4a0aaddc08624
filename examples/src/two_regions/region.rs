use std::{fmt::Display, net::SocketAddr, str::FromStr, sync::Arc, time::Duration};

use link_core::{
    driver::Linker,
    link::{ClusterName, LinkState, LinkStatus, Secret},
    transport::Transport,
};
use tokio::time::timeout;

use super::{Failed, PATIENCE};
use crate::{
    client::{Client, ClientError, Login},
    mqtt5_host::{Mqtt5Broker, Settings},
};

/// A broker with its linker: one region.
pub struct Region {
    name: String,
    broker: Mqtt5Broker,
    linker: Linker,
    login: (String, String),
}

impl Region {
    /// Starts a broker with these users (the first is the one for clients) and a linker without links.
    pub async fn start(name: &str, bind: SocketAddr, users: &[(&str, &str)]) -> Result<Self, Failed> {
        Self::start_with(name, bind, users, None).await
    }

    /// The same, with a transport beside that of the broker.
    pub async fn start_with(
        name: &str,
        bind: SocketAddr,
        users: &[(&str, &str)],
        transport: Option<Arc<dyn Transport>>,
    ) -> Result<Self, Failed> {
        let broker = plain(bind, users).await?;
        Self::link(name, broker, users, transport)
    }

    /// Gives a broker a linker: everything that a broker author has to write.
    fn link(
        name: &str,
        mut broker: Mqtt5Broker,
        users: &[(&str, &str)],
        transport: Option<Arc<dyn Transport>>,
    ) -> Result<Self, Failed> {
        let builder = Linker::builder(parsed(name)?, parsed(&format!("{name}-1"))?)
            .transport(broker.transport())
            .reconcile_every(Duration::from_secs(2));
        let linker =
            transport.into_iter().fold(builder, |builder, other| builder.transport(other)).start(broker.host())?;
        broker.connect(linker.clone());
        let login = users.first().map(|(user, password)| ((*user).to_owned(), (*password).to_owned()));
        Ok(Self { name: name.to_owned(), broker, linker, login: login.unwrap_or_default() })
    }

    /// Connects a client of this region.
    pub async fn client(&self, id: &str) -> Result<Client, ClientError> {
        Client::connect(self.login(id)).await
    }

    /// How a client of this region logs in.
    pub fn login(&self, id: &str) -> Login {
        Login::new(self.address(), id, &self.login.0, &self.login.1)
    }

    /// Waits until the link is live.
    pub async fn live(&self, peer: &str) -> Result<LinkStatus, Failed> {
        self.status(peer, "is live", |status| status.state == LinkState::Live).await
    }

    /// Waits until the status of the link is as it should be; the error shows it as it is.
    pub async fn status(
        &self,
        peer: &str,
        expected: &str,
        condition: impl FnMut(&LinkStatus) -> bool,
    ) -> Result<LinkStatus, Failed> {
        let name = cluster(peer);
        if let Ok(Some(status)) = timeout(PATIENCE, self.linker.wait_for(&name, condition)).await {
            return Ok(status);
        }
        let now = match self.linker.link(&name).await {
            Some(LinkStatus { state, reason, last_refusal, .. }) => {
                format!("{state}: {reason} (last refusal: {last_refusal:?})")
            }
            None => "gone".to_owned(),
        };
        Err(Failed::Wrong(format!("the link from {} to {peer} {expected}: not so, it is {now}", self.name)))
    }

    /// Cluster name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.broker.address()
    }

    /// The linker.
    pub fn linker(&self) -> &Linker {
        &self.linker
    }

    /// Stops linker and broker.
    pub async fn stop(self) {
        self.linker.shutdown().await;
        self.broker.stop().await;
    }
}

/// A broker without a linker.
pub(super) async fn plain(bind: SocketAddr, users: &[(&str, &str)]) -> Result<Mqtt5Broker, Failed> {
    let users = users.iter().map(|(user, password)| ((*user).to_owned(), Secret::new(*password))).collect();
    Mqtt5Broker::start(Settings { bind, users }).await.map_err(|error| Failed::Broker(error.to_string()))
}

/// The demonstration's names are valid; a test holds it to that.
#[allow(clippy::expect_used, reason = "constant names, parsed by a test")]
pub(super) fn cluster(name: &str) -> ClusterName {
    ClusterName::new(name).expect("a valid name")
}

fn parsed<T: FromStr<Err: Display>>(name: &str) -> Result<T, Failed> {
    name.parse().map_err(|error: T::Err| Failed::Wrong(format!("the name `{name}`: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_valid() {
        for name in ["us", "eu", "ap", "mars", "venus"] {
            assert_eq!(cluster(name).as_str(), name);
        }
    }
}
