//! A site for tests: a simulator, a contract of a builder and two collaborators, and a launcher's socket whose tokens a
//! test may twist. The workload runs in this process, through its library.

#![allow(dead_code, unreachable_pub, reason = "each test program uses its part")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

pub mod authority;
pub mod tls;

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{Router, body::Bytes, extract::State, http::StatusCode, routing::post};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use csign_contract::{
    Contract,
    envelope::Sealer,
    message::{Binding, Encryption},
};
use csign_envelope::{
    PublicKey,
    bundle::{self, Bundle},
    dsse::{Envelope, IN_TOTO, pae},
    sig_image::{SigImage, signature_layer},
    simple_signing,
    statement::Statement,
};
use csign_oci::{Descriptor, Digest, Manifest, Repository, Tag, manifest::IMAGE_MANIFEST};
use csign_trust::ExitStatus;
use p256::ecdsa::{Signature, SigningKey, signature::Signer as _};
use serde_json::{Value, json};
use simulator::{
    Config, Simulator,
    attestation::{Container, Image, ImageSignature, Issuer, TokenOptions, Vm},
    config::Subscription,
    kms::Purpose,
    sts::Provider,
};
use tempfile::TempDir;
use tokio::{net::UnixListener, sync::oneshot, task::JoinHandle};
use workload::{Log, Setting};

pub const REPOSITORY: &str = "registry.simulator.localhost/team/workload";
pub const PARTIES: [&str; 3] = ["builder", "collaborator-1", "collaborator-2"];
pub const COLLABORATORS: [&str; 2] = ["collaborator-1", "collaborator-2"];
pub const TOPIC: &str = "projects/operator/topics/messages";
pub const SUBSCRIPTION: &str = "projects/operator/subscriptions/messages";
pub const MACHINE: &str = "serviceAccount:vm@operator.iam.gserviceaccount.com";
pub const PUBLISHER: &str = "user:publisher@example.com";
pub const DECRYPT: &str = "cloudkms.cryptoKeyVersions.useToDecrypt";
const PATIENCE: Duration = Duration::from_secs(60);

/// The key that a party signs with.
pub fn signing_key(party: &str) -> SigningKey {
    SigningKey::from_slice(Digest::of(party).as_bytes()).unwrap()
}

pub fn public_key(party: &str) -> PublicKey {
    PublicKey::new(*signing_key(party).verifying_key()).unwrap()
}

pub fn kms_key(collaborator: &str) -> String {
    format!("projects/{collaborator}/locations/global/keyRings/csign/cryptoKeys/data")
}

pub fn pool(collaborator: &str) -> String {
    let number = collaborator.chars().last().unwrap();
    format!("projects/{number}/locations/global/workloadIdentityPools/pool")
}

fn provider(collaborator: &str) -> String {
    format!("{}/providers/attestation", pool(collaborator))
}

/// The image of the site; nothing ever reads its content here.
pub fn image() -> Digest {
    Digest::of("the workload's image")
}

/// What a test changes about a contract's text.
pub fn contract_toml(pins: &[String]) -> String {
    let mut text = format!(
        r#"
version = 1
name = "test"
[image]
repository = "{REPOSITORY}"
[build]
recipe = "cargo-musl"
[environment]
kind = "simulated"
issuer = "http://attestation.simulator.localhost"
issuer_keys = {pins:?}
[operator]
project_id = "operator"
service_account = "vm@operator.iam.gserviceaccount.com"
[platform]
hardware = ["GCP_INTEL_TDX"]
[messages]
topic = "{TOPIC}"
subscription = "{SUBSCRIPTION}"
"#
    );
    for party in PARTIES {
        text.push_str(&format!(
            "[[party]]\nname = \"{party}\"\npublic_key = \"\"\"\n{}\"\"\"\n",
            public_key(party).pem()
        ));
        if COLLABORATORS.contains(&party) {
            let (key, provider) = (kms_key(party), provider(party));
            text.push_str(&format!(
                "[party.collaborator]\nkms_key = \"{key}\"\nidentity_provider = \"//iam.googleapis.com/{provider}\"\n"
            ));
        }
    }
    text
}

/// Changes the claims of a token before it is signed. The options are what the workload asked for.
pub type Twist = Arc<dyn Fn(&mut Value, &TokenOptions) + Send + Sync>;

pub struct Site {
    pub simulator: Simulator,
    pub contract: Contract,
    pub binding: Binding,
    pub container: Container,
    pub vm: Vm,
    pub root: TempDir,
    tee: Option<JoinHandle<()>>,
}

