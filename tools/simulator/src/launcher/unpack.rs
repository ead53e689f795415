//! Unpacks layers below a directory. No entry leaves it: every parent on the way must be a real directory.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, lchown, symlink},
    path::{Path, PathBuf},
};

use csign_oci::{
    Descriptor, Digest,
    layer::{Access, Entry, Node},
    unpack::{LayerLimits, read_layer},
};

use crate::{Error, Result};

const WHITEOUT: &str = ".wh.";
const OPAQUE: &str = ".wh..wh..opq";

/// Unpacks `layers`, base first, into the empty directory `root`; `diff_ids` are the configuration's.
pub(super) fn unpack(root: &Path, layers: &[(Descriptor, Vec<u8>)], diff_ids: &[Digest]) -> Result<()> {
    if layers.len() != diff_ids.len() {
        let reason = format!("the configuration lists {} layers, the manifest {}", diff_ids.len(), layers.len());
        return Err(Error::Layer { layer: "all".to_owned(), entry: String::new(), reason });
    }
    let as_root = rustix::process::geteuid().is_root();
    for ((descriptor, bytes), diff_id) in layers.iter().zip(diff_ids) {
        let refuse = |entry: &str, reason: String| Error::Layer {
            layer: descriptor.digest.to_string(),
            entry: entry.to_owned(),
            reason,
        };
        let known = ["tar+gzip", "tar.gzip", "tar"].iter().any(|kind| descriptor.media_type.ends_with(kind));
        if !known {
            return Err(refuse("", format!("layers of type {} are not supported", descriptor.media_type)));
        }
        let layer = read_layer(bytes, &LayerLimits::default()).map_err(|e| refuse("", e.to_string()))?;
        if layer.diff_id != *diff_id {
            return Err(refuse(
                "",
                format!("unpacked it has digest {}, the configuration says {diff_id}", layer.diff_id),
            ));
        }
        for entry in &layer.entries {
            place(root, entry, as_root).map_err(|reason| refuse(&entry.path, reason))?;
        }
    }
    Ok(())
}

