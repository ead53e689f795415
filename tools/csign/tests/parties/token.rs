//! `csign token`, against the simulator's launcher and issuer.

use std::{os::unix::fs::PermissionsExt as _, process::Command};

use csign_oci::{Access, ContainerConfig, LayerBuilder, Pinned, Repository, assemble, manifest::IMAGE_MANIFEST};
use serde_json::Value;
use simulator::{
    Config, LaunchRequest, Running, Simulator,
    attestation::{Image, TokenKind, TokenOptions, Vm},
};
use tokio::runtime::Runtime;

use crate::world::{Done, World};

const NAME: &str = "team/app";
const AUDIENCE: &str = "https://example.com";
const NONCE: &str = "0123456789abcdef";

/// A simulator whose machine runs an image that party a has signed.
struct Site {
    world: World,
    running: Running,
    simulator: Simulator,
    image: Pinned,
    _runtime: Runtime,
}

fn vm(image: Image) -> Vm {
    let text = str::to_owned;
    Vm {
        project: text("op"),
        project_number: text("1"),
        zone: text("z"),
        instance: text("i"),
        instance_id: text("2"),
        service_account: text("sa@op"),
        image,
        platform: Default::default(),
    }
}

impl Site {
    fn new(booted: Image) -> Self {
        let world = World::new();
        world.key("a");
        let runtime = Runtime::new().expect("runtime");
        let simulator = runtime.block_on(Simulator::start(Config::default())).expect("starts");
        let mut layer = LayerBuilder::new();
        layer.file("workload", Access::root(0o755), "#!/bin/sh\nexec sleep 600\n").expect("file");
        let config = ContainerConfig { entrypoint: vec!["/workload".to_owned()], ..ContainerConfig::default() };
        let image = assemble(config, vec![(layer.build().expect("layer"), "test")]).expect("image");
        for (_, blob) in &image.blobs {
            simulator.registry().put_blob(NAME, blob.clone());
        }
        let digest = image.descriptor.digest;
        simulator.registry().put_manifest(NAME, &digest.to_string(), IMAGE_MANIFEST, image.manifest);
        let image = Repository::parse(&format!("registry.simulator.localhost/{NAME}")).expect("name").at(digest);
        let address = simulator.address().to_string();
        world
            .csign_with(
                "CSIGN_SIMULATOR",
                &address,
                &["sign", &image.to_string(), "--key", "a.key", "--format", "legacy"],
            )
            .expect(0, &[]);
        let running = runtime.block_on(simulator.launcher().launch(LaunchRequest::new(image.clone(), vm(booted))));
        let site = Self { world, running: running.expect("launches"), simulator, image, _runtime: runtime };
        site.contract("");
        site
    }

    /// collaboration.toml, which this machine satisfies; `more` goes into its environment.
    fn contract(&self, more: &str) {
        let (pins, key) = (self.simulator.issuer_key_thumbprints(), self.world.read("a.pub"));
        self.world.write(
            "collaboration.toml",
            &format!(
                "version = 1\nname = \"test\"\n[image]\nrepository = \"registry.simulator.localhost/{NAME}\"\n[build]\n\
                 recipe = \"cargo-musl\"\n[environment]\nkind = \"simulated\"\n\
                 issuer = \"http://attestation.simulator.localhost\"\nissuer_keys = {pins:?}\n{more}\n[operator]\n\
                 project_id = \"op\"\nservice_account = \"sa@op\"\n[platform]\nhardware = [\"GCP_INTEL_TDX\"]\n\
                 [messages]\ntopic = \"projects/op/topics/t\"\nsubscription = \"projects/op/subscriptions/s\"\n\
                 [[party]]\nname = \"a\"\npublic_key = '''\n{key}'''\n"
            ),
        );
    }

    fn csign(&self, arguments: &[&str]) -> Done {
        self.world.csign_with("CSIGN_SIMULATOR", &self.simulator.address().to_string(), arguments)
    }

    fn fetch(&self, more: &[&str]) -> Done {
        let socket = self.running.root().join("run/container_launcher/teeserver.sock");
        // A socket's address is short; the test's directory may be deep.
        let link = self.world.path("launcher");
        let _ = std::os::unix::fs::symlink(socket.parent().expect("directory"), &link);
        let mut arguments = vec!["token", "fetch", "--socket", "launcher/teeserver.sock"];
        arguments.extend(more);
        self.csign(&arguments)
    }

    /// Fetches a token into a file of this name.
    fn token(&self, name: &str, more: &[&str]) {
        let arguments = ["--audience", AUDIENCE, "--nonce", NONCE, "-o", name];
        self.fetch(&[&arguments, more].concat()).expect(0, &[]);
    }

