//! The accepting side.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use link_core::transport::{Accepted, ConnectionError, Identity};
use quinn::{Endpoint, Incoming, VarInt};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, timeout},
};

use crate::{
    dial::assemble,
    error::{lost, read_error, write_error},
    handshakes::{Handshakes, Often, Place, Verdict},
    listener::Listener,
    preface::Preface,
    receive::Answer,
    settings::{self, QuicSettings},
    tls,
};

/// Most time for the handshake of TLS: a peer that means it needs a few round trips.
const TLS_TIME: Duration = Duration::from_secs(3);
/// Peers that are turned away and reported one after the other; then it is one a second.
const REPORTS: u32 = 4;

/// What the tasks that let peers in share.
struct Accepting {
    listener: Arc<Listener>,
    settings: Arc<QuicSettings>,
    accepted: mpsc::Sender<Accepted>,
    reports: Mutex<Often>,
}

/// Takes peers in until the transport is dropped. One that is slow or wrong holds up no other.
pub(crate) async fn accept_peers(
    listener: Arc<Listener>,
    settings: Arc<QuicSettings>,
    accepted: mpsc::Sender<Accepted>,
) {
    let accepting = Arc::new(Accepting {
        listener: listener.clone(),
        settings,
        accepted,
        reports: Mutex::new(Often::new(REPORTS)),
    });
    loop {
        if let Some(endpoint) = listener.endpoint() {
            accept_from(endpoint, &accepting).await;
        }
        tracing::error!(address = %listener.address, "the socket for peers has failed: it is bound again");
        listener.bind_again().await;
        tracing::info!(address = %listener.address, "peers can connect again");
    }
}

/// Takes peers in until the socket fails.
async fn accept_from(endpoint: Endpoint, accepting: &Arc<Accepting>) {
    let handshakes = Handshakes::new(accepting.settings.handshakes);
    let mut crowded = Often::new(1);
    let mut tasks = JoinSet::new();
    loop {
        let incoming = tokio::select! {
            // In this order: no more tasks end than have begun, and a simulated run can be repeated.
            biased;
            Some(_) = tasks.join_next() => continue,
            incoming = endpoint.accept() => incoming,
        };
        let Some(incoming) = incoming else { return };
        let address = incoming.remote_address();
        let host = address.ip().into();
        let verdict = handshakes.lock().verdict(host, incoming.remote_address_validated());
        match verdict {
            Verdict::Begin => {}
            Verdict::Prove => {
                let _ = incoming.retry();
                continue;
            }
            Verdict::Replace(_) | Verdict::Refuse => {
                if let Some(count) = crowded.happens(Instant::now()) {
                    tracing::warn!(%address, count, "too many handshakes are under way: ended the oldest, or refused the last");
                }
                let Verdict::Replace(oldest) = verdict else {
                    // Nothing is kept of it: the peer tries again.
                    incoming.refuse();
                    continue;
                };
                handshakes.lock().end(oldest);
            }
        }
        let place = handshakes.take(host);
        let number = place.number;
        let task = tasks.spawn(accepting.clone().take_in(incoming, place));
        handshakes.lock().is_done_by(number, task);
    }
}

impl Accepting {
    async fn take_in(self: Arc<Self>, incoming: Incoming, place: Place) {
        let address = incoming.remote_address();
        let time = self.settings.handshake_time;
        let result = timeout(time, self.let_in(incoming)).await.unwrap_or_else(|_| Err(late(time)));
        place.is_over();
        let accepted = match result {
            Ok(accepted) => accepted,
            Err(error) => match self.refused(address, &error) {
                Some(refused) => refused,
                None => return,
            },
        };
        let _ = self.accepted.send(accepted).await;
        // Only now: who waits for a linker that is slow is under way.
        drop(place);
    }

    /// What the linker hears of a peer that was turned away, unless it hears of too many.
    fn refused(&self, address: SocketAddr, error: &ConnectionError) -> Option<Accepted> {
        // A panic elsewhere leaves numbers.
        let count = self.reports.lock().unwrap_or_else(PoisonError::into_inner).happens(Instant::now())?;
        let identity = Identity { address: address.to_string(), ..Identity::default() };
        let others = if count > 1 { format!("; and {} others before it", count - 1) } else { String::new() };
        Some(Accepted::Refused { identity, reason: format!("{error}{others}") })
    }

    /// Lets a peer in.
    async fn let_in(&self, incoming: Incoming) -> Result<Accepted, ConnectionError> {
        let (settings, time) = (&self.settings, self.settings.handshake_time.min(TLS_TIME));
        let connecting = incoming.accept().map_err(lost)?;
        let connection = timeout(time, connecting).await.map_err(|_| late(time))?.map_err(lost)?;
        let turn_away = |what: &str, reason: String| {
            connection.close(VarInt::from_u32(1), reason.as_bytes());
            ConnectionError::Closed(format!("{what}: {reason}"))
        };
        tls::verify_dialler(&connection, self.listener.verifier().as_ref())
            .map_err(|reason| turn_away("the certificate of the peer is not valid", reason))?;
        // Until it has said so the peer may open one stream.
        let (mut send, mut receive) = connection.accept_bi().await.map_err(lost)?;
        let mut preface = [0; Preface::SIZE];
        receive.read_exact(&mut preface).await.map_err(read_error)?;
        let preface =
            Preface::decode(preface).map_err(|error| turn_away("the peer speaks something else", error.to_string()))?;
        connection.set_max_concurrent_uni_streams(settings::streams(preface.channels).into());
        let answer = Preface { channels: preface.channels, max_frame: settings.max_frame };
        send.write_all(&answer.encode()).await.map_err(write_error)?;
        let signed_by = tls::signed_by(&connection);
        let mut accepted = assemble(connection, send, receive, settings, preface, Answer::HasCome);
        accepted.identity.signed_by = Some(signed_by);
        Ok(Accepted::Connection(accepted))
    }
}

fn late(time: Duration) -> ConnectionError {
    ConnectionError::Lost(format!("no handshake within {time:?}"))
}
