//! Handshakes that are under way, and who has to give way to whom.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{task::AbortHandle, time::Instant};

/// Whom an address belongs to: one of IPv4, or a network of IPv6, of which a host has all addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Host(IpAddr);

impl From<IpAddr> for Host {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(address.into()),
            IpAddr::V6(address) => Self(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into()),
        }
    }
}

/// What is to be done with a peer that begins a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Begin,
    /// It has to prove its address first.
    Prove,
    /// It takes the place of this one.
    Replace(u64),
    Refuse,
}

/// What the places hold.
pub(crate) struct Table {
    most: usize,
    /// The oldest first.
    list: Vec<Handshake>,
    next: u64,
}

struct Handshake {
    number: u64,
    host: Host,
    task: Option<AbortHandle>,
    /// The peer is let in, or refused, and that waits to be taken.
    is_over: bool,
}

impl Table {
    /// No host has more than a quarter of the places; who comes last is served, as long as the oldest is not done.
    pub(crate) fn verdict(&self, host: Host, is_proven: bool) -> Verdict {
        let share = (self.most / 4).max(1);
        let of_host = self.list.iter().filter(|handshake| handshake.host == host).count();
        if self.most == 0 {
            return Verdict::Refuse;
        }
        // Whoever sends with a false address gets no further than this.
        if !is_proven && (self.list.len() * 2 >= self.most || of_host * 2 >= share) {
            return Verdict::Prove;
        }
        let (host_is_full, all_are_full) = (of_host >= share, self.list.len() >= self.most);
        if !host_is_full && !all_are_full {
            return Verdict::Begin;
        }
        let mut open = self.list.iter().filter(|handshake| !handshake.is_over);
        let oldest = open.find(|handshake| !host_is_full || handshake.host == host);
        oldest.map_or(Verdict::Refuse, |oldest| Verdict::Replace(oldest.number))
    }

    fn position(&self, number: u64) -> Option<usize> {
        self.list.iter().position(|handshake| handshake.number == number)
    }

    /// Ends a handshake.
    pub(crate) fn end(&mut self, number: u64) {
        if let Some(at) = self.position(number)
            && let Some(task) = self.list.remove(at).task
        {
            task.abort();
        }
    }

    /// The task that does it.
    pub(crate) fn is_done_by(&mut self, number: u64, task: AbortHandle) {
        if let Some(at) = self.position(number) {
            self.list[at].task = Some(task);
        }
    }
}

/// The places for handshakes.
#[derive(Clone)]
pub(crate) struct Handshakes(Arc<Mutex<Table>>);

impl Handshakes {
    pub(crate) fn new(most: usize) -> Self {
        Self(Arc::new(Mutex::new(Table { most, list: Vec::new(), next: 0 })))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Table> {
        // A panic elsewhere leaves the list whole: each call changes it in one step.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn take(&self, host: Host) -> Place {
        let mut all = self.lock();
        let number = all.next;
        all.next += 1;
        all.list.push(Handshake { number, host, task: None, is_over: false });
        Place { number, all: self.clone() }
    }
}

/// A place among the handshakes, until it is dropped.
pub(crate) struct Place {
    pub(crate) number: u64,
    all: Handshakes,
}

impl Place {
    /// Nobody takes it any more.
    pub(crate) fn is_over(&self) {
        let mut all = self.all.lock();
        if let Some(at) = all.position(self.number) {
            all.list[at].is_over = true;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut all = self.all.lock();
        if let Some(at) = all.position(self.number) {
            all.list.remove(at);
        }
    }
}

/// What happens too often to be told each time.
pub(crate) struct Often {
    at_once: u32,
    left: u32,
    since: Instant,
    untold: u64,
}

const SECOND: Duration = Duration::from_secs(1);

impl Often {
    /// So many can be told one after the other, and then one a second.
    pub(crate) fn new(at_once: u32) -> Self {
        Self { at_once, left: at_once, since: Instant::now(), untold: 0 }
    }

    /// Whether it is to be told now, and how often it has happened since it was told last.
    pub(crate) fn happens(&mut self, now: Instant) -> Option<u64> {
        let seconds = (now - self.since).as_secs();
        self.since += SECOND * u32::try_from(seconds).unwrap_or(u32::MAX);
        self.left = self.left.saturating_add(u32::try_from(seconds).unwrap_or(u32::MAX)).min(self.at_once);
        self.untold += 1;
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(last: u8) -> Host {
        IpAddr::from([192, 0, 2, last]).into()
    }

    #[test]
    fn a_host_has_a_quarter_and_the_last_one_is_served() {
        let all = Handshakes::new(8);
        let mut places = vec![all.take(host(1))];
        assert_eq!(all.lock().verdict(host(1), false), Verdict::Prove);
        assert_eq!(all.lock().verdict(host(1), true), Verdict::Begin);
        places.push(all.take(host(1)));
        assert_eq!(all.lock().verdict(host(1), true), Verdict::Replace(0));
        places[0].is_over();
        assert_eq!(all.lock().verdict(host(1), true), Verdict::Replace(1));
        places[1].is_over();
        assert_eq!(all.lock().verdict(host(1), true), Verdict::Refuse);
        // The others have the rest.
        assert_eq!(all.lock().verdict(host(2), false), Verdict::Begin);
        places.extend((2..8).map(|last| all.take(host(last))));
        assert_eq!(all.lock().verdict(host(9), false), Verdict::Prove);
        assert_eq!(all.lock().verdict(host(9), true), Verdict::Replace(2));
        drop(places);
        assert_eq!(all.lock().verdict(host(1), false), Verdict::Begin);
        assert_eq!(Handshakes::new(0).lock().verdict(host(1), true), Verdict::Refuse);
    }

    #[test]
    fn a_network_of_ipv6_is_one_host() {
        let host = |text: &str| Host::from(text.parse::<IpAddr>().expect("an address"));
        assert_eq!(host("2001:db8::1"), host("2001:db8::ffff:1"));
        assert_ne!(host("2001:db8::1"), host("2001:db8:0:1::1"));
        assert_eq!(host("::ffff:192.0.2.1"), host("192.0.2.1"));
    }

    #[test]
    fn what_happens_often_is_told_once_a_second_with_its_count() {
        let mut often = Often::new(2);
        let start = Instant::now();
        assert_eq!([often.happens(start), often.happens(start), often.happens(start)], [Some(1), Some(1), None]);
        assert_eq!(often.happens(start), None);
        let later = Instant::now() + SECOND;
        assert_eq!([often.happens(later), often.happens(later)], [Some(3), None]);
    }
}
