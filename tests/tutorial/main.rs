//! docs/tutorial.md, typed command by command against the simulator: each ends with the status that the document says and
//! prints what it shows.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failure here fails the test")]

mod document;
mod scene;
mod session;

use std::{
    fs,
    io::{self, Write as _},
};

use csign_tests::{
    peer::{peer, repository},
    process::{Bench, Finished},
};

use document::{Command, commands, is_as_printed};
use session::{Ended, Session};

fn tutorial() -> Vec<Command> {
    commands(&fs::read_to_string(repository().join("docs/tutorial.md")).unwrap())
}

/// Why a command did not come out as the document says.
fn mismatch(command: &Command, ended: &Ended) -> Option<String> {
    let printed: Vec<&str> = ended.text.lines().collect();
    let what = if ended.status != command.status {
        format!("exit status {}, not {}", ended.status, command.status)
    } else if !command.printed.is_empty() && !is_as_printed(&command.printed, &printed) {
        format!("it does not print\n{}\n", command.printed.join("\n"))
    } else {
        return None;
    };
    Some(format!("docs/tutorial.md:{}: {what}\n$ {}\n{}", command.line, command.text, ended.text))
}

#[test]
fn every_command_of_the_tutorial_does_what_it_says() {
    if !scene::has_target() {
        let why = "the target x86_64-unknown-linux-musl is not installed: rustup target add x86_64-unknown-linux-musl";
        assert!(std::env::var("CI_PEERS").as_deref() != Ok("required"), "{why}");
        let _ = writeln!(io::stderr(), "the tutorial: skipped: {why}");
        return;
    }
    let bench = Bench::new();
    let sources = scene::sources(&bench);
    let mut session = Session::start(&mut scene::shell(&bench, &sources), bench.dir());
    for command in tutorial().iter().filter(|command| command.elsewhere.is_none()) {
        let ended = session.run(&command.text, command.text.contains('\n') && !command.text.contains("<<"));
        if let Some(why) = mismatch(command, &ended) {
            panic!("{why}");
        }
    }
}

#[test]
fn only_what_installs_and_what_only_google_has_is_not_run() {
    let elsewhere: Vec<String> = tutorial().into_iter().filter(|c| c.elsewhere.is_some()).map(|c| c.text).collect();
    let begins = [
        "rustup target add ",
        "cargo install --locked --path tools/csign",
        "cargo install --locked --path tools/simulator",
        "for p in \"$BUILDER\" \"$OPERATOR\" \"$COLLABORATOR_1\" \"$COLLABORATOR_2\"; do gcloud billing projects link ",
        "for p in \"$BUILDER\" \"$COLLABORATOR_1\" \"$COLLABORATOR_2\"; do gcloud services enable ",
        "for p in \"$BUILDER\" \"$OPERATOR\" \"$COLLABORATOR_1\" \"$COLLABORATOR_2\"; do gcloud projects delete ",
    ];
    assert_eq!(elsewhere.len(), begins.len(), "{elsewhere:#?}");
    for (command, begin) in elsewhere.iter().zip(begins) {
        assert!(command.starts_with(begin), "{command}");
    }
}

#[test]
fn the_tutorials_commands_pass_shellcheck() {
    let Some(shellcheck) = peer("shellcheck") else { return };
    let bench = Bench::new();
    let text: String = tutorial().iter().map(|command| format!("{}\n", command.text)).collect();
    fs::write(bench.path("tutorial.sh"), format!("#!/usr/bin/env bash\n{text}")).unwrap();
    let kit = repository().join("examples/tutorial/cloud.sh");
    // A terminal has no script to leave where `cd` fails; variables come from cloud.sh; words without a quote are only echoed.
    let arguments = ["--exclude=SC2164,SC2154,SC1091,SC2153", "tutorial.sh"];
    bench.run(&shellcheck, arguments).success();
    Finished::of(bench.command(&shellcheck).arg(kit)).success();
}

/// The harness itself.
#[test]
fn a_document_that_is_wrong_is_found() {
    let text = "x\n```console\n$ true\n$ echo a \\\n    b\na b\n$ cat <<END | tr a b\na\nEND\nb\n$ false\n# exit status 1\n```\n";
    let found = commands(text);
    let shown: Vec<(usize, &str, i32)> = found.iter().map(|c| (c.line, c.text.as_str(), c.status)).collect();
    assert_eq!(
        shown,
        [(3, "true", 0), (4, "echo a \\\n    b", 0), (7, "cat <<END | tr a b\na\nEND", 0), (11, "false", 1)]
    );
    let bench = Bench::new();
    let mut session = Session::start(&mut bench.command("bash"), bench.dir());
    for command in &found {
        let ended = session.run(&command.text, false);
        assert_eq!(mismatch(command, &ended), None);
    }
    for wrong in [
        "```console\n$ false\n```",
        "```console\n$ true\n# exit status 1\n```",
        "```console\n$ echo ab\na\n```",
        "```console\n$ printf 'a\\nb\\n'\na\n```",
        "```console\n$ echo sha256:17 b\nsha256:… c\n```",
        "```console\n$ echo a\n…\nb\n…\n```",
        "```console\n$ cat nothing\n```",
        "```console\n$ if\n```",
        "```console\n$ echo \"$unknown_variable\"\n```",
    ] {
        let wrong = commands(wrong);
        let mut session = Session::start(&mut bench.command("bash"), bench.dir());
        assert!(mismatch(&wrong[0], &session.run(&wrong[0].text, false)).is_some(), "{}", wrong[0].text);
    }
    let ended = session.run("false\ntrue", true);
    assert_eq!(ended.status, 1, "a failure within a block counts");
}

#[test]
fn an_ellipsis_stands_for_anything_and_nothing_else_does() {
    let said = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    for (says, printed, fits) in [
        (&["a"][..], &["a"][..], true),
        (&["a"], &["a", "b"], false),
        (&["a", "…"], &["a"], true),
        (&["…", "c"], &["a", "b", "c"], true),
        (&["…", "c"], &["a", "c", "b"], false),
        (&["digest …"], &["digest sha256:1"], true),
        (&["digest …"], &["a digest sha256:1"], false),
        (&["a … c … e"], &["a b c d e"], true),
        (&["a … e … c"], &["a b c d e"], false),
        (&["a…a"], &["a"], false),
        (&["…"], &[], true),
    ] {
        assert_eq!(is_as_printed(&said(says), printed), fits, "{says:?} {printed:?}");
    }
}
