use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
};

use tokio::{net::UdpSocket, sync::watch, task::JoinSet};

use super::State;

/// The most that a datagram holds.
const DATAGRAM: usize = 65_536;

/// Passes datagrams on to `to`, from a socket of its own for each client, and back.
pub(super) async fn run(inside: UdpSocket, to: SocketAddr, state: Arc<State>, cut: watch::Receiver<u64>) {
    let inside = Arc::new(inside);
    let known = Arc::new(Mutex::new(Known { cuts: cut, alive: BTreeSet::new(), dead: BTreeSet::new() }));
    let mut outside: BTreeMap<SocketAddr, Arc<UdpSocket>> = BTreeMap::new();
    let mut tasks = JoinSet::new();
    let mut buffer = vec![0; DATAGRAM];
    loop {
        let Ok((len, client)) = inside.recv_from(&mut buffer).await else { continue };
        let datagram = &buffer[..len];
        if !passes(&state, &known, datagram, true) {
            continue;
        }
        let socket = match outside.get(&client) {
            Some(socket) => Arc::clone(socket),
            None => {
                let Ok(socket) = UdpSocket::bind(("127.0.0.1", 0)).await.map(Arc::new) else { continue };
                tasks.spawn(back(
                    Arc::clone(&socket),
                    Arc::clone(&inside),
                    client,
                    Arc::clone(&state),
                    Arc::clone(&known),
                ));
                outside.insert(client, Arc::clone(&socket));
                socket
            }
        };
        if socket.send_to(datagram, to).await.is_ok() {
            state.up.fetch_add(len as u64, Ordering::SeqCst);
        }
    }
}

async fn back(
    from: Arc<UdpSocket>,
    to: Arc<UdpSocket>,
    client: SocketAddr,
    state: Arc<State>,
    known: Arc<Mutex<Known>>,
) {
    let mut buffer = vec![0; DATAGRAM];
    loop {
        let Ok((len, _)) = from.recv_from(&mut buffer).await else { continue };
        let datagram = &buffer[..len];
        if passes(&state, &known, datagram, false) && to.send_to(datagram, client).await.is_ok() {
            state.down.fetch_add(len as u64, Ordering::SeqCst);
        }
    }
}

fn passes(state: &State, known: &Mutex<Known>, datagram: &[u8], up: bool) -> bool {
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    known.bury();
    if state.refusing.load(Ordering::SeqCst) || state.paused.load(Ordering::SeqCst) {
        return false;
    }
    let ids = Ids::of(datagram);
    if [ids.to, ids.from].into_iter().flatten().any(|id| known.dead.contains(id)) {
        return false;
    }
    if let Some(from) = ids.from
        && known.alive.insert(from.to_vec())
        && up
    {
        state.connections.fetch_add(1, Ordering::SeqCst);
    }
    true
}

/// The ids of QUIC connections, as their handshakes show them.
struct Known {
    cuts: watch::Receiver<u64>,
    alive: BTreeSet<Vec<u8>>,
    dead: BTreeSet<Vec<u8>>,
}

impl Known {
    /// After a cut nothing that was alive lives.
    fn bury(&mut self) {
        if self.cuts.has_changed().unwrap_or(false) {
            self.cuts.mark_unchanged();
            self.dead.append(&mut self.alive);
        }
    }
}

/// What a packet says about whose it is, and no key is needed to read (RFC 8999).
#[derive(Debug, PartialEq)]
struct Ids<'a> {
    to: Option<&'a [u8]>,
    /// In the packets of a handshake only.
    from: Option<&'a [u8]>,
}

impl<'a> Ids<'a> {
    /// Packets after the handshake don't tell how long their id is. Quinn's have 8 bytes.
    const SHORT: usize = 8;

    fn of(datagram: &'a [u8]) -> Self {
        match datagram {
            [first, rest @ ..] if first & 0x80 == 0 => Self { to: rest.get(..Self::SHORT), from: None },
            [_, _, _, _, _, rest @ ..] => {
                let (to, rest) = counted(rest);
                Self { to, from: counted(rest).0 }
            }
            _ => Self { to: None, from: None },
        }
    }
}

/// Takes a length and as many bytes.
fn counted(bytes: &[u8]) -> (Option<&[u8]>, &[u8]) {
    match bytes.split_first().and_then(|(len, rest)| rest.split_at_checked(usize::from(*len))) {
        Some((taken, rest)) => (Some(taken).filter(|id| !id.is_empty()), rest),
        None => (None, &[]),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;
    use crate::proxy::{Bytes, Proxy};

    const SHORT: &[u8] = b"\x40serverid...";
    /// The first packet of a connection: to `first`, from `c`.
    const INITIAL: &[u8] = b"\xc0\0\0\0\x01\x05first\x01c";
    /// Its answer.
    const ANSWER: &[u8] = b"\xc0\0\0\0\x01\x01c\x08serverid";

    #[test]
    fn ids_are_read_as_far_as_they_go() {
        assert_eq!(Ids::of(INITIAL), Ids { to: Some(b"first"), from: Some(b"c") });
        assert_eq!(Ids::of(SHORT), Ids { to: Some(b"serverid"), from: None });
        for nothing in [&b""[..], b"hello", b"\xff", b"\xc0\0\0\0\x01\x09short"] {
            assert_eq!(Ids::of(nothing), Ids { to: None, from: None }, "{nothing:?}");
        }
    }

    async fn next(socket: &UdpSocket) -> Option<(Vec<u8>, SocketAddr)> {
        let mut buffer = [0; 100];
        let (len, from) = timeout(Duration::from_millis(100), socket.recv_from(&mut buffer)).await.ok()?.unwrap();
        Some((buffer[..len].to_vec(), from))
    }

    #[tokio::test]
    async fn a_cut_connection_stays_dead_and_a_new_one_passes() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy::start_udp(server.local_addr().unwrap()).await.unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        client.send_to(INITIAL, proxy.address()).await.unwrap();
        let (got, through) = next(&server).await.unwrap();
        assert_eq!(got, INITIAL);
        server.send_to(ANSWER, through).await.unwrap();
        assert_eq!(next(&client).await.unwrap().0, ANSWER);
        client.send_to(SHORT, proxy.address()).await.unwrap();
        assert_eq!(next(&server).await.unwrap().0, SHORT);
        let bytes = Bytes { up: (INITIAL.len() + SHORT.len()) as u64, down: ANSWER.len() as u64 };
        assert_eq!((proxy.bytes(), proxy.connections()), (bytes, 1));

        proxy.pause();
        client.send_to(SHORT, proxy.address()).await.unwrap();
        assert_eq!(next(&server).await, None, "a datagram passed a pause");
        proxy.restore();
        client.send_to(SHORT, proxy.address()).await.unwrap();
        assert_eq!(next(&server).await.unwrap().0, SHORT, "a pause breaks nothing");

        proxy.cut();
        client.send_to(b"\xc0\0\0\0\x01\x05again\x01d", proxy.address()).await.unwrap();
        assert_eq!(next(&server).await, None, "a datagram passed a cut");
        proxy.restore();
        for dead in [SHORT, INITIAL] {
            client.send_to(dead, proxy.address()).await.unwrap();
            assert_eq!(next(&server).await, None, "a connection that was cut passed");
        }
        client.send_to(b"\xc0\0\0\0\x01\x05again\x01d", proxy.address()).await.unwrap();
        assert!(next(&server).await.is_some(), "a new connection does not pass");
        assert_eq!(proxy.connections(), 2);
    }
}
