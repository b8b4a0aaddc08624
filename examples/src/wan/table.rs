//! The figures as a table, and as JSON.

use super::{Cell, run::RETURN, way::Way};

/// The row of the plain stream beside a link.
pub fn beside<'a>(cells: &'a [Cell], cell: &Cell) -> Option<&'a Cell> {
    let raw = cell.way.raw()?;
    cells.iter().find(|other| other.way == raw && other.path == cell.path)
}

/// What a link reaches of the plain stream beside it.
fn share(cells: &[Cell], cell: &Cell) -> Option<f64> {
    Some(cell.figures.rate? / beside(cells, cell)?.figures.rate?)
}

/// A table in Markdown.
pub fn markdown(cells: &[Cell]) -> String {
    let mut table = "| path | way | MB/s | of plain | p50 ms | p99 ms | back after ms | live after ms | rounds |\n\
                     |---|---|--:|--:|--:|--:|--:|--:|--:|\n"
        .to_owned();
    for cell in cells {
        let Cell { path, way, figures, rounds } = cell;
        let of = |value: Option<f64>, digits: usize| value.map_or("–".to_owned(), |v| format!("{v:.digits$}"));
        table += &format!(
            "| {path} | {} | {} | {} | {} | {} | {} | {} | {rounds} |\n",
            way.name(),
            figures.rate.map_or("–".to_owned(), megabytes),
            of(share(cells, cell), 2),
            of(figures.p50, 1),
            of(figures.p99, 1),
            return_time(figures.back),
            return_time(figures.live),
        );
    }
    table
}

/// A plain stream has no state that could be live.
fn return_time(milliseconds: Option<f64>) -> String {
    match milliseconds {
        None => "–".to_owned(),
        Some(time) if time >= RETURN.as_secs_f64() * 1e3 => "over 30,000".to_owned(),
        Some(time) => format!("{time:.0}"),
    }
}

/// The same for programs.
///
/// # Errors
/// None that a figure could cause.
pub fn json(cells: &[Cell]) -> serde_json::Result<String> {
    let rows: Vec<_> = cells
        .iter()
        .map(|cell| {
            serde_json::json!({
                "path": cell.path, "way": cell.way, "figures": cell.figures, "rounds": cell.rounds,
                "of_plain": share(cells, cell),
            })
        })
        .collect();
    serde_json::to_string_pretty(&rows)
}

/// Megabytes with as many digits as tell anything.
pub(super) fn megabytes(rate: f64) -> String {
    let rate = rate / 1e6;
    if rate < 0.1 { format!("{rate:.4}") } else { format!("{rate:.2}") }
}

/// Whether it is a link rather than a plain stream.
pub(super) fn is_link(way: Way) -> bool {
    way.raw().is_some()
}
