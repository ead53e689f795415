//! Every `csign …` command line that README, docs, examples, build configurations and help texts show is one that csign
//! understands: commands, options and their values are parsed, nothing is run.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failure here fails the test")]

use std::{
    fs,
    path::{Path, PathBuf},
};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Every file with command lines: Markdown, YAML and scripts, beside the sources.
fn files(directory: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
        let skipped = ["target", "out", "crates", "fuzz", "tests", ".git", ".ci", ".peers", "node_modules"];
        if entry.file_type().unwrap().is_dir() {
            if !skipped.contains(&name.as_str()) && !name.starts_with("bazel-") {
                files(&path, out);
            }
        } else if [".md", ".yml", ".yaml"].iter().any(|end| name.ends_with(end)) {
            out.push(path);
        }
    }
}

/// The lines that a shell would read: in Markdown those between fences, in the reference none (a test generates it).
fn shell_lines(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let text = text.replace("\\\n", " ");
    if path.extension().is_some_and(|extension| extension == "md") {
        let fenced = text.split("```").skip(1).step_by(2);
        return fenced.flat_map(str::lines).map(str::to_owned).collect();
    }
    // YAML folds a scalar after ">-".
    let mut lines: Vec<String> = Vec::new();
    let mut folded = None;
    for line in text.lines() {
        let depth = line.len() - line.trim_start().len();
        match folded {
            Some(above) if depth > above => {
                let last = lines.last_mut().unwrap();
                last.push(' ');
                last.push_str(line.trim());
            }
            _ => {
                folded = line.trim_end().ends_with(">-").then_some(depth);
                lines.push(if folded.is_some() { String::new() } else { line.to_owned() });
            }
        }
    }
    lines
}

/// The command lines of csign in a line of a shell script; what they end at is not csign's.
fn command_lines(line: &str) -> Vec<Vec<String>> {
    let mut out = Vec::new();
    let mut rest = line;
    while let Some(at) = rest.find("csign ") {
        let (before, found) = rest.split_at(at);
        rest = &found["csign ".len()..];
        // A prompt, a path, a substitution or a list may come before; a word of a sentence or of another command may not.
        let before = before.trim_end_matches("out/bin/");
        let start = before.trim();
        let is_word = before.is_empty() || before.ends_with([' ', '(']);
        let is_command = start.is_empty() || ["$", "-", "(", "&&", "|", ";"].iter().any(|end| start.ends_with(end));
        if is_word && is_command && !line.trim_start().starts_with('#') {
            out.push(words(rest));
        }
    }
    out
}

