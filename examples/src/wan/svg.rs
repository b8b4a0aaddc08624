//! A picture of the figures, as SVG that follows the reader's light or dark theme.

use std::fmt::Write;

use super::{
    Cell, Path,
    table::{is_link, megabytes},
    way::Way,
};

/// Of QUIC with cubic and with BBR, and of MQTT with each: on light and on dark ground.
const COLOURS: [(&str, &str); 4] =
    [("#1f6feb", "#6ea8fe"), ("#0a8f8f", "#4fd1c5"), ("#b35900", "#f0a050"), ("#8250df", "#b794f6")];

/// Plain rules, without variables, for the sake of simple viewers.
fn style() -> String {
    let colours = |dark: bool| {
        let rule = |(n, (on_light, on_dark)): (usize, &(&str, &str))| {
            let colour = if dark { on_dark } else { on_light };
            format!(".c{n} {{ fill: {colour} }}\n")
        };
        COLOURS.iter().enumerate().map(rule).collect::<String>()
    };
    format!(
        "text {{ font: 12px system-ui, sans-serif; fill: #444 }}\n\
         .title {{ font-size: 14px; font-weight: 600; fill: #222 }}\n\
         .grid {{ stroke: #ddd }}\n\
         .plain {{ opacity: 0.45 }}\n\
         {}@media (prefers-color-scheme: dark) {{\ntext {{ fill: #bbb }} .title {{ fill: #eee }} .grid {{ stroke: #333 }}\n{}}}",
        colours(false),
        colours(true)
    )
}

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
        line(&mut body, "title", 16.0, y + 12.0, "start", &path.to_string());
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
            let text = format!("{} MB/s  {}", megabytes(rate), cell.way.name());
            line(&mut body, "", LEFT + width + 6.0, y + 11.0, "start", &text);
            y += BAR;
        }
        y += 16.0;
    }
    let mut grid = String::new();
    for tenths in [0, 2, 4, 6, 8, 10] {
        let x = LEFT + WIDTH * f64::from(tenths) / 10.0;
        let _ = writeln!(grid, r#"<line class="grid" x1="{x:.1}" x2="{x:.1}" y1="56" y2="{y:.1}"/>"#);
        line(&mut grid, "", x, 50.0, "middle", &format!("{} %", tenths * 10));
    }
    line(&mut grid, "title", 16.0, 24.0, "start", "Payload of bulk messages, in percent of the path's rate");
    document(LEFT + WIDTH + 250.0, y, &(grid + &body))
}

fn colour(way: Way) -> usize {
    match way {
        Way::QuicCubic | Way::QuinnCubic => 0,
        Way::QuicBbr | Way::QuinnBbr => 1,
        Way::MqttCubic | Way::TcpCubic => 2,
        Way::MqttBbr | Way::TcpBbr => 3,
    }
}

fn line(to: &mut String, class: &str, x: f64, y: f64, anchor: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(to, r#"<text class="{class}" x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{text}</text>"#);
}

fn document(width: f64, height: f64, body: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
         height=\"{height:.0}\">\n<style>\n{}\n</style>\n{body}</svg>\n",
        style()
    )
}
