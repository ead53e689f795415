//! Three parties before an approval, with everything that `csign preflight` can be given, and nothing wrong.

use std::{collections::BTreeMap, fs, sync::OnceLock};

use csign_contract::Contract;
use csign_envelope::statement::{Rebuild, Reproduced, RevisionFrom};
use csign_oci::{Access, ContainerConfig, Digest, LayerBuilder, assemble};
use csign_render::{Grant, rules};
use csign_trust::exchange::{RebuildRecord, Request, Source, Variables, environment_digest};
use serde_json::{Value, json};

use crate::world::{Done, World};

pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) contract: Contract,
    pub(crate) config: ContainerConfig,
}

/// Key files, by name: making them takes longer than anything else here.
static KEYS: OnceLock<Vec<(String, Vec<u8>)>> = OnceLock::new();

fn keys() -> Vec<(String, Vec<u8>)> {
    let world = World::new();
    let pairs = ["builder", "alice", "bob"].iter().flat_map(|name| {
        world.key(name);
        ["key", "pub"].map(|kind| format!("{name}.{kind}"))
    });
    pairs.map(|file| (file.clone(), fs::read(world.path(&file)).expect("a key"))).collect()
}

/// Builder, alice and bob; alice is about to approve, the others have signed.
pub(crate) fn scene() -> Scene {
    scene_with("")
}

/// The same with more tables in the contract.
pub(crate) fn scene_with(more: &str) -> Scene {
    let world = World::new();
    for (name, bytes) in KEYS.get_or_init(keys) {
        fs::write(world.path(name), bytes).expect("a key");
    }
    world.write("collaboration.toml", &contract(&world, &["builder", "alice", "bob"], more));
    let contract = Contract::from_toml(&world.read("collaboration.toml")).expect("a contract");
    let config = ContainerConfig {
        user: "65532:65532".to_owned(),
        entrypoint: vec!["/workload".to_owned()],
        labels: contract.labels(),
        ..ContainerConfig::default()
    };
    let mut scene = Scene { world, contract, config };
    let canonical = scene.contract.canonical();
    scene.image(|layer| {
        layer.file("etc/csign/contract.json", Access::root(0o444), canonical).expect("file");
    });
    scene.agree();
    scene
}

/// A contract in which alice and bob send data.
pub(crate) fn contract(world: &World, parties: &[&str], more: &str) -> String {
    let mut text = format!(
        "version = 1\nname = \"test\"\n{more}[image]\nrepository = \"{}/team/app\"\n[build]\nrecipe = \"cargo-musl\"\n\
         [environment]\nkind = \"google\"\n[operator]\nproject_id = \"op\"\nservice_account = \"sa@op.iam.gserviceaccount.com\"\n\
         [platform]\nhardware = [\"GCP_INTEL_TDX\"]\n\
         [messages]\ntopic = \"projects/op/topics/t\"\nsubscription = \"projects/op/subscriptions/s\"\n",
        world.address
    );
    for (number, party) in parties.iter().enumerate() {
        let key = world.read(&format!("{party}.pub"));
        text.push_str(&format!("[[party]]\nname = \"{party}\"\npublic_key = '''\n{key}'''\n"));
        if *party != "builder" {
            text.push_str(&format!(
                "[party.collaborator]\nkms_key = \"projects/{party}/locations/global/keyRings/r/cryptoKeys/k\"\n\
                 identity_provider = \"//iam.googleapis.com/{}\"\n",
                provider_name(number)
            ));
        }
    }
    text
}

fn provider_name(number: usize) -> String {
    format!("projects/10{number}/locations/global/workloadIdentityPools/pool/providers/verifier")
}

impl Scene {
    /// Puts an image with this configuration and these files into the registry, and names it in what follows.
    pub(crate) fn image(&mut self, fill: impl FnOnce(&mut LayerBuilder)) {
        let mut layer = LayerBuilder::new();
        fill(&mut layer);
        self.layers(vec![layer]);
    }

    /// The same with these layers above one that holds the program.
    pub(crate) fn layers(&mut self, above: Vec<LayerBuilder>) {
        let mut program = LayerBuilder::new();
        program.file("workload", Access::root(0o555), "program").expect("file");
        let all = std::iter::once(program).chain(above);
        let layers = all.map(|layer| (layer.build().expect("layer"), "test")).collect();
        let image = assemble(self.config.clone(), layers).expect("image");
        let registry = &self.world.registry;
        for (_, bytes) in &image.blobs {
            registry.put_blob("team/app", bytes.clone());
        }
        let digest = image.descriptor.digest;
        registry.put_manifest("team/app", &digest.to_string(), &image.descriptor.media_type, image.manifest.clone());
        self.world.digest = digest;
    }

    /// Everything about the image: signatures, request, record, what bob published, the machine, what alice approved before.
    pub(crate) fn agree(&self) {
        let image = self.world.image();
        for name in ["builder", "bob"] {
            let key = format!("{name}.key");
            self.world.csign(&["sign", &image, "--key", &key, "--contract", "collaboration.toml"]).expect(0, &[]);
        }
        self.request();
        self.record(|_| {});
        self.publish(|_, _| {});
        self.machine(|_| {});
        self.world.write("old.toml", &format!("# as it was\n{}", self.world.read("collaboration.toml")));
    }

