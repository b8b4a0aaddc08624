use std::fmt::Write;

use super::{Report, Way};
use crate::plot::{Colour, document, text};

/// With history, without, the least, and whole sets in other ways.
const COLOURS: [Colour; 5] = [
    ("#1f6feb", "#6ea8fe"),
    ("#0a8f8f", "#4fd1c5"),
    ("#888888", "#999999"),
    ("#b35900", "#f0a050"),
    ("#8250df", "#b794f6"),
];

const LEFT: f64 = 70.0;
const TOP: f64 = 64.0;
const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 300.0;
const PANEL: f64 = 400.0;
/// Powers of ten at the ends of the axes: of the changes, and of the bytes.
const CHANGES: f64 = 5.0;
const BYTES: (f64, f64) = (1.0, 8.0);

/// Bytes against the number of changes, both logarithmic, a panel for each number of routes.
pub fn draw(report: &Report) -> String {
    let mut body = String::new();
    for (panel, others) in report.others.iter().enumerate() {
        let left = LEFT + PANEL * panel as f64;
        let title = format!("n = {} routes", others.n);
        text(&mut body, "title", left, TOP - 16.0, "start", &title);
        axes(&mut body, left);
        let series = |way| -> Vec<(f64, f64)> {
            let rows = report.syncs.iter().filter(|row| row.n == others.n && row.way == way);
            rows.map(|row| (row.d as f64, row.bytes as f64)).collect()
        };
        let least = report.syncs.iter().filter(|row| row.n == others.n && row.way == Way::WithHistory);
        let least: Vec<_> = least.map(|row| (row.d as f64, row.lower_bound)).collect();
        let flat = |bytes: usize| vec![(0.0, bytes as f64), (1e5_f64.min(others.n as f64), bytes as f64)];
        let lines = [
            ("with history", series(Way::WithHistory)),
            ("without history", series(Way::WithoutHistory)),
            ("least for the names", least),
            ("all of it, zstd", flat(others.zstd_bytes)),
            ("all of it, EMQX's form", flat(others.emqx_bytes)),
        ];
        for (n, (name, points)) in lines.iter().enumerate() {
            line(&mut body, n, left, points);
            let y = TOP + HEIGHT + 56.0 + 16.0 * n as f64;
            let _ = writeln!(body, r#"<rect class="c{n}" x="{left:.1}" y="{:.1}" width="14" height="4"/>"#, y - 6.0);
            text(&mut body, "", left + 20.0, y, "start", name);
        }
    }
    text(
        &mut body,
        "title",
        16.0,
        24.0,
        "start",
        "Bytes of route frames, both ways, to be equal again after d changes",
    );
    document(&COLOURS, LEFT + PANEL * report.others.len() as f64, TOP + HEIGHT + 140.0, &body)
}

/// No change at all stands left of one.
fn x(left: f64, d: f64) -> f64 {
    let at = if d < 1.0 { -1.0 } else { d.log10() };
    left + (at + 1.0) / (CHANGES + 1.0) * WIDTH
}

fn y(bytes: f64) -> f64 {
    TOP + HEIGHT - (bytes.max(10.0).log10() - BYTES.0) / (BYTES.1 - BYTES.0) * HEIGHT
}

fn axes(body: &mut String, left: f64) {
    for (power, label) in ["10 B", "100 B", "1 kB", "10 kB", "100 kB", "1 MB", "10 MB", "100 MB"].iter().enumerate() {
        let y = y(10_f64.powi(power as i32 + 1));
        let _ =
            writeln!(body, r#"<line class="grid" x1="{left:.1}" x2="{:.1}" y1="{y:.1}" y2="{y:.1}"/>"#, left + WIDTH);
        text(body, "", left - 6.0, y + 4.0, "end", label);
    }
    for (d, label) in [(0.0, "0"), (1.0, "1"), (10.0, "10"), (1e3, "1,000"), (1e5, "100,000")] {
        let x = x(left, d);
        let _ = writeln!(body, r#"<line class="grid" x1="{x:.1}" x2="{x:.1}" y1="{TOP}" y2="{:.1}"/>"#, TOP + HEIGHT);
        text(body, "", x, TOP + HEIGHT + 18.0, "middle", label);
    }
    text(body, "", left + WIDTH / 2.0, TOP + HEIGHT + 34.0, "middle", "changes d");
}

fn line(body: &mut String, colour: usize, left: f64, points: &[(f64, f64)]) {
    let points: Vec<String> = points.iter().map(|(d, bytes)| format!("{:.1},{:.1}", x(left, *d), y(*bytes))).collect();
    let _ = writeln!(body, r#"<polyline class="c{colour} line" points="{}"/>"#, points.join(" "));
}
