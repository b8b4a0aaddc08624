//! What the pictures have in common: SVG that follows the reader's light or dark theme.

use std::fmt::Write;

/// A colour on light and on dark ground; the `n`th one is that of the classes `cn` (areas) and `cn line` (lines).
pub type Colour = (&'static str, &'static str);

/// Plain rules, without variables, for the sake of simple viewers.
fn style(colours: &[Colour]) -> String {
    let rules = |dark: bool| {
        let rule = |(n, (on_light, on_dark)): (usize, &Colour)| {
            let colour = if dark { on_dark } else { on_light };
            format!(".c{n} {{ fill: {colour} }} .c{n}.line {{ fill: none; stroke: {colour} }}\n")
        };
        colours.iter().enumerate().map(rule).collect::<String>()
    };
    format!(
        "text {{ font: 12px system-ui, sans-serif; fill: #444 }}\n\
         .title {{ font-size: 14px; font-weight: 600; fill: #222 }}\n\
         .grid {{ stroke: #ddd }}\n\
         .line {{ stroke-width: 2 }}\n\
         .plain {{ opacity: 0.45 }}\n\
         {}@media (prefers-color-scheme: dark) {{\ntext {{ fill: #bbb }} .title {{ fill: #eee }} .grid {{ stroke: #333 }}\n{}}}",
        rules(false),
        rules(true)
    )
}

/// Appends a line of text; `anchor` is `start`, `middle` or `end`.
pub fn text(to: &mut String, class: &str, x: f64, y: f64, anchor: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(to, r#"<text class="{class}" x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{text}</text>"#);
}

/// A whole picture.
pub fn document(colours: &[Colour], width: f64, height: f64, body: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
         height=\"{height:.0}\">\n<style>\n{}\n</style>\n{body}</svg>\n",
        style(colours)
    )
}
