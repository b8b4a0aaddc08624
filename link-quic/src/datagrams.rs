//! Frames that may be lost (RFC 9221), at a pace that leaves room for all others.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use link_core::transport::{ConnectionError, FrameSender};
use quinn::{Connection, SendDatagramError};
use tokio::time::{Instant, sleep};

use crate::{
    error::lost,
    settings::{Congestion, QuicSettings},
};

/// Sends datagrams with a part of the rate of the path: QUIC sends what waits of them before anything else, control too.
///
/// Who sends more than that waits.
pub(crate) struct DatagramSender {
    connection: Connection,
    /// Most bytes that wait in QUIC.
    buffer: usize,
    /// The path carries so many times the rate of the datagrams.
    share: f64,
    bucket: Bucket,
}

impl DatagramSender {
    pub(crate) fn new(connection: Connection, settings: &QuicSettings) -> Self {
        let share = match settings.congestion {
            Congestion::Cubic => 2.0,
            // It keeps twice as much under way as the path holds.
            Congestion::Bbr => 4.0,
        };
        let bucket = Bucket { filled: Instant::now(), pace: Pace::default(), bytes: 0.0 };
        Self { connection, buffer: settings.datagram_buffer, share, bucket }
    }

    /// What the path carries now.
    fn pace(&self) -> Pace {
        let path = self.connection.stats().path;
        Pace::new(path.cwnd, path.rtt, self.share)
    }
}

#[async_trait]
impl FrameSender for DatagramSender {
    async fn send(&mut self, frame: Bytes) -> Result<(), ConnectionError> {
        let cost = (frame.len() + OVERHEAD) as f64;
        loop {
            let now = Instant::now();
            if self.bucket.bytes < cost || now - self.bucket.filled >= AT_LEAST {
                let pace = self.pace();
                self.bucket.fill(now, pace);
            }
            // On a path that has come to a halt the bucket fills all the same.
            let waits = self.buffer.saturating_sub(self.connection.datagram_send_buffer_space());
            let wait = self.bucket.take(cost, waits as f64);
            if wait.is_zero() {
                break;
            }
            tokio::select! {
                () = sleep(wait) => {}
                error = self.connection.closed() => return Err(lost(error)),
            }
        }
        match self.connection.send_datagram_wait(frame).await {
            Err(SendDatagramError::ConnectionLost(error)) => Err(lost(error)),
            // Too large: the path takes less than at the beginning. It is as good as lost on the way.
            Ok(()) | Err(_) => Ok(()),
        }
    }

    async fn close(&mut self) {}
}

/// What a datagram costs beside its bytes: its part of a packet, and the work that there is with each.
const OVERHEAD: usize = 48;
/// Shortest wait, and how much of the pace may be sent at one time at least: timers are no finer than a millisecond.
const AT_LEAST: Duration = Duration::from_millis(5);
/// Some packets can always be sent at one time.
const PACKETS: f64 = 4096.0;

/// How fast datagrams may go.
#[derive(Debug, Clone, Copy, Default)]
struct Pace {
    bytes_per_second: f64,
    /// Most bytes at one time.
    burst: f64,
}

impl Pace {
    fn new(window: u64, round_trip: Duration, share: f64) -> Self {
        let bytes_per_second = window as f64 / round_trip.max(Duration::from_micros(100)).as_secs_f64() / share;
        let burst = bytes_per_second * round_trip.clamp(AT_LEAST, 10 * AT_LEAST).as_secs_f64();
        Self { bytes_per_second, burst: burst.max(PACKETS) }
    }
}

/// Bytes that may be sent now.
struct Bucket {
    filled: Instant,
    pace: Pace,
    bytes: f64,
}

impl Bucket {
    fn fill(&mut self, now: Instant, pace: Pace) {
        let passed = (now - self.filled).as_secs_f64();
        self.bytes = (self.bytes + passed * pace.bytes_per_second).min(pace.burst);
        (self.filled, self.pace) = (now, pace);
    }

    /// Takes the bytes of a datagram; or says how long to wait, where there are too few, or too many `waiting` elsewhere.
    fn take(&mut self, cost: f64, waiting: f64) -> Duration {
        let cost = cost.min(self.pace.burst);
        let missing = (cost - self.bytes).max(waiting - self.pace.burst);
        if missing <= 0.0 {
            self.bytes -= cost;
            return Duration::ZERO;
        }
        Duration::from_secs_f64((missing / self.pace.bytes_per_second).min(1.0)).max(AT_LEAST / 5)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_used_by_half_whatever_the_size() {
        for size in [10.0_f64, 100.0, 1200.0] {
            let mut now = Instant::now();
            let pace = Pace::new(20_000, Duration::from_millis(200), 2.0);
            let mut bucket = Bucket { filled: now, pace, bytes: 0.0 };
            let (end, mut sent) = (now + Duration::from_secs(10), 0.0);
            while now < end {
                bucket.fill(now, pace);
                let wait = bucket.take(size + 48.0, 0.0);
                if wait.is_zero() {
                    sent += size + 48.0;
                }
                now += wait;
            }
            // 50 kB/s.
            assert!((490_000.0..=510_000.0).contains(&sent), "{sent} bytes in datagrams of {size}");
        }
    }

    #[test]
    fn what_waits_elsewhere_stops_it() {
        let now = Instant::now();
        let pace = Pace::new(20_000, Duration::from_millis(200), 2.0);
        let mut bucket = Bucket { filled: now, pace, bytes: 0.0 };
        bucket.fill(now + Duration::from_secs(1), pace);
        assert!(bucket.take(100.0, pace.burst + 1.0) > Duration::ZERO);
        assert_eq!(bucket.take(100.0, 0.0), Duration::ZERO);
    }
}
