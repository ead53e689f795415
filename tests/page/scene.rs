//! A simulator with a story for the page: two collaborators, an image that three parties signed, what was granted to it
//! and what was refused.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use csign_envelope::{
    sig_image::{SigImage, signature_layer},
    simple_signing,
};
use csign_keys::PrivateKey;
use csign_oci::{
    Digest, Pinned, Repository,
    image::{ContainerConfig, assemble},
    layer::{Access, LayerBuilder},
    manifest::IMAGE_MANIFEST,
};
use serde_json::{Value, json};
use simulator::{
    Config, Launch, Running, Simulator,
    attestation::{Container, Image, TokenOptions},
    config::{Binding, Key, Machine},
    kms::Purpose,
    sts::Provider,
};
use tokio::runtime::Runtime;

const NAME: &str = "operator/word-count";
const SCRIPT: &str = "#!/bin/sh\necho counting\nexec sleep 600\n";
const COLLABORATORS: [&str; 2] = ["collaborator-1", "collaborator-2"];

pub(crate) struct Scene {
    simulator: Simulator,
    _running: Running,
    _runtime: Runtime,
}

fn key(index: usize) -> String {
    format!("projects/{}/locations/global/keyRings/data/cryptoKeys/words", COLLABORATORS[index])
}

fn pool(index: usize) -> String {
    format!("projects/20000000000{index}/locations/global/workloadIdentityPools/workload")
}

fn audience(index: usize) -> String {
    format!("//iam.googleapis.com/{}/providers/attestation", pool(index))
}

impl Scene {
    pub(crate) fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let (simulator, running) = runtime.block_on(play());
        let scene = Self { simulator, _running: running, _runtime: runtime };
        scene.requests();
        scene
    }

    pub(crate) fn address(&self) -> String {
        self.simulator.address().to_string()
    }

    /// Adds decisions until the log has this many.
    pub(crate) fn many(&self, count: u64) {
        let machine = Machine::default().into();
        let container = container(Digest::of("another image"));
        for number in self.simulator.audit().len() as u64..count {
            let options = TokenOptions { audience: String::new(), nonces: vec![format!("number {number}")] };
            let options = TokenOptions { audience: format!("{:>513}", format!("number {number}")), ..options };
            assert!(self.simulator.issuer().token(&machine, &container, &options).is_err(), "quick, since refused");
        }
    }

    /// What a workload and others ask: the first collaborator's words are decrypted; the rest is refused.
    fn requests(&self) {
        let state = self.get("/simulator/state");
        let image: Digest = Digest::parse(state["images"][0]["digest"].as_str().unwrap()).unwrap();
        let exchange = |digest: Digest, machine: Machine, index: usize| {
            let options = TokenOptions { audience: audience(index), nonces: Vec::new() };
            let token = self.simulator.issuer().token(&machine.into(), &container(digest), &options).unwrap();
            let form = format!(
                "grant_type=urn:ietf:params:oauth:grant-type:token-exchange&subject_token={token}&audience={}\
                 &requested_token_type=urn:ietf:params:oauth:token-type:access_token\
                 &subject_token_type=urn:ietf:params:oauth:token-type:jwt\
                 &scope=https://www.googleapis.com/auth/cloud-platform",
                audience(index)
            );
            let answer = self.post("/v1/token", "application/x-www-form-urlencoded", None, &form);
            answer["access_token"].as_str().map(str::to_owned)
        };
        let admin = self.simulator.admin_token("user:admin@collaborator-1.example").unwrap();
        let kms = |index: usize, verb: &str, token: &str, body: Value| {
            let path = format!("/v1/{}:{verb}", key(index));
            self.post(&path, "application/json", Some(token), &body.to_string())
        };
        let plaintext = BASE64_STANDARD.encode("words");
        let encrypted = kms(0, "encrypt", &admin, json!({"plaintext": plaintext}));
        let first = exchange(image, Machine::default(), 0).expect("the agreed image is admitted");
        for _ in 0..3 {
            let decrypted = kms(0, "decrypt", &first, json!({"ciphertext": encrypted["ciphertext"]}));
            assert_eq!(decrypted["plaintext"], plaintext);
        }
        assert!(exchange(image, Machine::default(), 1).is_some());
        kms(1, "decrypt", &first, json!({"ciphertext": encrypted["ciphertext"]}));
        kms(0, "decrypt", &admin, json!({"ciphertext": encrypted["ciphertext"]}));
        assert!(exchange(image, Machine { image: Image::Debug, ..Machine::default() }, 0).is_none());
        assert!(exchange(Digest::of("another image"), Machine::default(), 1).is_none());
    }

    fn get(&self, path: &str) -> Value {
        http(self.simulator.address(), &format!("GET {path} HTTP/1.1\r\n"), "")
    }

    fn post(&self, path: &str, kind: &str, token: Option<&str>, body: &str) -> Value {
        let bearer = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
        let head =
            format!("POST {path} HTTP/1.1\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n{bearer}", body.len());
        http(self.simulator.address(), &head, body)
    }
}

