//! `docs/cli.md` is what the program says about itself. `UPDATE_REFERENCE=1 cargo test -p csign --test reference` writes it.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::Path};

fn render(command: &mut clap::Command, path: &str, out: &mut String) {
    let help = command.render_long_help().to_string();
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    out.push_str(&format!("\n## {path}\n\n```text\n{}\n```\n", help.join("\n").trim_end()));
    let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    for name in names.iter().filter(|name| *name != "help") {
        if let Some(sub) = command.find_subcommand_mut(name) {
            render(sub, &format!("{path} {name}"), out);
        }
    }
}

#[test]
fn the_reference_is_what_the_program_says() {
    let mut command = csign::command().term_width(100);
    command.build();
    let mut want =
        "# Command reference\n\nGenerated from the program; `tools/csign/tests/reference.rs` keeps it true.\n"
            .to_owned();
    render(&mut command, "csign", &mut want);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        fs::write(&path, &want).expect("write the reference");
    }
    let have = fs::read_to_string(&path).unwrap_or_default();
    assert!(have == want, "docs/cli.md is out of date: UPDATE_REFERENCE=1 cargo test -p csign --test reference");
}
