use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use fastrand::Rng;

use crate::Impairment;

/// Most packets on their way at once: 100 ms of small packets at 1 Gbit/s.
const MOST_PACKETS: usize = 1 << 17;

/// One direction of the wire: what becomes of each packet, and when.
///
/// ```text
/// offer(now, packet) --> cut? lost? --> turn under the rate, or dropped --> delay --> poll(now)
/// ```
/// It has no clock: times are counted from any beginning and come with the calls, and must not go back. The same calls
/// after the same seed give the same packets.
#[derive(Debug)]
pub struct Path {
    impairment: Impairment,
    rng: Rng,
    /// When the packets accepted so far have all been sent, under the rate.
    free: Duration,
    /// By time of arrival, then in the order of sending.
    underway: BinaryHeap<Reverse<(Duration, u64, Vec<u8>)>>,
    next: u64,
    counts: Counts,
}

/// What became of the packets of one direction. Those still on their way are in `offered` alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Sent by the namespace.
    pub offered: u64,
    /// Given to the other namespace, second copies included.
    pub arrived: u64,
    /// Sent while the direction was cut.
    pub cut: u64,
    /// Lost by chance.
    pub lost: u64,
    /// Dropped because the queue was full.
    pub overflowed: u64,
    /// Sent on twice.
    pub duplicated: u64,
    /// Sent on with a bit flipped.
    pub corrupted: u64,
}

impl Path {
    /// A perfect wire.
    pub fn new(seed: u64) -> Self {
        Self {
            impairment: Impairment::default(),
            rng: Rng::with_seed(seed),
            free: Duration::ZERO,
            underway: BinaryHeap::new(),
            next: 0,
            counts: Counts::default(),
        }
    }

    /// How bad it is for what is sent from now on.
    pub fn impairment_mut(&mut self) -> &mut Impairment {
        &mut self.impairment
    }

    /// A packet is sent.
    pub fn offer(&mut self, now: Duration, mut packet: Vec<u8>) {
        let Impairment { delay, jitter, loss, duplicate, corrupt, rate, queue, cut } = self.impairment;
        // Always drawn, so that what follows does not depend on the settings.
        let [lost, twice, flipped] = [loss, duplicate, corrupt].map(|chance| self.rng.f64() < chance);
        let late = jitter.mul_f64(2.0 * self.rng.f64());
        self.counts.offered += 1;
        if cut {
            self.counts.cut += 1;
            return;
        }
        if lost {
            self.counts.lost += 1;
            return;
        }
        let mut sent = now;
        if let Some(rate) = rate {
            let turn = self.free.max(now);
            if turn - now > queue {
                self.counts.overflowed += 1;
                return;
            }
            sent = turn + Duration::from_secs_f64(packet.len() as f64 * 8.0 / rate.max(1) as f64);
            self.free = sent;
        }
        if flipped && !packet.is_empty() {
            let bit = self.rng.usize(..packet.len() * 8);
            packet[bit / 8] ^= 1 << (bit % 8);
            self.counts.corrupted += 1;
        }
        let arrival = (sent + delay + late).saturating_sub(jitter).max(now);
        if twice {
            self.counts.duplicated += 1;
            self.push(arrival, packet.clone());
        }
        self.push(arrival, packet);
    }

    /// The next packet that has arrived by now.
    pub fn poll(&mut self, now: Duration) -> Option<Vec<u8>> {
        if self.deadline()? > now {
            return None;
        }
        self.counts.arrived += 1;
        self.underway.pop().map(|Reverse((_, _, packet))| packet)
    }

    /// When the next packet arrives.
    pub fn deadline(&self) -> Option<Duration> {
        self.underway.peek().map(|Reverse((arrival, _, _))| *arrival)
    }

    /// What became of the packets so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    fn push(&mut self, arrival: Duration, packet: Vec<u8>) {
        if self.underway.len() == MOST_PACKETS {
            self.counts.overflowed += 1;
            return;
        }
        self.underway.push(Reverse((arrival, self.next, packet)));
        self.next += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn path(change: impl FnOnce(&mut Impairment)) -> Path {
        let mut path = Path::new(11);
        change(path.impairment_mut());
        path
    }

    /// Offers `count` numbered packets of `size` bytes, one each `every`; gives arrivals with their numbers.
    fn run(path: &mut Path, count: u32, size: usize, every: Duration) -> Vec<(Duration, u32)> {
        for n in 0..count {
            let mut packet = n.to_be_bytes().to_vec();
            packet.resize(size, 0);
            path.offer(every * n, packet);
        }
        let (mut arrivals, mut last) = (Vec::new(), Duration::ZERO);
        while let Some(at) = path.deadline() {
            assert!(at == last || path.poll(at - Duration::from_nanos(1)).is_none(), "before its time");
            last = at;
            let packet = path.poll(at).unwrap_or_default();
            assert_eq!(packet.len(), size);
            arrivals.push((at, u32::from_be_bytes([packet[0], packet[1], packet[2], packet[3]])));
        }
        arrivals
    }

