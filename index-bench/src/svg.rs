//! Two pictures of a report, as SVG that follows the reader's light or dark theme.

use std::{fmt::Write, fs, path::Path};

use crate::{
    engines::{Role, Way},
    report::{Growth, Report, Speed, Table},
};

/// Of ours, ours in batches, the floor, and the others in the order in which they come: on light and on dark ground.
const COLOURS: [(&str, &str); 8] = [
    ("#1f6feb", "#6ea8fe"),
    ("#0a8f8f", "#4fd1c5"),
    ("#888888", "#999999"),
    ("#b35900", "#f0a050"),
    ("#8250df", "#b794f6"),
    ("#a6761d", "#d6b25e"),
    ("#cf3a72", "#f283ad"),
    ("#5b8c2a", "#9ccc65"),
];

/// Plain rules, without variables, for the sake of simple viewers.
fn style() -> String {
    let colours = |dark: bool| {
        let rule = |(n, (on_light, on_dark)): (usize, &(&str, &str))| {
            let colour = if dark { on_dark } else { on_light };
            format!(".c{n} {{ fill: {colour} }} .c{n}.line {{ fill: none; stroke: {colour} }}\n")
        };
        COLOURS.iter().enumerate().map(rule).collect::<String>()
    };
    format!(
        "text {{ font: 12px system-ui, sans-serif; fill: #444 }}\n\
         .title {{ font-size: 14px; font-weight: 600; fill: #222 }}\n\
         .grid {{ stroke: #ddd }}\n\
         .line {{ stroke-width: 1.5 }}\n\
         .c0.line, .c1.line {{ stroke-width: 3 }}\n\
         .strong {{ font-weight: 600 }}\n\
         {}@media (prefers-color-scheme: dark) {{\ntext {{ fill: #bbb }} .title {{ fill: #eee }} .grid {{ stroke: #333 }}\n{}}}",
        colours(false),
        colours(true)
    )
}

/// Writes `index-rates.svg` and `index-growth.svg`, those of them that something was measured for.
pub fn write(report: &Report, folder: &Path) -> std::io::Result<()> {
    if !report.tables.is_empty() {
        fs::write(folder.join("index-rates.svg"), rates(&report.tables))?;
    }
    if !report.growth.is_empty() {
        fs::write(folder.join("index-growth.svg"), growth(&report.growth))?;
    }
    Ok(())
}

