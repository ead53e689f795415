//! The images that are planted into: one layer, one configuration, one manifest.

use std::{fs, io::Write as _, path::Path};

use flate2::{Compression, GzBuilder};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// What is in the layer.
#[derive(Clone, Debug)]
pub(super) struct File {
    pub(super) path: String,
    pub(super) content: Vec<u8>,
    pub(super) mode: u32,
    pub(super) owner: u64,
    pub(super) mtime: u64,
}

/// An image before it is written.
#[derive(Clone, Debug)]
pub struct Image {
    pub(super) files: Vec<File>,
    /// The archive itself, where another program made it from files.
    pub(super) archive: Option<Vec<u8>>,
    /// The compressed archive and its media type's end, where another program compressed it.
    pub(super) compressed: Option<(Vec<u8>, &'static str)>,
    pub(super) config: Value,
    pub(super) pretty_manifest: bool,
}

impl Image {
    /// A workload with a configuration, a message and a licence.
    pub(super) fn new() -> Self {
        let mut image = Self {
            files: Vec::new(),
            archive: None,
            compressed: None,
            config: json!({
                "architecture": "amd64",
                "config": {
                    "Entrypoint": ["/workload"],
                    "Env": ["PATH=/usr/bin:/bin"],
                    "Labels": {"org.opencontainers.image.source": "https://git.example/word-count"},
                    "User": "65532:65532"
                },
                "created": "2023-11-14T22:13:20Z",
                "os": "linux"
            }),
            pretty_manifest: false,
        };
        image.add("etc/message", "hello, world\n");
        let licence: String =
            (1..200).map(|line| format!("{line}. The parties agree on line {line} of this text.\n")).collect();
        image.add("usr/share/doc/licence", licence);
        image
    }

    pub(super) fn add(&mut self, path: &str, content: impl Into<Vec<u8>>) -> &mut File {
        self.files.push(File { path: path.to_owned(), content: content.into(), mode: 0o644, owner: 0, mtime: 0 });
        self.files.last_mut().expect("just added")
    }

    /// With a program.
    pub(super) fn with(program: Vec<u8>) -> Self {
        let mut image = Self::new();
        image.add("workload", program).mode = 0o755;
        image
    }

    pub(super) fn tar(&self) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for file in &self.files {
            let mut header = tar::Header::new_ustar();
            header.set_size(file.content.len() as u64);
            header.set_mode(file.mode);
            header.set_uid(file.owner);
            header.set_gid(file.owner);
            header.set_mtime(file.mtime);
            archive.append_data(&mut header, &file.path, file.content.as_slice()).expect("a tar archive in memory");
        }
        archive.into_inner().expect("a tar archive in memory")
    }

    /// Writes a layout.
    ///
    /// # Panics
    /// When the disk refuses.
    pub fn write(&self, directory: &Path) {
        let archive = self.archive.clone().unwrap_or_else(|| self.tar());
        let (layer, kind) = self.compressed.clone().unwrap_or_else(|| (gzip(&archive, 0, 6), "gzip"));
        let mut config = self.config.clone();
        config["rootfs"] = json!({"type": "layers", "diff_ids": [digest(&archive)]});
        config["history"] = json!([{"created_by": "planted"}]);
        let layer = descriptor(directory, &format!("application/vnd.oci.image.layer.v1.tar+{kind}"), &layer);
        let config = descriptor(directory, "application/vnd.oci.image.config.v1+json", &bytes(&config));
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]});
        let written =
            if self.pretty_manifest { serde_json::to_vec_pretty(&manifest) } else { serde_json::to_vec(&manifest) };
        let manifest = descriptor(directory, MANIFEST, &written.expect("JSON values serialize"));
        let index = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [manifest],
        });
        fs::write(directory.join("index.json"), bytes(&index)).expect("writing index.json");
        fs::write(directory.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#).expect("writing oci-layout");
    }
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

pub(super) fn gzip(content: &[u8], mtime: u32, level: u32) -> Vec<u8> {
    let mut gzip = GzBuilder::new().mtime(mtime).write(Vec::new(), Compression::new(level));
    gzip.write_all(content).expect("compressing in memory");
    gzip.finish().expect("compressing in memory")
}

fn bytes(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).expect("JSON values serialize")
}

fn descriptor(directory: &Path, media_type: &str, content: &[u8]) -> Value {
    let digest = digest(content);
    let path = directory.join("blobs").join(digest.replace(':', "/"));
    fs::create_dir_all(path.parent().expect("it has one")).expect("making blobs/sha256");
    fs::write(path, content).expect("writing a blob");
    json!({"mediaType": media_type, "digest": digest, "size": content.len()})
}

fn digest(content: &[u8]) -> String {
    Sha256::digest(content).iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}
