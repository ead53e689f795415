//! What the simulator's command line does not say about itself: environment variables and files.

use clap::CommandFactory as _;
use csign_manual::{Facts, Page, Variable};

const FACTS: Facts = Facts {
    groups: &[],
    variables: &[
        Variable {
            names: "CSIGN_SIMULATOR",
            meaning: "address (HOST:PORT) of the simulator that runs, as `simulator up` prints it",
            commands: &[&["run", "audit", "gcloud"]],
        },
        Variable {
            names: "SIMULATOR_CONTROL",
            meaning: "the control token that `simulator up` prints; without it no simulator launches anything",
            commands: &[&["run", "gcloud"]],
        },
        Variable {
            names: "SOURCE_DATE_EPOCH",
            meaning: "date of the pages, in seconds since 1970",
            commands: &[&["man"]],
        },
    ],
    files: &[("simulator.toml", "the configuration (`simulator init` writes one in which every setting is explained)")],
};

/// A page for each command.
pub(crate) fn manual() -> Vec<Page> {
    csign_manual::pages(crate::Cli::command(), &FACTS)
}

#[cfg(test)]
#[allow(clippy::expect_used, reason = "a test fails by panicking")]
mod tests {
    use std::path::Path;

    use super::manual;

    #[test]
    fn the_reference_is_what_the_program_says() {
        let pages = manual();
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
}