/// One group of bars for each draw of topics, as multiples of the best peer.
fn rates(tables: &[Table]) -> String {
    const LEFT: f64 = 190.0;
    const WIDTH: f64 = 560.0;
    const BAR: f64 = 16.0;
    const LEAST: f64 = 0.25;
    let groups: Vec<_> = tables.iter().filter_map(|table| Some((table, table.best_peer()?, bars(table)))).collect();
    let multiple = |bar: &Speed, best: &Speed| bar.rate / best.rate;
    let most = groups.iter().flat_map(|(_, best, bars)| bars.iter().map(|bar| multiple(bar, best))).fold(1.0, f64::max);
    // A logarithmic scale: what is 30 times as fast must not flatten everything else.
    let scale = |times: f64| ((times / LEAST).ln() / (most / LEAST).ln() * WIDTH).max(1.0);
    let mut body = String::new();
    let mut y = 64.0;
    for (table, best, bars) in &groups {
        line(
            &mut body,
            "title",
            16.0,
            y + 12.0,
            "start",
            &format!("{} ({} matches)", table.draw, rounded(table.matches)),
        );
        for bar in bars {
            let (times, class) = (multiple(bar, best), class(bar.role, bar.way, 3));
            let width = scale(times);
            let _ = writeln!(
                body,
                r#"<rect class="{class}" x="{LEFT}" y="{y:.1}" width="{width:.1}" height="{:.1}" rx="2"/>"#,
                BAR - 3.0
            );
            let text = format!("{times:.1}\u{d7}  {}, {}", bar.name(), per_second(bar.rate));
            line(&mut body, "", LEFT + width + 6.0, y + 11.0, "start", &text);
            y += BAR;
        }
        y += 16.0;
    }
    let mut grid = String::new();
    for times in [0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0].into_iter().filter(|&times| times <= most) {
        let x = LEFT + scale(times);
        let _ = writeln!(grid, r#"<line class="grid" x1="{x:.1}" x2="{x:.1}" y1="56" y2="{y:.1}"/>"#);
        line(&mut grid, "", x, 50.0, "middle", &format!("{times}\u{d7}"));
    }
    line(&mut grid, "title", 16.0, 24.0, "start", "Topics per CPU second, as multiples of the fastest peer");
    document(LEFT + WIDTH + 300.0, y, &(grid + &body))
}

/// Ours, the floor and the best peer; fastest first.
fn bars(table: &Table) -> Vec<&Speed> {
    let ours = [table.ours(Way::Batched), table.ours(Way::Single), table.floor(), table.best_peer()];
    let mut bars: Vec<_> = ours.into_iter().flatten().collect();
    bars.sort_by(|a, b| b.rate.total_cmp(&a.rate));
    bars
}

fn per_second(rate: f64) -> String {
    if rate >= 1e6 { format!("{:.1} M/s", rate / 1e6) } else { format!("{:.0} k/s", rate / 1e3) }
}

/// One panel for each workload: nanoseconds for a match over the number of filters, both logarithmic. Without the copy of
/// a broker's linear scan, which is far off the scale of the others.
fn growth(points: &[Growth]) -> String {
    const WIDTH: f64 = 300.0;
    const HEIGHT: f64 = 320.0;
    const PANEL: f64 = 560.0;
    const TOP: f64 = 64.0;
    let mut workloads: Vec<_> = points.iter().map(|point| point.workload).collect();
    workloads.dedup();
    let points: Vec<_> = points.iter().filter(|point| point.role != Role::Copy).collect();
    let mut lines: Vec<_> = points.iter().map(|point| (point.name(), point.role, point.way)).collect();
    lines.sort_by_key(|(_, role, way)| (*role != Role::Ours, *role != Role::Floor, *way == Way::Batched));
    let mut names = Vec::new();
    lines.into_iter().for_each(|line| {
        if !names.contains(&line) {
            names.push(line)
        }
    });
    let mut body = String::new();
    for (panel, workload) in workloads.iter().enumerate() {
        let left = 70.0 + panel as f64 * PANEL;
        let points: Vec<_> = points.iter().filter(|point| point.workload == *workload).collect();
        let per_match = |point: &Growth| point.topic / point.matches;
        let (xs, ys) = (decades(points.iter().map(|p| p.filters as f64)), decades(points.iter().map(|p| per_match(p))));
        let x = |filters: f64| left + (filters.log10() - xs.0) / (xs.1 - xs.0) * WIDTH;
        let y = |time: f64| TOP + HEIGHT - (time.log10() - ys.0) / (ys.1 - ys.0) * HEIGHT;
        line(&mut body, "title", left, 48.0, "start", &format!("{workload}: ns for a match"));
        for decade in xs.0 as i32..=xs.1 as i32 {
            let at = x(10f64.powi(decade));
            let _ =
                writeln!(body, r#"<line class="grid" x1="{at:.1}" x2="{at:.1}" y1="{TOP}" y2="{:.1}"/>"#, TOP + HEIGHT);
            line(&mut body, "", at, TOP + HEIGHT + 18.0, "middle", &count(decade));
        }
        for decade in ys.0 as i32..=ys.1 as i32 {
            let at = y(10f64.powi(decade));
            let _ = writeln!(
                body,
                r#"<line class="grid" x1="{left}" x2="{:.1}" y1="{at:.1}" y2="{at:.1}"/>"#,
                left + WIDTH
            );
            line(&mut body, "", left - 6.0, at + 4.0, "end", &count(decade));
        }
        line(&mut body, "", left + WIDTH / 2.0, TOP + HEIGHT + 38.0, "middle", "filters");
        let mut ends = Vec::new();
        for (place, (name, role, way)) in names.iter().enumerate() {
            let own: Vec<_> = points.iter().filter(|point| point.name() == *name).collect();
            let Some(last) = own.last() else { continue };
            let class = class(*role, *way, place);
            let path: Vec<_> =
                own.iter().map(|p| format!("{:.1},{:.1}", x(p.filters as f64), y(per_match(p)))).collect();
            let _ = writeln!(body, r#"<polyline class="{class} line" points="{}"/>"#, path.join(" "));
            for point in &path {
                let (x, y) = point.split_once(',').unwrap_or_default();
                let _ = writeln!(body, r#"<circle class="{class}" cx="{x}" cy="{y}" r="3"/>"#);
            }
            ends.push((y(per_match(last)), class, format!("{name} {}", rounded(per_match(last)))));
        }
        // Names beside the ends of the lines, pushed apart where they would overlap.
        ends.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut free = f64::MIN;
        for (end, class, text) in ends {
            let at = end.max(free);
            free = at + 15.0;
            line(&mut body, &format!("{class} strong"), left + WIDTH + 10.0, at + 4.0, "start", &text);
        }
    }
    line(&mut body, "title", 16.0, 24.0, "start", "Time for a match as the index grows");
    document(70.0 + PANEL * workloads.len() as f64, TOP + HEIGHT + 56.0, &body)
}

/// The powers of ten around some numbers.
fn decades(numbers: impl Iterator<Item = f64>) -> (f64, f64) {
    let (least, most) = numbers.fold((f64::MAX, f64::MIN), |(least, most), n| (least.min(n), most.max(n)));
    let (least, most) = (least.log10().floor(), most.log10().ceil());
    (least, most.max(least + 1.0))
}

fn count(decade: i32) -> String {
    match decade {
        ..3 => format!("{}", 10f64.powi(decade)),
        3..6 => format!("{} k", 10f64.powi(decade - 3)),
        _ => format!("{} M", 10f64.powi(decade - 6)),
    }
}

fn rounded(time: f64) -> String {
    if time < 10.0 { format!("{time:.1}") } else { format!("{time:.0}") }
}

/// The colour of an engine; `place` tells the others apart.
fn class(role: Role, way: Way, place: usize) -> String {
    match (role, way) {
        (Role::Ours, Way::Single) => "c0".to_owned(),
        (Role::Ours, Way::Batched) => "c1".to_owned(),
        (Role::Floor, _) => "c2".to_owned(),
        _ => format!("c{}", 3 + (place + 2) % 5),
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
