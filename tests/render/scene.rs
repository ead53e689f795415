//! A contract of three parties, everyone's settings, and a place to run what was rendered.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use csign_contract::Contract;
use csign_oci::Digest;
use csign_render::{Files, Input, RenderError, Role, Settings, Target, render};
use csign_tests::process::Finished;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The public halves of worthless keys.
const KEYS: [&str; 3] = [
    include_str!("../../crates/keys/tests/fixtures/cosign.pub"),
    include_str!("../../crates/envelope/tests/fixtures/keys/p256.pem"),
    include_str!("../../crates/envelope/tests/fixtures/keys/rsa2048.pem"),
];
pub(crate) const REPOSITORY: &str = "us-central1-docker.pkg.dev/builder-project/repo1/word-count";
pub(crate) const OPERATOR: &str = "operator-project";
pub(crate) const ACCOUNT: &str = "workload@operator-project.iam.gserviceaccount.com";
pub(crate) const ROLES: [&str; 4] =
    ["builder", "operator", "collaborator=collaborator-1", "collaborator=collaborator-2"];

/// The image that all agreed on.
pub(crate) fn agreed() -> Digest {
    Digest::of("the agreed image")
}

/// The contract, with `more` before its parties.
pub(crate) fn contract_text(more: &str) -> String {
    let [builder, one, two] = KEYS;
    let party = |name: &str, key: &str| format!("[[party]]\nname = \"{name}\"\npublic_key = \"\"\"\n{key}\"\"\"\n");
    let collaborator = |number: u32| {
        format!(
            "[party.collaborator]\n\
             kms_key = \"projects/project-{number}/locations/global/keyRings/kr1/cryptoKeys/key1\"\n\
             identity_provider = \"//iam.googleapis.com/projects/20000000000{number}/locations/global/\
             workloadIdentityPools/trusted-workload-pool/providers/attestation-verifier\"\n"
        )
    };
    format!(
        "version = 1\nname = \"word-count\"\n[image]\nrepository = \"{REPOSITORY}\"\n[build]\nrecipe = \"cargo-musl\"\n\
         [environment]\nkind = \"google\"\n[operator]\nproject_id = \"{OPERATOR}\"\nservice_account = \"{ACCOUNT}\"\n\
         [platform]\nhardware = [\"GCP_INTEL_TDX\"]\n[messages]\ntopic = \"projects/{OPERATOR}/topics/cs-topic\"\n\
         subscription = \"projects/{OPERATOR}/subscriptions/cs-subscribe\"\n\
         dead_letter = \"projects/{OPERATOR}/topics/cs-dead\"\n{more}{}{}{}{}{}",
        party("builder", builder),
        party("collaborator-1", one),
        collaborator(1),
        party("collaborator-2", two),
        collaborator(2),
    )
}

pub(crate) fn contract(more: &str) -> Contract {
    Contract::from_toml(&contract_text(more)).expect("a contract")
}

/// Settings in which nothing is missing.
pub(crate) const SETTINGS: &str = r#"
[builder]
readers = ["user:alice@example.com", "user:bob@example.com"]
key_viewers = ["user:alice@example.com"]
[builder.trigger]
repository = "projects/builder-project/locations/us-central1/connections/github/repositories/app"
[operator]
project_number = "100000000001"
region = "us-central1"
zone = "us-central1-a"
publishers = ["user:alice@example.com", "user:bob@example.com"]
max_delivery_attempts = 20
[collaborator]
encrypters = ["user:alice@example.com"]
signing_key = "projects/project-1/locations/global/keyRings/kr1/cryptoKeys/approval"
signers = ["user:alice@example.com"]
[vault.paths]
"transit/decrypt/collaborator-1" = ["update"]
[aws]
account = "111122223333"
region = "eu-west-1"
bucket = "collaborator-1-data"
key_administrator = "role/security"
[vpc_sc]
policy = "123456789"
[alerts]
notification_channels = ["projects/operator-project/notificationChannels/1"]
"#;

pub(crate) fn settings() -> Settings {
    Settings::from_toml(SETTINGS).expect("settings")
}

pub(crate) fn role(text: &str) -> Role {
    text.parse().expect("a role")
}

