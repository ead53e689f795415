//! A builder's project on this machine: the simulator under Google's own names, a repository to build, and a runner that
//! does with cloudbuild.yaml what Cloud Build does.

use std::{
    fs,
    io::{self, BufReader, Read as _, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use csign_tests::{
    peer::{self, repository},
    process::{Bench, Finished},
};
use serde_json::Value;

use crate::config::{Config, Step};

pub(crate) const IMAGE: &str = "us-central1-docker.pkg.dev/builder-project/repo1/word-count";
const KEY: &str = "projects/builder-project/locations/global/keyRings/csign/cryptoKeys/image-signing";
const ACCOUNT: &str = "csign-builder@builder-project.iam.gserviceaccount.com";

/// The whole stage.
pub(crate) struct Scene {
    pub(crate) bench: Bench,
    pub(crate) config: Config,
    /// The checkout, which Cloud Build has at /workspace.
    pub(crate) workspace: PathBuf,
    platform: Vec<(String, String)>,
    simulator: Child,
    commit: String,
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = self.simulator.kill();
        let _ = self.simulator.wait();
    }
}

/// What the machine of the build may do with the signing key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grant {
    Sign,
    Nothing,
}

impl Scene {
    /// None, visibly, where the image's target cannot be compiled for.
    pub(crate) fn new(grant: Grant) -> Option<Self> {
        if !has_target() {
            let why =
                "the target x86_64-unknown-linux-musl is not installed: rustup target add x86_64-unknown-linux-musl";
            assert!(std::env::var("CI_PEERS").as_deref() != Ok("required"), "{why}");
            let _ = writeln!(io::stderr(), "{} skipped: {why}", std::thread::current().name().unwrap_or("test"));
            return None;
        }
        let bench = Bench::new();
        let mut settings = format!(
            "project = \"builder-project\"\nmetadata_identity = \"serviceAccount:{ACCOUNT}\"\n\
             [[keys]]\nname = \"{KEY}\"\npurpose = \"ASYMMETRIC_SIGN\"\n\
             [[bindings]]\nresource = \"{KEY}\"\npermission = \"roles/cloudkms.publicKeyViewer\"\n\
             member = \"serviceAccount:{ACCOUNT}\"\n"
        );
        if grant == Grant::Sign {
            settings += &format!(
                "[[bindings]]\nresource = \"{KEY}\"\npermission = \"roles/cloudkms.signer\"\n\
                 member = \"serviceAccount:{ACCOUNT}\"\n"
            );
        }
        let (simulator, platform) = start(&bench, &settings);
        let text = fs::read_to_string(repository().join("cloudbuild.yaml")).unwrap();
        let mut scene = Self {
            config: Config::parse(&text),
            workspace: bench.path("workspace"),
            bench,
            platform,
            simulator,
            commit: String::new(),
        };
        scene.check_out();
        Some(scene)
    }

    /// csign on this machine, in the directory of the people who use it; Google is the simulator.
    pub(crate) fn csign(&self, arguments: &[&str]) -> Finished {
        let mut command = self.bench.command(peer::csign());
        Finished::of(command.args(arguments).envs(self.platform.iter().cloned()))
    }

    /// A repository with a small workload and the contract, as a trigger checks it out.
    fn check_out(&mut self) {
        let fixture = repository().join("tests/reproducible/fixture");
        let copied = Command::new("cp").arg("-R").arg(fixture).arg(&self.workspace).status().unwrap();
        assert!(copied.success());
        for file in ["rust-toolchain.toml", ".gitignore"] {
            fs::copy(repository().join(file), self.workspace.join(file)).unwrap();
        }
        let builder = self.csign(&["public-key", "--key", &format!("gcpkms://{KEY}/cryptoKeyVersions/1")]).success();
        for name in ["collaborator", "stranger"] {
            self.csign(&["generate-key-pair", "--output-key-prefix", name]).success();
        }
        let collaborator = fs::read_to_string(self.bench.path("collaborator.pub")).unwrap();
        let contract = format!(
            "version = 1\nname = \"test\"\n[image]\nrepository = \"{IMAGE}\"\n[build]\nrecipe = \"cargo-musl\"\n\
             [environment]\nkind = \"google\"\n[operator]\nproject_id = \"op\"\nservice_account = \"sa@op\"\n\
             [platform]\nhardware = [\"GCP_INTEL_TDX\"]\n\
             [messages]\ntopic = \"projects/op/topics/t\"\nsubscription = \"projects/op/subscriptions/s\"\n\
             [[party]]\nname = \"builder\"\npublic_key = '''\n{builder}'''\n\
             [[party]]\nname = \"collaborator\"\npublic_key = '''\n{collaborator}'''\n"
        );
        fs::write(self.workspace.join("collaboration.toml"), &contract).unwrap();
        fs::write(self.bench.path("collaboration.toml"), &contract).unwrap();
        self.git(&["init", "--quiet"]);
        self.git(&["remote", "add", "origin", "https://git.example/builder/word-count"]);
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", "workload"]);
        self.commit = self.git(&["rev-parse", "HEAD"]).trim().to_owned();
    }