/// Makes `path` below `root` a directory that is reached without any symbolic link, creating what is missing.
pub(super) fn directory(root: &Path, path: &str) -> Result<PathBuf, String> {
    let mut current = root.to_owned();
    for name in path.split('/').filter(|name| !name.is_empty() && *name != ".") {
        if name == ".." {
            return Err("it leaves the root".to_owned());
        }
        current.push(name);
        match fs::symlink_metadata(&current) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => return Err(format!("{name} on its way is not a directory")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir(&current).map_err(|e| e.to_string())?;
                fs::set_permissions(&current, fs::Permissions::from_mode(0o755)).map_err(|e| e.to_string())?;
            }
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(current)
}

/// The regular file `path` below `root`, if it is there and reached without any symbolic link.
pub(super) fn existing_file(root: &Path, path: &str) -> Option<PathBuf> {
    let mut current = root.to_owned();
    let mut names = path.split('/').peekable();
    while let Some(name) = names.next() {
        if matches!(name, "" | "." | "..") {
            return None;
        }
        current.push(name);
        let found = fs::symlink_metadata(&current).ok()?;
        let fits = if names.peek().is_some() { found.is_dir() } else { found.is_file() };
        if !fits {
            return None;
        }
    }
    Some(current)
}

fn place(root: &Path, entry: &Entry, as_root: bool) -> Result<(), String> {
    let (parent, name) = match entry.path.rsplit_once('/') {
        Some((parent, name)) => (directory(root, parent)?, name),
        None => (root.to_owned(), entry.path.as_str()),
    };
    if name == OPAQUE {
        return empty(&parent).map_err(|e| e.to_string());
    }
    if let Some(hidden) = name.strip_prefix(WHITEOUT) {
        if hidden.is_empty() || hidden == "." || hidden == ".." {
            return Err("a whiteout of nothing".to_owned());
        }
        return remove(&parent.join(hidden)).map_err(|e| e.to_string());
    }
    let target = if entry.path == "." { root.to_owned() } else { parent.join(name) };
    match &entry.node {
        Node::Directory => {
            if entry.path != "." && fs::symlink_metadata(&target).is_ok_and(|found| !found.is_dir()) {
                remove(&target).map_err(|e| e.to_string())?;
            }
            directory(root, &entry.path)?;
            own(&target, entry.access, as_root)
        }
        Node::File(content) => {
            write(&target, content).map_err(|e| e.to_string())?;
            own(&target, entry.access, as_root)
        }
        Node::Symlink(to) => {
            remove(&target).and_then(|()| symlink(to, &target)).map_err(|e| e.to_string())?;
            if as_root {
                lchown(&target, Some(entry.access.uid), Some(entry.access.gid)).map_err(|e| e.to_string())?;
            }
            Ok(())
        }
        Node::HardLink(to) => {
            let source = existing_file(root, to)
                .ok_or_else(|| format!("it is a hard link to {to}, which is not a file of the image"))?;
            remove(&target).and_then(|()| fs::hard_link(&source, &target)).map_err(|e| e.to_string())
        }
        Node::Special(kind) => Err(format!("devices and pipes (tar type {kind}) are not unpacked")),
    }
}

/// Creates a new file, so that an existing link is replaced and never written through.
fn write(target: &Path, content: &[u8]) -> io::Result<()> {
    remove(target)?;
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(target)?;
    file.write_all(content)
}

/// Permissions without set-user-id and set-group-id; the owner if we may set it.
fn own(target: &Path, access: Access, as_root: bool) -> Result<(), String> {
    if as_root {
        lchown(target, Some(access.uid), Some(access.gid)).map_err(|e| e.to_string())?;
    }
    // Whoever unpacked must still be able to clean up.
    let floor = if target.is_dir() { 0o700 } else { 0o400 };
    let mode = access.mode & 0o1777 | floor;
    fs::set_permissions(target, fs::Permissions::from_mode(mode)).map_err(|e| e.to_string())
}

fn remove(target: &Path) -> io::Result<()> {
    match fs::symlink_metadata(target) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(target),
        Ok(_) => fs::remove_file(target),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn empty(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        remove(&entry?.path())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCESS: Access = Access { mode: 0o644, uid: 0, gid: 0 };

    fn entry(path: &str, node: Node) -> Entry {
        Entry { path: path.to_owned(), access: ACCESS, mtime: 0, node }
    }

    fn file(path: &str) -> Entry {
        entry(path, Node::File(b"content".to_vec()))
    }

    fn place_all(root: &Path, entries: &[Entry]) -> Result<(), String> {
        entries.iter().try_for_each(|entry| place(root, entry, false))
    }

    #[test]
    fn no_entry_is_written_through_a_symbolic_link() {
        let (root, outside) = (tempfile::tempdir().expect("root"), tempfile::tempdir().expect("outside"));
        let out = outside.path().to_str().expect("utf-8").to_owned();
        let victim = outside.path().join("victim");
        fs::write(&victim, "untouched").expect("victim");
        let link = |path: &str, to: &str| entry(path, Node::Symlink(to.to_owned()));
        let attacks = [
            vec![link("d", &out), file("d/victim")],
            vec![link("d", &out), entry("d/new", Node::Directory)],
            vec![link("d", &out), entry("d/.wh.victim", Node::File(Vec::new()))],
            vec![link("d", &out), entry("d/.wh..wh..opq", Node::File(Vec::new()))],
            vec![link("d", "."), link("d/e", &out), file("e/victim")],
            vec![link("d", &out), entry("h", Node::HardLink("d/victim".to_owned()))],
            vec![link("v", &format!("{out}/victim")), entry("h", Node::HardLink("v".to_owned()))],
            vec![file("../victim")],
            vec![entry("a/.wh...", Node::File(Vec::new()))],
        ];
        for (number, attack) in attacks.iter().enumerate() {
            let root = root.path().join(number.to_string());
            fs::create_dir(&root).expect("root");
            assert!(place_all(&root, attack).is_err(), "attack {number} was unpacked");
        }
        assert_eq!(fs::read_to_string(&victim).expect("victim"), "untouched");
        assert_eq!(fs::read_dir(outside.path()).expect("outside").count(), 1);
    }

    #[test]
    fn a_link_in_a_files_place_is_replaced_not_followed() {
        let (root, outside) = (tempfile::tempdir().expect("root"), tempfile::tempdir().expect("outside"));
        let victim = outside.path().join("victim");
        fs::write(&victim, "untouched").expect("victim");
        let link = entry("f", Node::Symlink(victim.to_str().expect("utf-8").to_owned()));
        place_all(root.path(), &[link, file("f")]).expect("unpacks");
        assert_eq!(fs::read_to_string(&victim).expect("victim"), "untouched");
        assert_eq!(fs::read_to_string(root.path().join("f")).expect("f"), "content");
    }

    #[test]
    fn set_user_id_is_dropped_and_devices_are_refused() {
        let root = tempfile::tempdir().expect("root");
        let setuid = Entry { access: Access { mode: 0o6755, ..ACCESS }, ..file("su") };
        place(root.path(), &setuid, false).expect("unpacks");
        let mode = fs::metadata(root.path().join("su")).expect("su").permissions().mode();
        assert_eq!(mode & 0o7777, 0o755);
        assert!(place(root.path(), &entry("null", Node::Special(b'3')), false).is_err());
    }

    #[test]
    fn whiteouts_remove_what_lower_layers_had() {
        let root = tempfile::tempdir().expect("root");
        let gone = |path: &str| entry(path, Node::File(Vec::new()));
        place_all(root.path(), &[file("a/x"), file("a/y"), file("b/z"), gone("a/.wh.x"), gone("b/.wh..wh..opq")])
            .expect("unpacks");
        assert!(!root.path().join("a/x").exists() && root.path().join("a/y").exists());
        assert!(root.path().join("b").exists() && !root.path().join("b/z").exists());
    }
}
