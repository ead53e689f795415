//! What the scripts wrote into workload identity pools and key policies, given to the simulator: the workload that all agreed
//! on decrypts, and nothing else does.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use csign_oci::Digest;
use csign_render::{Grant, Settings, Target};
use csign_tests::peer::peer;
use serde_json::{Value, json};
use simulator::{
    Config, Simulator,
    attestation::{Container, Hardware, Image, ImageSignature, TokenOptions, Vm},
    config::{Binding, Key},
    kms::Purpose,
    sts::Provider,
};

use crate::scene::{ACCOUNT, Cloud, OPERATOR, REPOSITORY, agreed, contract, render_with, settings};

const KEY: &str = "projects/project-1/locations/global/keyRings/kr1/cryptoKeys/key1";
const POOL: &str = "projects/200000000001/locations/global/workloadIdentityPools/trusted-workload-pool";
const ALICE: &str = "user:alice@example.com";

/// A collaborator's part of the cloud, as its script left it, in the simulator.
struct Released {
    simulator: Simulator,
    runtime: tokio::runtime::Runtime,
    ciphertext: Value,
}

fn provider_name() -> String {
    format!("{POOL}/providers/attestation-verifier")
}

fn audience() -> String {
    format!("//iam.googleapis.com/{}", provider_name())
}

impl Released {
    /// `None` where the script cannot run.
    fn by(settings: &Settings) -> Option<Self> {
        peer("python3")?;
        let cloud = Cloud::new();
        let files = render_with(Target::Gcloud, "collaborator=collaborator-1", &contract(""), settings).unwrap();
        cloud.run(&files, &[]).success();
        Some(Self::from(&cloud.state()))
    }

    fn from(state: &Value) -> Self {
        let thing = |prefix: &str| {
            let mut things = state["things"].as_object().unwrap().iter();
            things.find(|(name, _)| name.starts_with(prefix)).unwrap().1.clone()
        };
        let written = thing("iam workload-identity-pools providers|");
        let provider = Provider {
            name: provider_name(),
            issuer: Some(written["oidc"]["issuerUri"].as_str().unwrap().to_owned()),
            attribute_mapping: serde_json::from_value::<BTreeMap<String, String>>(written["attributeMapping"].clone())
                .unwrap(),
            attribute_condition: written["attributeCondition"].as_str().unwrap().to_owned(),
            allowed_audiences: serde_json::from_value(written["oidc"]["allowedAudiences"].clone()).unwrap(),
            disabled: false,
        };
        let policy = state["policies"].as_object().unwrap().iter();
        let (_, policy) = policy.into_iter().find(|(name, _)| name.starts_with("kms keys|key1|")).unwrap();
        let mut bindings = Vec::new();
        for binding in policy["bindings"].as_array().unwrap() {
            for member in binding["members"].as_array().unwrap() {
                bindings.push(Binding {
                    resource: KEY.to_owned(),
                    permission: binding["role"].as_str().unwrap().to_owned(),
                    member: member.as_str().unwrap().to_owned(),
                });
            }
        }
        let config = Config {
            issuer: "https://confidentialcomputing.googleapis.com".to_owned(),
            providers: vec![provider],
            keys: vec![Key { name: KEY.to_owned(), purpose: Purpose::EncryptDecrypt }],
            bindings,
            ..Config::default()
        };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let simulator = runtime.block_on(Simulator::start(config)).unwrap();
        let mut released = Self { simulator, runtime, ciphertext: Value::Null };
        let alice = released.simulator.admin_token(ALICE).unwrap();
        let body = json!({"plaintext": "d29yZHM="}).to_string();
        let (status, sealed) = released.post(&format!("/v1/{KEY}:encrypt"), Some(&alice), "application/json", &body);
        assert_eq!(status, 200, "{sealed}");
        released.ciphertext = sealed["ciphertext"].clone();
        released
    }

    fn post(&self, path: &str, token: Option<&str>, kind: &str, body: &str) -> (u16, Value) {
        post(self.simulator.address(), path, token, kind, body)
    }

