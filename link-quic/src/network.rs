//! Where the endpoints of a transport come from.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    sync::Arc,
};

use quinn::{Endpoint, EndpointConfig, ServerConfig, TokioRuntime};

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

    /// Moves an endpoint to a new socket.
    pub(crate) fn rebind(&self, endpoint: &Endpoint, to: SocketAddr) -> io::Result<()> {
        match self {
            Self::System => endpoint.rebind(UdpSocket::bind(to)?),
            #[cfg(feature = "simulation")]
            Self::Simulated(simulated) => endpoint.rebind_abstract((simulated.bind)(to)?),
        }
    }
}
