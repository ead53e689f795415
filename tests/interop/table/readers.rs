//! The programs and libraries that read: verifiers, and tools that copy what they do not understand.

use std::fs;

use csign_tests::{
    peer::{peer, repository},
    process::Finished,
};
use serde_json::{Value, json};

use crate::table::{
    kinds::{Format, Kind},
    library::Library,
    writers::Written,
};

/// Read, or why not, in the reader's words.
pub(crate) type Verdict = Result<(), String>;

/// A program or a library that reads.
pub(crate) struct Reader {
    pub(crate) name: &'static str,
    /// Is this something that it reads?
    pub(crate) reads: fn(Format, Kind) -> bool,
    /// Reads under this key; without effect of the key where `verifies` is false.
    pub(crate) read: fn(&Written<'_>, &Libraries, &str) -> Verdict,
    /// Has it to refuse another key?
    pub(crate) verifies: bool,
}

pub(crate) const READERS: [Reader; 8] = [
    Reader { name: "cosign", reads: |_, _| true, read: cosign, verifies: true },
    Reader { name: "csign", reads: |_, _| true, read: csign, verifies: true },
    Reader { name: "sigstore-js", reads: |format, _| format == Format::Bundle, read: sigstore_js, verifies: true },
    Reader { name: "securesystemslib", reads: is_dsse, read: securesystemslib, verifies: true },
    Reader { name: "in-toto-attestation", reads: is_dsse, read: in_toto, verifies: false },
    Reader { name: "crane copy", reads: |_, _| true, read: crane, verifies: false },
    Reader { name: "oras copy", reads: |_, _| true, read: oras, verifies: false },
    Reader { name: "skopeo copy", reads: |_, _| true, read: skopeo, verifies: false },
];

/// The readers that are libraries: one process each, for all requests.
pub(crate) struct Libraries {
    javascript: Library,
    python: Library,
}

impl Libraries {
    /// Starts them; `None` where a peer is missing.
    pub(crate) fn start() -> Option<Self> {
        let scripts = repository().join("tests/interop/scripts");
        let start = |peer, script| Some(Library::start(peer, &scripts.join(script)));
        Some(Self {
            javascript: start(peer("node-peers")?, "sigstore.js")?,
            python: start(peer("python-peers")?, "in_toto.py")?,
        })
    }
}

/// DSSE envelopes: all but the payloads that the legacy signatures sign.
fn is_dsse(format: Format, kind: Kind) -> bool {
    format == Format::Bundle || kind.attestation().is_some()
}

fn verdict(finished: Finished) -> Verdict {
    if finished.code == Some(0) { Ok(()) } else { Err(finished.stderr) }
}

fn cosign(written: &Written<'_>, _: &Libraries, key: &str) -> Verdict {
    let key = format!("{key}.pub");
    let verify = ["--insecure-ignore-tlog", "--key", &key, &written.image];
    verdict(match written.kind.attestation() {
        Some(name) => written.scene.cosign(["verify-attestation", "--type", name].into_iter().chain(verify)),
        None => written.scene.cosign(["verify"].into_iter().chain(verify)),
    })
}

fn csign(written: &Written<'_>, _: &Libraries, key: &str) -> Verdict {
    let key = format!("{key}.pub");
    let verify = ["--key", &key, &written.image];
    verdict(match written.kind.attestation() {
        Some(name) => written.scene.csign(["verify-attestation", "--type", name].into_iter().chain(verify)),
        None => written.scene.csign(["verify"].into_iter().chain(verify)),
    })
}

fn sigstore_js(written: &Written<'_>, libraries: &Libraries, key: &str) -> Verdict {
    libraries.javascript.ask("sigstore-js", &request(written, key))
}

fn securesystemslib(written: &Written<'_>, libraries: &Libraries, key: &str) -> Verdict {
    libraries.python.ask("securesystemslib", &request(written, key))
}

fn in_toto(written: &Written<'_>, libraries: &Libraries, key: &str) -> Verdict {
    libraries.python.ask("in-toto-attestation", &request(written, key))
}

fn request(written: &Written<'_>, key: &str) -> Value {
    let pem = fs::read_to_string(written.scene.bench.path(format!("{key}.pub"))).expect("reading a key");
    json!({"document": written.document(), "key": pem})
}

/// To another repository, digest unchanged.
fn crane(written: &Written<'_>, _: &Libraries, _: &str) -> Verdict {
    let (name, digest) = written.manifest();
    let to = format!("{}-copy:latest", written.scene.repository);
    verdict(written.scene.crane(["copy", name, &to]))?;
    let arrived = written.scene.crane(["digest", &to]).success();
    if arrived.trim() == digest { Ok(()) } else { Err(format!("arrived as {arrived}")) }
}

/// To a layout. A bundle comes along with its image, without being asked for.
fn oras(written: &Written<'_>, _: &Libraries, _: &str) -> Verdict {
    let from = if written.format == Format::Bundle { &written.image } else { &written.manifest().0 };
    let copy = ["copy", "--recursive", "--from-plain-http", from, "--to-oci-layout", "copied-by-oras:latest"];
    copied(written, "copied-by-oras", |written| written.scene.oras(copy))
}

/// To a layout.
fn skopeo(written: &Written<'_>, _: &Libraries, _: &str) -> Verdict {
    let from = format!("docker://{}", written.manifest().0);
    let copy = ["--insecure-policy", "copy", "--src-tls-verify=false", &from, "oci:copied-by-skopeo:latest"];
    copied(written, "copied-by-skopeo", |written| {
        written.scene.bench.run(peer("skopeo").expect("the table needs it"), copy)
    })
}

/// Runs `copy` into a new layout; the manifest that was written has to be in there, byte for byte.
fn copied(written: &Written<'_>, layout: &str, copy: impl FnOnce(&Written<'_>) -> Finished) -> Verdict {
    let layout = written.scene.bench.path(layout);
    let _ = fs::remove_dir_all(&layout);
    verdict(copy(written))?;
    let blob = layout.join("blobs").join(written.manifest().1.replace(':', "/"));
    if blob.is_file() { Ok(()) } else { Err("arrived under another digest".into()) }
}
