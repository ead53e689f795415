//! Images made in memory and written in every form, for tests.
#![allow(dead_code, unreachable_pub, reason = "each test file uses some of it")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use csign_diff::{Change, DiffError, Node, Options, Report, Value};
use csign_oci::{Descriptor, Digest, Index, Layout, Manifest, manifest::IMAGE_CONFIG};
use serde_json::{Value as Json, json};

/// One entry of a layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub path: String,
    pub kind: tar::EntryType,
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    pub uname: String,
    pub mtime: u64,
    pub link: String,
    pub xattr: Option<String>,
    pub content: Vec<u8>,
}

pub fn file(path: &str, content: impl Into<Vec<u8>>) -> Entry {
    Entry {
        path: path.to_owned(),
        kind: tar::EntryType::Regular,
        mode: 0o644,
        uid: 0,
        gid: 0,
        uname: "root".to_owned(),
        mtime: 1_700_000_000,
        link: String::new(),
        xattr: None,
        content: content.into(),
    }
}

pub fn directory(path: &str) -> Entry {
    Entry { kind: tar::EntryType::Directory, mode: 0o755, ..file(path, "") }
}

pub fn link(path: &str, kind: tar::EntryType, target: &str) -> Entry {
    Entry { kind, link: target.to_owned(), ..file(path, "") }
}

/// The tar archive of these entries, in this order.
pub fn archive(entries: &[Entry]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for entry in entries {
        if let Some(value) = &entry.xattr {
            builder.append_pax_extensions([("SCHILY.xattr.user.note", value.as_bytes())]).unwrap();
        }
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(entry.kind);
        header.set_mode(entry.mode);
        header.set_uid(entry.uid);
        header.set_gid(entry.gid);
        header.set_mtime(entry.mtime);
        header.set_username(&entry.uname).unwrap();
        header.set_size(entry.content.len() as u64);
        if !entry.link.is_empty() {
            header.set_link_name(&entry.link).unwrap();
        }
        let bytes = entry.path.as_bytes();
        header.as_mut_bytes()[..bytes.len()].copy_from_slice(bytes);
        header.set_cksum();
        builder.append(&header, entry.content.as_slice()).unwrap();
    }
    builder.into_inner().unwrap()
}

/// How a layer is compressed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Compression {
    None,
    Gzip {
        level: u32,
        mtime: u32,
    },
    /// Two members.
    GzipTwice,
    Zstd,
}

pub const GZIP: Compression = Compression::Gzip { level: 6, mtime: 0 };

impl Compression {
    pub fn media_type(self) -> &'static str {
        match self {
            Self::None => "application/vnd.oci.image.layer.v1.tar",
            Self::Gzip { .. } | Self::GzipTwice => "application/vnd.oci.image.layer.v1.tar+gzip",
            Self::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
        }
    }

    pub fn compress(self, bytes: &[u8]) -> Vec<u8> {
        let gzip = |bytes: &[u8], level, mtime| {
            let builder = flate2::GzBuilder::new().mtime(mtime).operating_system(255);
            let mut encoder = builder.write(Vec::new(), flate2::Compression::new(level));
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        };
        match self {
            Self::None => bytes.to_vec(),
            Self::Gzip { level, mtime } => gzip(bytes, level, mtime),
            Self::GzipTwice => {
                let (one, two) = bytes.split_at(bytes.len() / 3);
                [gzip(one, 1, 0), gzip(two, 9, 0)].concat()
            }
            Self::Zstd => ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest),
        }
    }
}

/// An image: blobs, a configuration and a manifest.
#[derive(Clone, Debug)]
pub struct Image {
    pub config: Json,
    /// Bytes before compression.
    pub layers: Vec<(Vec<u8>, Compression)>,
    pub annotations: Vec<(String, String)>,
    /// JSON is written with line ends.
    pub pretty: bool,
}

impl Image {
    pub fn of(layers: Vec<(Vec<u8>, Compression)>) -> Self {
        let history: Vec<Json> = (0..layers.len()).map(|at| json!({"created_by": format!("step {at}")})).collect();
        let ids: Vec<Json> = layers.iter().map(|(bytes, _)| json!(Digest::of(bytes).to_string())).collect();
        let config = json!({
            "architecture": "amd64", "os": "linux",
            "config": {"Env": ["PATH=/bin"], "Labels": {"a": "1"}},
            "rootfs": {"type": "layers", "diff_ids": ids}, "history": history,
        });
        Self { config, layers, annotations: Vec::new(), pretty: false }
    }

    pub fn of_entries(entries: &[Entry]) -> Self {
        Self::of(vec![(archive(entries), GZIP)])
    }

    fn json(&self, json: &impl serde::Serialize) -> Vec<u8> {
        if self.pretty { serde_json::to_vec_pretty(json).unwrap() } else { serde_json::to_vec(json).unwrap() }
    }