    fn verify(&self, name: &str, more: &[&str]) -> Done {
        let arguments = ["token", "verify", name, "--audience", AUDIENCE];
        self.csign(&[&arguments, more].concat())
    }
}

const SIMULATED: [&str; 3] = ["--allow-simulated", "--issuer", "http://attestation.simulator.localhost"];

#[test]
fn a_fetched_token_is_written_for_its_owner_and_printed_only_if_asked_for() {
    let site = Site::new(Image::Production);
    let done = site.fetch(&["--audience", AUDIENCE, "--nonce", NONCE, "-o", "t"]);
    let done = done.expect(0, &["not verified", "submods.container.image_digest", NONCE, "a credential"]);
    let token = site.world.read("t");
    let (signed, signature) = token.rsplit_once('.').expect("a token");
    for secret in [&token, signed, signature] {
        assert!(!done.stdout.contains(secret) && !done.stderr.contains(secret), "{done:?}");
    }
    let mode = std::fs::metadata(site.world.path("t")).expect("file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    site.fetch(&["--audience", AUDIENCE, "-o", "t"]).expect(2, &["exists already"]);
    let shown = site.fetch(&["--audience", AUDIENCE, "--show-token"]).expect(0, &[]);
    assert_eq!(shown.stdout.trim().split('.').count(), 3);
    site.fetch(&[]).expect(0, &["https://sts.googleapis.com"]);
}

#[test]
fn what_the_launcher_would_refuse_or_misread_is_refused_before_it_is_asked() {
    let site = Site::new(Image::Production);
    for (more, words) in [
        (&["--audience", AUDIENCE, "--type", "saml"][..], "--type"),
        (&["--audience", ""], "512 bytes"),
        (&["--audience", AUDIENCE, "--nonce", "short"], "nonces"),
        (&["--audience", AUDIENCE, "--key-id", "00"], "aws-principal-tags"),
        (&["--nonce", NONCE], "--audience"),
        (&["--type", "pki"], "--audience"),
    ] {
        site.fetch(more).expect(2, &[words]);
    }
    site.csign(&["token", "fetch", "--socket", "absent.sock"]).expect(3, &["connecting to absent.sock", "hint:"]);
    site.fetch(&["--audience", AUDIENCE, "--type", "aws-principal-tags"]).expect(0, &["principal_tags.gce.zone"]);
}

#[test]
fn inspect_says_that_nothing_is_verified_and_shows_no_signature() {
    let site = Site::new(Image::Production);
    site.token("t", &["--type", "pki"]);
    let done = site.csign(&["token", "inspect", "t"]).expect(0, &["not verified", "header.x5c.rootSha256", "hwmodel"]);
    let pin = site.simulator.issuer().root_fingerprint().expect("root");
    assert!(done.stdout.contains(&pin), "{}", done.stdout);
    let json = site.csign(&["--output", "json", "token", "inspect", "t"]).expect(0, &[]).json();
    assert_eq!(json["verified"], Value::Bool(false));
    assert_eq!(json["claims"]["eat_nonce"], NONCE);
    let signature = site.world.read("t").rsplit_once('.').expect("a token").1.to_owned();
    assert!(!json.to_string().contains(&signature));
}

#[test]
fn a_hostile_token_does_not_write_to_the_terminal_or_into_an_error() {
    let world = World::new();
    let part = |text: &str| {
        use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
        BASE64_URL_SAFE_NO_PAD.encode(text)
    };
    let escape = part(r#"{"sub":"\u001b[2J\u001b]0;pwned\u0007","\u001b[1mname":1}"#);
    world.write("t", &format!("{}.{escape}.c2lnbmF0dXJl", part(r#"{"alg":"RS256"}"#)));
    let done = world.csign(&["token", "inspect", "t"]).expect(0, &["pwned"]);
    assert!(!done.stdout.contains('\u{1b}') && !done.stdout.contains('\u{7}'), "{done:?}");
    for (bad, words) in [
        ("not-a-token".to_owned(), "three parts"),
        ("a.b.c.d".to_owned(), "three parts"),
        (format!("!!.{escape}.c2ln"), "base64url"),
        (format!("{}.{escape}.c2ln", part("[1]")), "not an object"),
        (format!("{}.{}.c2ln", part("{}"), part(r#"{"iss":"a","iss":"b"}"#)), "not JSON"),
        ("x".repeat(2 << 20), "larger"),
    ] {
        world.write("bad", &bad);
        let done = world.csign(&["token", "inspect", "bad"]).expect(2, &[words]);
        assert!(!done.stderr.contains(&escape), "{done:?}");
        world.csign(&["token", "verify", "bad", "--audience", AUDIENCE]).expect(2, &[]);
    }
}

#[test]
fn verify_tells_a_good_token_from_each_kind_of_bad_one() {
    let site = Site::new(Image::Production);
    site.token("t", &[]);
    site.verify("t", &[&SIMULATED[..], &["--nonce", NONCE]].concat()).expect(0, &["VERIFIED"]);
    site.verify("t", &SIMULATED[1..]).expect(1, &["simulator", "--allow-simulated"]);
    site.verify("t", &[&SIMULATED[..], &["--nonce", "fedcba9876543210"]].concat()).expect(1, &["eat_nonce"]);
    let other = ["token", "verify", "t", "--audience", "https://other.example"];
    site.csign(&[&other, &SIMULATED[..]].concat()).expect(1, &["\"aud\""]);
    let late = (site.simulator.clock().now() + 4000).to_string();
    site.verify("t", &[&SIMULATED[..], &["--now", &late]].concat()).expect(1, &["expired"]);
    site.verify("t", &[&SIMULATED[..], &["--type", "pki"]].concat()).expect(1, &["not accepted", "OIDC token"]);
    site.world
        .csign(&[&["token", "verify", "t", "--audience", AUDIENCE], &SIMULATED[..]].concat())
        .expect(2, &["CSIGN_SIMULATOR"]);

    let token = site.world.read("t");
    let (signed, _) = token.rsplit_once('.').expect("a token");
    site.world.write("forged", &format!("{signed}.{}", "A".repeat(342)));
    let done = site.verify("forged", &SIMULATED).expect(1, &["signature does not verify"]);
    assert!(!done.stderr.contains(signed) && !done.stdout.contains(signed), "{done:?}");
}

#[test]
fn verify_takes_the_issuers_keys_from_a_file_and_an_unreachable_issuer_is_could_not_check() {
    let site = Site::new(Image::Production);
    site.token("t", &[]);
    let url = "service_accounts/v1/metadata/jwk/signer@confidentialspace-sign.iam.gserviceaccount.com";
    let answer = Command::new("curl").args(["-sf", &format!("{}/{url}", site.simulator.endpoint())]).output();
    let Ok(keys) = answer.map(|answer| String::from_utf8(answer.stdout).expect("text")) else {
        return println!("skipped: there is no curl");
    };
    site.world.write("keys.json", &keys);
    let arguments = [&["token", "verify", "t", "--audience", AUDIENCE, "--jwks", "keys.json"], &SIMULATED[..]].concat();
    site.world.csign(&arguments).expect(0, &["VERIFIED"]);
    site.world.write("keys.json", &keys.replace("\"kid\":\"", "\"kid\":\"x"));
    site.world.csign(&arguments).expect(1, &["not among the issuer's accepted keys"]);
    site.world.write("keys.json", "{}");
    site.world.csign(&arguments).expect(2, &["keys.json"]);
    let arguments = [&["token", "verify", "t", "--audience", AUDIENCE], &SIMULATED[..]].concat();
    site.world.csign_with("CSIGN_SIMULATOR", "127.0.0.1:1", &arguments).expect(3, &["fetching", "--jwks"]);
}

#[test]
fn a_pki_token_needs_the_root_that_was_named_or_pinned() {
    let site = Site::new(Image::Production);
    site.token("p", &["--type", "pki"]);
    site.world.write("root.pem", &site.simulator.issuer().root_pem().expect("root"));
    let pki = [&SIMULATED[..], &["--type", "pki"]].concat();
    site.verify("p", &[&pki[..], &["--root", "root.pem"]].concat()).expect(0, &["VERIFIED"]);
    site.verify("p", &pki).expect(1, &["not a pinned one"]);
    site.verify("p", &SIMULATED).expect(1, &["\"x5c\""]);
    site.verify("p", &[&SIMULATED[..], &["--root", "root.pem"]].concat()).expect(2, &["--type pki"]);
    let contract = ["--contract", "collaboration.toml", "--allow-simulated", "--type", "pki"];
    site.verify("p", &contract).expect(2, &["pins no root"]);
    let pin = site.simulator.issuer().root_fingerprint().expect("root");
    site.contract(&format!("issuer_roots = [\"{pin}\"]"));
    site.verify("p", &contract).expect(0, &["VERIFIED"]);
    site.contract(&format!("issuer_roots = [\"{}\"]", "0".repeat(64)));
    site.verify("p", &contract).expect(1, &["not a pinned one"]);
}

#[test]
fn a_contract_is_held_against_the_claims_as_at_the_boot() {
    let site = Site::new(Image::Production);
    site.token("t", &[]);
    let contract = ["--contract", "collaboration.toml", "--allow-simulated"];
    let done =
        site.verify("t", &contract).expect(0, &["hwmodel", "signature of a", "VERIFIED under the contract test"]);
    assert!(done.stdout.contains(&site.image.digest.to_string()), "{}", done.stdout);
    site.verify("t", &contract[..2]).expect(1, &["--allow-simulated"]);
    let good = site.world.read("collaboration.toml");
    site.world.write("collaboration.toml", &good.replace("GCP_INTEL_TDX", "GCP_AMD_SEV"));
    let refused = site.verify("t", &[&contract[..], &["--output", "json"]].concat()).expect(1, &[]);
    assert_eq!(refused.json()["verdict"], "rejected");
    site.world.write("collaboration.toml", &good.replace("\"sa@op\"", "\"other@op\""));
    site.verify("t", &contract).expect(1, &["REFUSED  service account"]);
    site.world.key("b");
    let second = format!("{good}[[party]]\nname = \"b\"\npublic_key = '''\n{}'''\n", site.world.read("b.pub"));
    site.world.write("collaboration.toml", &second);
    site.verify("t", &contract).expect(1, &["signature of b", "MISSING"]);
    let pins = site.simulator.issuer_key_thumbprints();
    site.world.write("collaboration.toml", &good.replace(&pins[0], &"A".repeat(43)));
    site.verify("t", &contract).expect(1, &["pinned"]);
}

#[test]
fn a_signature_that_only_the_registry_has_counts_where_the_contract_lets_it() {
    let site = Site::new(Image::Production);
    site.world.key("b");
    let image = site.image.to_string();
    site.csign(&["sign", &image, "--key", "b.key", "--format", "legacy"]).expect(0, &[]);
    site.token("t", &[]);
    let contract = ["--contract", "collaboration.toml", "--allow-simulated"];
    let good = site.world.read("collaboration.toml");
    let second = format!("{good}[[party]]\nname = \"b\"\npublic_key = '''\n{}'''\n", site.world.read("b.pub"));
    for (sources, status) in [("any", 0), ("registry", 0), ("token", 1), ("both", 1)] {
        site.world.write("collaboration.toml", &format!("signatures = {{ sources = \"{sources}\" }}\n{second}"));
        site.verify("t", &contract).expect(status, &["signature of b"]);
    }
}

#[test]
fn a_debug_machines_token_is_rejected_under_the_contract() {
    let site = Site::new(Image::Debug);
    site.token("t", &[]);
    let contract = ["--contract", "collaboration.toml", "--allow-simulated"];
    site.verify("t", &contract).expect(1, &["REFUSED  dbgstat", "debug image"]);
}

#[test]
fn diff_expects_times_and_nonces_to_differ_and_nothing_else() {
    let site = Site::new(Image::Production);
    site.token("a", &[]);
    site.simulator.advance_clock(std::time::Duration::from_secs(60));
    let later = ["--audience", AUDIENCE, "--nonce", "fedcba9876543210", "-o", "b"];
    site.fetch(&later).expect(0, &[]);
    site.csign(&["token", "diff", "a", "b"]).expect(0, &["expected: time", "expected: nonce"]);
    site.csign(&["token", "diff", "a", "a"]).expect(0, &["say the same"]);
    let other = simulator::attestation::Vm { project: "elsewhere".to_owned(), ..vm(Image::Production) };
    let container = simulator::attestation::Container {
        image_reference: site.image.to_string(),
        image_digest: site.image.digest,
        image_id: site.image.digest,
        restart_policy: "Never".to_owned(),
        args: Vec::new(),
        env: Default::default(),
        env_override: Default::default(),
        cmd_override: Vec::new(),
        image_signatures: Vec::new(),
    };
    let options = TokenOptions { audience: AUDIENCE.to_owned(), nonces: Vec::new() };
    let token = site.simulator.issuer().token_of(&TokenKind::Oidc, &other, &container, &options).expect("token");
    site.world.write("c", &token);
    let done = site.csign(&["--output", "json", "token", "diff", "a", "c"]).expect(1, &[]).json();
    let of = |claim: &str| {
        let all = done["differences"].as_array().expect("rows");
        all.iter().find(|row| row["claim"] == claim).unwrap_or_else(|| panic!("{claim} in {done}")).clone()
    };
    assert_eq!(of("submods.gce.project_id")["expected"], Value::Null);
    assert_eq!(of("eat_nonce")["expected"], Value::Null, "a nonce that only one of them has is no expected difference");
    assert_eq!(done["same"], Value::Bool(false));
    site.csign(&["token", "diff", "-", "-"]).expect(2, &["stdin"]);
}
