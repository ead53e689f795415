//! A collaborator's pool, provider and key as the scripts left them, in the simulator.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use csign_oci::Digest;
use csign_render::{Settings, Target};
use csign_tests::peer::peer;
use serde_json::{Value, json};
use simulator::{
    Config, Simulator,
    attestation::{Container, Image, ImageSignature, TokenOptions, Vm},
    config::{Binding, Key},
    kms::Purpose,
    sts::Provider,
};

use crate::scene::{ACCOUNT, Cloud, OPERATOR, REPOSITORY, agreed, contract, render_with};

const ALICE: &str = "user:alice@example.com";

/// A collaborator's part of the cloud, as its script left it, in the simulator.
pub(crate) struct Released {
    pub(crate) simulator: Simulator,
    pub(crate) runtime: tokio::runtime::Runtime,
    /// Whose.
    number: u32,
    ciphertext: Value,
}

/// What the first collaborator's tokens are for.
pub(crate) fn audience() -> String {
    audience_of(1, "attestation-verifier")
}

/// What a collaborator's tokens are for, by provider.
pub(crate) fn audience_of(number: u32, provider: &str) -> String {
    format!(
        "//iam.googleapis.com/projects/20000000000{number}/locations/global/workloadIdentityPools/trusted-workload-pool/\
         providers/{provider}"
    )
}

fn key(number: u32) -> String {
    format!("projects/project-{number}/locations/global/keyRings/kr1/cryptoKeys/key1")
}

impl Released {
    /// `None` where the script cannot run.
    pub(crate) fn by(settings: &Settings) -> Option<Self> {
        peer("python3")?;
        let cloud = Cloud::new();
        let files = render_with(Target::Gcloud, "collaborator=collaborator-1", &contract(""), settings).unwrap();
        cloud.run(&files, &[]).success();
        Some(Self::from(&cloud.state()))
    }

    pub(crate) fn from(state: &Value) -> Self {
        Self::of(state, 1)
    }

    /// The part of the collaborator of this number.
    pub(crate) fn of(state: &Value, number: u32) -> Self {
        let config = Config {
            issuer: "https://confidentialcomputing.googleapis.com".to_owned(),
            keys: vec![Key { name: key(number), purpose: Purpose::EncryptDecrypt }],
            ..Config::default()
        };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let simulator = runtime.block_on(Simulator::start(config)).unwrap();
        let released = Self { simulator, runtime, number, ciphertext: Value::Null };
        released.apply(state);
        released.sealed()
    }

    /// The part of the collaborator of this number of a simulator in which the script was run.
    pub(crate) fn of_simulator(simulator: Simulator, runtime: tokio::runtime::Runtime, number: u32) -> Self {
        Self { simulator, runtime, number, ciphertext: Value::Null }.sealed()
    }

    /// With something that alice encrypted.
    fn sealed(self) -> Self {
        let mut released = self;
        let number = released.number;
        let alice = released.simulator.admin_token(ALICE).unwrap();
        let body = json!({"plaintext": "d29yZHM="}).to_string();
        let path = format!("/v1/{}:encrypt", key(number));
        let (status, sealed) = released.post(&path, Some(&alice), "application/json", &body);
        assert_eq!(status, 200, "{sealed}");
        released.ciphertext = sealed["ciphertext"].clone();
        released
    }

    /// Makes the simulator's providers and rights those of the cloud.
    pub(crate) fn apply(&self, state: &Value) {
        let (number, things) = (self.number, state["things"].as_object().unwrap());
        let mut there = Vec::new();
        for (name, thing) in things {
            let Some(rest) = name.strip_prefix("iam workload-identity-pools providers|") else { continue };
            if !rest.contains(&format!("|project=project-{number}|")) || thing["state"] != "ACTIVE" {
                continue;
            }
            let audience = audience_of(number, rest.split('|').next().unwrap());
            let provider = Provider {
                name: audience.replace("//iam.googleapis.com/", ""),
                issuer: Some(thing["oidc"]["issuerUri"].as_str().unwrap().to_owned()),
                attribute_mapping: serde_json::from_value::<BTreeMap<String, String>>(
                    thing["attributeMapping"].clone(),
                )
                .unwrap(),
                attribute_condition: thing["attributeCondition"].as_str().unwrap().to_owned(),
                allowed_audiences: serde_json::from_value(thing["oidc"]["allowedAudiences"].clone()).unwrap(),
                disabled: false,
            };
            there.push(provider.name.clone());
            self.simulator.sts().set_provider(provider).unwrap();
        }
        for mut provider in self.simulator.sts().providers() {
            if !there.contains(&provider.name) {
                provider.disabled = true;
                self.simulator.sts().set_provider(provider).unwrap();
            }
        }
        let iam = self.simulator.iam();
        for Binding { resource, permission, member } in iam.bindings() {
            if resource == key(number) {
                iam.unbind(&resource, &permission, &member);
            }
        }
        let policy = format!("kms keys|key1|project=project-{number}|");
        let policies = state["policies"].as_object().unwrap().iter();
        for (_, policy) in policies.filter(|(name, _)| name.starts_with(&policy)) {
            for binding in policy["bindings"].as_array().unwrap() {
                for member in binding["members"].as_array().unwrap() {
                    iam.bind(&key(number), binding["role"].as_str().unwrap(), member.as_str().unwrap());
                }
            }
        }
    }

