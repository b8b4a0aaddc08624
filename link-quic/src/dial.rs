//! The dialling side.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use link_core::transport::{Connection, ConnectionError, Datagrams, Dial, DialError, FrameSender, Identity};
use quinn::{ClientConfig, ConnectError, Connecting, ConnectionError as Quic, TransportErrorCode, VarInt};
use rustls::pki_types::ServerName;
use tokio::time::timeout;

use crate::{
    datagrams::DatagramSender,
    endpoints::Endpoints,
    error::{lost, read_error, write_error},
    preface::{MOST_CHANNELS, Preface},
    receive::{Answer, Receiver},
    send::{Sender, Sending},
    sessions::{Known, Sessions},
    settings::{self, QuicSettings},
    tls,
};

/// Shortest time for one address, where a host has several.
const ADDRESS_TIME: Duration = Duration::from_secs(1);

/// Connects to the first address of the host that answers.
pub(crate) async fn dial(
    dial: &Dial,
    settings: &QuicSettings,
    sessions: &Sessions,
    endpoints: &Endpoints,
) -> Result<Connection, DialError> {
    let (attempt, addresses) = (Attempt::new(dial, settings, sessions, endpoints)?, &dial.endpoint);
    let addresses = tokio::net::lookup_host((addresses.host.as_str(), addresses.port)).await;
    attempt.first_of(&addresses.map_err(|e| attempt.unreachable(e))?.collect::<Vec<_>>()).await
}

/// One dial, of all addresses of a host.
struct Attempt<'a> {
    dial: &'a Dial,
    settings: &'a QuicSettings,
    sessions: &'a Sessions,
    endpoints: &'a Endpoints,
    config: ClientConfig,
    known: Arc<Known>,
    /// Which name the certificate of the acceptor must have.
    name: String,
    verified: ServerName<'static>,
}

/// Why an address gave no connection.
enum Failed {
    /// Another one may do.
    Here(DialError),
    /// What the other end says, or what is wrong with it, is no better at another address.
    Everywhere(DialError),
}

impl<'a> Attempt<'a> {
    fn new(
        dial: &'a Dial,
        settings: &'a QuicSettings,
        sessions: &'a Sessions,
        endpoints: &'a Endpoints,
    ) -> Result<Self, DialError> {
        let wrong = |reason| DialError::Settings { endpoint: dial.endpoint.clone(), reason };
        let (config, known) = client_config(dial, settings, sessions).map_err(wrong)?;
        let tls = dial.link.tls.clone().unwrap_or_default();
        // The certificate names the cluster, not a machine: any node of it will do.
        let name = tls.server_name.unwrap_or_else(|| dial.link.name.to_string());
        let verified = match ServerName::try_from(name.clone()) {
            Ok(verified @ ServerName::DnsName(_)) => verified,
            Ok(_) => {
                return Err(wrong(format!("`{name}` is an address: tls.server_name says which DNS name the peer has")));
            }
            Err(e) => return Err(wrong(format!("`{name}`: {e}"))),
        };
        Ok(Self { dial, settings, sessions, endpoints, config, known, name, verified })
    }

    fn unreachable(&self, reason: impl ToString) -> DialError {
        DialError::Unreachable { endpoint: self.dial.endpoint.clone(), reason: reason.to_string() }
    }

    fn refused(&self, reason: impl ToString) -> DialError {
        DialError::Refused { endpoint: self.dial.endpoint.clone(), reason: reason.to_string() }
    }