    fn git(&self, arguments: &[&str]) -> String {
        let mut git = self.bench.command("git");
        git.arg("-C").arg(&self.workspace).args(["-c", "user.name=a", "-c", "user.email=a@example.com"]);
        Finished::of(git.args(arguments)).success()
    }

    pub(crate) fn step(&self, id: &str) -> &Step {
        self.config.steps.iter().find(|step| step.id == id).unwrap()
    }

    /// Runs one step in the checkout, as Cloud Build does but for the container. The step `bazel` alone is replaced: the
    /// csign under test takes the place of one that Bazel builds.
    pub(crate) fn run(&self, step: &Step, given: &[(&str, &str)]) -> Finished {
        if step.id == "bazel" {
            fs::create_dir_all(self.workspace.join("out/bin")).unwrap();
            fs::copy(peer::csign(), self.workspace.join("out/bin/csign")).unwrap();
            return Finished::of(&mut Command::new("true"));
        }
        let script = self.bench.path(format!("{}.script", step.id));
        fs::File::create(&script).unwrap().write_all(step.script.as_bytes()).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = self.bench.command(script);
        // The machine's own toolchain stands for that of the step's image.
        let home = PathBuf::from(std::env::var_os("HOME").unwrap());
        for (name, below) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
            command.env(name, std::env::var_os(name).map_or_else(|| home.join(below), PathBuf::from));
        }
        let commit = [("COMMIT_SHA", self.commit.as_str())];
        command.envs(self.config.environment(&[&commit, given].concat()));
        command.envs(self.platform.iter().cloned()).env_remove("COSIGN_PASSWORD").current_dir(&self.workspace);
        Finished::of(&mut command)
    }

    /// Runs the build: steps in order, until one fails. Returns the ids of those that succeeded, and the failure.
    pub(crate) fn build(&self, given: &[(&str, &str)]) -> (Vec<&str>, Option<Finished>) {
        let mut done = Vec::new();
        for step in &self.config.steps {
            let finished = self.run(step, given);
            if finished.code != Some(0) {
                return (done, Some(finished));
            }
            done.push(step.id.as_str());
        }
        (done, None)
    }

    /// The same, and it must succeed.
    pub(crate) fn build_all(&self) {
        if let (done, Some(failure)) = self.build(&[]) {
            panic!("after {done:?}: {failure}");
        }
    }

    pub(crate) fn output(&self, name: &str) -> String {
        fs::read_to_string(self.workspace.join("out").join(name)).unwrap()
    }

    /// The image that was built, with its digest.
    pub(crate) fn image(&self) -> String {
        format!("{IMAGE}@{}", self.output("digest").trim())
    }

    /// Has anyone attached a signature to an image?
    pub(crate) fn is_signed(&self, image: &str) -> bool {
        self.csign(&["tree", image, "--output", "json"]).success().contains("cosign.simplesigning")
    }

    pub(crate) fn commit(&self) -> &str {
        &self.commit
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.bench.path(name).to_str().unwrap().to_owned()
    }
}

fn has_target() -> bool {
    let mut rustc = Command::new("rustc");
    rustc.args(["--print", "target-libdir", "--target", "x86_64-unknown-linux-musl"]).current_dir(repository());
    rustc.output().is_ok_and(|output| Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir())
}

/// `simulator up`, and the environment that leads unchanged programs to it by Google's own names. csign is not told that
/// it is a simulator: it uses the metadata server's tokens, a proxy and a certificate authority.
fn start(bench: &Bench, settings: &str) -> (Child, Vec<(String, String)>) {
    fs::write(bench.path("simulator.toml"), settings).unwrap();
    let mut command = bench.command(peer::simulator());
    command.args(["up", "--config", "simulator.toml", "--directory", "simulator"]).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap()).bytes().map_while(Result::ok);
    let mut text = Vec::new();
    let description: Value = loop {
        text.push(stdout.next().unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&text))));
        if let Ok(value) = serde_json::from_slice(&text) {
            break value;
        }
    };
    let variable = |name: &str| description["environment"][name].as_str().unwrap().to_owned();
    let names = ["GCE_METADATA_HOST", "HTTPS_PROXY", "https_proxy", "SSL_CERT_FILE"];
    let mut platform: Vec<(String, String)> = names.map(|name| (name.to_owned(), variable(name))).into();
    platform.push(("CSIGN_CA_FILE".to_owned(), variable("SSL_CERT_FILE")));
    (child, platform)
}

/// Files below a directory whose name is `name`.
pub(crate) fn find(directory: &Path, name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap().flatten() {
        if entry.file_name() == name {
            found.push(entry.path());
        }
        if entry.file_type().unwrap().is_dir() {
            found.extend(find(&entry.path(), name));
        }
    }
    found
}
