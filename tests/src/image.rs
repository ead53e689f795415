//! A small image as an OCI layout, written here by hand so that no code under test is involved.

use std::{fs, io::Write as _, path::Path};

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Writes a layout with one image of one layer, which holds one file with `content`; returns the image's digest.
///
/// # Panics
/// When the disk refuses.
pub fn write_layout(dir: &Path, content: &str) -> String {
    let mut layer = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    layer.append_data(&mut header, "message.txt", content.as_bytes()).expect("a small tar archive");
    let layer = layer.into_inner().expect("a small tar archive");
    let diff_id = digest(&layer);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(&layer).expect("compressing in memory");
    let layer = gzip.finish().expect("compressing in memory");
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        "history": [{"created": "1970-01-01T00:00:00Z"}],
    });
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor(dir, "application/vnd.oci.image.config.v1+json", &bytes(&config)),
        "layers": [descriptor(dir, "application/vnd.oci.image.layer.v1.tar+gzip", &layer)],
    });
    let manifest = descriptor(dir, MANIFEST, &bytes(&manifest));
    let digest = manifest["digest"].as_str().expect("just written").to_owned();
    let index = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [manifest],
    });
    fs::write(dir.join("index.json"), bytes(&index)).expect("writing index.json");
    fs::write(dir.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#).expect("writing oci-layout");
    digest
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn bytes(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).expect("JSON values serialize")
}

fn descriptor(dir: &Path, media_type: &str, content: &[u8]) -> Value {
    let (digest, size) = put(dir, content);
    json!({"mediaType": media_type, "digest": digest, "size": size})
}

fn put(dir: &Path, content: &[u8]) -> (String, usize) {
    let digest = digest(content);
    let path = dir.join("blobs").join(digest.replace(':', "/"));
    fs::create_dir_all(path.parent().expect("it has one")).expect("making blobs/sha256");
    fs::write(path, content).expect("writing a blob");
    (digest, content.len())
}

fn digest(content: &[u8]) -> String {
    Sha256::digest(content).iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}
