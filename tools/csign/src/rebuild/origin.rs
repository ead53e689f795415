//! Where the sources come from: a git repository, or an archive that somebody exported from one.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{Read as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, symlink},
    path::{Path, PathBuf},
};

use csign_oci::{Digest, Entry, LayerLimits, Node, read_layer};
use csign_trust::report::printable;

use crate::{
    context::read_up_to,
    failure::Failure,
    git::{Checkout, Remote},
};

/// Largest archive that is read, in bytes.
const MAX_ARCHIVE: u64 = 512 << 20;

/// A place to take sources from.
pub(crate) enum Origin {
    /// A repository, in which a commit's id means one content.
    Git(Remote),
    /// A tar archive, plain or gzip'ed: nothing in it shows which commit it is.
    Archive(PathBuf),
}

/// What was taken.
pub(super) struct Taken {
    /// What a record says of the place.
    pub(super) described: String,
    /// Commit of each submodule by its path.
    pub(super) submodules: BTreeMap<String, String>,
}

impl Origin {
    /// Reads what a person gave.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let path = Path::new(text);
        if path.is_file() && is_archive(path).map_err(|error| Failure::reading(path, &error))? {
            return Ok(Self::Archive(path.to_path_buf()));
        }
        Remote::parse(text).map(Self::Git)
    }

    /// Is it on this machine?
    pub(crate) const fn is_local(&self) -> bool {
        !matches!(self, Self::Git(Remote::Network(_)))
    }

    /// What a person reads.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Git(remote) => remote.described(),
            Self::Archive(_) => "an exported archive".to_owned(),
        }
    }

    /// Puts the sources of `revision` into `directory`.
    pub(super) fn take(&self, revision: &str, submodules: bool, directory: &Path) -> Result<Taken, Failure> {
        match self {
            Self::Git(remote) => {
                let submodules = Checkout { remote, revision, submodules }.into(directory)?;
                Ok(Taken { described: remote.described(), submodules })
            }
            Self::Archive(path) => {
                let bytes = read_up_to(path, MAX_ARCHIVE)?;
                let entries = read_layer(&bytes, &LayerLimits::default())
                    .map_err(|error| Failure::could_not_check(format_args!("{}: {error}", path.display())))?
                    .entries;
                unpack(entries, directory)?;
                let digest = Digest::of(&bytes);
                let described = format!("an exported archive ({digest}), whose revision is only stated");
                Ok(Taken { described, submodules: BTreeMap::new() })
            }
        }
    }
}

/// gzip, or tar itself (POSIX.1-2017, pax: `ustar` at byte 257).
fn is_archive(path: &Path) -> std::io::Result<bool> {
    let mut head = Vec::new();
    File::open(path)?.take(512).read_to_end(&mut head)?;
    Ok(head.starts_with(&[0x1f, 0x8b]) || head.get(257..262).is_some_and(|magic| magic == b"ustar"))
}

/// Writes files and then links, so that nothing is written through a link; a directory above everything is left out.
fn unpack(entries: Vec<Entry>, directory: &Path) -> Result<(), Failure> {
    let top = top(&entries);
    let inside = |path: &str| match &top {
        Some(top) => path.strip_prefix(top.as_str()).unwrap_or(path).trim_start_matches('/').to_owned(),
        None => path.to_owned(),
    };
    fs::create_dir_all(directory).map_err(|error| Failure::writing(directory, &error))?;
    let mut links = Vec::new();
    for entry in entries {
        let name = inside(&entry.path);
        if name.is_empty() || name == "." {
            continue;
        }
        let place = directory.join(&name);
        let failed = |error: std::io::Error| Failure::writing(&place, &error);
        match entry.node {
            Node::Directory => fs::create_dir_all(&place).map_err(failed)?,
            Node::File(content) => {
                fs::create_dir_all(place.parent().unwrap_or(directory)).map_err(failed)?;
                // As git does: a file can be run or not, nothing else.
                let mode = if entry.access.mode & 0o100 == 0 { 0o644 } else { 0o755 };
                let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&place);
                file.and_then(|mut file| file.write_all(&content)).map_err(failed)?;
            }
            Node::Symlink(target) => links.push((place, target)),
            _ => {
                let name = printable(&name, 200);
                return Err(Failure::could_not_check(format_args!("the archive holds {name:?}, which no export has")));
            }
        }
    }
    for (place, target) in links {
        let parent = place.parent().unwrap_or(directory);
        fs::create_dir_all(parent)
            .and_then(|()| symlink(target, &place))
            .map_err(|error| Failure::writing(&place, &error))?;
    }
    Ok(())
}

/// The one directory in which everything is: `git archive --prefix` and hosts of repositories make it.
fn top(entries: &[Entry]) -> Option<String> {
    let first = |entry: &Entry| entry.path.split('/').next().unwrap_or_default().to_owned();
    let mut entries = entries.iter().filter(|entry| entry.path != ".");
    let one = entries.next()?;
    let is_below = |entry: &Entry| entry.path.contains('/') || entry.node == Node::Directory;
    let top = first(one);
    (is_below(one) && entries.all(|entry| first(entry) == top && is_below(entry))).then_some(top)
}

#[cfg(test)]
mod tests {
    use csign_oci::Access;

    use super::*;

    fn entry(path: &str, node: Node) -> Entry {
        Entry { path: path.to_owned(), access: Access::root(0o644), mtime: 0, node }
    }

    fn file(path: &str) -> Entry {
        entry(path, Node::File(b"x".to_vec()))
    }

    #[test]
    fn an_archive_writes_nothing_outside_and_nothing_twice() {
        let scratch = tempfile::tempdir().unwrap();
        let (place, outside) = (scratch.path().join("in"), scratch.path().join("out"));
        fs::create_dir(&outside).unwrap();
        let link = entry("top/link", Node::Symlink(outside.to_str().unwrap().to_owned()));
        let refused = unpack(vec![link, file("top/link/evil"), file("top/a")], &place);
        assert!(refused.is_err(), "a link in place of a directory");
        assert!(!outside.join("evil").exists(), "it was written through the link");

        let place = scratch.path().join("two");
        assert!(unpack(vec![file("top/a"), file("top/a")], &place).is_err(), "one file twice");
        let place = scratch.path().join("three");
        assert!(unpack(vec![entry("a", Node::Special(b'4')), file("b")], &place).is_err(), "a device");
        let place = scratch.path().join("four");
        assert!(unpack(vec![entry("a", Node::HardLink("b".into())), file("b")], &place).is_err(), "a hard link");
    }

    #[test]
    fn a_directory_above_everything_is_left_out() {
        let names = |paths: &[&str]| top(&paths.iter().map(|path| file(path)).collect::<Vec<_>>());
        assert_eq!(names(&["app-1/a", "app-1/b/c"]).as_deref(), Some("app-1"));
        assert_eq!(names(&["app-1/a", "b"]), None);
        assert_eq!(names(&["a"]), None);
        assert_eq!(names(&["app-1/a", "app-10/b"]), None);
    }
}
