use std::fmt::Write;

use super::{Churn, Others, Sync, Way};
use crate::bench::Failure;

/// All that was measured.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Report {
    /// Synchronisations.
    pub syncs: Vec<Sync>,
    /// Whole sets in other ways.
    pub others: Vec<Others>,
    /// Changes while messages are matched.
    pub churn: Option<Churn>,
}

/// Tables in Markdown.
pub fn markdown(report: &Report) -> String {
    let mut text = "| n | what there was | d | bytes | least | full zstd | full EMQX | handshake | round trips | frames | holder ms | \
                    writer ms | B a route |\n|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n"
        .to_owned();
    for row in &report.syncs {
        let others = report.others.iter().find(|others| others.n == row.n);
        let of = |part: fn(&Others) -> usize| others.map_or("–".to_owned(), |others| part(others).to_string());
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {:.0} | {} | {} | {} | {} | {} | {:.1} | {:.1} | {} |",
            row.n,
            row.way.name(),
            row.d,
            row.bytes,
            row.lower_bound,
            of(|others| others.zstd_bytes),
            of(|others| others.emqx_bytes),
            row.handshake_bytes,
            row.round_trips,
            row.frames,
            row.holder_cpu_ms,
            row.writer_cpu_ms,
            row.bytes_per_route.map_or("–".to_owned(), |bytes| format!("{bytes:.0}")),
        );
    }
    text += "\n| whole sets, n | bare filters | zstd | ms | EMQX | ms | round trips |\n|--:|--:|--:|--:|--:|--:|--:|\n";
    for o in &report.others {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {:.0} | {} | {:.0} | {} |",
            o.n, o.raw_bytes, o.zstd_bytes, o.zstd_cpu_ms, o.emqx_bytes, o.emqx_cpu_ms, o.emqx_round_trips
        );
    }
    if let Some(c) = &report.churn {
        let _ = writeln!(
            text,
            "\nChurn on {} routes: {:.0} pairs of subscribe and unsubscribe a second on one core (writer alone {:.0}, \
             holder alone {:.0}). p99 of a match: idle {:.2} µs, at {:.0} pairs a second {:.2} µs.",
            c.n,
            c.pairs_per_second,
            c.writer_pairs_per_second,
            c.holder_pairs_per_second,
            c.idle_p99_us,
            c.paced_pairs_per_second,
            c.paced_p99_us
        );
    }
    text
}

/// Whether the bytes follow the changes and never the table.
///
/// # Errors
/// What is off.
pub fn check(syncs: &[Sync]) -> Result<(), Failure> {
    let mut wrong = String::new();
    let with = |way| syncs.iter().filter(move |row| row.way == way);
    for row in with(Way::WithHistory) {
        // A step of n log n between them would show.
        for other in with(Way::WithHistory).filter(|other| other.d == row.d && other.n > row.n) {
            let (few, many) = (row.bytes as f64, other.bytes as f64);
            if (many - few).abs() > 0.2 * few.max(64.0) {
                let _ = writeln!(wrong, "d = {}: {few} bytes at n = {}, {many} at n = {}", row.d, row.n, other.n);
            }
        }
        let most = 200 + 14 * row.d as u64;
        if row.bytes > most {
            let _ = writeln!(wrong, "d = {}, n = {}: {} bytes, at most {most} are due", row.d, row.n, row.bytes);
        }
        if row.round_trips > 1.0 {
            let _ = writeln!(wrong, "d = {}, n = {}: {} round trips", row.d, row.n, row.round_trips);
        }
    }
    for row in with(Way::First) {
        let most = 10 * row.n as u64;
        if row.bytes > most || row.round_trips > 1.0 {
            let _ = writeln!(wrong, "first, n = {}: {} bytes, {} round trips", row.n, row.bytes, row.round_trips);
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.into()) }
}
