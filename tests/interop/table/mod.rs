//! `docs/interop.md`: who reads what whom wrote, from a run of all of them.
//!
//! `UPDATE_INTEROP=1 cargo test -p csign-tests --test interop table` writes the file.

mod exceptions;
mod kinds;
mod library;
mod readers;
mod render;
mod writers;

use std::{env, fs, thread};

use csign_tests::{
    peer::{peer, repository},
    registry::Registry,
};

use crate::{
    scene::Scene,
    table::{
        kinds::{Format, Kind},
        readers::{Libraries, READERS},
        writers::{WRITERS, Writer},
    },
};

/// Whose key signs, and whose does not.
const SIGNER: &str = "alice";
const STRANGER: &str = "bob";
/// Whose bundle stands beside a signature of [`SIGNER`].
const OTHER_KEY: &str = "builder";

/// What became of one reader's attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Cell {
    /// It reads nothing of this kind.
    NotApplicable,
    Read,
    /// Refused, as expected: the exception's number.
    Excepted(usize),
    /// Refused, and nobody knows why.
    Refused(String),
    /// Accepted under a key that did not sign.
    AcceptedStranger,
}

/// One line: what one writer wrote, and all readers' results.
struct Row {
    writer: &'static str,
    format: Format,
    kind: Kind,
    cells: Vec<Cell>,
}

fn row(scene: &Scene, libraries: &Libraries, writer: &Writer, format: Format, kind: Kind) -> Row {
    let written = writer.write(scene, format, kind);
    let cells = READERS.iter().map(|reader| {
        if !(reader.reads)(format, kind) {
            return Cell::NotApplicable;
        }
        if reader.verifies && (reader.read)(&written, libraries, STRANGER).is_ok() {
            return Cell::AcceptedStranger;
        }
        match (reader.read)(&written, libraries, SIGNER) {
            Ok(()) => Cell::Read,
            Err(said) => {
                exceptions::explain(reader.name, format, kind, &said).map_or(Cell::Refused(said), Cell::Excepted)
            }
        }
    });
    Row { writer: writer.name, format, kind, cells: cells.collect() }
}

/// Everything that can be written, in the order of the table.
fn rows(scene: &Scene, libraries: &Libraries) -> Vec<Row> {
    let mut rows = Vec::new();
    for writer in &WRITERS {
        for format in Format::ALL {
            let kinds = Kind::ALL.into_iter().filter(|kind| kind.exists_in(format) && (writer.writes)(format, *kind));
            rows.extend(kinds.map(|kind| row(scene, libraries, writer, format, kind)));
        }
    }
    rows
}

#[test]
fn the_table_of_who_reads_whom_is_what_a_run_of_all_programs_shows() {
    let needed = ["cosign", "crane", "oras", "skopeo", "docker-registry", "node-peers", "python-peers"];
    if needed.iter().any(|name| peer(name).is_none()) {
        return;
    }
    let run = |registry| {
        let libraries = Libraries::start().expect("the peers are there");
        rows(&Scene::new(registry).expect("the peers are there"), &libraries)
    };
    let (with, without) = thread::scope(|scope| {
        let with = scope.spawn(|| run(Registry::with_referrers()));
        let without = run(Registry::without_referrers());
        (with.join().expect("the run with referrers"), without)
    });
    let wrong: Vec<String> = with.iter().chain(&without).flat_map(render::unexplained).collect();
    assert!(wrong.is_empty(), "not read, and no exception says why:\n{}", wrong.join("\n"));
    assert_eq!(exceptions::unmet(), [""; 0], "exceptions that no refusal needs any more");

    let path = repository().join("docs/interop.md");
    let want = render::document(&with, &without);
    if env::var_os("UPDATE_INTEROP").is_some() {
        fs::write(&path, &want).expect("writing docs/interop.md");
    }
    let have = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        render::without_versions(&have) == render::without_versions(&want),
        "docs/interop.md is out of date: UPDATE_INTEROP=1 cargo test -p csign-tests --test interop table; it would be\n{want}"
    );
}
