//! A repository with a tiny workload, a contract, and the builder's request.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

pub(crate) struct Scene {
    pub(crate) directory: TempDir,
    /// The commit that the builder built.
    pub(crate) revision: String,
}

#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) status: i32,
    pub(crate) text: String,
    stdout: String,
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        let text = format!("{stdout}{}", String::from_utf8_lossy(&output.stderr));
        Self { status: output.status.code().unwrap_or(-1), text, stdout }
    }
}

impl Done {
    #[track_caller]
    pub(crate) fn expect(self, status: i32, words: &[&str]) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        for word in words {
            assert!(self.text.contains(word), "{word:?} is missing in:\n{}", self.text);
        }
        self
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

/// Is the target of the recipe installed? Said once per test that needs it.
pub(crate) fn can_build() -> bool {
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output().expect("rustc runs").stdout;
    let sysroot = String::from_utf8(sysroot).expect("UTF-8");
    if Path::new(sysroot.trim()).join("lib/rustlib/x86_64-unknown-linux-musl/lib").is_dir() {
        return true;
    }
    assert!(env::var("CI_PEERS").as_deref() != Ok("required"), "the musl target is missing");
    eprintln!("skipped: the musl target is missing");
    false
}

impl Scene {
    /// A repository `source`, keys and a contract with this recipe; no image and no request yet.
    pub(crate) fn bare(recipe: &str) -> Self {
        let directory = TempDir::new().expect("directory");
        let mut scene = Self { directory, revision: String::new() };
        for (name, text) in workspace() {
            scene.write(&format!("source/{name}"), &text);
        }
        scene.git(&["init", "--quiet", "--initial-branch=main"]);
        scene.revision = scene.commit();
        scene.csign(&["generate-key-pair", "--output-key-prefix", "alice"]).expect(0, &[]);
        let key = scene.read("alice.pub");
        scene.write(
            "collaboration.toml",
            &format!(
                "version = 1\nname = \"test\"\n[image]\nrepository = \"127.0.0.1:9/team/app\"\n\
                 [build]\nrecipe = \"{recipe}\"\n[environment]\nkind = \"google\"\n\
                 [operator]\nproject_id = \"op\"\nservice_account = \"sa@op\"\n\
                 [platform]\nhardware = [\"GCP_INTEL_TDX\"]\n\
                 [messages]\ntopic = \"projects/op/topics/t\"\nsubscription = \"projects/op/subscriptions/s\"\n\
                 [[party]]\nname = \"alice\"\npublic_key = '''\n{key}'''\n"
            ),
        );
        scene
    }

    /// The same, with the builder's image and request.
    pub(crate) fn with_request() -> Self {
        let scene = Self::bare("cargo-musl");
        scene.csign(&["build", "--source", "source", "--target-dir", "target", "--out", "image"]).expect(0, &[]);
        scene.csign(&["request", "--layout", "image", "--source", "source"]).expect(0, &[]);
        scene
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("parent")).expect("directory");
        fs::write(path, text).expect("write");
    }

    /// Changes a file that must contain `from`.
    pub(crate) fn replace(&self, name: &str, from: &str, to: &str) {
        let text = self.read(name);
        assert!(text.contains(from), "{from:?} is not in {name}:\n{text}");
        self.write(name, &text.replace(from, to));
    }

    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        let mut git = Command::new("git");
        git.arg("-C").arg(self.path("source")).args(["-c", "user.name=a", "-c", "user.email=a@example.com"]);
        git.args(arguments).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        git.env("GIT_AUTHOR_DATE", "2024-01-01T00:00:00Z").env("GIT_COMMITTER_DATE", "2024-01-01T00:00:00Z");
        let output = git.output().expect("git runs");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
    }

    /// Commits everything and returns the commit.
    pub(crate) fn commit(&self) -> String {
        self.git(&["add", "."]);
        self.git(&["commit", "--quiet", "--allow-empty", "-m", "x"]);
        self.git(&["rev-parse", "HEAD"])
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let home = env::var_os("HOME").expect("HOME");
        let set =
            |name: &str, default: &str| env::var_os(name).map_or_else(|| Path::new(&home).join(default), PathBuf::from);
        let mut command = Command::new(env!("CARGO_BIN_EXE_csign"));
        command.args(arguments).current_dir(self.directory.path()).stdin(Stdio::null()).env_clear();
        command.env("PATH", env::var_os("PATH").expect("PATH")).env("HOME", &home).env("COSIGN_PASSWORD", "x");
        command.env("CARGO_HOME", set("CARGO_HOME", ".cargo")).env("RUSTUP_HOME", set("RUSTUP_HOME", ".rustup"));
        command.env("DOCKER_CONFIG", self.directory.path()).env("SOURCE_DATE_EPOCH", "1700000000");
        command
    }

    pub(crate) fn csign(&self, arguments: &[&str]) -> Done {
        self.command(arguments).output().expect("csign runs").into()
    }

    /// `csign rebuild` from the repository, working in the directory `work`, which must be empty afterwards.
    pub(crate) fn rebuild(&self, more: &[&str]) -> Done {
        let done = self.csign(&[&["rebuild", "request.json", "--from", "source", "--work", "work"], more].concat());
        let left = fs::read_dir(self.path("work")).map_or(0, Iterator::count);
        assert!(left == 0 || more.contains(&"--keep"), "something stays behind: {}", done.text);
        done
    }
}

fn workspace() -> [(&'static str, String); 6] {
    let toolchain = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rust-toolchain.toml");
    [
        (
            "Cargo.toml",
            "[workspace]\nresolver = \"3\"\nmembers = [\"workload\"]\n[profile.image]\ninherits = \"release\"\n\
             strip = \"symbols\"\ncodegen-units = 1\n"
                .to_owned(),
        ),
        ("Cargo.lock", "version = 4\n\n[[package]]\nname = \"workload\"\nversion = \"0.1.0\"\n".to_owned()),
        ("rust-toolchain.toml", fs::read_to_string(toolchain).expect("toolchain")),
        (".gitignore", "target\n".to_owned()),
        ("workload/Cargo.toml", "[package]\nname = \"workload\"\nversion = \"0.1.0\"\nedition = \"2024\"\n".to_owned()),
        ("workload/src/main.rs", "fn main() { println!(\"hello\"); }\n".to_owned()),
    ]
}
