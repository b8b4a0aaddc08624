//! Who may log in, and who may touch the topics of a link.

use std::{collections::BTreeMap, future::Future, net::SocketAddr, pin::Pin, sync::Arc};

use link_core::link::Secret;
use mqtt5::{
    broker::{AuthProvider, AuthResult},
    packet::connect::ConnectPacket,
    protocol::v5::reason_codes::ReasonCode,
};

/// Decides about the topics under `$LINK/`, and hears of logins that failed.
///
/// The accepting side of the MQTT transport answers this; everybody else is kept out of `$LINK/`.
pub trait LinkAccess: Send + Sync + 'static {
    /// Whether this client may publish to this topic under `$LINK/`.
    fn may_publish(&self, client_id: &str, user: Option<&str>, topic: &str) -> bool;
    /// Whether this client may subscribe to this filter under `$LINK/`.
    fn may_subscribe(&self, client_id: &str, user: Option<&str>, filter: &str) -> bool;
    /// A login failed.
    fn on_refused(&self, client_id: &str, user: Option<&str>, address: SocketAddr, reason: &str);
}

/// Users with passwords. A broker has its own; what matters to a link are the three calls to [`LinkAccess`].
pub struct Users {
    passwords: BTreeMap<String, Secret>,
    access: Arc<dyn LinkAccess>,
}

type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

impl Users {
    /// Lets these users in, by name and password.
    pub fn new(users: impl IntoIterator<Item = (String, Secret)>, access: Arc<dyn LinkAccess>) -> Self {
        Self { passwords: users.into_iter().collect(), access }
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
                self.access.on_refused(&connect.client_id, connect.username.as_deref(), address, reason);
                AuthResult::fail_with_reason(ReasonCode::BadUsernameOrPassword, reason)
            }
        };
        Box::pin(std::future::ready(Ok(result)))
    }

    fn authorize_publish<'a>(&'a self, client_id: &str, user: Option<&'a str>, topic: &'a str) -> Answer<'a, bool> {
        let allowed = !is_link(topic) || self.access.may_publish(client_id, user, topic);
        Box::pin(std::future::ready(allowed))
    }

    fn authorize_subscribe<'a>(&'a self, client_id: &str, user: Option<&'a str>, filter: &'a str) -> Answer<'a, bool> {
        let allowed = !is_link(filter) || self.access.may_subscribe(client_id, user, filter);
        Box::pin(std::future::ready(allowed))
    }
}

/// Whether a topic, or a filter with or without its share group, lies under `$LINK/`.
pub(super) fn is_link(text: &str) -> bool {
    let filter = match text.strip_prefix("$share/") {
        Some(rest) => rest.split_once('/').map_or("", |(_, filter)| filter),
        None => text,
    };
    filter == "$LINK" || filter.starts_with("$LINK/")
}

/// Compares in a time that does not depend on where the texts differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}