/// A workload that runs in this process.
pub struct Running {
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<ExitStatus>,
    pub log: Recorder,
}

impl Site {
    /// A site where all is as it should be, but nobody has signed and nothing listens on the launcher's socket.
    pub async fn new() -> Self {
        Self::with_contract(|text| text).await
    }

    pub async fn with_contract(change: impl FnOnce(String) -> String) -> Self {
        let _ = rustls_graviola::default_provider().install_default();
        let simulator = Simulator::start(Config {
            metadata_identity: Some(MACHINE.to_owned()),
            topics: vec![TOPIC.to_owned()],
            subscriptions: vec![Subscription {
                name: SUBSCRIPTION.to_owned(),
                topic: TOPIC.to_owned(),
                ack_deadline_seconds: 10,
                dead_letter: None,
                ..Subscription::default()
            }],
            ..Config::default()
        })
        .await
        .unwrap();
        simulator.iam().bind(SUBSCRIPTION, "pubsub.subscriptions.consume", MACHINE);
        for collaborator in COLLABORATORS {
            simulator.kms().create_key(&kms_key(collaborator), Purpose::EncryptDecrypt).unwrap();
            simulator.iam().bind(&kms_key(collaborator), "cloudkms.cryptoKeyVersions.useToEncrypt", PUBLISHER);
            simulator.sts().set_provider(Provider::for_images(provider(collaborator), [image()])).unwrap();
        }
        let contract = Contract::from_toml(&change(contract_toml(&simulator.issuer_key_thumbprints()))).unwrap();
        let root = TempDir::new().unwrap();
        let text = str::to_owned;
        let site = Self {
            container: Container {
                image_reference: format!("{REPOSITORY}@{}", image()),
                image_digest: image(),
                image_id: Digest::of("configuration"),
                restart_policy: text("Never"),
                args: vec![text("/workload")],
                env: BTreeMap::new(),
                env_override: BTreeMap::from([(text("CSIGN_SIMULATOR"), simulator.address().to_string())]),
                cmd_override: Vec::new(),
                image_signatures: Vec::new(),
            },
            vm: Vm {
                project: text("operator"),
                project_number: text("1234"),
                zone: text("z"),
                instance: text("vm"),
                instance_id: text("5678"),
                service_account: text("vm@operator.iam.gserviceaccount.com"),
                image: Image::Production,
                platform: Default::default(),
            },
            simulator,
            binding: contract.binding(),
            contract,
            root,
            tee: None,
        };
        for collaborator in COLLABORATORS {
            site.allow_decryption(collaborator);
        }
        site.write("etc/csign/contract.json", &site.contract.canonical());
        fs::create_dir_all(site.path("run/container_launcher")).unwrap();
        site
    }

    /// A site that boots: everyone signed, the token says so, the launcher answers.
    pub async fn ready() -> Self {
        let mut site = Self::new().await;
        site.sign_in_token(&PARTIES);
        site.listen(Arc::new(|_, _| {}));
        site
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.root.path().join(below)
    }

