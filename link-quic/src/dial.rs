//! The dialling side.

use std::{net::SocketAddr, sync::Arc};

use link_core::transport::{Connection, ConnectionError, Dial, DialError, FrameSender, Identity};
use quinn::{ClientConfig, ConnectionError as Quic, Endpoint, TransportErrorCode};

use crate::{
    error::{lost, read_error, write_error},
    preface::{MOST_CHANNELS, Preface},
    receive::Receiver,
    send::{Sender, Sending},
    settings::QuicSettings,
    tls,
};

/// Connects to the first address of the host that answers.
pub(crate) async fn dial(
    dial: &Dial,
    settings: &QuicSettings,
    endpoint: impl Fn(SocketAddr) -> std::io::Result<Endpoint>,
) -> Result<Connection, DialError> {
    let wrong = |reason| DialError::Settings { endpoint: dial.endpoint.clone(), reason };
    let unreachable = |reason: String| DialError::Unreachable { endpoint: dial.endpoint.clone(), reason };
    let config = client_config(dial, settings).map_err(wrong)?;
    let tls = dial.link.tls.clone().unwrap_or_default();
    // The certificate names the cluster, not a machine: any node of it will do.
    let name = tls.server_name.unwrap_or_else(|| dial.link.name.to_string());
    let addresses = tokio::net::lookup_host((dial.endpoint.host.as_str(), dial.endpoint.port)).await;
    let mut error = unreachable("the name has no address".to_owned());
    for address in addresses.map_err(|e| unreachable(e.to_string()))? {
        let connecting = endpoint(address)
            .map_err(|e| unreachable(e.to_string()))?
            .connect_with(config.clone(), address, &name)
            .map_err(|e| wrong(format!("`{name}`: {e}")))?;
        let refused = |reason| DialError::Refused { endpoint: dial.endpoint.clone(), reason };
        match connecting.await {
            Ok(connection) => {
                return open(connection, settings).await.map_err(|error| match error {
                    ConnectionError::Closed(reason) => refused(reason),
                    error => unreachable(error.to_string()),
                });
            }
            // It has too much to do just now.
            Err(Quic::ConnectionClosed(close)) if close.error_code == TransportErrorCode::CONNECTION_REFUSED => {
                error = unreachable(close.to_string());
            }
            // What the other end says, or what is wrong with it, is no better at another address.
            Err(e @ (Quic::ConnectionClosed(_) | Quic::TransportError(_))) => return Err(refused(e.to_string())),
            Err(e) => error = unreachable(e.to_string()),
        }
    }
    Err(error)
}

fn client_config(dial: &Dial, settings: &QuicSettings) -> Result<ClientConfig, String> {
    if !(1..=MOST_CHANNELS).contains(&settings.channels) {
        return Err(format!("{} channels are set, 1 to {MOST_CHANNELS} are allowed", settings.channels));
    }
    let Some(tls) = &dial.link.tls else { return Err("`quic` needs the TLS settings of the link".to_owned()) };
    let mut config = ClientConfig::new(Arc::new(tls::client(tls)?));
    config.transport_config(Arc::new(settings.transport(dial.link.keep_alive, 0, settings.channels)));
    Ok(config)
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
    Ok(assemble(connection, send, receive, settings, answer))
}

/// Both sides have said how the streams lie.
pub(crate) fn assemble(
    connection: quinn::Connection,
    control: quinn::SendStream,
    receive: quinn::RecvStream,
    settings: &QuicSettings,
    peer: Preface,
) -> Connection {
    let identity = Identity {
        address: connection.remote_address().to_string(),
        user: None,
        certificate_names: tls::names(&connection),
        names_cluster: true,
    };
    let sending = Arc::new(Sending {
        connection: connection.clone(),
        max_frame: peer.max_frame as usize,
        detach_above: settings.detach_above,
    });
    let channel = |channel| -> Box<dyn FrameSender> { Box::new(Sender::channel(sending.clone(), channel)) };
    Connection {
        identity,
        control: Box::new(Sender::control(sending.clone(), control)),
        data: (0..peer.channels).map(channel).collect(),
        receiver: Box::new(Receiver::new(connection, receive, peer.channels, settings.max_frame as usize)),
    }
}