    /// Each address has the same share of the time: one that says nothing leaves some for the next.
    async fn first_of(&self, addresses: &[SocketAddr]) -> Result<Connection, DialError> {
        let count = u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
        let share = (self.dial.link.connect_timeout / count).max(ADDRESS_TIME);
        let mut error = self.unreachable("the name has no address");
        for &address in addresses {
            error = match timeout(share, self.connect(address)).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(Failed::Everywhere(error))) => return Err(error),
                Ok(Err(Failed::Here(error))) => error,
                Err(_) => self.unreachable(format!("{address} said nothing for {share:?}")),
            };
        }
        Err(error)
    }

    async fn connect(&self, address: SocketAddr) -> Result<Connection, Failed> {
        let here = |reason: String| Failed::Here(self.unreachable(reason));
        let connecting = self.begin(address).map_err(here)?;
        let connecting = match self.early(connecting, address).await {
            Ok(connection) => return connection.map_err(|error| here(error.to_string())),
            Err(connecting) => connecting,
        };
        let connection = match connecting.await {
            Ok(connection) => connection,
            // It has too much to do just now.
            Err(Quic::ConnectionClosed(close)) if close.error_code == TransportErrorCode::CONNECTION_REFUSED => {
                return Err(here(close.to_string()));
            }
            Err(e @ (Quic::ConnectionClosed(_) | Quic::TransportError(_))) => {
                return Err(Failed::Everywhere(self.refused(e)));
            }
            Err(e) => return Err(here(e.to_string())),
        };
        if let Err(reason) = tls::verify_acceptor(&connection, &self.known.verifier, &self.verified) {
            self.sessions.forget(&self.known);
            connection.close(VarInt::from_u32(1), reason.as_bytes());
            return Err(Failed::Everywhere(self.refused(reason)));
        }
        self.known.has_answered(address);
        open(connection, self.settings).await.map_err(|error| match error {
            ConnectionError::Closed(reason) => Failed::Everywhere(self.refused(reason)),
            error => here(error.to_string()),
        })
    }

    /// Sends the first packet.
    fn begin(&self, address: SocketAddr) -> Result<Connecting, String> {
        let connect = || {
            let endpoint = self.endpoints.of(address).map_err(|e| e.to_string())?;
            Ok::<_, String>(endpoint.connect_with(self.config.clone(), address, &self.name))
        };
        match connect()? {
            Err(ConnectError::EndpointStopping) => {
                // Its socket has failed.
                tracing::warn!("the socket that dials has failed: another one is bound");
                self.endpoints.forget(address);
                connect()?.map_err(|e| e.to_string())
            }
            result => result.map_err(|e| e.to_string()),
        }
    }

    /// Where a session can be resumed, early data is switched on and the address has answered last time, the connection is
    /// there before the handshake is over: the preface goes out with the first packet, and HELLO behind it. Gives the
    /// attempt back where that can't be.
    async fn early(
        &self,
        connecting: Connecting,
        address: SocketAddr,
    ) -> Result<Result<Connection, ConnectionError>, Connecting> {
        if !self.settings.early_data || !self.known.may_be_early(address) {
            return Err(connecting);
        }
        let (connection, accepted) = connecting.into_0rtt()?;
        let (known, sessions, name) = (self.known.clone(), self.sessions.clone(), self.verified.clone());
        let early = connection.clone();
        // At once: what is written when the handshake is over is not early.
        let opened = open_early(connection, self.settings).await;
        tokio::spawn(async move {
            // Its streams end with an error then, and the link dials again.
            if !accepted.await {
                return known.early_data_refused();
            }
            if let Err(reason) = tls::verify_acceptor(&early, &known.verifier, &name) {
                sessions.forget(&known);
                early.close(VarInt::from_u32(1), reason.as_bytes());
            }
        });
        Ok(opened)
    }
}

fn client_config(
    dial: &Dial,
    settings: &QuicSettings,
    sessions: &Sessions,
) -> Result<(ClientConfig, Arc<Known>), String> {
    if !(1..=MOST_CHANNELS).contains(&settings.channels) {
        return Err(format!("{} channels are set, 1 to {MOST_CHANNELS} are allowed", settings.channels));
    }
    let Some(tls) = &dial.link.tls else { return Err("`quic` needs the TLS settings of the link".to_owned()) };
    let known = sessions.of(tls, settings.early_data)?;
    let mut config = ClientConfig::new(known.config.clone());
    config.transport_config(Arc::new(settings.transport(
        dial.link.keep_alive,
        0,
        settings::streams(settings.channels),
    )));
    Ok((config, known))
}

