//! Writes markup and text, and never takes one for the other.

use std::{
    fmt::Write as _,
    io::{self, Write},
};

/// Bytes of a page: browsers get slow beyond.
const SIZE: u64 = 8 << 20;
/// Characters of one text.
const TEXT: usize = 1000;

pub(super) struct Page<'o> {
    out: &'o mut dyn Write,
    written: u64,
}

impl<'o> Page<'o> {
    pub(super) fn new(out: &'o mut dyn Write) -> Self {
        Self { out, written: 0 }
    }

    /// Is there room for more of what differs?
    pub(super) fn is_full(&self) -> bool {
        self.written > SIZE
    }

    /// Markup: never anything that was read from an image.
    pub(super) fn raw(&mut self, markup: &str) -> io::Result<()> {
        self.written += markup.len() as u64;
        self.out.write_all(markup.as_bytes())
    }

    /// Text of whatever origin.
    pub(super) fn text(&mut self, text: &str) -> io::Result<()> {
        let escaped = escape(text);
        self.raw(&escaped)
    }

    /// A cell of a table; what a side lacks is shown as absent.
    pub(super) fn cell(&mut self, class: &str, value: Option<&str>) -> io::Result<()> {
        match value {
            Some(value) => {
                self.raw(&format!("<td class=\"{class}\"><code>"))?;
                self.text(value)?;
                self.raw("</code></td>")
            }
            None => self.raw(&format!("<td class=\"{class} absent\">absent</td>")),
        }
    }
}

/// Characters of markup as references; those that are invisible, or that change the order of others, as their numbers.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (count, c) in text.chars().enumerate() {
        if count == TEXT {
            out.push('…');
            break;
        }
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\t' => out.push('\t'),
            c if c.is_control() || is_hidden(c) => {
                let _ = write!(out, "<span class=\"hidden\">\\u{{{:x}}}</span>", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

/// Invisible characters and those of bidirectional text (Unicode's default ignorable code points, as far as they are in
/// use).
fn is_hidden(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}