    /// Exchanges the token and decrypts with what it got: the one error of the two, if there is one.
    fn decrypt(&self, token: &str) -> Result<(), String> {
        let form = format!(
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&\
             requested_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token&\
             subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt&\
             scope=https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fcloud-platform&audience={}&subject_token={token}",
            audience().replace('/', "%2F").replace(':', "%3A")
        );
        let (status, reply) = self.post("/v1/token", None, "application/x-www-form-urlencoded", &form);
        if status != 200 {
            return Err(format!("STS: {}", reply["error_description"].as_str().unwrap_or_default()));
        }
        let access = reply["access_token"].as_str().unwrap().to_owned();
        let body = json!({"ciphertext": self.ciphertext}).to_string();
        let (status, reply) = self.post(&format!("/v1/{KEY}:decrypt"), Some(&access), "application/json", &body);
        if status == 200 { Ok(()) } else { Err(format!("KMS: {}", reply["error"]["message"])) }
    }

    fn token(&self, vm: &Vm, container: &Container, audience: &str) -> String {
        let options = TokenOptions { audience: audience.to_owned(), nonces: Vec::new() };
        self.simulator.issuer().token(vm, container, &options).unwrap()
    }

    /// The token of a machine and container that are the agreed ones but for `change`.
    fn changed(&self, change: impl FnOnce(&mut Vm, &mut Container)) -> Result<(), String> {
        let (mut vm, mut container) = (vm(), container());
        change(&mut vm, &mut container);
        self.decrypt(&self.token(&vm, &container, &audience()))
    }

