//! The table as Markdown.

use std::{fmt::Write as _, fs, path::Path};

use csign_tests::peer::peer;

use crate::table::{Cell, Row, exceptions::EXCEPTIONS, readers::READERS};

const HEAD: &str = "# Who reads whom

Written by a test that runs all of these programs (`tests/interop/table`), and compared with every later run:
`UPDATE_INTEROP=1 cargo test -p csign-tests --test interop table` writes it anew. `.ci/peers` installs the programs.

Each line is one signature or attestation by a P-256 key, without a transparency log, on an image of its own. \"Both\"
registries: one with the referrers API (the simulator's), one without (`docker-registry`, where bundles are
found by the fallback tag).

- **yes**: read; a verifier has also refused it under a key that did not sign.
- **no**: refused; the footnote says why.
- –: not something that this program reads, or not yet.
- `copy` arrives with the same digest; with oras, a bundle comes along when its image is copied.
";

/// How the line starts that may differ from run to run.
const VERSIONS: &str = "Last written with ";

/// Everything but the programs' versions, which a new release may change without a change to the table.
pub(crate) fn without_versions(document: &str) -> String {
    document.lines().filter(|line| !line.starts_with(VERSIONS)).map(|line| line.to_owned() + "\n").collect()
}

/// What `.ci/peers` notes beside the programs, without the distribution's suffixes.
fn versions() -> String {
    let cosign = peer("cosign").expect("the table needs it");
    let peers = cosign.parent().and_then(Path::parent).expect("a program lies in bin");
    let notes = ["versions", "python/versions", "node/versions"].map(|file| fs::read_to_string(peers.join(file)));
    let notes: String = notes.into_iter().flatten().collect();
    let version = |name: &str| {
        let (_, version) =
            notes.lines().filter_map(|line| line.split_once(' ')).find(|(package, _)| *package == name)?;
        Some(format!("{name} {}", version.split(['-', '+']).next()?))
    };
    PACKAGES.iter().filter_map(|name| version(name)).collect::<Vec<_>>().join(", ")
}

const PACKAGES: [&str; 9] = [
    "cosign",
    "crane",
    "oras",
    "skopeo",
    "docker-registry",
    "@sigstore/bundle",
    "@sigstore/verify",
    "securesystemslib",
    "in-toto-attestation",
];

/// Both runs side by side; lines that do not depend on the registry are one line.
pub(crate) fn document(with: &[Row], without: &[Row]) -> String {
    let mut text = format!("{HEAD}\n{VERSIONS}{}.\n", versions());
    let names: Vec<&str> = READERS.iter().map(|reader| reader.name).collect();
    let _ = write!(text, "\n| written by | format | what | registry | {} |\n", names.join(" | "));
    let _ = writeln!(text, "|{}", "---|".repeat(4 + names.len()));
    let mut notes = Vec::new();
    for (with, without) in with.iter().zip(without) {
        if with.cells == without.cells {
            line(&mut text, with, "both", &mut notes);
        } else {
            line(&mut text, with, "with referrers", &mut notes);
            line(&mut text, without, "without", &mut notes);
        }
    }
    text.push('\n');
    for (number, exception) in notes.iter().enumerate() {
        let _ = writeln!(text, "[^{}]: {}", number + 1, EXCEPTIONS[*exception].reason);
    }
    text
}

/// `notes` numbers the exceptions in the order in which they are met.
fn line(text: &mut String, row: &Row, registry: &str, notes: &mut Vec<usize>) {
    let Row { writer, format, kind, cells } = row;
    let _ = write!(text, "| {writer} | {format} | {kind} | {registry} |");
    for cell in cells {
        let _ = match cell {
            Cell::NotApplicable => write!(text, " – |"),
            Cell::Read => write!(text, " yes |"),
            Cell::Refused(_) | Cell::AcceptedStranger => write!(text, " ? |"),
            Cell::Excepted(exception) => {
                let number = notes.iter().position(|note| note == exception).unwrap_or_else(|| {
                    notes.push(*exception);
                    notes.len() - 1
                });
                write!(text, " no[^{}] |", number + 1)
            }
        };
    }
    text.push('\n');
}

/// What of this line fails the test.
pub(crate) fn unexplained(row: &Row) -> Vec<String> {
    let Row { writer, format, kind, cells } = row;
    let wrong = READERS.iter().zip(cells).filter_map(|(reader, cell)| {
        let what = format!("{} of {writer}'s {kind} ({format})", reader.name);
        match cell {
            Cell::Refused(said) => Some(format!("{what}: {}", said.trim())),
            Cell::AcceptedStranger => Some(format!("{what}: accepted under a key that did not sign")),
            Cell::NotApplicable | Cell::Read | Cell::Excepted(_) => None,
        }
    });
    wrong.collect()
}
