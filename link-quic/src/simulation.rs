//! Transports in a simulated network. For tests: no part of the stable interface.

use std::{io, net::SocketAddr, sync::Arc};

use link_core::link::TlsSettings;
use quinn::{AsyncUdpSocket, Endpoint, EndpointConfig, Runtime, ServerConfig};

use crate::{ListenError, QuicSettings, QuicTransport, network::Network};

/// Binds a socket of the simulated network. It is called inside the host that binds.
pub type Bind = Arc<dyn Fn(SocketAddr) -> io::Result<Arc<dyn AsyncUdpSocket>> + Send + Sync>;

/// A simulated network, and what its endpoints are made with.
#[derive(Clone)]
pub struct Simulated {
    /// Settings of the endpoints; with [`rng_seed`](EndpointConfig::rng_seed) they send the same in each run.
    pub endpoint: EndpointConfig,
    /// Clock, timers and tasks.
    pub runtime: Arc<dyn Runtime>,
    /// Where the sockets come from.
    pub bind: Bind,
}

impl Simulated {
    pub(crate) fn endpoint(&self, address: SocketAddr, server: Option<ServerConfig>) -> io::Result<Endpoint> {
        let socket = (self.bind)(address)?;
        Endpoint::new_with_abstract_socket(self.endpoint.clone(), server, socket, self.runtime.clone())
    }
}

impl QuicTransport {
    /// As [`new`](Self::new), in a simulated network.
    pub fn simulated(settings: QuicSettings, network: Simulated) -> Self {
        Self::on(Network::Simulated(network), settings)
    }

    /// As [`listen`](Self::listen), in a simulated network.
    ///
    /// # Errors
    /// As there.
    pub fn listen_simulated(
        address: SocketAddr,
        tls: &TlsSettings,
        settings: QuicSettings,
        network: Simulated,
    ) -> Result<Self, ListenError> {
        Self::listen_on(Network::Simulated(network), address, tls, settings)
    }
}
