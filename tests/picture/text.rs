//! How wide a text is, estimated with the widest font that a browser is likely to take for `sans-serif`.

use crate::model::{Area, Box, Domain, Picture, Point};

/// Sizes of the letters, in CSS pixels.
pub(crate) const TITLE: f32 = 14.0;
pub(crate) const LINE: f32 = 12.0;
/// From one line to the next.
pub(crate) const LEADING: f32 = 17.0;
/// Between a box's edge and its text.
pub(crate) const PADDING: f32 = 10.0;
pub(crate) const BADGE: f32 = 11.0;
pub(crate) const LEGEND_ROW: f32 = 25.0;

/// One line of text: where its baseline begins, its size, whether it is bold.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    pub(crate) words: String,
    pub(crate) at: Point,
    pub(crate) size: f32,
    pub(crate) bold: bool,
    pub(crate) class: &'static str,
}

impl Text {
    /// The area that it covers.
    pub(crate) fn area(&self) -> Area {
        let width: f32 = self.words.chars().map(|c| width(c) * self.size).sum();
        let width = if self.bold { width * 1.14 } else { width };
        Area::of([self.at[0], self.at[1] - 0.8 * self.size], [width, self.size])
    }
}

/// In parts of the letter's size.
fn width(c: char) -> f32 {
    match c {
        'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '|' | '!' | '\'' | ' ' | 'f' | 't' | 'r' | '(' | ')' | '/' | '-' => {
            0.36
        }
        'm' | 'w' | 'M' | 'W' | '@' | '…' | '→' => 0.95,
        'A'..='Z' => 0.68,
        _ => 0.59,
    }
}

impl Box {
    pub(crate) fn texts(&self) -> Vec<Text> {
        let left = self.at[0] + PADDING;
        // Title and lines stand in the middle of the box.
        let height = TITLE + LEADING * self.lines.len() as f32;
        let top = self.at[1] + (self.size[1] - height) / 2.0 + 0.8 * TITLE;
        let title = Text { words: self.title.clone(), at: [left, top], size: TITLE, bold: true, class: "title" };
        let lines = self.lines.iter().enumerate().map(|(index, words)| {
            let at = [left, top + LEADING * (index + 1) as f32];
            Text { words: words.clone(), at, size: LINE, bold: false, class: "line" }
        });
        std::iter::once(title).chain(lines).collect()
    }
}

impl Domain {
    pub(crate) fn texts(&self) -> Vec<Text> {
        let [left, top] = [self.at[0] + PADDING + 4.0, self.at[1] + 22.0];
        let title = Text { words: self.title.clone(), at: [left, top], size: TITLE, bold: true, class: "domain-title" };
        let notes = self.notes.iter().enumerate().map(|(index, words)| {
            let at = [left, top + LEADING * (index + 1) as f32];
            Text { words: words.clone(), at, size: LINE, bold: false, class: "note" }
        });
        std::iter::once(title).chain(notes).collect()
    }
}

impl Picture {
    /// Rows of the list below: the place of the number and the text. They go down first, then right.
    pub(crate) fn legend_rows(&self) -> Vec<(usize, Point, Text)> {
        let count = self.numbered().count();
        let rows = count.div_ceil(2).max(1);
        let column = (self.size[0] - 2.0 * self.legend[0]) / 2.0;
        self.numbered()
            .map(|(number, _, carries)| {
                let (row, right) = ((number - 1) % rows, (number - 1) / rows);
                let at = [self.legend[0] + BADGE + column * right as f32, self.legend[1] + LEGEND_ROW * row as f32];
                let words = Text {
                    words: carries.to_owned(),
                    at: [at[0] + BADGE + 8.0, at[1] + 4.0],
                    size: LINE,
                    bold: false,
                    class: "line",
                };
                (number, at, words)
            })
            .collect()
    }
}