    pub(crate) fn request(&self) {
        let source = Source {
            revision: Some(COMMIT.to_owned()),
            lock_file: Some(Digest::of("Cargo.lock")),
            toolchain: Some("1.90.0".to_owned()),
            ..Source::default()
        };
        let request = Request::new(&self.contract, self.world.digest, source);
        self.world.write("request.json", &request.to_text().expect("text"));
    }

    /// The record of alice's rebuild.
    pub(crate) fn record(&self, change: impl FnOnce(&mut RebuildRecord)) {
        let request = self.world.read("request.json");
        let environment = Variables::from([("LC_ALL".to_owned(), Some("C".to_owned()))]);
        let rebuild = Rebuild {
            request: Digest::of(request.as_bytes()),
            revision_from: RevisionFrom::Request,
            sources: "a repository on this machine".to_owned(),
            submodules: BTreeMap::new(),
            rustc: None,
            cargo: None,
            bazel: None,
            linker: None,
            environment: environment_digest(&environment).expect("a digest"),
            network: "a namespace of its own".to_owned(),
        };
        let reproduced = Reproduced {
            contract: self.contract.digest(),
            recipe: self.contract.build.recipe.name().to_owned(),
            source_revision: Some(COMMIT.to_owned()),
            lock_file: Some(Digest::of("Cargo.lock")),
            toolchain: Some("1.90.0".to_owned()),
            rebuilt: true,
            rebuild: Some(rebuild),
        };
        let image = self.contract.image.repository.at(self.world.digest);
        let times = ["2026-01-01T00:00:00Z", "2026-01-01T00:10:00Z"].map(str::to_owned);
        let mut record = RebuildRecord::new(&image, reproduced, environment, times);
        change(&mut record);
        self.world.write("rebuild.json", &record.to_text().expect("text"));
    }

    /// What bob exported: his provider and his key's policy, as `csign render` makes them.
    pub(crate) fn publish(&self, change: impl FnOnce(&mut Value, &mut Value)) {
        let rules = rules(&self.contract, Grant::Digest, &[self.world.digest]).expect("rules");
        let mapping: BTreeMap<_, _> = rules.mapping.into_iter().collect();
        let mut provider = json!({
            "name": provider_name(2),
            "state": "ACTIVE",
            "oidc": {"issuerUri": "https://confidentialcomputing.googleapis.com"},
            "attributeMapping": mapping,
            "attributeCondition": rules.condition,
        });
        let pool = provider_name(2).replace("/providers/verifier", "");
        let member = format!("principalSet://iam.googleapis.com/{pool}/attribute.image_digest/{}", self.world.digest);
        let mut policy = json!({
            "bindings": [{"role": "roles/cloudkms.cryptoKeyDecrypter", "members": [member]}],
            "etag": "BwYQ",
            "version": 1,
        });
        change(&mut provider, &mut policy);
        fs::create_dir_all(self.world.path("bob")).expect("a directory");
        self.world.write("bob/provider.json", &provider.to_string());
        self.world.write("bob/key.json", &policy.to_string());
    }

    /// The operator's export of the machine.
    pub(crate) fn machine(&self, change: impl FnOnce(&mut Value)) {
        let mut machine = json!({
            "kind": "compute#instance",
            "name": "vm1",
            "selfLink": "https://www.googleapis.com/compute/v1/projects/op/zones/us-central1-a/instances/vm1",
            "confidentialInstanceConfig": {"enableConfidentialCompute": true, "confidentialInstanceType": "TDX"},
            "shieldedInstanceConfig": {"enableSecureBoot": true},
            "disks": [{"licenses": ["https://www.googleapis.com/compute/v1/projects/confidential-space-images/global/licenses/confidential-space"]}],
            "networkInterfaces": [{"network": "teenetwork"}],
            "serviceAccounts": [{
                "email": "sa@op.iam.gserviceaccount.com",
                "scopes": ["https://www.googleapis.com/auth/cloud-platform"],
            }],
            "metadata": {"items": [
                {"key": "tee-image-reference", "value": self.world.image()},
                {"key": "tee-restart-policy", "value": "Never"},
            ]},
        });
        change(&mut machine);
        self.world.write("instance.json", &machine.to_string());
    }

    /// All that alice has.
    pub(crate) fn arguments() -> Vec<&'static str> {
        let all = "preflight --request request.json --party alice --rebuilt rebuild.json --approved old.toml --policy bob=bob \
                   --instance instance.json";
        all.split_whitespace().collect()
    }

    /// What alice sees of all that she has.
    pub(crate) fn preflight(&self, more: &[&str]) -> Done {
        self.world.csign(&[&Self::arguments()[..], more].concat())
    }

    /// The rows that neither hold nor are awaited, as `check` or `check of party`, with their status, and the exit status.
    #[track_caller]
    pub(crate) fn wrong(&self, more: &[&str]) -> (i32, Vec<(String, String)>) {
        let done = self.preflight(&[more, &["--output", "json"]].concat());
        assert!(!done.stdout.is_empty(), "{done:?}");
        let table = done.json();
        let rows = table["rows"].as_array().expect("rows").iter();
        let wrong = rows.filter(|row| row["status"] != "ok" && row["status"] != "awaited").map(|row| {
            let name = match row["party"].as_str() {
                Some(party) => format!("{} of {party}", row["check"].as_str().expect("a check")),
                None => row["check"].as_str().expect("a check").to_owned(),
            };
            (name, row["status"].as_str().expect("a status").to_owned())
        });
        (done.status, wrong.collect())
    }
}