/// Words as a shell splits them, up to a comment, a redirection, a pipe or the end of a substitution. `${NAME:+words}`
/// counts as the words; other variables stay as they are.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut depth = 0;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let conditional = rest.strip_prefix("${").and_then(|inside| inside.split_once(":+"));
        if let Some((_, inside)) =
            conditional.filter(|(name, _)| name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'))
        {
            depth += 1;
            rest = inside;
            continue;
        }
        let opaque = [("${", '}'), ("$(", ')')].into_iter().find(|(open, _)| rest.starts_with(open));
        if let Some((_, close)) = opaque {
            let end = rest.find(close).map_or(rest.len(), |end| end + 1);
            word.get_or_insert_default().push_str(&rest[..end]);
            rest = &rest[end..];
            continue;
        }
        rest = &rest[c.len_utf8()..];
        match (quote, c) {
            (Some(open), c) if open == c => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '}') if depth > 0 => depth -= 1,
            (None, ' ') => words.extend(word.take()),
            (None, '>' | '|' | ';' | '&' | ')' | '<') => break,
            (None, '#') if word.is_none() => break,
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// What stands for something that the reader fills in.
fn filled_in(word: &str) -> String {
    let digest = format!("sha256:{}", "0".repeat(64));
    match word {
        "$image" | "IMAGE@DIGEST" => format!("registry.example/team/app@{digest}"),
        "$IMAGE:$TAG" | "IMAGE" => "registry.example/team/app:v1".to_owned(),
        // The tutorial's: digests of images are variables of its shell.
        "$DIGEST" | "${NEXT##*@}" => digest,
        "$IMAGE" | "$ALONE" | "$NEXT" => format!("registry.example/team/app@{digest}"),
        other => other.replace("sha256:…", &digest).replace('…', "x"),
    }
}

/// Why csign does not understand it.
fn refusal(words: &[String]) -> Option<String> {
    // An ellipsis alone says that options are left out.
    let words = words.iter().filter(|word| *word != "…").map(|word| filled_in(word));
    let arguments = std::iter::once("csign".to_owned()).chain(words);
    match csign::command().try_get_matches_from(arguments) {
        Ok(_) => None,
        Err(error)
            if matches!(error.kind(), clap::error::ErrorKind::DisplayHelp | clap::error::ErrorKind::DisplayVersion) =>
        {
            None
        }
        Err(error) => Some(error.to_string()),
    }
}

fn assert_understood(found: &[(String, Vec<String>)]) {
    let refused = found
        .iter()
        .filter_map(|(place, words)| Some(format!("{place}: csign {}\n{}", words.join(" "), refusal(words)?)));
    let refused: Vec<String> = refused.collect();
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

#[test]
fn every_command_line_in_documents_and_examples_is_understood() {
    let root = repository();
    let mut paths = Vec::new();
    files(&root, &mut paths);
    let mut found = Vec::new();
    // Generated pages have forms of command lines, not command lines; their examples are those of the help texts.
    let is_generated = |path: &Path| {
        let name = path.file_name().unwrap().to_string_lossy();
        path.parent().unwrap().ends_with("docs/commands")
            && (name.starts_with("csign") || name.starts_with("simulator"))
    };
    for path in paths.iter().filter(|path| !is_generated(path)) {
        let place = path.strip_prefix(&root).unwrap().display().to_string();
        for line in shell_lines(path) {
            found.extend(command_lines(&line).into_iter().map(|words| (place.clone(), words)));
        }
    }
    for file in
        ["README.md", "cloudbuild.yaml", "examples/github-actions/csign.yml", "examples/gitlab-ci/.gitlab-ci.yml"]
    {
        assert!(found.iter().filter(|(place, _)| place == file).count() > 10, "{file}: {found:?}");
    }
    assert_understood(&found);
}

fn examples(command: &clap::Command, out: &mut Vec<(String, Vec<String>)>) {
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    for line in help.lines().filter(|line| line.starts_with("  ")) {
        out.extend(command_lines(line).into_iter().map(|words| (command.get_name().to_owned(), words)));
    }
    command.get_subcommands().for_each(|sub| examples(sub, out));
}

#[test]
fn every_example_in_a_help_text_is_understood() {
    let mut found = Vec::new();
    examples(&csign::command(), &mut found);
    assert!(found.len() > 50, "{}", found.len());
    assert_understood(&found);
}

#[test]
fn a_mistake_in_a_document_is_found() {
    let lines = [
        ("$ csign verify IMAGE@DIGEST --contract c.toml --partie builder", 1),
        ("      csign sigh IMAGE@DIGEST --key a.key # a comment", 1),
        ("    - pushed=$(csign push out/image \"$IMAGE:$TAG\" --digest) && csign tree \"$image\"", 2),
        ("out/bin/csign request --layout a ${COMMIT:+--revison \"$COMMIT\"} --out request.json", 1),
    ];
    for (line, count) in lines {
        let found = command_lines(line);
        assert_eq!(found.len(), count, "{found:?}");
        assert!(refusal(&found[0]).is_some(), "{found:?}");
    }
    assert_eq!(command_lines("csign digest --layout 'a b' >out/digest | csign tree x").len(), 2);
    assert_eq!(words("digest --layout 'a b' >out/digest"), ["digest", "--layout", "a b"]);
    assert!(command_lines("ls gs://bucket-csign --long").is_empty() && command_lines("mv csign elsewhere").is_empty());
    assert!(command_lines("# csign signs").is_empty() && command_lines("how csign works").is_empty());
}
