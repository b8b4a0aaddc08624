use std::{io, net::SocketAddr, sync::Arc};

use async_trait::async_trait;
use link_core::{
    link::TlsSettings,
    transport::{Accepted, Connection, Dial, DialError, Transport},
};
use quinn::ServerConfig;
use thiserror::Error;
use tokio::{
    sync::{Mutex, mpsc},
    task::JoinSet,
};

use crate::{
    accept::accept_peers,
    endpoints::Endpoints,
    listener::{Listener, Server},
    network::Network,
    sessions::Sessions,
    settings::QuicSettings,
    tls,
};

/// Dials links over QUIC, and accepts them.
pub struct QuicTransport {
    settings: Arc<QuicSettings>,
    sessions: Sessions,
    endpoints: Endpoints,
    listening: Option<Listening>,
}

struct Listening {
    listener: Arc<Listener>,
    accepted: Mutex<mpsc::Receiver<Accepted>>,
    // Dropping it ends the task.
    _task: JoinSet<()>,
}

/// Why a transport does not listen. Nothing has changed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ListenError {
    /// A setting can't be used.
    #[error("{0}")]
    Settings(String),
    /// The address can't be used.
    #[error("{address}: {error}")]
    Address {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// This transport only dials.
    #[error("the transport does not listen")]
    NotListening,
}

impl QuicTransport {
    /// A transport that only dials. Settings that can't be used show when a link dials.
    pub fn new(settings: QuicSettings) -> Self {
        Self::on(Network::System, settings)
    }

    /// A transport that dials, and accepts peers on a UDP port. To be called inside a tokio runtime.
    ///
    /// A peer is let in if its certificate is signed by an authority in `tls.ca`; this side shows `tls.certificate`,
    /// which should name the own cluster. `tls.server_name` is not used.
    ///
    /// # Errors
    /// A [`ListenError`] says which setting, or that the address, can't be used.
    pub fn listen(address: SocketAddr, tls: &TlsSettings, settings: QuicSettings) -> Result<Self, ListenError> {
        Self::listen_on(Network::System, address, tls, settings)
    }

    pub(crate) fn on(network: Network, settings: QuicSettings) -> Self {
        Self::over(Arc::new(network), settings)
    }

    fn over(network: Arc<Network>, settings: QuicSettings) -> Self {
        Self {
            settings: Arc::new(settings),
            sessions: Sessions::default(),
            endpoints: Endpoints::new(network),
            listening: None,
        }
    }

    pub(crate) fn listen_on(
        network: Network,
        address: SocketAddr,
        tls: &TlsSettings,
        settings: QuicSettings,
    ) -> Result<Self, ListenError> {
        let server = server(tls, &settings).map_err(ListenError::Settings)?;
        let runtime = tokio::runtime::Handle::try_current().map_err(|e| ListenError::Settings(e.to_string()))?;
        let network = Arc::new(network);
        let listener = Listener::bind(network.clone(), address, server);
        let listener = Arc::new(listener.map_err(|error| ListenError::Address { address, error })?);
        let mut transport = Self::over(network, settings);
        let (accepted, queue) = mpsc::channel(transport.settings.backlog.max(1));
        let mut task = JoinSet::new();
        task.spawn_on(accept_peers(listener.clone(), transport.settings.clone(), accepted), &runtime);
        transport.listening = Some(Listening { listener, accepted: Mutex::new(queue), _task: task });
        Ok(transport)
    }

    /// The address on which peers are accepted.
    pub fn local_address(&self) -> Option<SocketAddr> {
        self.listening.as_ref().map(|listening| listening.listener.address)
    }

    /// Takes another certificate, key or authority for the peers that connect from now on. Connections that are up stay.
    /// A link that accepts takes other authorities, and one that dials other certificates, with [`update_link`](link_core::driver::Linker::update_link).
    ///
    /// # Errors
    /// With a [`ListenError`] the old ones stay.
    pub fn reload(&self, tls: &TlsSettings) -> Result<(), ListenError> {
        let Some(listening) = &self.listening else { return Err(ListenError::NotListening) };
        listening.listener.replace(server(tls, &self.settings).map_err(ListenError::Settings)?);
        Ok(())
    }

    /// Moves the connections that this side has dialled to new local ports, as after a change of the network. They go
    /// on, and lose nothing (RFC 9000, section 9).
    ///
    /// # Errors
    /// What the system said to a new socket; the connections stay where they are then.
    pub fn rebind(&self) -> io::Result<()> {
        self.endpoints.rebind()
    }
}

impl Default for QuicTransport {
    fn default() -> Self {
        Self::new(QuicSettings::default())
    }
}

fn server(tls: &TlsSettings, settings: &QuicSettings) -> Result<Server, String> {
    let (crypto, verifier) = tls::server(tls, settings.early_data)?;
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    // The control stream; the others when the peer has been let in, and has said how many channels there are.
    config.transport_config(Arc::new(settings.transport(settings.keep_alive, 1, 0)));
    config.max_incoming(settings.handshakes.saturating_mul(2).max(1));
    Ok(Server { config, verifier })
}

#[async_trait]
impl Transport for QuicTransport {
    fn schemes(&self) -> &[&'static str] {
        &["quic"]
    }

    async fn dial(&self, dial: &Dial) -> Result<Connection, DialError> {
        crate::dial::dial(dial, &self.settings, &self.sessions, &self.endpoints).await
    }

    async fn accept(&self) -> Accepted {
        if let Some(listening) = &self.listening
            && let Some(accepted) = listening.accepted.lock().await.recv().await
        {
            return accepted;
        }
        std::future::pending().await
    }
}