/// One request on a connection of its own; the answer's JSON.
fn http(address: SocketAddr, head: &str, body: &str) -> Value {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "{head}host: {address}\r\nconnection: close\r\n\r\n{body}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {answer}"))
}

/// Starts the simulator, pushes and signs the image, and launches it: once as it should be, once as it must not.
async fn play() -> (Simulator, Running) {
    let mut config = Config::default();
    let image = image();
    let digest = image.descriptor.digest;
    for (index, name) in COLLABORATORS.iter().enumerate() {
        config.keys.push(Key { name: key(index), purpose: Purpose::EncryptDecrypt });
        let provider = audience(index).trim_start_matches("//iam.googleapis.com/").to_owned();
        config.providers.push(Provider::for_images(provider, [digest]));
        for (permission, member) in [
            ("useToDecrypt", format!("principalSet://iam.googleapis.com/{}/*", pool(index))),
            ("useToEncrypt", format!("user:admin@{name}.example")),
        ] {
            let permission = format!("cloudkms.cryptoKeyVersions.{permission}");
            config.bindings.push(Binding { resource: key(index), permission, member });
        }
    }
    let simulator = Simulator::start(config).await.unwrap();
    for (_, blob) in image.blobs {
        simulator.registry().put_blob(NAME, blob);
    }
    simulator.registry().put_manifest(NAME, &digest.to_string(), IMAGE_MANIFEST, image.manifest);
    let repository = Repository::parse(&format!("registry.simulator.localhost/{NAME}")).unwrap();
    sign(&simulator, &repository.clone().at(digest));
    let launch = |more: &[(&str, &str)]| {
        let mut metadata = vec![("tee-image-reference", format!("{repository}@{digest}"))];
        metadata.push(("tee-signed-image-repos", repository.to_string()));
        metadata.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let metadata = metadata.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        simulator.launch(Launch { metadata, ..Launch::default() })
    };
    assert!(launch(&[("tee-env-LD_PRELOAD", "/tmp/spy.so")]).await.is_err());
    let running = launch(&[]).await.unwrap();
    (simulator, running)
}

fn image() -> csign_oci::image::Image {
    let mut layer = LayerBuilder::new();
    layer.file("workload", Access::root(0o755), SCRIPT.as_bytes()).unwrap();
    let config = ContainerConfig {
        env: vec!["PATH=/usr/bin:/bin".to_owned()],
        entrypoint: vec!["/workload".to_owned()],
        ..ContainerConfig::default()
    };
    assemble(config, vec![(layer.build().unwrap(), "program")]).unwrap()
}

/// Three parties sign.
fn sign(simulator: &Simulator, image: &Pinned) {
    let mut signatures = SigImage::empty();
    for _ in 0..3 {
        let key = PrivateKey::generate().unwrap();
        let annotations = simple_signing::annotations(key.public_key(), &Default::default());
        let payload = simple_signing::payload(&image.repository, &image.digest, &annotations);
        let signature = key.sign(&payload).unwrap();
        signatures.append(signature_layer(&payload, &signature, &Default::default()));
        simulator.registry().put_blob(NAME, payload);
    }
    let encoded = signatures.encode().unwrap();
    simulator.registry().put_blob(NAME, encoded.config);
    let tag = format!("sha256-{}.sig", image.digest.hex());
    simulator.registry().put_manifest(NAME, &tag, IMAGE_MANIFEST, encoded.manifest);
}

fn container(image_digest: Digest) -> Container {
    Container {
        image_reference: format!("registry.simulator.localhost/{NAME}@{image_digest}"),
        image_digest,
        image_id: image_digest,
        restart_policy: "Never".to_owned(),
        args: Vec::new(),
        env: Default::default(),
        env_override: Default::default(),
        cmd_override: Vec::new(),
        image_signatures: Vec::new(),
    }
}