    pub fn write(&self, below: &str, bytes: &[u8]) {
        let path = self.path(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub fn setting(&self) -> Setting {
        Setting { root: self.root.path().to_owned(), simulator: Some(self.simulator.address().to_string()) }
    }

    fn member(collaborator: &str) -> String {
        format!("principalSet://iam.googleapis.com/{}/attribute.image_digest/{}", pool(collaborator), image())
    }

    pub fn allow_decryption(&self, collaborator: &str) {
        self.simulator.iam().bind(&kms_key(collaborator), DECRYPT, &Self::member(collaborator));
    }

    pub fn deny_decryption(&self, collaborator: &str) {
        assert!(self.simulator.iam().unbind(&kms_key(collaborator), DECRYPT, &Self::member(collaborator)));
    }

    fn payload(party: &str, digest: &Digest) -> (Vec<u8>, Vec<u8>) {
        let repository = Repository::parse(REPOSITORY).unwrap();
        let annotations = simple_signing::annotations(&public_key(party), &BTreeMap::new());
        let payload = simple_signing::payload(&repository, digest, &annotations);
        let signature: Signature = signing_key(party).sign(&payload);
        (payload, signature.to_der().as_bytes().to_vec())
    }

    /// Signatures as the attestation service reports them.
    pub fn sign_in_token(&mut self, parties: &[&str]) {
        self.container.image_signatures = parties
            .iter()
            .map(|party| ImageSignature {
                key_id: public_key(party).id().to_string(),
                signature: BASE64_STANDARD.encode(Self::payload(party, &image()).1),
                signature_algorithm: "ECDSA_P256_SHA256".to_owned(),
            })
            .collect();
    }

    /// Signatures of `digest` under the `.sig` tag of the site's image.
    pub fn sign_in_registry(&self, parties: &[&str], digest: &Digest) {
        self.sign_in_registry_with(parties, digest, |_, _| {});
    }

    /// The same after `change` of each payload and signature; the layers still name the payloads that were meant.
    pub fn sign_in_registry_with(
        &self,
        parties: &[&str],
        digest: &Digest,
        change: impl Fn(&mut Vec<u8>, &mut Vec<u8>),
    ) {
        let mut sig = SigImage::empty();
        for party in parties {
            let (mut payload, mut signature) = Self::payload(party, digest);
            let meant = payload.clone();
            change(&mut payload, &mut signature);
            self.simulator.registry().put_blob("team/workload", payload);
            sig.append(signature_layer(&meant, &signature, &BTreeMap::new()));
        }
        let encoded = sig.encode().unwrap();
        self.simulator.registry().put_blob("team/workload", encoded.config);
        let tag = Tag::for_digest(&image(), ".sig");
        self.simulator.registry().put_manifest("team/workload", tag.as_str(), &encoded.media_type, encoded.manifest);
    }

    /// A bundle among the referrers of the site's image in which a party signs `statement`.
    pub fn refer(&self, party: &str, statement: &Statement) {
        let payload = statement.to_bytes().unwrap();
        let signature: Signature = signing_key(party).sign(&pae(IN_TOTO, &payload));
        let envelope = Envelope::new(IN_TOTO, &payload, signature.to_der().as_bytes());
        let bundle = serde_json::to_vec(&Bundle::new(envelope, &public_key(party))).unwrap();
        let mut manifest = Manifest::new(Descriptor::empty(), vec![Descriptor::of(bundle::MEDIA_TYPE, &bundle)]);
        self.simulator.registry().put_blob("team/workload", bundle);
        manifest.subject = Some(Descriptor { digest: image(), ..Descriptor::of(IMAGE_MANIFEST, b"") });
        manifest.artifact_type = Some(bundle::MEDIA_TYPE.to_owned());
        let bytes = manifest.to_bytes().unwrap();
        let digest = Digest::of(&bytes).to_string();
        self.simulator.registry().put_manifest("team/workload", &digest, IMAGE_MANIFEST, bytes);
    }

    /// Serves the launcher's socket. The boot's token gets the twist; so do the collaborators' custom tokens.
    pub fn listen(&mut self, twist: Twist) {
        let router = self.launcher(twist);
        self.serve(router);
    }

    /// What the launcher's socket serves.
    pub fn launcher(&self, twist: Twist) -> Router {
        let tee = Tee {
            issuer: self.simulator.issuer().clone(),
            vm: self.vm.clone(),
            container: self.container.clone(),
            twist,
        };
        Router::new().route("/v1/token", post(token)).with_state(Arc::new(tee))
    }

    /// Serves something else on the launcher's socket.
    pub fn serve(&mut self, router: Router) {
        let path = self.path("run/container_launcher/teeserver.sock");
        let _ = fs::remove_file(&path);
        let listener = UnixListener::bind(path).unwrap();
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        if let Some(old) = self.tee.replace(server) {
            old.abort();
        }
    }

    /// Runs the workload to its end: for boots that fail.
    pub async fn boot_refused(&self) -> (ExitStatus, Recorder) {
        self.boot_refused_with(&self.setting()).await
    }

    pub async fn boot_refused_with(&self, setting: &Setting) -> (ExitStatus, Recorder) {
        let log = Recorder::default();
        let writer = log.log();
        let run = workload::run(setting, &writer, std::future::pending());
        let status = tokio::time::timeout(PATIENCE, run).await.expect("the workload started");
        assert!(!log.events().iter().any(|event| event["event"] == "boot verified"), "{}", log.text());
        let messages_pulled = self.simulator.audit().iter().any(|entry| format!("{entry:?}").contains("streaming"));
        assert!(!messages_pulled, "a refused boot pulled messages");
        (status, log)
    }

    /// Starts the workload, and waits until it has booted.
    pub async fn start(&self) -> Running {
        let running = self.run();
        until("the workload to boot", || running.log.has("boot verified") || running.task.is_finished()).await;
        assert!(running.log.has("boot verified"), "{}", running.log.text());
        running
    }

    /// Starts the workload.
    pub fn run(&self) -> Running {
        let log = Recorder::default();
        let (stop, stopped) = oneshot::channel::<()>();
        let (setting, writer) = (self.setting(), log.log());
        let task = tokio::spawn(async move {
            let stopped = async {
                let _ = stopped.await;
            };
            workload::run(&setting, &writer, stopped).await
        });
        Running { stop: Some(stop), task, log }
    }

    /// Encrypts as a collaborator's client does, for this message.
    pub async fn encrypt(&self, collaborator: &str, message: &str, plaintext: &[u8]) -> Vec<u8> {
        self.wrap(&kms_key(collaborator), plaintext, &self.contract.additional_data(collaborator, message)).await
    }

    /// A data key of a collaborator, wrapped by Cloud KMS.
    pub async fn data_key(&self, collaborator: &str, key: [u8; 32]) -> Sealer {
        let bound = self.contract.binding().data_key(collaborator);
        Sealer::new(&key, self.encrypt_for(collaborator, &key, bound).await).unwrap()
    }

    /// Seals and publishes; the nonce is the message's number.
    pub fn publish_sealed(&self, sealer: &mut Sealer, collaborator: &str, number: u32, plaintext: &str) {
        let data = self.seal(sealer, collaborator, number, plaintext);
        self.publish_raw(data, &envelope(collaborator, &format!("e{number}")));
    }

    /// Seals the message `e<number>`.
    pub fn seal(&self, sealer: &mut Sealer, collaborator: &str, number: u32, plaintext: &str) -> Vec<u8> {
        let bound = self.binding.message(Encryption::Envelope, collaborator, &format!("e{number}"));
        let mut nonce = [0; 12];
        nonce[..4].copy_from_slice(&number.to_be_bytes());
        sealer.seal(nonce, plaintext.as_bytes(), &bound).unwrap()
    }

    /// Encrypts with a collaborator's key.
    pub async fn encrypt_for(&self, collaborator: &str, plaintext: &[u8], additional_data: Vec<u8>) -> Vec<u8> {
        self.wrap(&kms_key(collaborator), plaintext, &additional_data).await
    }

    /// Encrypts with any key.
    pub async fn wrap(&self, key: &str, plaintext: &[u8], additional_data: &[u8]) -> Vec<u8> {
        self.simulator.iam().bind(key, "cloudkms.cryptoKeyVersions.useToEncrypt", PUBLISHER);
        let url = format!("{}/v1/{key}:encrypt", self.simulator.endpoint());
        let body = json!({
            "plaintext": BASE64_STANDARD.encode(plaintext),
            "additionalAuthenticatedData": BASE64_STANDARD.encode(additional_data),
        });
        let token = self.simulator.admin_token(PUBLISHER).unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = client.post(url).bearer_auth(token).body(body.to_string()).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let answer: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        BASE64_STANDARD.decode(answer["ciphertext"].as_str().unwrap()).unwrap()
    }

    /// Encrypts and publishes.
    pub async fn publish(&self, collaborator: &str, message: &str, plaintext: &str) {
        let ciphertext = self.encrypt(collaborator, message, plaintext.as_bytes()).await;
        self.publish_raw(ciphertext, &[("version", "1"), ("collaborator", collaborator), ("message", message)]);
    }

    /// Publishes whatever a test wants to attack with; Pub/Sub's id.
    pub fn publish_raw(&self, data: Vec<u8>, attributes: &[(&str, &str)]) -> String {
        self.simulator.pubsub().publish(TOPIC, data, attributes.iter().copied()).unwrap()
    }

    /// Waits until every message has been acknowledged.
    pub async fn drained(&self) {
        until("all messages to be acknowledged", || self.backlog() == (0, 0)).await;
    }

    /// Messages that wait, and messages that are delivered and not acknowledged.
    pub fn backlog(&self) -> (usize, usize) {
        self.simulator.pubsub().backlog(SUBSCRIPTION).unwrap()
    }

    /// What the stopped workload left.
    pub fn state(&self) -> Left {
        let (path, contract) = (self.path("var/lib/csign/state.redb"), self.contract.clone());
        // A thread of its own, because the caller runs in a runtime already.
        let read = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let state = workload::State::in_file(&contract, &path).await.unwrap();
                let (counts, refusals) = (state.counts().await.unwrap(), state.refusals().await.unwrap());
                let messages = state.messages().await.unwrap();
                state.close().await;
                Left { counts, refusals, messages }
            })
        };
        std::thread::spawn(read).join().unwrap()
    }
}

