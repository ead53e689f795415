//! A directory, a registry with an image in it, and csign.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use csign_oci::{Access, ContainerConfig, Descriptor, Digest, Index, LayerBuilder, Layout, Manifest, assemble};
use simulator::registry::{Registry, RegistryOptions};
use tempfile::TempDir;
use tokio::runtime::Runtime;

pub(crate) const PASSWORD: &str = "correct horse";

/// The csign under test. It is started in other directories, and Bazel names it by a relative path.
pub(crate) fn program() -> PathBuf {
    std::path::absolute(env!("CARGO_BIN_EXE_csign")).expect("an absolute path")
}

pub(crate) struct World {
    pub(crate) directory: TempDir,
    pub(crate) registry: Registry,
    pub(crate) address: String,
    pub(crate) digest: Digest,
    runtime: Runtime,
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Done {
    /// Panics unless the command ended with `status` and said `words` on stderr or stdout.
    #[track_caller]
    pub(crate) fn expect(self, status: i32, words: &[&str]) -> Self {
        let text = format!("{}{}", self.stdout, self.stderr);
        assert_eq!(self.status, status, "{text}");
        for word in words {
            assert!(text.contains(word), "{word:?} is missing in:\n{text}");
        }
        self
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl World {
    /// A registry with the image `team/app` in it, and an empty directory.
    pub(crate) fn new() -> Self {
        Self::with(RegistryOptions::default())
    }

    /// One with each kind of registry: with the referrers API, and without.
    pub(crate) fn both() -> [Self; 2] {
        [true, false].map(|referrers| Self::with(RegistryOptions { referrers, ..RegistryOptions::default() }))
    }

    pub(crate) fn with(options: RegistryOptions) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("runtime");
        let registry = Registry::new(options);
        let address = runtime.block_on(registry.serve_standalone()).expect("registry").to_string();
        let directory = TempDir::new().expect("directory");
        let mut layer = LayerBuilder::new();
        layer.file("workload", Access::root(0o555), "program").expect("file");
        let image = assemble(ContainerConfig::default(), vec![(layer.build().expect("layer"), "test")]).expect("image");
        let digest = image.descriptor.digest;
        for (_, bytes) in &image.blobs {
            registry.put_blob("team/app", bytes.clone());
        }
        registry.put_manifest("team/app", &digest.to_string(), &image.descriptor.media_type, image.manifest.clone());
        let builder = Layout::create(directory.path().join("image")).expect("layout");
        let descriptor: Descriptor = builder.add_image(&image).expect("layout");
        builder.finish(vec![descriptor]).expect("layout");
        Self { directory, registry, address, digest, runtime }
    }

    /// Runs something beside the registry.
    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    pub(crate) fn image(&self) -> String {
        format!("{}/team/app@{}", self.address, self.digest)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("write");
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("read")
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command
            .args(arguments)
            .current_dir(self.directory.path())
            .env_clear()
            .env("COSIGN_PASSWORD", PASSWORD)
            .env("DOCKER_CONFIG", self.directory.path())
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn csign(&self, arguments: &[&str]) -> Done {
        self.command(arguments).output().expect("csign runs").into()
    }

    /// With this environment variable too.
    pub(crate) fn csign_with(&self, name: &str, value: &str, arguments: &[&str]) -> Done {
        self.command(arguments).env(name, value).output().expect("csign runs").into()
    }

    /// The layers under a tag beside the image, for instance `.sig`; none without that tag.
    pub(crate) fn layers(&self, name: &str, suffix: &str) -> Vec<Descriptor> {
        let tag = format!("sha256-{}{suffix}", self.digest.hex());
        let stored = self.registry.manifest(name, &tag);
        stored.map_or_else(Vec::new, |one| serde_json::from_slice::<Manifest>(&one.bytes).expect("manifest").layers)
    }

    /// What a registry lists as referrers of the image, or the fallback index where it lists none.
    pub(crate) fn referrers(&self, name: &str) -> Vec<Descriptor> {
        let request = format!("GET /v2/{name}/referrers/{} HTTP/1.0\r\n\r\n", self.digest);
        let mut stream = TcpStream::connect(&self.address).expect("registry");
        stream.write_all(request.as_bytes()).expect("request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("head and body");
        let index = |bytes: &[u8]| serde_json::from_slice::<Index>(bytes).expect("index").manifests;
        if head.contains(" 200 ") {
            return index(body.as_bytes());
        }
        let stored = self.registry.manifest(name, &format!("sha256-{}", self.digest.hex()));
        stored.map_or_else(Vec::new, |one| index(&one.bytes))
    }

    /// How many sigstore bundles refer to the image.
    pub(crate) fn bundles(&self, name: &str) -> usize {
        let is_bundle = |one: &&Descriptor| one.artifact_type().is_some_and(|kind| kind.contains("sigstore.bundle"));
        self.referrers(name).iter().filter(is_bundle).count()
    }

    /// Method and path of every request since the log was emptied.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.registry.requests().iter().map(|one| format!("{} {}", one.method, one.path)).collect()
    }

    /// Makes a key pair NAME.key and NAME.pub.
    pub(crate) fn key(&self, name: &str) {
        self.csign(&["generate-key-pair", "--output-key-prefix", name]).expect(0, &[]);
    }

    /// A contract of parties with keys that exist, written to collaboration.toml.
    pub(crate) fn contract(&self, parties: &[&str]) {
        let mut text = format!(
            "version = 1\nname = \"test\"\n[image]\nrepository = \"{}/team/app\"\n[build]\nrecipe = \"cargo-musl\"\n\
             [environment]\nkind = \"google\"\n[operator]\nproject_id = \"op\"\nservice_account = \"sa@op\"\n\
             [platform]\nhardware = [\"GCP_INTEL_TDX\"]\n\
             [messages]\ntopic = \"projects/op/topics/t\"\nsubscription = \"projects/op/subscriptions/s\"\n",
            self.address
        );
        for party in parties {
            let key = self.read(&format!("{party}.pub"));
            text.push_str(&format!("[[party]]\nname = \"{party}\"\npublic_key = '''\n{key}'''\n"));
        }
        self.write("collaboration.toml", &text);
    }

    /// Stops the registry.
    pub(crate) fn unplug(self) -> (TempDir, String) {
        self.runtime.shutdown_background();
        (self.directory, self.address)
    }
}
