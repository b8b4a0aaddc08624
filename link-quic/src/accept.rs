//! The accepting side.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use link_core::transport::{Accepted, ConnectionError, Identity};
use quinn::{Endpoint, Incoming, VarInt};
use tokio::{sync::mpsc, task::JoinSet, time::timeout};

use crate::{
    dial::assemble,
    error::{lost, read_error, write_error},
    preface::Preface,
    receive::Answer,
    settings::{self, QuicSettings},
};

/// Takes peers in until the transport is dropped. One that is slow or wrong holds up no other.
pub(crate) async fn accept_peers(endpoint: Endpoint, settings: Arc<QuicSettings>, accepted: mpsc::Sender<Accepted>) {
    let under_way = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    loop {
        let incoming = tokio::select! {
            // In this order: no more tasks end than have begun, and a simulated run can be repeated.
            biased;
            Some(_) = tasks.join_next() => continue,
            incoming = endpoint.accept() => incoming,
        };
        let Some(incoming) = incoming else { return };
        let count = under_way.load(Ordering::Relaxed);
        if count >= settings.handshakes {
            // Nothing is kept of it: the peer tries again.
            tracing::warn!(address = %incoming.remote_address(), "too many handshakes are under way: refused one");
            incoming.refuse();
            continue;
        }
        if count * 2 >= settings.handshakes && !incoming.remote_address_validated() {
            // Whoever sends with a false address gets no further than this.
            let _ = incoming.retry();
            continue;
        }
        let place = Place::take(&under_way);
        let (settings, accepted) = (settings.clone(), accepted.clone());
        tasks.spawn(async move {
            let address = incoming.remote_address();
            let result = timeout(settings.handshake_time, let_in(incoming, &settings)).await;
            let result = result.unwrap_or_else(|_| {
                Err(ConnectionError::Lost(format!("no handshake within {:?}", settings.handshake_time)))
            });
            let _ = accepted.send(result.unwrap_or_else(|error| refused(address, &error))).await;
            // Only now: who waits for a linker that is slow is under way.
            drop(place);
        });
    }
}

fn refused(address: SocketAddr, error: &ConnectionError) -> Accepted {
    let identity = Identity { address: address.to_string(), ..Identity::default() };
    Accepted::Refused { identity, reason: error.to_string() }
}

/// Lets a peer in: its certificate has been verified when the handshake is over.
async fn let_in(incoming: Incoming, settings: &QuicSettings) -> Result<Accepted, ConnectionError> {
    let connection = incoming.accept().map_err(lost)?.await.map_err(lost)?;
    // Until it has said so the peer may open one stream.
    let (mut send, mut receive) = connection.accept_bi().await.map_err(lost)?;
    let mut preface = [0; Preface::SIZE];
    receive.read_exact(&mut preface).await.map_err(read_error)?;
    let preface = Preface::decode(preface).map_err(|error| {
        connection.close(VarInt::from_u32(1), error.to_string().as_bytes());
        ConnectionError::Closed(format!("the peer speaks something else: {error}"))
    })?;
    connection.set_max_concurrent_uni_streams(settings::streams(preface.channels).into());
    let answer = Preface { channels: preface.channels, max_frame: settings.max_frame };
    send.write_all(&answer.encode()).await.map_err(write_error)?;
    Ok(Accepted::Connection(assemble(connection, send, receive, settings, preface, Answer::HasCome)))
}

/// A place among the handshakes that are under way.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