async fn open_early(connection: quinn::Connection, settings: &QuicSettings) -> Result<Connection, ConnectionError> {
    let (mut send, receive) = connection.open_bi().await.map_err(lost)?;
    let own = Preface { channels: settings.channels, max_frame: settings.max_frame };
    send.write_all(&own.encode()).await.map_err(write_error)?;
    Ok(assemble(connection, send, receive, settings, own, Answer::Comes))
}

/// Opens the control stream, and waits until the acceptor has let this side in.
async fn open(connection: quinn::Connection, settings: &QuicSettings) -> Result<Connection, ConnectionError> {
    let (mut send, mut receive) = connection.open_bi().await.map_err(lost)?;
    let own = Preface { channels: settings.channels, max_frame: settings.max_frame };
    send.write_all(&own.encode()).await.map_err(write_error)?;
    let mut answer = [0; Preface::SIZE];
    receive.read_exact(&mut answer).await.map_err(read_error)?;
    let answer =
        Preface::decode(answer).map_err(|e| ConnectionError::Closed(format!("the peer speaks something else: {e}")))?;
    Ok(assemble(connection, send, receive, settings, answer, Answer::HasCome))
}

/// Both sides have said how the streams lie, or the dialler has.
pub(crate) fn assemble(
    connection: quinn::Connection,
    control: quinn::SendStream,
    receive: quinn::RecvStream,
    settings: &QuicSettings,
    peer: Preface,
    answer: Answer,
) -> Connection {
    let identity = Identity {
        address: connection.remote_address().to_string(),
        user: None,
        certificate_names: tls::names(&connection),
        names_cluster: true,
        signed_by: None,
    };
    let (sending, data) =
        Sending::new(connection.clone(), peer.max_frame as usize, settings.detach_above, peer.channels);
    let data = data.into_iter().map(|sender| -> Box<dyn FrameSender> { Box::new(sender) }).collect();
    Connection {
        identity,
        control: Box::new(Sender::control(sending.clone(), control)),
        data,
        datagrams: connection
            .max_datagram_size()
            .map(|largest| Datagrams { largest, sender: Box::new(DatagramSender::new(connection.clone(), settings)) }),
        max_frame: Some(settings.max_frame.min(peer.max_frame) as usize),
        receiver: Box::new(Receiver::new(sending, receive, peer.channels, settings, answer)),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use link_core::link::{ClusterName, LinkConfig, NodeName, Secret, TlsSettings};
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

    use super::*;
    use crate::{QuicTransport, network::Network};

    /// Settings for a cluster that trusts itself.
    fn tls(name: &str) -> TlsSettings {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
        TlsSettings {
            ca: authority.pem().into_bytes(),
            certificate: Some(certificate.pem().into_bytes()),
            key: Some(Secret::new(key.serialize_pem())),
            server_name: None,
        }
    }

    #[tokio::test]
    async fn an_address_that_is_silent_or_cannot_be_dialled_leaves_time_for_the_next_one() {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let (silent, tls) = (std::net::UdpSocket::bind(any).unwrap(), tls("us"));
        let us = QuicTransport::listen(any, &tls, QuicSettings::default()).unwrap();
        let (silent, answers) = (silent.local_addr().unwrap(), us.local_address().unwrap());
        let mut link = LinkConfig::new(ClusterName::new("us").unwrap());
        (link.tls, link.connect_timeout) = (Some(tls), Duration::from_secs(3));
        let (cluster, node) = (ClusterName::new("us").unwrap(), NodeName::new("us-2").unwrap());
        let dial = Dial { endpoint: "quic://us".parse().unwrap(), cluster, node, link: Arc::new(link) };
        let (settings, sessions) = (QuicSettings::default(), Sessions::default());
        let endpoints = Endpoints::new(Arc::new(Network::System));
        let attempt = Attempt::new(&dial, &settings, &sessions, &endpoints).unwrap();
        let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let addresses = [silent, nowhere, answers];
        let connection = timeout(Duration::from_secs(3), attempt.first_of(&addresses)).await.unwrap().unwrap();
        assert_eq!(connection.identity.address, answers.to_string());
    }
}
