//! The stage: a simulator, four parties with keys and directories of their own, and a contract.
//!
//! Keys follow from public seeds, so that the contract, and with it the image's digest, is the same wherever the demo
//! is played. They protect nothing.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use p256::pkcs8::{EncodePrivateKey as _, LineEnding};
use sha2::{Digest as _, Sha256};
use simulator::{
    Config, Simulator,
    attestation::{Image, Vm},
    config::{Binding, Key, Subscription},
    kms::Purpose,
    sts::{Provider, Rules},
};
use tempfile::TempDir;

use super::{
    Args, Result,
    command::Desk,
    ledger::{Ledger, quote, say},
    sources::Sources,
};

pub(super) const REPOSITORY: &str = "registry.simulator.localhost/demo/workload";
pub(super) const TOPIC: &str = "projects/demo-operator/topics/words";
pub(super) const SUBSCRIPTION: &str = "projects/demo-operator/subscriptions/words";
const OPERATOR_PROJECT: &str = "demo-operator";
const OPERATOR_ACCOUNT: &str = "workload@demo-operator.iam.gserviceaccount.com";
const BUILDER_KEY: &str = "projects/demo-builder/locations/global/keyRings/demo/cryptoKeys/image-signing";
const COLLABORATORS: [&str; 2] = ["collaborator-1", "collaborator-2"];

/// The stage.
pub(super) struct Scene {
    pub(super) simulator: Simulator,
    pub(super) source: PathBuf,
    pub(super) builder: Desk,
    pub(super) collaborators: [Desk; 2],
    root: Root,
}

enum Root {
    Kept(PathBuf),
    Removed(TempDir),
}

impl Root {
    fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Removed(directory) => directory.path(),
        }
    }
}

/// `projects/…/cryptoKeys/data` of the collaborator with this index.
pub(super) fn data_key(index: usize) -> String {
    format!("projects/demo-{}/locations/global/keyRings/demo/cryptoKeys/data", COLLABORATORS[index])
}

/// The builder's signing key as csign takes it.
pub(super) fn builder_key() -> String {
    format!("gcpkms://{BUILDER_KEY}/cryptoKeyVersions/1")
}

fn provider(index: usize) -> String {
    format!("projects/20000000000{index}/locations/global/workloadIdentityPools/workload/providers/attestation")
}

fn account(name: &str) -> String {
    format!("user:{name}@demo.example")
}

impl Scene {
    /// Sets the stage.
    pub(super) async fn set(args: &Args, ledger: &mut Ledger) -> Result<Self> {
        let source = match &args.source {
            Some(source) => source.clone(),
            None => match std::env::var_os("CARGO_MANIFEST_DIR") {
                Some(package) => PathBuf::from(package).join("../.."),
                None => std::env::current_dir()?,
            },
        };
        let source = fs::canonicalize(&source).map_err(|error| format!("{}: {error}", source.display()))?;
        let root = match &args.keep {
            Some(path) => {
                if fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some()) {
                    return Err(format!("{} is not empty; --keep takes a new directory", path.display()).into());
                }
                fs::create_dir_all(path)?;
                Root::Kept(fs::canonicalize(path)?)
            }
            None => Root::Removed(TempDir::with_prefix("csign-demo-")?),
        };

        let step = ledger.begin("simulator starts: registry, attestation, STS, KMS, Pub/Sub", "listen on loopback");
        let simulator = Simulator::start(config()).await?;
        ledger.end(step, true, "one loopback port serves all of them");

        let step = ledger.begin("csign is built with the toolchain that built this program", "build");
        let csign = match &args.csign {
            Some(path) => fs::canonicalize(path)?,
            None => build_csign(&source)?,
        };
        ledger.end(step, csign.is_file(), "csign is ready");