/// Renders for the contract, settings and image of this scene.
pub(crate) fn rendered(target: Target, who: &str) -> Files {
    let (contract, mut settings) = (contract(""), settings());
    if who == ROLES[3] {
        settings.collaborator.signing_key = None;
    }
    render_with(target, who, &contract, &settings).unwrap_or_else(|error| panic!("{who}: {error}"))
}

pub(crate) fn render_with(
    target: Target,
    who: &str,
    contract: &Contract,
    settings: &Settings,
) -> Result<Files, RenderError> {
    render(target, &role(who), Input { contract, settings, digests: &[agreed()] })
}

/// The interpreter itself.
fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let mut command = Command::new("python3");
        PathBuf::from(Finished::of(command.args(["-c", "import sys; print(sys.executable)"])).success().trim())
    })
}

/// A cloud in a file, and a PATH on which gcloud is the program that keeps it.
pub(crate) struct Cloud {
    directory: TempDir,
    pub(crate) deny: Option<&'static str>,
}

impl Cloud {
    /// Projects without anything in them.
    pub(crate) fn new() -> Self {
        let directory = TempDir::new().expect("a directory");
        let project = |number: &str| json!({"name": "project", "projectNumber": number});
        let state = json!({
            "things": {
                "projects|builder-project": project("100000000000"),
                "projects|operator-project": project("100000000001"),
                "projects|project-1": project("200000000001"),
                "projects|project-2": project("200000000002"),
            },
            "policies": {}, "services": {}, "alerts": {},
        });
        let cloud = Self { directory, deny: None };
        cloud.set_state(&state);
        // Without what a version manager puts before python3, and without site packages: it is called a thousand times.
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("render/scripts/gcloud.py");
        let wrapper = format!("#!/bin/sh\nexec '{}' -SE '{}' \"$@\"\n", python().display(), script.display());
        put_gcloud(cloud.directory.path(), &wrapper);
        cloud
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn state(&self) -> Value {
        serde_json::from_slice(&fs::read(self.path("state")).expect("the state")).expect("JSON")
    }

    pub(crate) fn set_state(&self, state: &Value) {
        fs::write(self.path("state"), state.to_string()).expect("writes");
    }

    /// Writes the files of a target, and runs the one script among them.
    pub(crate) fn run(&self, files: &Files, arguments: &[&str]) -> Finished {
        let mut command = script_of(self.directory.path(), files);
        command.args(arguments).env("FAKE_GCLOUD_STATE", self.path("state"));
        if let Some(deny) = self.deny {
            command.env("FAKE_GCLOUD_DENY", deny);
        }
        Finished::of(&mut command)
    }

    /// What was called since the last time.
    pub(crate) fn calls(&self) -> Vec<Vec<String>> {
        self.lines("state.calls")
    }

    pub(crate) fn lines<T: serde::de::DeserializeOwned>(&self, name: &str) -> Vec<T> {
        let text = fs::read_to_string(self.path(name)).unwrap_or_default();
        let _ = fs::remove_file(self.path(name));
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }
}

/// Writes the files of a target into a directory, and makes a command of the one script among them. The programs in the
/// directory's `bin` come first.
pub(crate) fn script_of(directory: &Path, files: &Files) -> Command {
    let mut script = None;
    for (name, file) in files {
        fs::write(directory.join(name), &file.text).expect("writes");
        if file.executable {
            script = Some(name.clone());
        }
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::iter::once(directory.join("bin")).chain(std::env::split_paths(&path));
    let mut command = Command::new("bash");
    command
        .arg(script.expect("a script"))
        .current_dir(directory)
        .env("PATH", std::env::join_paths(directories).expect("a PATH"));
    command
}

/// Puts a program `gcloud` into the directory's `bin`.
pub(crate) fn put_gcloud(directory: &Path, script: &str) {
    let bin = directory.join("bin");
    fs::create_dir(&bin).expect("a directory");
    fs::write(bin.join("gcloud"), script).expect("writes");
    fs::set_permissions(bin.join("gcloud"), fs::Permissions::from_mode(0o755)).expect("the mode");
}

/// Does this call of gcloud change something?
pub(crate) fn mutates(call: &[String]) -> bool {
    !call.iter().any(|word| ["describe", "list", "get-iam-policy", "read"].contains(&word.as_str()))
}
