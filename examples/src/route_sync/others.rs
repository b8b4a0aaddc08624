use std::collections::BTreeSet;

use link_core::topic::TopicFilter;

use super::spent;
use crate::bench::Failure;

/// What it takes to send a whole set in other ways.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Others {
    /// Number of filters.
    pub n: usize,
    /// Bytes of the filters alone.
    pub raw_bytes: usize,
    /// In order, front-coded, and compressed in one piece by zstd at level 3.
    pub zstd_bytes: usize,
    /// CPU of that, in milliseconds.
    pub zstd_cpu_ms: f64,
    /// In batches of 4,000, each filter twice, compressed by zlib: what EMQX 6 sends.
    pub emqx_bytes: usize,
    /// CPU of that in this implementation, in milliseconds.
    pub emqx_cpu_ms: f64,
    /// Its round trips, since each batch waits for the one before.
    pub emqx_round_trips: usize,
}

const BATCH: usize = 4_000;

impl Others {
    /// Of these filters.
    ///
    /// # Errors
    /// If they can't be compressed.
    pub fn measure(filters: &BTreeSet<TopicFilter>) -> Result<Self, Failure> {
        let (zstd, zstd_cpu_ms) = spent(|| zstd::bulk::compress(&front_coded(filters), 3));
        let (emqx_bytes, emqx_cpu_ms) = spent(|| {
            let filters: Vec<&str> = filters.iter().map(TopicFilter::as_str).collect();
            filters
                .chunks(BATCH)
                .map(|batch| miniz_oxide::deflate::compress_to_vec_zlib(&terms(batch), 6).len() + 6)
                .sum()
        });
        Ok(Self {
            n: filters.len(),
            raw_bytes: filters.iter().map(|filter| filter.as_str().len()).sum(),
            zstd_bytes: zstd?.len(),
            zstd_cpu_ms,
            emqx_bytes,
            emqx_cpu_ms,
            emqx_round_trips: filters.len().div_ceil(BATCH),
        })
    }
}

/// Least bytes that tell `d` of 2^64 names: log2 of the number of such sets.
pub fn lower_bound(d: usize) -> f64 {
    if d == 0 { 0.0 } else { d as f64 * (64.0 - (d as f64).log2() + 1.44) / 8.0 }
}

fn front_coded(filters: &BTreeSet<TopicFilter>) -> Vec<u8> {
    let (mut out, mut before) = (Vec::new(), &b""[..]);
    for filter in filters {
        let text = filter.as_str().as_bytes();
        let shared = before.iter().zip(text).take_while(|(a, b)| a == b).count();
        // The filters of a fleet are shorter than 128 bytes.
        out.extend([shared as u8, (text.len() - shared) as u8]);
        out.extend(&text[shared..]);
        before = text;
    }
    out
}

/// A list of `{add, {Topic, Id}}` in Erlang's external format, the id being the topic.
fn terms(batch: &[&str]) -> Vec<u8> {
    let mut out = vec![108];
    out.extend((batch.len() as u32).to_be_bytes());
    for topic in batch {
        out.extend(b"\x68\x02\x77\x03add\x68\x02");
        for _ in 0..2 {
            out.push(109);
            out.extend((topic.len() as u32).to_be_bytes());
            out.extend(topic.as_bytes());
        }
    }
    out.push(106);
    out
}
