//! The man pages that csign and the simulator write are pages that mandoc and man read without a warning.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failure here fails the test")]

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use csign_tests::peer::{csign, find, peer, simulator};

/// 2026-11-24.
const EPOCH: &str = "1795478400";

/// Writes a program's pages and returns them by name.
fn pages(program: &Path, directory: &Path, epoch: Option<&str>) -> BTreeMap<PathBuf, String> {
    let mut command = Command::new(program);
    command.arg("man").arg("--out").arg(directory).env_remove("SOURCE_DATE_EPOCH");
    if let Some(epoch) = epoch {
        command.env("SOURCE_DATE_EPOCH", epoch);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

#[test]
fn mandoc_and_man_read_every_page_without_a_warning() {
    let directory = tempfile::tempdir().unwrap();
    let mut all = pages(csign(), directory.path(), Some(EPOCH));
    all.extend(pages(simulator(), directory.path(), Some(EPOCH)));
    assert!(all.len() > 50, "{all:?}");
    if let Some(mandoc) = peer("mandoc") {
        let lint = Command::new(mandoc).args(["-T", "lint", "-W", "warning"]).args(all.keys()).output().unwrap();
        assert!(lint.status.success() && text(&lint).is_empty(), "{}", text(&lint));
    }
    // groff's man is a part of every Debian, and of no container image.
    let Some(man) = find("man") else {
        let _ = writeln!(io::stderr(), "skipped: there is no man to print pages with");
        return;
    };
    for page in ["csign.1", "csign-attest.1", "csign-attach-signature.1", "simulator-up.1"] {
        let printed = Command::new(&man)
            .args(["--warnings=w", "-Tutf8", "-l"])
            .arg(directory.path().join(page))
            .envs([("LC_ALL", "C.UTF-8"), ("MANWIDTH", "80")])
            .output()
            .unwrap();
        assert!(printed.status.success() && printed.stderr.is_empty(), "{page}: {}", text(&printed));
        let printed = without_overstrikes(&String::from_utf8_lossy(&printed.stdout));
        let sections = ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "EXAMPLES"];
        for section in sections.iter().filter(|section| page != "csign.1" || **section != "EXAMPLES") {
            assert!(printed.contains(section), "{page} has no {section}: {printed}");
        }
    }
}

/// Bold letters are printed twice, one over the other.
fn without_overstrikes(text: &str) -> String {
    let mut plain = String::new();
    for c in text.chars() {
        if c == '\u{8}' {
            plain.pop();
        } else {
            plain.push(c);
        }
    }
    plain
}

#[test]
fn the_same_program_writes_the_same_pages_and_dates_them_only_if_it_is_told_to() {
    for program in [csign(), simulator()] {
        let write = |epoch| {
            let directory = tempfile::tempdir().unwrap();
            pages(program, directory.path(), epoch).into_values().collect::<Vec<_>>()
        };
        let (dated, undated) = (write(Some(EPOCH)), write(None));
        assert_eq!(undated, write(None));
        let head = |page: &String| page.lines().next().unwrap_or_default().to_owned();
        assert!(dated.iter().all(|page| head(page).contains("\"2026-11-24\"")), "{dated:?}");
        assert!(undated.iter().all(|page| head(page).contains(" 1 \"\" \"")), "{undated:?}");
    }
}

#[test]
fn a_date_that_is_none_is_a_usage_error() {
    for program in [csign(), simulator()] {
        let directory = tempfile::tempdir().unwrap();
        let output = Command::new(program)
            .args(["man", "--out"])
            .arg(directory.path())
            .env("SOURCE_DATE_EPOCH", "yesterday")
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", text(&output));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
