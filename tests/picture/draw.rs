//! A picture as SVG: real text, colours that follow the reader's scheme, nothing but this file.

use std::fmt::Write as _;

use crate::{
    model::{Arrow, Picture, Point},
    text::{BADGE, LINE, TITLE, Text},
};

/// Colours of the light scheme, then of the dark one.
const STYLE: &str = "\
    svg { --page: #ffffff; --text: #1f2328; --soft: #59636e; --line: #57606a; --box: #ffffff;
      --builder: #0969da; --collaborator: #1a7f37; --operator: #bc4c00; --hardware: #8250df; --google: #57606a;
      --shared: #9a6700; --refusal: #cf222e; }
    @media (prefers-color-scheme: dark) {
      svg { --page: #0d1117; --text: #e6edf3; --soft: #9198a1; --line: #9198a1; --box: #161b22;
        --builder: #4493f8; --collaborator: #3fb950; --operator: #f0883e; --hardware: #ab7df8; --google: #9198a1;
        --shared: #d29922; --refusal: #f85149; }
    }
    text { font-family: system-ui, -apple-system, \"Segoe UI\", Helvetica, Arial, sans-serif; fill: var(--text); }
    .page { fill: var(--page); }
    .domain { fill: var(--c); fill-opacity: 0.07; stroke: var(--c); stroke-width: 1.5; stroke-dasharray: 6 4; }
    .box { fill: var(--box); stroke: var(--c); stroke-width: 1.5; }
    .domain-title { fill: var(--c); }
    .note { fill: var(--soft); }
    .arrow { fill: none; stroke: var(--line); stroke-width: 1.5; }
    .head { fill: var(--line); }
    .badge { fill: var(--page); stroke: var(--line); stroke-width: 1.5; }
    .number { text-anchor: middle; }
";
const KINDS: [&str; 7] = ["builder", "collaborator", "operator", "hardware", "google", "shared", "refusal"];

pub(crate) fn svg(picture: &Picture, source: &str) -> String {
    let [width, height] = picture.size;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         role=\"img\" aria-labelledby=\"title description\">\n<!-- Made from {source} by tests/picture -->\n<title id=\"title\">{}</title>\n<desc id=\"description\">{}</desc>\n<style>\n{STYLE}",
        escape(&picture.title),
        escape(&description(picture)),
    );
    for kind in KINDS {
        let _ = writeln!(out, "    .{kind} {{ --c: var(--{kind}); }}");
    }
    let _ = writeln!(
        out,
        "</style>\n<defs><marker id=\"head\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"7\" markerHeight=\"7\" \
         orient=\"auto-start-reverse\"><path class=\"head\" d=\"M0 0L10 5L0 10z\"/></marker></defs>\n\
         <rect class=\"page\" width=\"{width}\" height=\"{height}\" rx=\"8\"/>"
    );
    for domain in &picture.domain {
        let _ = writeln!(out, "<g class=\"{}\">", domain.kind.class());
        rectangle(&mut out, "domain", domain.at, domain.size, 10);
        domain.texts().iter().for_each(|text| put(&mut out, text));
        out.push_str("</g>\n");
    }
    for one in &picture.boxes {
        let of_domain = picture.domain.iter().find(|domain| Some(&domain.id) == one.domain.as_ref());
        let kind = one.kind.or(of_domain.map(|domain| domain.kind)).map_or("google", crate::model::Kind::class);
        let _ = writeln!(out, "<g class=\"{kind}\">");
        rectangle(&mut out, "box", one.at, one.size, 6);
        one.texts().iter().for_each(|text| put(&mut out, text));
        out.push_str("</g>\n");
    }
    picture.arrow.iter().for_each(|arrow| put_arrow(&mut out, arrow));
    for (number, arrow, _) in picture.numbered() {
        badge(&mut out, arrow.badge(), number);
    }
    for (number, at, text) in picture.legend_rows() {
        badge(&mut out, at, number);
        put(&mut out, &text);
    }
    out.push_str("</svg>\n");
    out
}

/// Whoever cannot see the arrows is told what they carry.
fn description(picture: &Picture) -> String {
    let name = |id: &str| {
        let boxes = picture.boxes.iter().map(|one| (&one.id, &one.title));
        let mut all = boxes.chain(picture.domain.iter().map(|domain| (&domain.id, &domain.title)));
        all.find(|(name, _)| *name == id).map_or(id.to_owned(), |(_, title)| title.clone())
    };
    let arrows = picture.numbered().map(|(number, arrow, carries)| {
        format!(" {number}: from {} to {}: {carries}.", name(&arrow.from), name(&arrow.to))
    });
    std::iter::once(picture.description.clone()).chain(arrows).collect()
}

fn rectangle(out: &mut String, class: &str, at: Point, size: Point, corner: u32) {
    let _ = writeln!(
        out,
        "<rect class=\"{class}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"{corner}\"/>",
        at[0], at[1], size[0], size[1]
    );
}

fn put(out: &mut String, text: &Text) {
    let weight = if text.bold { " font-weight=\"600\"" } else { "" };
    let _ = writeln!(
        out,
        "<text class=\"{}\" x=\"{}\" y=\"{:.1}\" font-size=\"{}\"{weight}>{}</text>",
        text.class,
        text.at[0],
        text.at[1],
        text.size,
        escape(&text.words)
    );
}

fn put_arrow(out: &mut String, arrow: &Arrow) {
    let corners: Vec<String> = arrow.path.iter().map(|[x, y]| format!("{x} {y}")).collect();
    let start = if arrow.both { " marker-start=\"url(#head)\"" } else { "" };
    let _ = writeln!(out, "<path class=\"arrow\" d=\"M{}\"{start} marker-end=\"url(#head)\"/>", corners.join("L"));
}

fn badge(out: &mut String, [x, y]: Point, number: usize) {
    let size = if number > 9 { LINE - 1.0 } else { LINE };
    let _ = writeln!(out, "<circle class=\"badge\" cx=\"{x}\" cy=\"{y}\" r=\"{BADGE}\"/>");
    let below = y + 0.35 * TITLE - 0.5;
    let _ = writeln!(out, "<text class=\"number\" x=\"{x}\" y=\"{below:.1}\" font-size=\"{size}\">{number}</text>");
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
