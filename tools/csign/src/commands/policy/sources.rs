//! Finds and reads policies.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use csign_policy::{Policy, PolicyError, RegoVersion, Source};

use crate::{context::read_text, failure::Failure};

/// Directories within directories.
const MAX_DEPTH: usize = 16;

/// Files that see each other.
pub(super) type Unit = Vec<(String, String)>;

/// The files named outright are one unit; below a directory, the `.rego` files of each directory are one.
pub(super) fn units(paths: &[PathBuf]) -> Result<Vec<Unit>, Failure> {
    let mut named = Vec::new();
    let mut units: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
    for path in paths {
        if path.is_dir() {
            find(path, 0, &mut units)?;
        } else {
            named.push(path.clone());
        }
    }
    let mut all: Vec<Vec<PathBuf>> = if named.is_empty() { vec![] } else { vec![named] };
    all.extend(units.into_values());
    if all.is_empty() {
        return Err(Failure::usage("no .rego file found").hint("policies are files that end in .rego"));
    }
    all.iter()
        .map(|files| files.iter().map(|file| Ok((file.display().to_string(), read_text(file)?))).collect())
        .collect()
}

fn find(directory: &Path, depth: usize, units: &mut BTreeMap<PathBuf, Vec<PathBuf>>) -> Result<(), Failure> {
    if depth > MAX_DEPTH {
        return Err(Failure::usage(format_args!("{}: too many directories within directories", directory.display())));
    }
    let failed = |error| Failure::reading(directory, &error);
    let mut entries = fs::read_dir(directory)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>())
        .map_err(failed)?;
    entries.sort();
    for path in entries {
        if path.is_dir() {
            find(&path, depth + 1, units)?;
        } else if path.extension().is_some_and(|extension| extension == "rego") {
            units.entry(directory.to_path_buf()).or_default().push(path);
        }
    }
    Ok(())
}

/// Parses the files of one unit.
pub(super) fn parse(unit: &Unit, version: RegoVersion) -> Result<Policy, PolicyError> {
    let sources: Vec<Source<'_>> = unit.iter().map(|(name, text)| Source { name, text }).collect();
    Policy::parse_all(&sources, version)
}
