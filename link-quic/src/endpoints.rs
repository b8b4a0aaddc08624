//! What dials: an endpoint for each family of addresses.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use quinn::Endpoint;

use crate::network::Network;

/// The endpoints of the dialling side, each made with the first dial.
pub(crate) struct Endpoints {
    network: Arc<Network>,
    /// IPv4 and IPv6.
    made: Mutex<[Option<Endpoint>; 2]>,
}

const ANY: [SocketAddr; 2] =
    [SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0), SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0)];

impl Endpoints {
    pub(crate) fn new(network: Arc<Network>) -> Self {
        Self { network, made: Mutex::default() }
    }

    /// The endpoint that dials this address.
    pub(crate) fn of(&self, address: SocketAddr) -> io::Result<Endpoint> {
        let at = usize::from(address.is_ipv6());
        let made = &mut self.made()[at];
        match made {
            Some(endpoint) => Ok(endpoint.clone()),
            None => Ok(made.insert(self.network.dial(ANY[at])?).clone()),
        }
    }

    /// This endpoint has ended: the next dial makes another one.
    pub(crate) fn forget(&self, address: SocketAddr) {
        self.made()[usize::from(address.is_ipv6())] = None;
    }

    /// Moves all to new sockets, or none of them.
    pub(crate) fn rebind(&self) -> io::Result<()> {
        let made = self.made();
        let mut moves = Vec::new();
        for (endpoint, any) in made.iter().zip(ANY) {
            if let Some(endpoint) = endpoint {
                moves.push((endpoint, self.network.socket(any)?));
            }
        }
        moves.into_iter().try_for_each(|(endpoint, socket)| endpoint.rebind_abstract(socket))
    }

    fn made(&self) -> MutexGuard<'_, [Option<Endpoint>; 2]> {
        // A panic elsewhere leaves an endpoint or none: both are fine.
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
