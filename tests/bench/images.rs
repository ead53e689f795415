//! Two images of one layer each that differ in one byte of one file, as OCI layouts; the same bytes on every machine.

use std::{
    fmt,
    fs::{self, File},
    io::{self, BufWriter, Read, Write},
    path::{Path, PathBuf},
    thread,
};

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Bytes of each file; one of an odd size is among ten.
const FILE: u64 = 2_000_000;

/// What the layer is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// No compression.
    Plain,
    /// gzip'ed: half of the content is random, half is text.
    Gzip,
    /// gzip'ed, and the files are in another order.
    Reordered,
}

impl Form {
    pub(crate) const ALL: [Self; 3] = [Self::Plain, Self::Gzip, Self::Reordered];
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "plain tar",
            Self::Gzip => "gzip",
            Self::Reordered => "gzip, reordered",
        })
    }
}

/// Two images.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) a: PathBuf,
    pub(crate) b: PathBuf,
    /// The layers' blobs, under names that tell what they are.
    pub(crate) layers: (PathBuf, PathBuf),
}

impl Pair {
    /// Writes both, of `megabytes` millions of bytes each.
    pub(crate) fn generate(directory: &Path, form: Form, megabytes: u64) -> Self {
        let [a, b] = ["a", "b"].map(|name| directory.join(name));
        let layers = thread::scope(|scope| {
            let one = scope.spawn(|| write_image(&a, form, megabytes, false));
            (one.join().expect("writing an image"), write_image(&b, form, megabytes, true))
        });
        Self { a, b, layers }
    }

    pub(crate) fn remove(self) {
        [self.a, self.b].iter().for_each(|path| fs::remove_dir_all(path).expect("removing an image"));
    }
}

fn write_image(path: &Path, form: Form, megabytes: u64, changed: bool) -> PathBuf {
    let blobs = path.join("blobs/sha256");
    fs::create_dir_all(&blobs).expect("making a layout");
    let suffix = if form == Form::Plain { "tar" } else { "tar.gz" };
    let layer = path.with_extension(suffix);
    let diff_id = write_layer(&layer, form, megabytes, changed);
    let (digest, size) = hash(&mut File::open(&layer).expect("reading a layer"));
    fs::hard_link(&layer, blobs.join(&digest)).expect("linking a layer");
    let put = |media_type: &str, bytes: &[u8]| -> Value {
        let (digest, size) = hash(&mut &*bytes);
        fs::write(blobs.join(&digest), bytes).expect("writing a blob");
        json!({"mediaType": media_type, "digest": format!("sha256:{digest}"), "size": size})
    };
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{diff_id}")]},
    });
    let config = put("application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
    let kind = if form == Form::Plain { "tar" } else { "tar+gzip" };
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "config": config,
        "layers": [{
            "mediaType": format!("application/vnd.oci.image.layer.v1.{kind}"),
            "digest": format!("sha256:{digest}"), "size": size,
        }],
    });
    let manifest = put(MANIFEST, manifest.to_string().as_bytes());
    let index = json!({"schemaVersion": 2, "manifests": [manifest]});
    fs::write(path.join("index.json"), index.to_string()).expect("writing index.json");
    fs::write(path.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("writing oci-layout");
    layer
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Gives the digest before compression.
fn write_layer(path: &Path, form: Form, megabytes: u64, changed: bool) -> String {
    let file = BufWriter::new(File::create(path).expect("creating a layer"));
    let inner: Box<dyn Write> = match form {
        Form::Plain => Box::new(file),
        Form::Gzip | Form::Reordered => Box::new(GzEncoder::new(file, Compression::new(6))),
    };
    let mut builder = tar::Builder::new(Hashing { inner, hasher: Sha256::new() });
    let count = (megabytes * 1_000_000 / FILE).max(2);
    let mut order: Vec<u64> = (0..count).collect();
    if changed && form == Form::Reordered {
        order.reverse();
    }
    for at in order {
        let mut content = content(at);
        if changed && at == count / 2 {
            let middle = content.len() / 2;
            content[middle] ^= 1;
        }
        let mut header = tar::Header::new_ustar();
        header.set_path(format!("usr/share/file{at:05}")).expect("a short path");
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append(&header, content.as_slice()).expect("writing a layer");
    }
    let Hashing { mut inner, hasher } = builder.into_inner().expect("writing a layer");
    inner.flush().expect("writing a layer");
    hex(&hasher.finalize())
}

/// Every other file is random, the others are words.
fn content(at: u64) -> Vec<u8> {
    let mut state = at.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let size = usize::try_from(if at.is_multiple_of(10) { FILE - 321 } else { FILE }).expect("a small number");
    let mut out = Vec::with_capacity(size + 16);
    while out.len() < size {
        if at.is_multiple_of(2) {
            out.extend_from_slice(&random().to_le_bytes());
        } else {
            let word = random() % 5000;
            let _ = write!(out, "word{word} ");
        }
    }
    out.truncate(size);
    out
}

fn hash(source: &mut impl Read) -> (String, u64) {
    let mut sink = Hashing { inner: Box::new(io::sink()), hasher: Sha256::new() };
    let size = io::copy(source, &mut sink).expect("reading a layer");
    (hex(&sink.hasher.finalize()), size)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

struct Hashing {
    inner: Box<dyn Write>,
    hasher: Sha256,
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
