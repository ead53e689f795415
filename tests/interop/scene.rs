//! What most tests start from: an image in a registry, three key pairs that cosign made, and the two programs.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use csign_tests::{
    image,
    peer::{self, peer},
    process::{Bench, Finished},
    proxy::Proxy,
    registry::Registry,
};

/// The names of the key pairs: `builder.key`, `builder.pub`, and so on.
pub(crate) const KEYS: [&str; 3] = ["builder", "alice", "bob"];

/// The flags that keep cosign away from Fulcio, Rekor and its update repository, and at the format that Confidential
/// Space reads.
pub(crate) const LEGACY: [&str; 4] =
    ["-y", "--use-signing-config=false", "--tlog-upload=false", "--new-bundle-format=false"];

/// Made once, since each costs a key derivation.
static PAIRS: OnceLock<Vec<(String, Vec<u8>)>> = OnceLock::new();

fn make_pairs(cosign: &Path) -> Vec<(String, Vec<u8>)> {
    let bench = Bench::new();
    for key in KEYS {
        bench.run(cosign, ["generate-key-pair", "--output-key-prefix", key]).success();
    }
    let files = KEYS.iter().flat_map(|key| [format!("{key}.key"), format!("{key}.pub")]);
    files.map(|file| (file.clone(), fs::read(bench.path(file)).expect("reading a key"))).collect()
}

pub(crate) struct Scene {
    pub(crate) bench: Bench,
    pub(crate) proxy: Proxy,
    /// Repository without tag.
    pub(crate) repository: String,
    /// Repository and digest.
    pub(crate) image: String,
    pub(crate) digest: String,
    cosign: PathBuf,
    crane: PathBuf,
    _registry: Registry,
}

impl Scene {
    /// Pushes an image with crane and makes the keys with cosign; `None` where a peer is missing.
    pub(crate) fn new(registry: Option<Registry>) -> Option<Self> {
        let (registry, cosign, crane) = (registry?, peer("cosign")?, peer("crane")?);
        let bench = Bench::new();
        let proxy = Proxy::start(registry.address);
        let repository = format!("{}/demo/app", proxy.address);
        let digest = image::write_layout(&bench.path("layout"), "hello");
        bench.run(&crane, ["push", "layout", &format!("{repository}:latest")]).success();
        let image = format!("{repository}@{digest}");
        let scene = Self { bench, proxy, repository, image, digest, cosign, crane, _registry: registry };
        for (file, content) in PAIRS.get_or_init(|| make_pairs(&scene.cosign)) {
            fs::write(scene.bench.path(file), content).expect("writing a key");
        }
        Some(scene)
    }

    pub(crate) fn csign<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Finished {
        self.bench.run(peer::csign(), arguments)
    }

    pub(crate) fn cosign<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Finished {
        self.bench.run(&self.cosign, arguments)
    }

    pub(crate) fn crane<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Finished {
        self.bench.run(&self.crane, arguments)
    }

    pub(crate) fn oras<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Finished {
        self.bench.run(peer("oras").expect("the test needs oras"), arguments)
    }

    /// Pushes another image of this content to the same repository; returns its name with digest, and the digest.
    pub(crate) fn push(&self, content: &str) -> (String, String) {
        let layout = self.bench.path("another");
        let _ = fs::remove_dir_all(&layout);
        let digest = image::write_layout(&layout, content);
        self.crane(["push", "another", &format!("{}:another", self.repository)]).success();
        (format!("{}@{digest}", self.repository), digest)
    }

    pub(crate) fn cosign_signs(&self, key: &str) {
        let key = format!("{key}.key");
        self.cosign(["sign"].into_iter().chain(LEGACY).chain(["--key", &key, &self.image])).success();
    }

    pub(crate) fn csign_signs(&self, key: &str) {
        self.csign(["sign", &self.image, "--key", &format!("{key}.key")]).success();
    }

    /// cosign verifies the image under this key.
    #[track_caller]
    pub(crate) fn cosign_accepts(&self, key: &str) {
        self.cosign(["verify", "--insecure-ignore-tlog", "--key", &format!("{key}.pub"), &self.image]).success();
    }

    /// `csign verify` with these keys, all of which must have signed.
    pub(crate) fn csign_verifies(&self, keys: &[&str]) -> Finished {
        let keys = keys.iter().flat_map(|key| ["--key".to_owned(), format!("{key}.pub")]);
        self.csign(["verify".to_owned(), self.image.clone()].into_iter().chain(keys))
    }

    /// How many signatures the `.sig` tag holds.
    pub(crate) fn signatures(&self) -> usize {
        let tag = format!("{}:{}.sig", self.repository, self.digest.replace(':', "-"));
        let manifest = self.crane(["manifest", &tag]).success();
        let manifest: serde_json::Value = serde_json::from_str(&manifest).expect("a manifest");
        manifest["layers"].as_array().expect("layers").len()
    }
}
