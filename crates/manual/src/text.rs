//! What stands in help texts: blocks, code between backticks, and names of commands and documents.

/// The blocks of a text below a command's options.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Blocks {
    /// The lines below `Example:` or `Examples:`.
    pub(crate) examples: Vec<String>,
    /// The lines below `Exit status:`: status and meaning.
    pub(crate) exit_statuses: Vec<(String, String)>,
    /// Everything else.
    pub(crate) paragraphs: Vec<String>,
}

impl Blocks {
    pub(crate) fn of(text: &str) -> Self {
        #[derive(Clone, Copy, PartialEq)]
        enum Inside {
            Examples,
            ExitStatus,
            Paragraph,
            Nothing,
        }
        let mut blocks = Self::default();
        let mut inside = Inside::Nothing;
        for line in text.lines() {
            match (line.trim_end(), inside) {
                ("", _) => inside = Inside::Nothing,
                ("Example:" | "Examples:", _) => inside = Inside::Examples,
                ("Exit status:", _) => inside = Inside::ExitStatus,
                (line, Inside::Examples) if line.starts_with("  ") => blocks.examples.push(line.trim().to_owned()),
                (line, Inside::ExitStatus) if line.starts_with("  ") => {
                    let (status, meaning) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
                    blocks.exit_statuses.push((status.to_owned(), meaning.trim().to_owned()));
                }
                (line, Inside::Paragraph) => {
                    if let Some(last) = blocks.paragraphs.last_mut() {
                        last.push(' ');
                        last.push_str(line.trim());
                    }
                }
                (line, _) => {
                    inside = Inside::Paragraph;
                    blocks.paragraphs.push(line.trim().to_owned());
                }
            }
        }
        blocks
    }
}

/// Paragraphs of a text that empty lines separate, each on one line.
pub(crate) fn paragraphs(text: &str) -> Vec<String> {
    Blocks::of(text).paragraphs
}

/// A text as a sentence: with a full stop, unless it has an end.
pub(crate) fn sentence(text: &str) -> String {
    let text = text.trim();
    let ended = text.is_empty() || text.ends_with(['.', '?', '!', ':']);
    if ended { text.to_owned() } else { format!("{text}.") }
}

/// Pieces of a text: what is code (between backticks) and what is not.
pub(crate) fn pieces(text: &str) -> impl Iterator<Item = (bool, &str)> {
    // An odd number of backticks means that the last one is none of a pair.
    let pairs = text.matches('`').count() / 2;
    let mut rest = Some(text);
    let mut index = 0;
    std::iter::from_fn(move || {
        let here = rest?;
        let code = index % 2 == 1;
        let (piece, after) = match here.split_once('`') {
            Some((piece, after)) if index < 2 * pairs => (piece, Some(after)),
            _ => (here, None),
        };
        rest = after;
        index += 1;
        Some((code, piece))
    })
    .filter(|(_, piece)| !piece.is_empty())
}

/// The documents that a text names: `docs/lint.md`.
pub(crate) fn documents(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_whitespace() || "()`,;:".contains(c))
        .map(|word| word.trim_end_matches('.'))
        .filter(|word| word.starts_with("docs/") && word.ends_with(".md"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_a_help_text_are_told_apart() {
        let blocks = Blocks::of(
            "Examples:\n  csign a\n  csign b | c\n\nOne line\nand another.\n\nExit status:\n  0  fine\n  1  not\nThen this.",
        );
        assert_eq!(blocks.examples, ["csign a", "csign b | c"]);
        assert_eq!(blocks.exit_statuses, [("0".into(), "fine".into()), ("1".into(), "not".into())]);
        assert_eq!(blocks.paragraphs, ["One line and another.", "Then this."]);
    }

    #[test]
    fn code_is_what_stands_between_two_backticks() {
        let all = |text| pieces(text).collect::<Vec<_>>();
        assert_eq!(all("a `b` c"), [(false, "a "), (true, "b"), (false, " c")]);
        assert_eq!(all("`b`"), [(true, "b")]);
        assert_eq!(all("a ` c"), [(false, "a ` c")]);
        assert_eq!(all("`a` b ` c"), [(true, "a"), (false, " b ` c")]);
        assert!(all("").is_empty());
    }

    #[test]
    fn documents_are_found_at_the_end_of_a_sentence_too() {
        let found: Vec<_> = documents("docs/a.md says, and (docs/b.md), so docs/c.md.").collect();
        assert_eq!(found, ["docs/a.md", "docs/b.md", "docs/c.md"]);
    }
}
