//! The programs that write, each with its command line.

use std::{cell::OnceCell, fs};

use serde_json::Value;

use crate::{
    scene::{LEGACY, Scene},
    table::{
        OTHER_KEY, SIGNER,
        kinds::{Format, Kind},
    },
};

/// One signature or attestation by [`SIGNER`], on an image of its own.
pub(crate) struct Written<'a> {
    pub(crate) scene: &'a Scene,
    /// Repository and digest.
    pub(crate) image: String,
    pub(crate) digest: String,
    pub(crate) format: Format,
    pub(crate) kind: Kind,
    /// See [`Written::manifest`].
    manifest: OnceCell<(String, String)>,
    /// See [`Written::document`].
    document: OnceCell<Value>,
}

impl Written<'_> {
    /// The name and the digest of the manifest that was written: the legacy tag, or the image's one referrer as oras
    /// finds it.
    pub(crate) fn manifest(&self) -> &(String, String) {
        self.manifest.get_or_init(|| {
            let repository = &self.scene.repository;
            let suffix = if self.kind.attestation().is_some() { "att" } else { "sig" };
            if self.format == Format::Legacy {
                let name = format!("{repository}:{}.{suffix}", self.digest.replace(':', "-"));
                let digest = self.scene.crane(["digest", &name]).success().trim().to_owned();
                return (name, digest);
            }
            let discover = ["discover", "--plain-http", "--format", "json", &self.image];
            let found: Value = serde_json::from_str(&self.scene.oras(discover).success()).expect("a JSON document");
            let referrers = found["referrers"].as_array().expect("referrers");
            assert_eq!(referrers.len(), 1, "{found}");
            let digest = referrers[0]["digest"].as_str().expect("a digest");
            (format!("{repository}@{digest}"), digest.to_owned())
        })
    }

    /// The bundle or the envelope, as crane fetches it.
    pub(crate) fn document(&self) -> &Value {
        self.document.get_or_init(|| {
            let crane = |arguments: [&str; 2]| -> Value {
                let text = self.scene.crane(arguments).success();
                serde_json::from_str(&text).expect("a JSON document")
            };
            let manifest = crane(["manifest", &self.manifest().0]);
            let layers = manifest["layers"].as_array().expect("layers");
            assert_eq!(layers.len(), 1, "{manifest}");
            let digest = layers[0]["digest"].as_str().expect("a digest");
            crane(["blob", &format!("{}@{digest}", self.scene.repository)])
        })
    }
}

/// A program that writes.
pub(crate) struct Writer {
    pub(crate) name: &'static str,
    /// Can it?
    pub(crate) writes: fn(Format, Kind) -> bool,
    /// Signs or attests; panics when the program fails.
    write: fn(&Written<'_>),
}

pub(crate) const WRITERS: [Writer; 2] = [
    Writer { name: "cosign", writes: |_, _| true, write: cosign },
    Writer { name: "csign", writes: |_, _| true, write: csign },
];

impl Writer {
    /// Pushes an image of its own and signs or attests it.
    pub(crate) fn write<'a>(&self, scene: &'a Scene, format: Format, kind: Kind) -> Written<'a> {
        let (image, digest) = scene.push(&format!("{} {format} {kind}", self.name));
        let written =
            Written { scene, image, digest, format, kind, manifest: OnceCell::new(), document: OnceCell::new() };
        if kind == Kind::SignatureBesideBundle {
            cosign_signs(&written, Format::Bundle, OTHER_KEY);
        }
        (self.write)(&written);
        written
    }
}

fn cosign(written: &Written<'_>) {
    let Written { scene, image, format, kind, .. } = written;
    let Kind::Attestation { name, predicate } = *kind else { return cosign_signs(written, *format, SIGNER) };
    fs::write(scene.bench.path("predicate"), predicate).expect("writing the predicate");
    let key = format!("{SIGNER}.key");
    let attest = ["attest", "--type", name, "--predicate", "predicate", "--key", &key, image];
    scene.cosign(attest.into_iter().chain(cosign_flags(*format))).success();
}

fn cosign_signs(written: &Written<'_>, format: Format, key: &str) {
    let key = format!("{key}.key");
    written.scene.cosign(["sign", "--key", &key, &written.image].into_iter().chain(cosign_flags(format))).success();
}

fn cosign_flags<'a>(format: Format) -> impl Iterator<Item = &'a str> {
    // The last of these flags asks for the legacy format.
    LEGACY.into_iter().take(if format == Format::Legacy { LEGACY.len() } else { LEGACY.len() - 1 })
}

fn csign(written: &Written<'_>) {
    let Written { scene, image, format, kind, .. } = written;
    let key = format!("{SIGNER}.key");
    let format = format.to_string();
    let mut command = vec![image.as_str(), "--key", &key, "--format", &format];
    let Kind::Attestation { name, predicate } = *kind else {
        command.insert(0, "sign");
        scene.csign(command).success();
        return;
    };
    fs::write(scene.bench.path("predicate"), predicate).expect("writing the predicate");
    command.insert(0, "attest");
    command.extend(["--type", name, "--predicate", "predicate"]);
    scene.csign(command).success();
}
