//! Where the endpoints of a transport come from.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    sync::Arc,
};

use quinn::{AsyncUdpSocket, Endpoint, EndpointConfig, Runtime, ServerConfig, TokioRuntime};

/// The network that carries the packets.
#[derive(Default)]
pub(crate) enum Network {
    /// That of the system.
    #[default]
    System,
    #[cfg(feature = "simulation")]
    Simulated(crate::simulation::Simulated),
}

impl Network {
    /// An endpoint that accepts peers.
    pub(crate) fn listen(&self, address: SocketAddr, config: ServerConfig) -> io::Result<Endpoint> {
        match self {
            Self::System => {
                let socket = UdpSocket::bind(address)?;
                Endpoint::new(EndpointConfig::default(), Some(config), socket, Arc::new(TokioRuntime))
            }
            #[cfg(feature = "simulation")]
            Self::Simulated(simulated) => simulated.endpoint(address, Some(config)),
        }
    }

    /// An endpoint that only dials.
    pub(crate) fn dial(&self, from: SocketAddr) -> io::Result<Endpoint> {
        match self {
            Self::System => Endpoint::client(from),
            #[cfg(feature = "simulation")]
            Self::Simulated(simulated) => simulated.endpoint(from, None),
        }
    }

    /// A socket to which an endpoint can be moved.
    pub(crate) fn socket(&self, at: SocketAddr) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        match self {
            Self::System => TokioRuntime.wrap_udp_socket(UdpSocket::bind(at)?),
            #[cfg(feature = "simulation")]
            Self::Simulated(simulated) => (simulated.bind)(at),
        }
    }
}
