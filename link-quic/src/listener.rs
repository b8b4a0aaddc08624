//! The port on which peers are accepted.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use quinn::{Endpoint, ServerConfig};
use rustls::server::danger::ClientCertVerifier;
use tokio::time::sleep;

use crate::network::Network;

/// With what peers are accepted.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) config: ServerConfig,
    /// What verifies their certificates.
    pub(crate) verifier: Arc<dyn ClientCertVerifier>,
}

/// A port, and the endpoint that is bound to it.
pub(crate) struct Listener {
    network: Arc<Network>,
    pub(crate) address: SocketAddr,
    state: Mutex<State>,
}

struct State {
    server: Server,
    /// None while a socket that has failed is not replaced.
    endpoint: Option<Endpoint>,
}

/// Before the first attempt to bind the port again, and the longest time between two.
const FIRST: Duration = Duration::from_millis(100);
const MOST: Duration = Duration::from_secs(10);

impl Listener {
    pub(crate) fn bind(network: Arc<Network>, address: SocketAddr, server: Server) -> io::Result<Self> {
        let endpoint = network.listen(address, server.config.clone())?;
        let address = endpoint.local_addr()?;
        Ok(Self { network, address, state: Mutex::new(State { server, endpoint: Some(endpoint) }) })
    }

    pub(crate) fn endpoint(&self) -> Option<Endpoint> {
        self.state().endpoint.clone()
    }

    pub(crate) fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        self.state().server.verifier.clone()
    }

    pub(crate) fn replace(&self, server: Server) {
        let mut state = self.state();
        if let Some(endpoint) = &state.endpoint {
            endpoint.set_server_config(Some(server.config.clone()));
        }
        state.server = server;
    }

    /// Binds the port again, after its socket has failed. The connections that were accepted there are lost.
    pub(crate) async fn bind_again(&self) {
        // The old socket holds the port, until the last connection over it is gone.
        self.state().endpoint = None;
        let mut pause = FIRST;
        loop {
            sleep(pause).await;
            pause = (pause * 2).min(MOST);
            let mut state = self.state();
            match self.network.listen(self.address, state.server.config.clone()) {
                Ok(endpoint) => return state.endpoint = Some(endpoint),
                Err(error) if pause == MOST => {
                    tracing::error!(address = %self.address, %error, "the port for peers can't be bound again");
                }
                Err(_) => {}
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves it whole: each call changes it in one step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