        let desk = |name: &str| -> Result<Desk> {
            let directory = root.path().join(name);
            fs::create_dir_all(&directory)?;
            let token = simulator.admin_token(&account(name))?;
            Ok(Desk { csign: csign.clone(), directory, simulator: simulator.address(), token })
        };
        let builder = desk("builder")?;
        let collaborators = [desk(COLLABORATORS[0])?, desk(COLLABORATORS[1])?];
        let scene = Self { simulator, source, builder, collaborators, root };
        scene.contract(ledger)?;
        Ok(scene)
    }

    /// Keys, and the contract that names them; every party gets a copy and checks it.
    fn contract(&self, ledger: &mut Ledger) -> Result<()> {
        let step = ledger.begin("the parties make keys and agree on a contract", "one digest for all");
        let mut parties = String::new();
        let builder = self.builder.csign(&["public-key", "--key", &builder_key()])?;
        if builder.status != 0 {
            return Err(builder.text().into());
        }
        parties.push_str(&format!("\n[[party]]\nname = \"builder\"\npublic_key = \"\"\"\n{}\"\"\"\n", builder.stdout));
        for (index, desk) in self.collaborators.iter().enumerate() {
            let name = COLLABORATORS[index];
            fs::write(desk.directory.join("seed.pem"), signing_key(name)?)?;
            let made = desk.csign(&["import-key-pair", "--key", "seed.pem", "--output-key-prefix", "signing"])?;
            if made.status != 0 {
                return Err(made.text().into());
            }
            fs::remove_file(desk.directory.join("seed.pem"))?;
            let public = fs::read_to_string(desk.directory.join("signing.pub"))?;
            parties.push_str(&format!(
                "\n[[party]]\nname = \"{name}\"\npublic_key = \"\"\"\n{public}\"\"\"\n[party.collaborator]\n\
                 kms_key = \"{}\"\nidentity_provider = \"//iam.googleapis.com/{}\"\n",
                data_key(index),
                provider(index)
            ));
        }
        let keys = serde_json::to_string(&self.simulator.issuer_key_thumbprints())?;
        let text = format!(
            "# Written by simulator demo. Its keys are public and protect nothing.\nversion = 1\nname = \"demo\"\n\n\
             [image]\nrepository = \"{REPOSITORY}\"\n\n[build]\nrecipe = \"cargo-musl\"\n\n\
             [environment]\nkind = \"simulated\"\nissuer = \"{}\"\nissuer_keys = {keys}\n\n\
             [signatures]\nthreshold = \"all\"\n\n\
             [operator]\nproject_id = \"{OPERATOR_PROJECT}\"\nservice_account = \"{OPERATOR_ACCOUNT}\"\n\n\
             [platform]\nhardware = [\"{}\"]\nsupport = \"STABLE\"\n\n[launch]\nlog_redirect = \"always\"\n\n\
             [messages]\ntopic = \"{TOPIC}\"\nsubscription = \"{SUBSCRIPTION}\"\nprint_words = false\n{parties}",
            self.simulator.issuer().name(),
            HARDWARE
        );
        let mut digests = Vec::new();
        for desk in self.desks() {
            fs::write(desk.directory.join("collaboration.toml"), &text)?;
            digests.push(desk.csign(&["contract", "digest", "--output", "json"])?.member("digest")?);
        }
        let checked = self.builder.csign(&["contract", "check"])?;
        quote(&checked.stdout);
        let agreed = checked.status == 0 && digests.iter().all(|digest| *digest == digests[0]);
        ledger.end(step, agreed, format!("contract {}", digests[0]));
        Ok(())
    }

    /// What the others can build from.
    pub(super) fn sources(&self) -> Result<Sources> {
        Sources::of(&self.source, &self.root.path().join("sources"))
    }

    /// Everyone who has the contract.
    pub(super) fn desks(&self) -> impl Iterator<Item = &Desk> {
        std::iter::once(&self.builder).chain(&self.collaborators)
    }

    /// Copies a file from the builder's desk to the collaborators'.
    pub(super) fn hand_out(&self, file: &str) -> Result<()> {
        for desk in &self.collaborators {
            fs::copy(self.builder.directory.join(file), desk.directory.join(file))?;
        }
        Ok(())
    }

    /// The collaborators release their keys: to this image alone, attested, in the operator's project.
    pub(super) fn release_keys(&self, digest: csign_oci::Digest) -> Result<()> {
        for index in 0..COLLABORATORS.len() {
            let mut rules = Rules::for_images([digest]);
            rules.project = Some(OPERATOR_PROJECT.to_owned());
            rules.service_account = Some(OPERATOR_ACCOUNT.to_owned());
            self.simulator.sts().set_provider(Provider::admitting(provider(index), &rules))?;
            let pool = provider(index);
            let pool = pool.split("/providers/").next().unwrap_or_default();
            let member = format!("principalSet://iam.googleapis.com/{pool}/attribute.image_digest/{digest}");
            self.simulator.iam().bind(&data_key(index), "cloudkms.cryptoKeyVersions.useToDecrypt", &member);
        }
        Ok(())
    }

    /// The operator's machine; `instance` tells launches apart.
    pub(super) fn vm(&self, instance: &str, image: Image) -> Vm {
        Vm {
            project: OPERATOR_PROJECT.to_owned(),
            project_number: "100000000001".to_owned(),
            zone: "europe-west4-a".to_owned(),
            instance: instance.to_owned(),
            instance_id: "4000000000000000001".to_owned(),
            service_account: OPERATOR_ACCOUNT.to_owned(),
            image,
            platform: Default::default(),
        }
    }

    /// Says where the files are, if they are kept, and leaves the audit log with them.
    pub(super) fn keep(self, _: &mut Ledger) {
        let path = self.root.path().join("audit.json");
        if let Ok(text) = serde_json::to_string_pretty(&self.simulator.audit()) {
            let _ = fs::write(&path, text);
        }
        if let Root::Kept(path) = &self.root {
            say(&format!("all files, and what the simulator allowed and denied, are in {}", path.display()));
        }
    }
}

