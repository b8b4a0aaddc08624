//! Who may log in, and who may touch the topics of a link.

use std::{collections::BTreeMap, future::Future, net::SocketAddr, pin::Pin};

use link_core::link::Secret;
use link_mqtt::{ClientInfo, LinkAccess, MqttAcceptor};
use mqtt5::{
    broker::{AuthProvider, AuthResult},
    packet::connect::ConnectPacket,
    protocol::v5::reason_codes::ReasonCode,
};
use tracing::debug;

use super::{hold::Holding, hooks::wanted};

/// Users with passwords. A broker has its own; what matters to a link are the three calls to the [`MqttAcceptor`].
pub struct Users {
    passwords: BTreeMap<String, Secret>,
    link: MqttAcceptor,
    holding: Holding,
}

type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

impl Users {
    /// Lets these users in, by name and password.
    pub fn new(users: impl IntoIterator<Item = (String, Secret)>, link: MqttAcceptor) -> Self {
        Self { passwords: users.into_iter().collect(), link, holding: Holding::default() }
    }

    /// Answers whether a client may subscribe only when the peers know of it.
    pub(super) fn holding(self, holding: Holding) -> Self {
        Self { holding, ..self }
    }

    fn check(&self, connect: &ConnectPacket) -> Result<String, &'static str> {
        if connect.client_id.starts_with('$') {
            return Err("client ids that begin with `$` belong to the broker");
        }
        let user = connect.username.as_deref().ok_or("no user name")?;
        let given = connect.password.as_deref().ok_or("no password")?;
        match self.passwords.get(user) {
            Some(password) if same(password.reveal().as_bytes(), given) => Ok(user.to_owned()),
            _ => Err("wrong user name or password"),
        }
    }
}

impl AuthProvider for Users {
    fn authenticate<'a>(
        &'a self,
        connect: &'a ConnectPacket,
        address: SocketAddr,
    ) -> Answer<'a, mqtt5::Result<AuthResult>> {
        let result = match self.check(connect) {
            Ok(user) => AuthResult::success_with_user(user),
            Err(reason) => {
                self.link.on_refused(
                    &connect.client_id,
                    connect.username.as_deref(),
                    &format!("{reason}, from {address}"),
                );
                AuthResult::fail_with_reason(ReasonCode::BadUsernameOrPassword, reason)
            }
        };
        Box::pin(std::future::ready(Ok(result)))
    }

    fn authorize_publish<'a>(&'a self, client_id: &str, user: Option<&'a str>, topic: &'a str) -> Answer<'a, bool> {
        let access = self.link.may_publish(&client(client_id, user), topic);
        Box::pin(std::future::ready(allowed(access)))
    }

    fn authorize_subscribe<'a>(&'a self, client_id: &str, user: Option<&'a str>, filter: &'a str) -> Answer<'a, bool> {
        let allowed = allowed(self.link.may_subscribe(&client(client_id, user), filter));
        let held = self.holding.get().filter(|_| allowed).and_then(|hold| Some((hold, wanted(filter)?)));
        let Some((hold, filter)) = held else { return Box::pin(std::future::ready(allowed)) };
        let client_id = client_id.to_owned();
        Box::pin(async move {
            hold.wait(&client_id, filter).await;
            true
        })
    }
}

/// A client, as the link knows it.
pub(super) fn client(client_id: &str, user: Option<&str>) -> ClientInfo {
    ClientInfo { client_id: client_id.to_owned(), user: user.map(str::to_owned), certificate_names: Vec::new() }
}

/// Beside the topics of links, these users may do everything.
fn allowed(access: LinkAccess) -> bool {
    match access {
        LinkAccess::NotLink | LinkAccess::Allowed => true,
        LinkAccess::Refused(reason) => {
            debug!(reason, "kept away from the topics of a link");
            false
        }
    }
}

/// Compares in a time that does not depend on where the texts differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}
