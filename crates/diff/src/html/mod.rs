//! The report as one page that needs nothing else: no network, no script, light and dark, for the keyboard.
//!
//! Everything in it was written by somebody who may be hostile. [`Page::text`] is the only way into the page; it escapes,
//! shows characters that reorder or hide text as what they are, and cuts. The page's policy allows no resources, and no
//! styles and scripts but its own, by their digests.

mod changes;
mod nodes;
mod page;

use std::io;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use sha2::{Digest as _, Sha256};

use self::page::Page;
use crate::report::{Cause, CauseKind, Evidence, Report, Subject};

const STYLE: &str = include_str!("page.css");
/// Opens and closes all parts; the page is complete without it.
const SCRIPT: &str = include_str!("page.js");

/// Writes the page.
///
/// # Errors
/// Whatever `out` refuses.
pub fn html(report: &Report, out: &mut dyn io::Write) -> io::Result<()> {
    let mut page = Page::new(out);
    head(&mut page)?;
    subjects(&mut page, report)?;
    if !report.identical {
        causes(&mut page, &report.causes)?;
    }
    incomplete(&mut page, &report.incomplete)?;
    if let Some(root) = &report.root {
        page.raw("<section aria-labelledby=\"differences\"><h2 id=\"differences\">What differs</h2>")?;
        page.raw("<p class=\"tools\" hidden><button type=\"button\" id=\"open\">Open all</button> <button type=\"button\" id=\"close\">Close all</button></p>")?;
        nodes::root(&mut page, root)?;
        page.raw("</section>")?;
    }
    page.raw("</main><script>")?;
    page.raw(SCRIPT)?;
    page.raw("</script></body></html>\n")
}

fn head(page: &mut Page<'_>) -> io::Result<()> {
    let digest = |text: &str| BASE64_STANDARD.encode(Sha256::digest(text));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'; \
         require-trusted-types-for 'script'",
        digest(STYLE),
        digest(SCRIPT)
    );
    page.raw("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">")?;
    page.raw(&format!("<meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">"))?;
    page.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><meta name=\"referrer\" content=\"no-referrer\">")?;
    page.raw("<meta name=\"color-scheme\" content=\"light dark\"><title>csign diff</title><style>")?;
    page.raw(STYLE)?;
    page.raw("</style></head><body><a class=\"skip\" href=\"#differences\">To what differs</a>")
}

fn subjects(page: &mut Page<'_>, report: &Report) -> io::Result<()> {
    let verdict = if report.identical { "The images are the same" } else { "The images differ" };
    page.raw(&format!("<header><h1>{verdict}</h1><dl class=\"subjects\">"))?;
    for (letter, class, Subject { name, digest }) in [("A", "a", &report.a), ("B", "b", &report.b)] {
        page.raw(&format!("<div class=\"{class}\"><dt>{letter}</dt><dd><span class=\"name\">"))?;
        page.text(name)?;
        page.raw("</span><code>")?;
        page.text(digest)?;
        page.raw("</code></dd></div>")?;
    }
    page.raw("</dl></header><main>")
}

fn causes(page: &mut Page<'_>, causes: &[Cause]) -> io::Result<()> {
    page.raw("<section aria-labelledby=\"causes\"><h2 id=\"causes\">Likely causes</h2>")?;
    if causes.is_empty() {
        page.raw("<p>No cause was recognized.</p>")?;
    }
    page.raw("<ol class=\"causes\">")?;
    for (index, Cause { kind, summary, advice, evidence }) in causes.iter().enumerate() {
        page.raw(&format!("<li><h3><span class=\"kind\">{}</span> ", title(*kind)))?;
        page.text(summary)?;
        page.raw("</h3><p class=\"advice\">")?;
        page.text(advice)?;
        let open = if index == 0 { " open" } else { "" };
        page.raw(&format!("</p><details{open}><summary>Evidence</summary>"))?;
        page.raw("<table><thead><tr><th scope=\"col\">Where</th><th scope=\"col\">A</th><th scope=\"col\">B</th></tr></thead><tbody>")?;
        for Evidence { at, a, b } in evidence {
            page.raw("<tr><th scope=\"row\">")?;
            for (index, name) in at.iter().enumerate() {
                if index > 0 {
                    page.raw(" <span class=\"arrow\">›</span> ")?;
                }
                page.text(name)?;
            }
            page.raw("</th>")?;
            for (class, value) in [("a", a), ("b", b)] {
                page.cell(class, value.as_deref())?;
            }
            page.raw("</tr>")?;
        }
        page.raw("</tbody></table></details>")?;
        page.raw(&format!(
            "<p class=\"more\">More in docs/diff-causes.md, section <code>{}</code>.</p></li>",
            name(*kind)
        ))?;
    }
    page.raw("</ol></section>")
}

fn incomplete(page: &mut Page<'_>, reasons: &[String]) -> io::Result<()> {
    if reasons.is_empty() {
        return Ok(());
    }
    page.raw("<section class=\"incomplete\"><h2>Not compared</h2><ul>")?;
    for reason in reasons {
        page.raw("<li>")?;
        page.text(reason)?;
        page.raw("</li>")?;
    }
    page.raw("</ul></section>")
}

/// As the JSON report writes it.
fn name(kind: CauseKind) -> String {
    let json = serde_json::to_value(kind).ok();
    json.as_ref().and_then(|json| json.as_str()).unwrap_or_default().to_owned()
}

/// `embedded-path` as `Embedded path`.
fn title(kind: CauseKind) -> String {
    let name = name(kind).replace('-', " ");
    let mut rest = name.chars();
    rest.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(rest).collect()
}

#[cfg(test)]
mod tests;
