//! The submodules of a commit: the tree pins each one's commit, `.gitmodules` says where it is. `git submodule` is not used:
//! it reads more from a repository than that.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use csign_sbom::lock::is_revision;
use csign_trust::report::printable;

use super::checkout::Checkout;
use crate::failure::Failure;

/// A repository with more submodules is refused.
const MAX_SUBMODULES: usize = 64;

/// One submodule.
pub(super) struct Submodule {
    /// Its directory in the tree.
    pub(super) path: String,
    /// The commit that the tree pins.
    pub(super) revision: String,
    /// Where `.gitmodules` says it is.
    pub(super) url: String,
}

/// The submodules of `checkout`'s commit. One that is only named, or only pinned, is refused.
pub(super) fn pinned(checkout: Checkout<'_>, directory: &Path) -> Result<Vec<Submodule>, Failure> {
    let tree = checkout.git(directory, &["ls-tree", "-r", "-z", "--full-tree", checkout.revision])?;
    let mut revisions = BTreeMap::new();
    for entry in tree.split_terminator('\0') {
        let Some((facts, path)) = entry.split_once('\t') else { continue };
        if let Some(revision) = facts.strip_prefix("160000 commit ") {
            revisions.insert(path.to_owned(), revision.trim().to_owned());
        }
    }
    let has_file = tree.split_terminator('\0').any(|entry| entry.ends_with("\t.gitmodules"));
    let mut urls = if has_file { places(checkout, directory)? } else { BTreeMap::new() };
    if revisions.len().max(urls.len()) > MAX_SUBMODULES {
        return Err(Failure::could_not_check(format_args!("the revision has more than {MAX_SUBMODULES} submodules")));
    }
    if let Some(path) = urls.keys().find(|path| !revisions.contains_key(*path)) {
        return Err(Failure::rejected(format_args!(
            "the submodule at {:?} is not pinned: the revision names it, but no commit of it",
            printable(path, 200)
        )));
    }
    revisions
        .into_iter()
        .map(|(path, revision)| match urls.remove(&path) {
            Some(url) if is_revision(&revision) => Ok(Submodule { path, revision, url }),
            _ => Err(Failure::rejected(format_args!(
                "the submodule at {:?} is pinned, but .gitmodules does not say where it is",
                printable(&path, 200)
            ))),
        })
        .collect()
}

/// URL by path, from the commit's `.gitmodules`.
fn places(checkout: Checkout<'_>, directory: &Path) -> Result<BTreeMap<String, String>, Failure> {
    let blob = format!("{}:.gitmodules", checkout.revision);
    let args = ["config", "--no-includes", "--blob", &blob, "-z", "--get-regexp", r"^submodule\..*\.(path|url)$"];
    // Status 1: the file has no such entry.
    let printed = checkout.call(directory, &args)?.expect(directory, &args, &[0, 1])?;
    let (mut paths, mut urls) = (BTreeMap::new(), BTreeMap::new());
    for entry in printed.split_terminator('\0') {
        let (key, value) = entry.split_once('\n').unwrap_or((entry, ""));
        let Some((name, what)) = key.rsplit_once('.') else { continue };
        let list = if what == "path" { &mut paths } else { &mut urls };
        if list.insert(name.to_owned(), value.to_owned()).is_some_and(|other| other != value) {
            return Err(Failure::rejected(format_args!("{:?} has two values in .gitmodules", printable(key, 200))));
        }
    }
    let mut places = BTreeMap::new();
    for (name, path) in paths {
        let url = urls.remove(&name).unwrap_or_default();
        if places.insert(path.clone(), url).is_some() {
            return Err(Failure::rejected(format_args!("two submodules are at {:?}", printable(&path, 200))));
        }
    }
    Ok(places)
}

/// The empty directory that git left for a submodule; no part of its path may be a link.
pub(super) fn place(directory: &Path, path: &str) -> Result<PathBuf, Failure> {
    let mut place = directory.to_path_buf();
    for part in path.split('/') {
        place.push(part);
        let kind = fs::symlink_metadata(&place).map_err(|error| Failure::reading(&place, &error))?.file_type();
        if !kind.is_dir() || matches!(part, "" | "." | ".." | ".git") {
            return Err(Failure::rejected(format_args!("a submodule cannot be at {:?}", printable(path, 200))));
        }
    }
    let mut entries = fs::read_dir(&place).map_err(|error| Failure::reading(&place, &error))?;
    match entries.next() {
        None => Ok(place),
        Some(_) => {
            Err(Failure::rejected(format_args!("the place of the submodule {:?} is not empty", printable(path, 200))))
        }
    }
}