/// The content of a state.
#[derive(Debug)]
pub struct Left {
    counts: BTreeMap<String, u64>,
    refusals: BTreeMap<String, u64>,
    messages: u64,
}

impl Left {
    pub fn counts(&self) -> io::Result<BTreeMap<String, u64>> {
        Ok(self.counts.clone())
    }

    pub fn refusals(&self) -> io::Result<BTreeMap<String, u64>> {
        Ok(self.refusals.clone())
    }

    pub fn messages(&self) -> io::Result<u64> {
        Ok(self.messages)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(tee) = self.tee.take() {
            tee.abort();
        }
    }
}

impl Running {
    /// Waits for its end, which nobody asked for.
    pub async fn ended(mut self) -> (ExitStatus, Recorder) {
        let status = tokio::time::timeout(PATIENCE, &mut self.task).await.expect("it did not end").unwrap();
        (status, self.log.clone())
    }

    /// Asks it to stop, and waits for its end.
    pub async fn stop(mut self) -> (ExitStatus, Recorder) {
        self.stop.take().unwrap().send(()).unwrap();
        let status = tokio::time::timeout(PATIENCE, &mut self.task).await.expect("it did not stop").unwrap();
        (status, self.log.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Tee {
    issuer: Issuer,
    vm: Vm,
    container: Container,
    twist: Twist,
}

async fn token(State(tee): State<Arc<Tee>>, body: Bytes) -> (StatusCode, String) {
    let options = options(&body);
    let mut claims = tee.issuer.claims(&tee.vm, &tee.container, &options);
    (tee.twist)(&mut claims, &options);
    (StatusCode::OK, tee.issuer.sign_anything(None, &claims).unwrap())
}

/// What the workload asks the launcher for.
pub fn options(body: &[u8]) -> TokenOptions {
    let asked: Value = serde_json::from_slice(body).unwrap();
    assert_eq!(asked["token_type"], "OIDC");
    let nonces = asked["nonces"].as_array().cloned().unwrap_or_default();
    TokenOptions {
        audience: asked["audience"].as_str().unwrap().to_owned(),
        nonces: nonces.iter().map(|nonce| nonce.as_str().unwrap().to_owned()).collect(),
    }
}

/// The other signature that verifies where this one does: (r, n−s).
pub fn other_s(signature: &str) -> String {
    let signature = Signature::from_der(&BASE64_STANDARD.decode(signature).unwrap()).unwrap();
    let (r, s) = signature.split_scalars();
    BASE64_STANDARD.encode(Signature::from_scalars(r, -*s).unwrap().to_der().as_bytes())
}

/// What the issuer would say about this container, for an audience and a nonce.
pub fn token_claims(issuer: &Issuer, vm: &Vm, container: &Container, audience: &str, nonce: &str) -> Value {
    let options = TokenOptions { audience: audience.to_owned(), nonces: vec![nonce.to_owned()] };
    issuer.claims(vm, container, &options)
}

/// Keeps what the workload writes.
#[derive(Clone, Default)]
pub struct Recorder {
    events: Buffer,
    people: Buffer,
}

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Buffer {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Recorder {
    pub fn log(&self) -> Log {
        Log::new(self.events.clone(), self.people.clone())
    }

    /// The events, which must be one JSON object per line.
    pub fn events(&self) -> Vec<Value> {
        self.events.text().lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }

    pub fn has(&self, event: &str) -> bool {
        self.events().iter().any(|line| line["event"] == event)
    }

    /// What people see.
    pub fn people(&self) -> String {
        self.people.text()
    }

    /// Everything that was written.
    pub fn text(&self) -> String {
        format!("{}\n{}", self.events.text(), self.people.text())
    }
}

/// Words and how often.
pub fn words(pairs: &[(&str, u64)]) -> BTreeMap<String, u64> {
    pairs.iter().map(|(word, count)| ((*word).to_owned(), *count)).collect()
}

/// Attributes of an envelope.
pub fn envelope<'a>(collaborator: &'a str, message: &'a str) -> [(&'a str, &'a str); 4] {
    [("version", "1"), ("collaborator", collaborator), ("message", message), ("encryption", "envelope")]
}

/// Waits for something that must happen; fails only when it takes absurdly long.
pub async fn until(what: &str, happened: impl Fn() -> bool) {
    let started = Instant::now();
    while !happened() {
        assert!(started.elapsed() < PATIENCE, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The root of a container without anything in it.
pub fn empty_root(root: &Path) -> Setting {
    Setting { root: root.to_owned(), simulator: None }
}
