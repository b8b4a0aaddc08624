//! The dialling side.

use std::{net::SocketAddr, sync::Arc};

use link_core::transport::{Connection, ConnectionError, Datagrams, Dial, DialError, FrameSender, Identity};
use quinn::{ClientConfig, Connecting, ConnectionError as Quic, Endpoint, TransportErrorCode};

use crate::{
    datagrams::DatagramSender,
    error::{lost, read_error, write_error},
    preface::{MOST_CHANNELS, Preface},
    receive::{Answer, Receiver},
    send::{Sender, Sending},
    sessions::{Known, Sessions},
    settings::{self, QuicSettings},
    tls,
};

/// Connects to the first address of the host that answers.
pub(crate) async fn dial(
    dial: &Dial,
    settings: &QuicSettings,
    sessions: &Sessions,
    endpoint: impl Fn(SocketAddr) -> std::io::Result<Endpoint>,
) -> Result<Connection, DialError> {
    let wrong = |reason| DialError::Settings { endpoint: dial.endpoint.clone(), reason };
    let unreachable = |reason: String| DialError::Unreachable { endpoint: dial.endpoint.clone(), reason };
    let (config, known) = client_config(dial, settings, sessions).map_err(wrong)?;
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
        let connecting = match early(connecting, settings, &known).await {
            Ok(connection) => return connection.map_err(|error| unreachable(error.to_string())),
            Err(connecting) => connecting,
        };
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

/// Where a session can be resumed and early data is switched on, the connection is there before the handshake is over: the
/// preface goes out with the first packet, and HELLO behind it. Gives the attempt back where that can't be.
async fn early(
    connecting: Connecting,
    settings: &QuicSettings,
    known: &Arc<Known>,
) -> Result<Result<Connection, ConnectionError>, Connecting> {
    if !settings.early_data || !known.may_be_early() {
        return Err(connecting);
    }
    let (connection, accepted) = connecting.into_0rtt()?;
    let known = known.clone();
    tokio::spawn(async move {
        // Its streams end with an error then, and the link dials again.
        if !accepted.await {
            known.early_data_refused();
        }
    });
    Ok(open_early(connection, settings).await)
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
        receiver: Box::new(Receiver::new(sending, receive, peer.channels, settings, answer)),
    }
}
