//! `docs/commands/csign*.md` is what the program says about itself, and its man pages are what `man` understands.
//! `UPDATE_REFERENCE=1 cargo test --workspace --test reference --bin simulator reference` writes the pages.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

#[test]
fn the_reference_is_what_the_program_says() {
    let pages = csign::manual();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/commands");
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        csign_manual::update(&directory, &pages).expect("write the reference");
    }
    let differences = csign_manual::compare(&directory, &pages).expect("read the reference");
    assert!(
        differences.is_empty(),
        "docs/commands is out of date: {differences:?}\nUPDATE_REFERENCE=1 cargo test --workspace --test reference --bin simulator reference"
    );
}

#[test]
fn every_page_says_what_a_reader_looks_for() {
    for page in csign::manual() {
        let command = page.command();
        assert!(!page.summary.is_empty() && !page.summary.ends_with('.'), "{command}: its summary");
        assert!(!page.exit_statuses.is_empty(), "{command}: its exit statuses");
        let has_example = page.path.len() == 1 || page.examples.iter().any(|line| line.contains(&command));
        assert!(has_example, "{command} has no example of itself: {:?}", page.examples);
        // A command with statuses of its own states them as a block, or its page would show the program's.
        let in_prose = page.description.iter().find(|text| text.contains("Exit status:"));
        assert!(in_prose.is_none(), "{command}: exit statuses are a block: {in_prose:?}");
        for item in page.options.iter().flat_map(|group| &group.members) {
            assert!(!item.help.is_empty(), "{command} {} has no help", item.form);
        }
    }
}