    /// A token with a true signature whose claims are the agreed ones but for `change`.
    fn claimed(&self, change: impl FnOnce(&mut Value)) -> Result<(), String> {
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

/// Everything but the agreed workload that every grant must refuse.
fn mutations(released: &Released) {
    type Change = fn(&mut Vm, &mut Container);
    let machines: [(&str, Change); 14] = [
        ("a debug image", |vm, _| vm.image = Image::Debug),
        ("an image that is out of support", |vm, _| vm.image = Image::Usable),
        ("an experimental image", |vm, _| vm.image = Image::Experimental),
        ("another project", |vm, _| vm.project = "another-project".to_owned()),
        ("a project whose name begins the same", |vm, _| vm.project = format!("{OPERATOR}-2")),
        ("another service account", |vm, _| {
            vm.service_account = "other@operator-project.iam.gserviceaccount.com".to_owned()
        }),
        ("other hardware", |vm, _| vm.platform.hardware = Hardware::AmdSev),
        ("no memory encryption", |vm, _| vm.platform.hardware = Hardware::ShieldedVm),
        ("no signature", |_, container| container.image_signatures.clear()),
        ("the builder did not sign", |_, container| _ = container.image_signatures.remove(0)),
        ("a collaborator did not sign", |_, container| _ = container.image_signatures.remove(2)),
        ("one signed three times", |_, container| {
            let one = container.image_signatures[0].clone();
            container.image_signatures = vec![one.clone(), one.clone(), one];
        }),
        ("a stranger's key in the place of a party's", |_, container| {
            container.image_signatures[1].key_id = Digest::of("stranger").to_string().replace("sha256:", "");
        }),
        ("a signature under another algorithm", |_, container| {
            container.image_signatures[2].signature_algorithm = "ECDSA_P256_SHA256".to_owned();
        }),
    ];
    for (what, change) in machines {
        let refused = released.changed(change).expect_err(what);
        assert!(refused.starts_with("STS: "), "{what}: {refused}");
    }
    type Claim = fn(&mut Value);
    let claims: [(&str, Claim); 9] = [
        ("not Confidential Space", |claims| claims["swname"] = json!("GCE")),
        ("no secure boot", |claims| claims["secboot"] = json!(false)),
        ("secure boot as a text", |claims| claims["secboot"] = json!("true")),
        ("no support attributes", |claims| _ = claims["submods"].as_object_mut().unwrap().remove("confidential_space")),
        ("an attribute that contains the word", |claims| {
            claims["submods"]["confidential_space"]["support_attributes"] = json!(["UNSTABLE", "USABLE"]);
        }),
        ("attributes as one text", |claims| {
            claims["submods"]["confidential_space"]["support_attributes"] = json!("STABLE");
        }),
        ("the old debug claim", |claims| claims["dbgstat"] = json!("enable")),
        ("no service accounts", |claims| _ = claims.as_object_mut().unwrap().remove("google_service_accounts")),
        ("another issuer", |claims| claims["iss"] = json!("https://confidentialcomputing.googleapis.com/")),
    ];
    for (what, change) in claims {
        let refused = released.claimed(change).expect_err(what);
        assert!(refused.starts_with("STS: "), "{what}: {refused}");
    }
    let second = audience().replace("200000000001", "200000000002");
    for audience in ["https://sts.googleapis.com", &second, &format!("{}x", audience())] {
        let refused = released.decrypt(&released.token(&vm(), &container(), audience)).expect_err(audience);
        assert!(refused.contains("audience"), "{refused}");
    }
    let old = released.token(&vm(), &container(), &audience());
    released.simulator.advance_clock(Duration::from_secs(7200));
    assert!(released.decrypt(&old).expect_err("a token of yesterday").starts_with("STS: "));
    assert!(released.changed(|_, _| {}).is_ok(), "a new one passes all the same");
}

#[test]
fn the_agreed_workload_decrypts_and_no_mutated_machine_image_or_token_does() {
    let Some(released) = Released::by(&settings()) else { return };
    assert_eq!(released.changed(|_, _| {}), Ok(()));
    assert_eq!(released.changed(|vm, _| vm.image = Image::Production), Ok(()), "the newest image is supported too");
    mutations(&released);
    for (what, digest) in [("another image", Digest::of("another")), ("one byte more", Digest::of("the agreed image "))]
    {
        let refused = released.changed(|_, container| container.image_digest = digest).expect_err(what);
        assert!(refused.starts_with("STS: "), "{what}: {refused}");
    }
    drop(released.runtime);
}

#[test]
fn a_key_that_is_released_to_what_all_signed_takes_the_next_image_without_a_change_and_nothing_else() {
    let mut settings = settings();
    settings.collaborator.grant = Grant::Signers;
    let Some(released) = Released::by(&settings) else { return };
    assert_eq!(released.changed(|_, _| {}), Ok(()));
    let next = |_: &mut Vm, container: &mut Container| {
        container.image_digest = Digest::of("the next image");
        container.image_reference = format!("{REPOSITORY}@{}", Digest::of("the next image"));
    };
    assert_eq!(released.changed(next), Ok(()), "all signed it");
    mutations(&released);
    for reference in [
        format!("us-central1-docker.pkg.dev/builder-project/repo1/other@{}", agreed()),
        format!("{REPOSITORY}-2@{}", agreed()),
        format!("{REPOSITORY}:latest"),
    ] {
        let refused = released.changed(|_, container| container.image_reference = reference.clone());
        assert!(refused.is_err(), "{reference}");
    }
}

#[test]
fn a_subject_fits_into_google_s_limit_whatever_the_machine_is_called() {
    let Some(released) = Released::by(&settings()) else { return };
    let longest = released.changed(|vm, _| {
        vm.instance = "i".repeat(63);
        vm.zone = "northamerica-northeast1-a".to_owned();
        vm.project_number = "9".repeat(12);
        vm.instance_id = "9".repeat(20);
    });
    assert_eq!(longest, Ok(()));
}

#[test]
fn an_identity_that_another_condition_would_give_holds_no_right_on_the_key() {
    // The binding is the second wall: even with a condition that admits everything, only this digest decrypts.
    if peer("python3").is_none() {
        return;
    }
    let cloud = Cloud::new();
    let files = render_with(Target::Gcloud, "collaborator=collaborator-1", &contract(""), &settings()).unwrap();
    cloud.run(&files, &[]).success();
    let mut state = cloud.state();
    for (name, thing) in state["things"].as_object_mut().unwrap() {
        if name.starts_with("iam workload-identity-pools providers|") {
            thing["attributeCondition"] = json!("true");
        }
    }
    let released = Released::from(&state);
    assert_eq!(released.changed(|_, _| {}), Ok(()));
    let other =
        released.changed(|_, container| container.image_digest = Digest::of("another")).expect_err("another image");
    assert!(other.starts_with("KMS: "), "{other}");
}