    #[test]
    fn a_perfect_wire_gives_all_at_once_in_order() {
        let arrivals = run(&mut path(|_| ()), 1_000, 100, MS);
        assert!(arrivals.into_iter().eq((0..1_000).map(|n| (MS * n, n))));
    }

    #[test]
    fn delay_keeps_the_order_and_the_distances() {
        let arrivals = run(&mut path(|path| path.delay = 40 * MS), 1_000, 100, MS);
        assert!(arrivals.into_iter().eq((0..1_000).map(|n| (MS * (n + 40), n))));
    }

    #[test]
    fn jitter_stays_within_its_bounds_and_reorders() {
        let arrivals = run(
            &mut path(|path| {
                path.delay = 40 * MS;
                path.jitter = 20 * MS;
            }),
            10_000,
            100,
            MS,
        );
        let late = |(at, n): &(Duration, u32)| at.saturating_sub(MS * *n);
        assert!(arrivals.iter().map(late).all(|late| (20 * MS..60 * MS).contains(&late)));
        let mean = arrivals.iter().map(late).sum::<Duration>() / 10_000;
        assert!((39 * MS..41 * MS).contains(&mean), "{mean:?}");
        assert!(!arrivals.is_sorted_by_key(|(_, n)| *n));
    }

    #[test]
    fn shares_are_met() {
        for share in [0.01, 0.05, 0.2, 1.0] {
            let near = |count: u64| (count as f64 / 50_000.0 - share).abs() < 0.01;
            let mut lossy = path(|path| path.loss = share);
            let arrived = run(&mut lossy, 50_000, 4, MS).len() as u64;
            assert!(near(lossy.counts().lost), "{share}: {:?}", lossy.counts());
            assert_eq!(arrived + lossy.counts().lost, 50_000);
            let mut twice = path(|path| path.duplicate = share);
            let arrived = run(&mut twice, 50_000, 4, MS).len() as u64;
            assert!(near(twice.counts().duplicated), "{share}: {:?}", twice.counts());
            assert_eq!(arrived, 50_000 + twice.counts().duplicated);
        }
    }

    #[test]
    fn a_corrupted_packet_has_one_bit_flipped() {
        let mut path = path(|path| path.corrupt = 1.0);
        for _ in 0..1_000 {
            path.offer(Duration::ZERO, vec![0; 64]);
            let packet = path.poll(Duration::ZERO).unwrap_or_default();
            assert_eq!(packet.iter().map(|byte| byte.count_ones()).sum::<u32>(), 1);
        }
        path.offer(Duration::ZERO, Vec::new());
        assert_eq!((path.poll(Duration::ZERO), path.counts().corrupted), (Some(Vec::new()), 1_000));
    }

    #[test]
    fn the_rate_spaces_packets_and_the_full_queue_drops_the_last() {
        // 1,250 bytes at 10 Mbit/s take 1 ms; ten a millisecond are offered.
        let mut path = path(|path| {
            path.rate = Some(10_000_000);
            path.queue = 20 * MS;
        });
        let arrivals = run(&mut path, 1_000, 1_250, MS / 10);
        assert!(arrivals.windows(2).all(|pair| pair[1].0 - pair[0].0 >= MS));
        // 100 ms of sending, then the 20 ms of the queue.
        assert!((120..=122).contains(&arrivals.len()), "{}", arrivals.len());
        assert_eq!(path.counts().overflowed, 1_000 - arrivals.len() as u64);
        assert!(arrivals.is_sorted_by_key(|(_, n)| *n), "what enters the queue leaves it in order");
        assert!(arrivals.iter().all(|(at, n)| *at <= MS * *n / 10 + 22 * MS), "nothing waits longer than the queue");
    }

    #[test]
    fn a_cut_takes_what_is_sent_while_it_lasts() {
        let mut path = path(|path| path.delay = 10 * MS);
        path.offer(Duration::ZERO, vec![1]);
        path.impairment_mut().cut = true;
        path.offer(5 * MS, vec![2]);
        assert_eq!(path.poll(10 * MS), Some(vec![1]), "it was on its way");
        path.impairment_mut().cut = false;
        path.offer(20 * MS, vec![3]);
        assert_eq!((path.poll(30 * MS), path.poll(60 * MS)), (Some(vec![3]), None));
        assert_eq!(path.counts(), Counts { offered: 3, arrived: 2, cut: 1, ..Counts::default() });
    }

    #[test]
    fn the_same_seed_gives_the_same_fate() {
        let bad = |path: &mut Impairment| {
            *path = Impairment { loss: 0.1, duplicate: 0.1, corrupt: 0.1, jitter: 9 * MS, ..Impairment::default() };
        };
        assert_eq!(run(&mut path(bad), 1_000, 16, MS), run(&mut path(bad), 1_000, 16, MS));
        let mut other = Path::new(12);
        bad(other.impairment_mut());
        assert_ne!(run(&mut path(bad), 1_000, 16, MS), run(&mut other, 1_000, 16, MS));
    }
}
