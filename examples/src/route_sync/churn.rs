use std::{
    hint::black_box,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use link_core::{interest::InterestChange, node::Publisher, topic::TopicFilter};

use super::{Fleet, Pair};
use crate::bench::{Failure, quantile};

/// Subscribing and unsubscribing while messages are matched.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Churn {
    /// Number of routes.
    pub n: usize,
    /// Pairs of a subscription and its end that one core takes in a second, both nodes' work together.
    pub pairs_per_second: f64,
    /// The same if only the work of the writer is counted.
    pub writer_pairs_per_second: f64,
    /// The same for the holder.
    pub holder_pairs_per_second: f64,
    /// Pairs in each second while the matches were timed.
    pub paced_pairs_per_second: f64,
    /// Of a match while nothing changes, in microseconds.
    pub idle_p99_us: f64,
    /// Of a match at that pace, in microseconds.
    pub paced_p99_us: f64,
}

/// What is aimed at.
const PACE: f64 = 100_000.0;
/// How many pairs enter at once.
const BATCH: usize = 500;

/// On `n` routes, for this long each.
///
/// # Errors
/// If the two do not come to terms.
pub fn churn(n: usize, time: Duration, live_bytes: fn() -> i64) -> Result<Churn, Failure> {
    let mut fleet = Fleet::new(n)?;
    let mut pair = Pair::new(1 << 18, live_bytes)?;
    pair.change(fleet.all());
    pair.sync()?;
    let topics: Vec<String> = fleet.filters().iter().step_by(7).map(|filter| filter.as_str().to_owned()).collect();
    // Subscriptions that come and go; each stays for one batch.
    let coming: Vec<TopicFilter> = fleet
        .change(20 * BATCH)?
        .into_iter()
        .filter_map(|change| if let InterestChange::Added(filter) = change { Some(filter) } else { None })
        .collect();
    let mut round = 0;
    let mut step = |pair: &mut Pair, now| -> Result<(), Failure> {
        let batch = coming.chunks(BATCH).nth(round % (coming.len() / BATCH)).unwrap_or_default();
        round += 1;
        pair.advance(now);
        for change in [InterestChange::Added, InterestChange::Removed] {
            pair.timed_change(batch.iter().cloned().map(change).collect());
            pair.settle()?;
        }
        Ok(())
    };

    let (start, (us, eu), mut pairs) = (Instant::now(), pair.cpu(), 0);
    while start.elapsed() < time {
        step(&mut pair, start.elapsed())?;
        pairs += BATCH;
    }
    let (us_after, eu_after) = pair.cpu();
    let (holder, writer) = ((us_after - us).as_secs_f64(), (eu_after - eu).as_secs_f64());
    let pairs = pairs as f64;

    let idle_p99_us = matches(pair.publisher(), &topics, || {
        thread::sleep(time);
        Ok(())
    })?;
    let mut paced = 0;
    let mut took = Duration::ZERO;
    let paced_p99_us = matches(pair.publisher(), &topics, || {
        let begin = Instant::now();
        while begin.elapsed() < time {
            step(&mut pair, start.elapsed())?;
            paced += BATCH;
            let due = Duration::from_secs_f64(paced as f64 / PACE);
            thread::sleep(due.saturating_sub(begin.elapsed()));
        }
        took = begin.elapsed();
        Ok(())
    })?;
    Ok(Churn {
        n,
        pairs_per_second: pairs / (holder + writer),
        writer_pairs_per_second: pairs / writer,
        holder_pairs_per_second: pairs / holder,
        paced_pairs_per_second: paced as f64 / took.as_secs_f64(),
        idle_p99_us,
        paced_p99_us,
    })
}

/// The 99th percentile of a match on another thread while `meanwhile` goes on, in microseconds.
fn matches(
    publisher: Publisher,
    topics: &[String],
    meanwhile: impl FnOnce() -> Result<(), Failure>,
) -> Result<f64, Failure> {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut times = Vec::with_capacity(1 << 20);
            for topic in topics.iter().cycle() {
                let start = Instant::now();
                black_box(publisher.wants(black_box(topic)));
                times.push(start.elapsed().as_nanos() as f64 / 1e3);
                // A publisher that leaves the memory bus to others for a while.
                if times.len() % 64 == 0 {
                    if done.load(Ordering::Relaxed) || times.len() >= 20_000_000 {
                        break;
                    }
                    thread::sleep(Duration::from_micros(20));
                }
            }
            times
        });
        let result = meanwhile();
        done.store(true, Ordering::Relaxed);
        let mut times = reader.join().map_err(|_| "the reader has failed")?;
        result?;
        Ok(quantile(&mut times, 0.99))
    })
}