/// The simulated machine's `hwmodel`.
const HARDWARE: &str = "GCP_INTEL_TDX";

fn config() -> Config {
    let bind = |resource: &str, permission: &str, member: String| Binding {
        resource: resource.to_owned(),
        permission: permission.to_owned(),
        member,
    };
    let mut bindings = vec![
        bind(BUILDER_KEY, "cloudkms.cryptoKeyVersions.useToSign", account("builder")),
        bind(BUILDER_KEY, "cloudkms.cryptoKeyVersions.viewPublicKey", account("builder")),
        bind(SUBSCRIPTION, "pubsub.subscriptions.consume", format!("serviceAccount:{OPERATOR_ACCOUNT}")),
    ];
    let mut keys = vec![Key { name: BUILDER_KEY.to_owned(), purpose: Purpose::AsymmetricSign }];
    for (index, name) in COLLABORATORS.iter().enumerate() {
        keys.push(Key { name: data_key(index), purpose: Purpose::EncryptDecrypt });
        bindings.push(bind(&data_key(index), "cloudkms.cryptoKeyVersions.useToEncrypt", account(name)));
        bindings.push(bind(TOPIC, "pubsub.topics.publish", account(name)));
    }
    Config {
        keys,
        bindings,
        topics: vec![TOPIC.to_owned()],
        subscriptions: vec![Subscription {
            name: SUBSCRIPTION.to_owned(),
            topic: TOPIC.to_owned(),
            ack_deadline_seconds: 10,
            dead_letter: None,
            ..Subscription::default()
        }],
        metadata_identity: Some(format!("serviceAccount:{OPERATOR_ACCOUNT}")),
        root_helper: std::env::current_exe().ok(),
        ..Config::default()
    }
}

/// A collaborator's signing key, from a public seed.
fn signing_key(name: &str) -> Result<String> {
    let seed = Sha256::digest(format!("csign demo, public, worthless: {name}"));
    let key = p256::SecretKey::from_slice(&seed)?;
    Ok(key.to_pkcs8_pem(LineEnding::LF)?.to_string())
}

/// Builds csign in the profile of this program and returns its path.
fn build_csign(source: &Path) -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--package", "csign", "--bin", "csign", "--message-format=json-render-diagnostics"]);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let output = command
        .current_dir(source)
        .stderr(std::process::Stdio::inherit())
        .output()
        .map_err(|error| format!("starting cargo: {error}"))?;
    if !output.status.success() {
        return Err("cargo could not build csign; its own messages say why".into());
    }
    let executable = String::from_utf8_lossy(&output.stdout).lines().rev().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    });
    executable.ok_or_else(|| "cargo did not say where csign is".into())
}