    fn post(&self, path: &str, token: Option<&str>, kind: &str, body: &str) -> (u16, Value) {
        post(self.simulator.address(), path, token, kind, body)
    }

    /// Exchanges the token and decrypts with what it got: the one error of the two, if there is one.
    pub(crate) fn decrypt(&self, token: &str) -> Result<(), String> {
        self.decrypt_at(&audience_of(self.number, "attestation-verifier"), token)
    }

    /// The same at this provider.
    pub(crate) fn decrypt_at(&self, audience: &str, token: &str) -> Result<(), String> {
        self.unwrap(&self.exchange(audience, token)?)
    }

    /// An access token.
    pub(crate) fn exchange(&self, audience: &str, token: &str) -> Result<String, String> {
        let form = format!(
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&\
             requested_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token&\
             subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt&\
             scope=https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fcloud-platform&audience={}&subject_token={token}",
            audience.replace('/', "%2F").replace(':', "%3A")
        );
        let (status, reply) = self.post("/v1/token", None, "application/x-www-form-urlencoded", &form);
        if status != 200 {
            return Err(format!("STS: {}", reply["error_description"].as_str().unwrap_or_default()));
        }
        Ok(reply["access_token"].as_str().unwrap().to_owned())
    }

    /// Decrypts with an access token.
    pub(crate) fn unwrap(&self, access: &str) -> Result<(), String> {
        let body = json!({"ciphertext": self.ciphertext}).to_string();
        let path = format!("/v1/{}:decrypt", key(self.number));
        let (status, reply) = self.post(&path, Some(access), "application/json", &body);
        if status == 200 { Ok(()) } else { Err(format!("KMS: {}", reply["error"]["message"])) }
    }

    pub(crate) fn token(&self, vm: &Vm, container: &Container, audience: &str) -> String {
        let options = TokenOptions { audience: audience.to_owned(), nonces: Vec::new() };
        self.simulator.issuer().token(vm, container, &options).unwrap()
    }

    /// The token of a machine and container that are the agreed ones but for `change`.
    pub(crate) fn changed(&self, change: impl FnOnce(&mut Vm, &mut Container)) -> Result<(), String> {
        let (mut vm, mut container) = (vm(), container());
        change(&mut vm, &mut container);
        self.decrypt(&self.token(&vm, &container, &audience()))
    }

    /// A token with a true signature whose claims are the agreed ones but for `change`.
    pub(crate) fn claimed(&self, change: impl FnOnce(&mut Value)) -> Result<(), String> {
        let options = TokenOptions { audience: audience(), nonces: Vec::new() };
        let mut claims = self.simulator.issuer().claims(&vm(), &container(), &options);
        change(&mut claims);
        self.decrypt(&self.simulator.issuer().sign_anything(None, &claims).unwrap())
    }
}

/// One request over one connection.
fn post(address: SocketAddr, path: &str, token: Option<&str>, kind: &str, body: &str) -> (u16, Value) {
    let authorization = token.map_or(String::new(), |token| format!("authorization: Bearer {token}\r\n"));
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-type: {kind}\r\n{authorization}\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or_else(|_| json!(body)))
}

pub(crate) fn vm() -> Vm {
    Vm {
        project: OPERATOR.to_owned(),
        project_number: "100000000001".to_owned(),
        zone: "us-central1-a".to_owned(),
        instance: "csign-workload".to_owned(),
        instance_id: "4000000000000000001".to_owned(),
        service_account: ACCOUNT.to_owned(),
        image: Image::Stable,
        platform: Default::default(),
    }
}

/// The agreed image, signed by all three parties.
pub(crate) fn container() -> Container {
    let contract = contract("");
    let signatures = contract.parties.iter().map(|party| ImageSignature {
        key_id: party.public_key.id().to_string(),
        signature: "MEUC".to_owned(),
        signature_algorithm: party.public_key.algorithm().to_string(),
    });
    Container {
        image_reference: format!("{REPOSITORY}@{}", agreed()),
        image_digest: agreed(),
        image_id: Digest::of("configuration"),
        restart_policy: "Never".to_owned(),
        args: Vec::new(),
        env: BTreeMap::new(),
        env_override: BTreeMap::new(),
        cmd_override: Vec::new(),
        image_signatures: signatures.collect(),
    }
}
