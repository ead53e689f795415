//! What docs/tutorial.md has a reader type, and what it says is printed.

/// A command of the document.
pub(crate) struct Command {
    /// Line of the document, from 1.
    pub(crate) line: usize,
    pub(crate) text: String,
    /// What is printed; empty where the document does not say.
    pub(crate) printed: Vec<String>,
    pub(crate) status: i32,
    /// Why it is not run here.
    pub(crate) elsewhere: Option<&'static str>,
}

/// First lines of blocks that a test does not run.
const ELSEWHERE: [&str; 2] = ["# Once:", "# On Google Cloud only:"];
const STATUS: &str = "# exit status ";

/// All commands, in order: each line after `$ ` in a console block, and each sh block as a whole.
pub(crate) fn commands(document: &str) -> Vec<Command> {
    let mut commands = Vec::new();
    let mut lines = document.lines().zip(1..);
    while let Some((line, number)) = lines.next() {
        let mut block = || lines.by_ref().take_while(|(line, _)| *line != "```").collect::<Vec<_>>();
        match line {
            "```console" => console(block(), &mut commands),
            "```sh" => commands.push(script(number, block())),
            fence => assert!(!fence.starts_with("```"), "line {number}: a block that nobody runs: {fence}"),
        }
    }
    commands
}

fn script(number: usize, block: Vec<(&str, usize)>) -> Command {
    let text = block.into_iter().map(|(line, _)| line).collect::<Vec<_>>().join("\n");
    Command { line: number + 1, text, printed: Vec::new(), status: 0, elsewhere: None }
}

fn console(block: Vec<(&str, usize)>, commands: &mut Vec<Command>) {
    let elsewhere = block.first().and_then(|(first, _)| ELSEWHERE.into_iter().find(|known| known == first));
    let mut lines = block.into_iter().skip(usize::from(elsewhere.is_some())).peekable();
    while let Some((line, number)) = lines.next() {
        let first = line.strip_prefix("$ ").unwrap_or_else(|| panic!("line {number}: printed by no command: {line}"));
        let mut command = Command { line: number, text: first.to_owned(), printed: Vec::new(), status: 0, elsewhere };
        while goes_on(&command.text) {
            let (more, _) = lines.next().unwrap_or_else(|| panic!("line {number}: the command does not end"));
            command.text = format!("{}\n{more}", command.text);
        }
        while let Some((line, number)) = lines.next_if(|(line, _)| !line.starts_with("$ ")) {
            match line.strip_prefix(STATUS) {
                Some(status) => {
                    command.status = status.parse().unwrap_or_else(|_| panic!("line {number}: no exit status"));
                }
                None => command.printed.push(line.to_owned()),
            }
        }
        commands.push(command);
    }
}

/// Does the shell wait for more: after a backslash, or in a here-document?
fn goes_on(text: &str) -> bool {
    let first = text.lines().next().unwrap_or_default();
    match first.split_once("<<").filter(|(_, after)| !after.starts_with('<')) {
        Some((_, after)) => {
            let word = after.trim_matches('\'').split(' ').next().unwrap_or_default();
            !text.lines().skip(1).any(|line| line == word)
        }
        None => text.ends_with('\\'),
    }
}

/// Is this what the document says? `…` alone on a line is any lines, `…` within a line any text.
pub(crate) fn is_as_printed(said: &[String], printed: &[&str]) -> bool {
    match said.split_first() {
        None => printed.is_empty(),
        Some((line, rest)) if line == "…" => (0..=printed.len()).any(|skip| is_as_printed(rest, &printed[skip..])),
        Some((line, rest)) => match printed.split_first() {
            Some((first, others)) => is_line(line, first) && is_as_printed(rest, others),
            None => false,
        },
    }
}

fn is_line(said: &str, printed: &str) -> bool {
    let (said, mut printed) = (said.trim_end(), printed.trim_end());
    let mut parts = said.split('…');
    let Some(begin) = parts.next() else { return false };
    let Some(after) = printed.strip_prefix(begin) else { return false };
    printed = after;
    let parts: Vec<&str> = parts.collect();
    let Some((end, middle)) = parts.split_last() else { return printed.is_empty() };
    for part in middle {
        let Some((_, after)) = printed.split_once(part) else { return false };
        printed = after;
    }
    printed.ends_with(end)
}