    /// Every blob with its type, the manifest last.
    pub fn blobs(&self) -> Vec<(Descriptor, Vec<u8>)> {
        let config = self.json(&self.config);
        let mut blobs = vec![(Descriptor::of(IMAGE_CONFIG, &config), config)];
        for (bytes, compression) in &self.layers {
            let bytes = compression.compress(bytes);
            blobs.push((Descriptor::of(compression.media_type(), &bytes), bytes));
        }
        let described = |(descriptor, _): &(Descriptor, Vec<u8>)| descriptor.clone();
        let mut manifest = Manifest::new(described(&blobs[0]), blobs[1..].iter().map(described).collect());
        manifest.annotations = self.annotations.iter().cloned().collect();
        let bytes = self.json(&manifest);
        blobs.push((Descriptor::of(csign_oci::manifest::IMAGE_MANIFEST, &bytes), bytes));
        blobs
    }

    pub fn digest(&self) -> Digest {
        self.blobs().last().unwrap().0.digest
    }

    pub fn write(&self, directory: &Path, name: &str, form: Form) -> PathBuf {
        let path = directory.join(name);
        match form {
            Form::Layout => {
                let builder = Layout::create(&path).unwrap();
                let blobs = self.blobs();
                blobs
                    .iter()
                    .for_each(|(descriptor, bytes)| drop(builder.add_blob(&descriptor.media_type, bytes).unwrap()));
                builder.finish(vec![blobs.last().unwrap().0.clone()]).unwrap();
            }
            Form::Archive(compression) => {
                let blobs = self.blobs();
                let index = Index::new(vec![blobs.last().unwrap().0.clone()]);
                let mut files = vec![
                    file("./oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#),
                    file("./index.json", serde_json::to_vec(&index).unwrap()),
                ];
                files.extend(blobs.iter().map(|(descriptor, bytes)| {
                    file(&format!("./blobs/sha256/{}", descriptor.digest.hex()), bytes.clone())
                }));
                fs::write(&path, compression.compress(&archive(&files))).unwrap();
            }
            Form::Docker => {
                let config = self.json(&self.config);
                let id = Digest::of(&config).hex();
                let mut files = Vec::new();
                let mut names = Vec::new();
                for (at, (bytes, compression)) in self.layers.iter().enumerate() {
                    files.push(file(&format!("{at}.tar"), compression.compress(bytes)));
                    // Old versions of docker read them under names of their own.
                    files.push(link(&format!("{at}/layer.tar"), tar::EntryType::Symlink, &format!("../{at}.tar")));
                    names.push(format!("{at}/layer.tar"));
                }
                files.push(file(&format!("{id}.json"), config));
                let list = json!([{"Config": format!("{id}.json"), "RepoTags": ["a:b"], "Layers": names}]);
                files.push(file("manifest.json", list.to_string()));
                fs::write(&path, archive(&files)).unwrap();
            }
        }
        path
    }
}

/// How an image lies on disk.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Form {
    Layout,
    Archive(Compression),
    Docker,
}

pub fn compare_paths(a: &Path, b: &Path, options: &Options<'_>) -> Result<Report, DiffError> {
    let open = |name: &str, path: &Path| csign_diff::open(name, path, &options.limits);
    csign_diff::compare(&*open("a", a)?, &*open("b", b)?, options)
}

/// Compares two images, each in its form.
pub fn compare_as(a: (&Image, Form), b: (&Image, Form), options: &Options<'_>) -> Result<Report, DiffError> {
    let directory = tempfile::tempdir().unwrap();
    let one = a.0.write(directory.path(), "a", a.1);
    let other = b.0.write(directory.path(), "b", b.1);
    compare_paths(&one, &other, options)
}

pub fn compare(a: &Image, b: &Image) -> Report {
    compare_as((a, Form::Layout), (b, Form::Layout), &Options::default()).unwrap()
}

/// Every difference as a line: where, and what.
pub fn lines(report: &Report) -> Vec<String> {
    let mut out = Vec::new();
    if let Some(root) = &report.root {
        walk(root, "", &mut out);
    }
    out
}

/// The same without what follows from other content by necessity: digests and sizes of blobs.
pub fn essence(report: &Report) -> Vec<String> {
    let follows = [" digest ", " diffId ", " size ", "mediaType "];
    let is_blob = |line: &str| {
        line.starts_with("/layers[") && follows.iter().any(|name| line.contains(name)) && !line.contains("]/")
    };
    lines(report).into_iter().filter(|line| !is_blob(line)).collect()
}

fn walk(node: &Node, at: &str, out: &mut Vec<String>) {
    let at = if node.name.is_empty() { at.to_owned() } else { format!("{at}/{}", node.name.trim_start_matches('/')) };
    for change in &node.changes {
        let value = |value: &Option<Value>| match value {
            Some(Value::Number(number)) => number.to_string(),
            Some(Value::Text(text)) => text.clone(),
            None => "-".to_owned(),
        };
        out.push(match change {
            Change::Only { side } => format!("{at} only {side:?}"),
            Change::Attribute { name, a, b } => format!("{at} {name} {} {}", value(a), value(b)),
            Change::Order { a, b } => format!("{at} order {a:?} {b:?}"),
            Change::Bytes { offset, .. } => format!("{at} bytes {offset}"),
            Change::Lines { .. } => format!("{at} lines"),
            Change::CompressionOnly => format!("{at} compression only"),
            Change::Unread { why } => format!("{at} unread {why}"),
        });
    }
    node.children.iter().for_each(|child| walk(child, &at, out));
    if node.omitted > 0 {
        out.push(format!("{at} omitted {}", node.omitted));
    }
}
