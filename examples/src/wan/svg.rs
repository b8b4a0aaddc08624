//! A picture of the figures.

use std::fmt::Write;

use super::{
    Cell, Path,
    table::{is_link, megabytes},
    way::Way,
};
use crate::plot::{Colour, document, text};

/// Of QUIC with cubic and with BBR, and of MQTT with each: on light and on dark ground.
const COLOURS: [Colour; 4] =
    [("#1f6feb", "#6ea8fe"), ("#0a8f8f", "#4fd1c5"), ("#b35900", "#f0a050"), ("#8250df", "#b794f6")];

/// One group of bars for each path: payload as a part of the rate of the path, the plain stream below its link.
pub fn draw(cells: &[Cell]) -> String {
    const LEFT: f64 = 190.0;
    const WIDTH: f64 = 420.0;
    const BAR: f64 = 16.0;
    let mut paths: Vec<Path> = Vec::new();
    for cell in cells.iter().filter(|cell| cell.figures.rate.is_some()) {
        if !paths.contains(&cell.path) {
            paths.push(cell.path);
        }
    }
    let (mut body, mut y) = (String::new(), 64.0);
    for path in paths {
        text(&mut body, "title", 16.0, y + 12.0, "start", &path.to_string());
        let mut own: Vec<_> = cells.iter().filter(|cell| cell.path == path).collect();
        own.sort_by_key(|cell| (colour(cell.way), !is_link(cell.way)));
        for cell in own {
            let Some(rate) = cell.figures.rate else { continue };
            let plain = if is_link(cell.way) { "" } else { " plain" };
            let width = (rate / path.bytes_a_second() * WIDTH).max(1.0);
            let _ = writeln!(
                body,
                r#"<rect class="c{}{plain}" x="{LEFT}" y="{y:.1}" width="{width:.1}" height="{:.1}" rx="2"/>"#,
                colour(cell.way),
                BAR - 3.0
            );
            let label = format!("{} MB/s  {}", megabytes(rate), cell.way.name());
            text(&mut body, "", LEFT + width + 6.0, y + 11.0, "start", &label);
            y += BAR;
        }
        y += 16.0;
    }
    let mut grid = String::new();
    for tenths in [0, 2, 4, 6, 8, 10] {
        let x = LEFT + WIDTH * f64::from(tenths) / 10.0;
        let _ = writeln!(grid, r#"<line class="grid" x1="{x:.1}" x2="{x:.1}" y1="56" y2="{y:.1}"/>"#);
        text(&mut grid, "", x, 50.0, "middle", &format!("{} %", tenths * 10));
    }
    text(&mut grid, "title", 16.0, 24.0, "start", "Payload of bulk messages, in percent of the path's rate");
    document(&COLOURS, LEFT + WIDTH + 250.0, y, &(grid + &body))
}

fn colour(way: Way) -> usize {
    match way {
        Way::QuicCubic | Way::QuinnCubic => 0,
        Way::QuicBbr | Way::QuinnBbr => 1,
        Way::MqttCubic | Way::TcpCubic => 2,
        Way::MqttBbr | Way::TcpBbr => 3,
    }
}
