//! The launcher: what starts, with which environment and token, and what does not start.

use std::{
    collections::BTreeMap,
    io::Write as _,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use csign_oci::{
    Descriptor, Manifest, Pinned, Repository,
    image::{ContainerConfig, assemble},
    layer::{Access, LayerBuilder},
    manifest::IMAGE_MANIFEST,
};
use p256::{
    ecdsa::{DerSignature, SigningKey, signature::Signer as _},
    pkcs8::{EncodePublicKey as _, LineEnding},
};
use serde_json::{Value, json};
use simulator::{
    Config, Error, LaunchRequest, Running, Simulator,
    attestation::Image,
    launcher::{LogRedirect, MachineEnd, Monitoring, Mount, RestartPolicy},
    registry::{Effect, Fault},
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::scene::vm;

const NAME: &str = "team/app";
const PATIENCE: Duration = Duration::from_secs(60);
/// Runs wherever a shell is; without a root of its own it uses this machine's.
pub(crate) const SCRIPT: &str =
    "#!/bin/sh\necho started \"$@\"\nenv\necho on stderr >&2\n[ -z \"$STAY\" ] || exec sleep 600\n";

fn repository() -> Repository {
    Repository::parse(&format!("registry.simulator.localhost/{NAME}")).expect("repository")
}

pub(crate) async fn start(root_helper: Option<PathBuf>) -> Simulator {
    Simulator::start(Config { root_helper, ..Config::default() }).await.expect("starts")
}

/// Pushes an image whose `/workload` is `program`.
pub(crate) fn push(simulator: &Simulator, program: &[u8], labels: &[(&str, &str)]) -> Pinned {
    let mut layer = LayerBuilder::new();
    layer.file("workload", Access::root(0o755), program).expect("file");
    push_layer(simulator, layer, labels)
}

fn push_layer(simulator: &Simulator, layer: LayerBuilder, labels: &[(&str, &str)]) -> Pinned {
    push_image(simulator, layer, config(labels))
}

fn config(labels: &[(&str, &str)]) -> ContainerConfig {
    ContainerConfig {
        user: "65532:65532".to_owned(),
        env: vec!["PATH=/usr/bin:/bin".to_owned(), "FROM_IMAGE=1".to_owned()],
        entrypoint: vec!["/workload".to_owned()],
        cmd: vec!["argument".to_owned()],
        labels: labels.iter().map(|(name, value)| (format!("tee.launch_policy.{name}"), (*value).to_owned())).collect(),
        ..ContainerConfig::default()
    }
}

fn push_image(simulator: &Simulator, layer: LayerBuilder, config: ContainerConfig) -> Pinned {
    let image = assemble(config, vec![(layer.build().expect("layer"), "test")]).expect("image");
    for (_, blob) in image.blobs {
        simulator.registry().put_blob(NAME, blob);
    }
    let digest = image.descriptor.digest.to_string();
    simulator.registry().put_manifest(NAME, &digest, IMAGE_MANIFEST, image.manifest);
    repository().at(image.descriptor.digest)
}

pub(crate) fn request(image: &Pinned) -> LaunchRequest {
    // Without a repository to look in, discovery does not wait for signatures that are not there.
    LaunchRequest { signed_image_repos: Vec::new(), ..LaunchRequest::new(image.clone(), vm(Image::Production)) }
}

fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

pub(crate) fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).expect("three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).expect("base64url")).expect("json")
}

pub(crate) fn default_claims(running: &Running) -> Value {
    claims(&std::fs::read_to_string(running.claims_token()).expect("token file"))
}

/// One request to the launcher's socket: status and body.
pub(crate) async fn ask(running: &Running, method: &str, body: &str) -> (u16, String) {
    let socket = running.root().join("run/container_launcher/teeserver.sock");
    let mut stream = tokio::net::UnixStream::connect(socket).await.expect("connects");
    let length = body.len();
    let head = format!(
        "{method} /v1/token HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await.expect("writes");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("reads");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status"), body.to_owned())
}

async fn wait(running: &Running) -> std::process::ExitStatus {
    tokio::time::timeout(PATIENCE, running.wait()).await.expect("ends in time").expect("status")
}

#[tokio::test]
async fn the_program_gets_the_images_environment_with_allowed_overrides_and_nothing_of_ours() {
    let simulator = start(None).await;
    let image = push(&simulator, SCRIPT.as_bytes(), &[("allow_env_override", "CSIGN_SIMULATOR, OTHER")]);
    let request = LaunchRequest { env: pairs(&[("CSIGN_SIMULATOR", "127.0.0.1:1")]), ..request(&image) };
    let running = simulator.launcher().launch(request).await.expect("launches");
    assert!(wait(&running).await.success(), "{}", running.text());
    let lines: Vec<String> = running.lines().into_iter().map(|line| line.text).collect();
    for wanted in ["started argument", "FROM_IMAGE=1", "CSIGN_SIMULATOR=127.0.0.1:1", "on stderr"] {
        assert!(lines.iter().any(|line| line == wanted), "{wanted:?} is missing from {lines:?}");
    }
    assert!(std::env::vars_os().any(|(name, _)| name.to_string_lossy().starts_with("CARGO")), "nothing to leak");
    assert!(!lines.iter().any(|line| line.starts_with("CARGO") || line.starts_with("HOME=")), "leaked: {lines:?}");
    assert!(running.text().contains("runs from the extracted directory"), "the launcher says so");
    let container = &default_claims(&running)["submods"]["container"];
    assert_eq!(container["image_digest"], image.digest.to_string());
    assert_eq!(container["env_override"], json!({"CSIGN_SIMULATOR": "127.0.0.1:1"}));
    assert_eq!(container["args"], json!(["/workload", "argument"]));
    assert_eq!(container["cmd_override"], Value::Null);
    assert_eq!(container["image_signatures"], Value::Null);
}

#[tokio::test]
async fn the_program_is_told_where_the_simulator_is_only_if_its_image_lets_that_be_said() {
    let simulator = start(None).await;
    let address = simulator.address().to_string();
    for (allowed, given, told) in [
        ("CSIGN_SIMULATOR", None, Some(address.as_str())),
        ("CSIGN_SIMULATOR", Some("127.0.0.1:1"), Some("127.0.0.1:1")),
        ("OTHER", None, None),
    ] {
        let image = push(&simulator, SCRIPT.as_bytes(), &[("allow_env_override", allowed)]);
        let env = given.map(|given| pairs(&[("CSIGN_SIMULATOR", given)])).unwrap_or_default();
        let running = simulator.launcher().launch(LaunchRequest { tells_address: true, env, ..request(&image) }).await;
        let running = running.expect("launches");
        assert!(wait(&running).await.success(), "{}", running.text());
        let line = running.lines().into_iter().find_map(|l| l.text.strip_prefix("CSIGN_SIMULATOR=").map(str::to_owned));
        assert_eq!(line.as_deref(), told);
        // What the operator's metadata would have said is attested as that.
        let attested = told.map_or(Value::Null, |told| json!({"CSIGN_SIMULATOR": told}));
        assert_eq!(default_claims(&running)["submods"]["container"]["env_override"], attested);
    }
}

#[tokio::test]
async fn an_override_that_the_image_does_not_allow_starts_nothing() {
    let simulator = start(None).await;
    let image = push(&simulator, SCRIPT.as_bytes(), &[("allow_env_override", "CSIGN_SIMULATOR")]);
    let attacks = [
        LaunchRequest { env: pairs(&[("LD_PRELOAD", "x")]), ..request(&image) },
        LaunchRequest { env: pairs(&[("CSIGN_SIMULATOR", "x"), ("CSIGN", "x")]), ..request(&image) },
        LaunchRequest { cmd: Some(Vec::new()), ..request(&image) },
    ];
    for attack in attacks {
        let error = simulator.launcher().launch(attack).await.expect_err("refused");
        assert!(matches!(error, Error::LaunchPolicy(_)), "{error}");
        let last = simulator.audit().pop().expect("an entry");
        assert!(!last.allowed && last.service == "launcher", "{last:?}");
    }
    let unknown = push(&simulator, SCRIPT.as_bytes(), &[("allow_everything", "true")]);
    assert!(matches!(simulator.launcher().launch(request(&unknown)).await, Err(Error::LaunchPolicy(_))));
    let open = push(&simulator, SCRIPT.as_bytes(), &[("allow_cmd_override", "true")]);
    let allowed = LaunchRequest { cmd: Some(vec!["other".to_owned()]), ..request(&open) };
    let running = simulator.launcher().launch(allowed).await.expect("launches");
    wait(&running).await;
    assert!(running.text().contains("started other"));
    assert_eq!(default_claims(&running)["submods"]["container"]["cmd_override"], json!(["other"]));
}

#[tokio::test]
async fn the_socket_gives_tokens_as_asked_and_refuses_what_the_real_one_refuses() {
    let simulator = start(None).await;
    let image = push(&simulator, SCRIPT.as_bytes(), &[]);
    let debug = LaunchRequest { vm: vm(Image::Debug), ..request(&image) };
    let running = simulator.launcher().launch(debug).await.expect("launches");
    let (status, token) = ask(&running, "GET", "").await;
    assert_eq!((status, claims(&token)["aud"].as_str()), (200, Some("https://sts.googleapis.com")));
    assert_eq!(claims(&token)["dbgstat"], "enabled");
    assert_eq!(claims(&token)["submods"]["confidential_space"]["support_attributes"], Value::Null);

    let one = r#"{"audience":"//x","nonces":["0123456789"],"token_type":"OIDC"}"#;
    let (status, token) = ask(&running, "POST", one).await;
    assert_eq!((status, &claims(&token)["eat_nonce"]), (200, &json!("0123456789")));
    let two = r#"{"audience":"//x","nonces":["0123456789","9876543210"],"token_type":"OIDC"}"#;
    let (_, token) = ask(&running, "POST", two).await;
    assert_eq!(claims(&token)["eat_nonce"], json!(["0123456789", "9876543210"]));

    let seven = json!({"audience": "//x", "nonces": vec!["0123456789"; 7], "token_type": "OIDC"}).to_string();
    let long = json!({"audience": "x".repeat(513), "token_type": "OIDC"}).to_string();
    for (body, answer) in [
        ("nonsense", "failed to parse POST body as TokenOptions: "),
        (r#"{"audience":"//x","token_type":"OIDC","extra":1}"#, "failed to parse POST body as TokenOptions: "),
        (r#"{"token_type":"OIDC"}"#, "use GET request for the default identity token"),
        (r#"{"audience":"//x"}"#, "token_type is a required parameter"),
        (r#"{"audience":"//x","nonces":["short"],"token_type":"OIDC"}"#, "failed to retrieve custom attestation"),
        (&seven, "failed to retrieve custom attestation"),
        (&long, "failed to retrieve custom attestation"),
        (
            r#"{"audience":"//x","token_type":"AWS_PRINCIPALTAGS","aws_principal_tag_options":{"tags":{}}}"#,
            "failed to parse POST body as TokenOptions: ",
        ),
    ] {
        let (status, text) = ask(&running, "POST", body).await;
        assert_eq!(status, 400, "{body}");
        assert!(text.starts_with(answer), "{body}: {text}");
    }
    let (status, text) = ask(&running, "PUT", "").await;
    assert_eq!((status, text.as_str()), (400, "TEE server received an invalid HTTP method: PUT"));
}

/// A `.sig` layer as cosign writes it, with the Confidential Space fields.
pub(crate) fn signature(key: &SigningKey, image: &Pinned) -> (Vec<u8>, String) {
    let pem = p256::PublicKey::from(*key.verifying_key()).to_public_key_pem(LineEnding::LF).expect("pem");
    let payload = json!({
        "critical": {
            "identity": {"docker-reference": image.repository.to_string()},
            "image": {"docker-manifest-digest": image.digest},
            "type": "cosign container image signature",
        },
        "optional": {
            "dev.cosignproject.cosign/pub": STANDARD_NO_PAD.encode(pem),
            "dev.cosignproject.cosign/sigalg": "ECDSA_P256_SHA256",
        },
    })
    .to_string()
    .into_bytes();
    let signature: DerSignature = key.sign(&payload);
    (payload, STANDARD.encode(signature.as_bytes()))
}

pub(crate) fn attach(simulator: &Simulator, image: &Pinned, signatures: &[(Vec<u8>, String)]) {
    let mut layers = Vec::new();
    for (payload, signature) in signatures {
        simulator.registry().put_blob(NAME, payload.clone());
        let mut layer = Descriptor::of("application/vnd.dev.cosign.simplesigning.v1+json", payload);
        layer.annotations.insert("dev.cosignproject.cosign/signature".to_owned(), signature.clone());
        layers.push(layer);
    }
    let manifest = Manifest::new(Descriptor::empty(), layers).to_bytes().expect("manifest");
    let tag = format!("sha256-{}.sig", image.digest.hex());
    simulator.registry().put_manifest(NAME, &tag, IMAGE_MANIFEST, manifest);
}

pub(crate) fn signer(seed: u8) -> SigningKey {
    SigningKey::from_slice(&[seed; 32]).expect("key")
}

#[tokio::test]
async fn valid_signatures_are_in_the_token_and_forged_or_later_ones_are_not() {
    let simulator = start(None).await;
    let image = push(&simulator, SCRIPT.as_bytes(), &[]);
    let other = push(&simulator, b"other", &[]);
    let forged = (signature(&signer(1), &image).0, signature(&signer(2), &image).1);
    let good = [signature(&signer(1), &image), signature(&signer(3), &image)];
    let bad = [forged, signature(&signer(4), &other)];
    attach(&simulator, &image, &[good.as_slice(), &bad].concat());
    let signed = LaunchRequest::new(image.clone(), vm(Image::Production));
    let running = simulator.launcher().launch(signed).await.expect("launches");
    attach(&simulator, &image, &[signature(&signer(5), &image)]);

    let default = default_claims(&running);
    let entries = default["submods"]["container"]["image_signatures"].as_array().expect("entries");
    let found: Vec<&str> = entries.iter().filter_map(|entry| entry["signature"].as_str()).collect();
    assert_eq!(found, [good[0].1.as_str(), good[1].1.as_str()]);
    let der = p256::PublicKey::from(*signer(1).verifying_key()).to_public_key_der().expect("der");
    assert_eq!(entries[0]["key_id"], csign_oci::Digest::of(der.as_bytes()).hex());
    assert_eq!(running.text().matches("does not count").count(), 2, "{}", running.text());
    let audit = simulator.audit();
    let entry = audit.iter().find(|entry| entry.method == "signatures").expect("an entry");
    let key = csign_oci::Digest::of(der.as_bytes()).hex();
    assert!(entry.allowed && entry.clause.starts_with("2 valid") && entry.clause.contains(&key), "{entry:?}");
    assert_eq!(entry.clause.matches("does not count").count(), 2, "{entry:?}");
}

#[tokio::test]
async fn more_than_three_hundred_signatures_start_nothing_and_an_unreachable_tag_starts_without() {
    let simulator = start(None).await;
    let image = push(&simulator, SCRIPT.as_bytes(), &[]);
    let signed = || LaunchRequest::new(image.clone(), vm(Image::Production));
    let running = simulator.launcher().launch(signed()).await.expect("launches without signatures");
    assert_eq!(default_claims(&running)["submods"]["container"]["image_signatures"], Value::Null);
    let tries = simulator.registry().count(|request| request.path.ends_with(".sig"));
    assert_eq!(tries, 3);
    attach(&simulator, &image, &vec![signature(&signer(1), &image); 301]);
    assert!(matches!(simulator.launcher().launch(signed()).await, Err(Error::Pull { .. })));
    attach(&simulator, &image, &vec![signature(&signer(1), &image); 300]);
    simulator.launcher().launch(signed()).await.expect("launches");
}

#[tokio::test]
async fn content_that_is_not_what_its_digest_says_starts_nothing() {
    let simulator = start(None).await;
    let image = push(&simulator, SCRIPT.as_bytes(), &[]);
    let unknown = repository().at(csign_oci::Digest::of("nothing"));
    assert!(matches!(simulator.launcher().launch(request(&unknown)).await, Err(Error::Pull { .. })));
    let other = push(&simulator, b"other", &[]);
    let stored = |image: &Pinned| simulator.registry().manifest(NAME, &image.digest.to_string()).expect("pushed").bytes;
    let manifest: Manifest = serde_json::from_slice(&stored(&image)).expect("manifest");
    let config = simulator.registry().blob(NAME, &manifest.config.digest).expect("pushed");
    // As long as the genuine one, and well formed: only its digest differs.
    let forged = String::from_utf8(config.to_vec()).expect("json").replace("argument", "ARGUMENT");
    let attacks = [
        ("/manifests/", Effect::Body(stored(&other))),
        ("/blobs/", Effect::Body(forged.into())),
        ("/blobs/", Effect::Body(bytes::Bytes::from_static(b"shorter"))),
        ("/manifests/", Effect::Truncate),
        ("/blobs/", Effect::Truncate),
        ("/manifests/", Effect::Status(500, None)),
        ("/blobs/", Effect::Status(403, None)),
    ];
    for (part, effect) in attacks {
        simulator.registry().inject(Fault::on(part, effect));
        let error = simulator.launcher().launch(request(&image)).await.expect_err(part);
        assert!(matches!(error, Error::Pull { .. }), "{error}");
        simulator.registry().clear_faults();
    }
    simulator.launcher().launch(request(&image)).await.expect("launches");
}

#[tokio::test]
async fn an_image_that_redirects_the_launchers_directory_starts_nothing() {
    let simulator = start(None).await;
    let outside = tempfile::tempdir().expect("outside");
    let mut layer = LayerBuilder::new();
    layer.file("workload", Access::root(0o755), SCRIPT).expect("file");
    layer.symlink("run", outside.path().to_str().expect("utf-8")).expect("link");
    let image = push_layer(&simulator, layer, &[]);
    assert!(matches!(simulator.launcher().launch(request(&image)).await, Err(Error::Layer { .. })));
    assert_eq!(std::fs::read_dir(outside.path()).expect("outside").count(), 0);
}

fn staying(image: &Pinned) -> LaunchRequest {
    LaunchRequest { env: pairs(&[("STAY", "1")]), ..request(image) }
}

#[tokio::test]
async fn sigterm_reaches_the_program_and_dropping_kills_it() {
    let simulator = start(None).await;
    let image = push(&simulator, SCRIPT.as_bytes(), &[("allow_env_override", "STAY")]);
    let restarting = LaunchRequest { restart_policy: RestartPolicy::Always, ..staying(&image) };
    let running = simulator.launcher().launch(restarting).await.expect("launches");
    running.follow().find(|line| line == "on stderr").await.expect("it runs");
    let status = running.stop(PATIENCE).await.expect("status");
    assert_eq!(status.signal(), Some(15), "{}", running.text());

    let image = push(&simulator, b"#!/bin/sh\necho $$\nexec sleep 600\n", &[]);
    let running = simulator.launcher().launch(request(&image)).await.expect("launches");
    let pid = running.follow().find(|line| line.parse::<u32>().is_ok()).await.expect("its id").text;
    let process = PathBuf::from(format!("/proc/{pid}"));
    assert!(process.exists());
    drop(running);
    let gone = async {
        while process.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("killed in time");
}

#[tokio::test]
async fn a_failing_program_is_started_again_if_the_operator_says_so() {
    let simulator = start(None).await;
    let image = push(&simulator, b"#!/bin/sh\necho life\nexit 3\n", &[]);
    let request = LaunchRequest { restart_policy: RestartPolicy::OnFailure, ..request(&image) };
    let running = simulator.launcher().launch(request).await.expect("launches");
    let mut lines = running.follow();
    for _ in 0..2 {
        tokio::time::timeout(PATIENCE, lines.find(|line| line == "life")).await.expect("in time").expect("a life");
    }
    running.stop(PATIENCE).await.expect("status");
}

const INSIDE: &str = r#"
use std::{fs, io::{Read, Write}, os::unix::{fs::MetadataExt, net::UnixStream}};
fn main() {
    let mut names: Vec<_> = fs::read_dir("/").unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    println!("root {}", names.join(" "));
    fs::write("/tmp/mine", "x").unwrap();
    let me = fs::metadata("/tmp/mine").unwrap();
    println!("user {}:{}", me.uid(), me.gid());
    println!("denied {}", fs::write("/workload", "x").is_err());
    println!("directory {}", std::env::current_dir().unwrap().display());
    println!("env {}", std::env::vars().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(" "));
    let token = fs::read_to_string("/run/container_launcher/attestation_verifier_claims_token").unwrap();
    println!("token {}", token.matches('.').count());
    let mut socket = UnixStream::connect("/run/container_launcher/teeserver.sock").unwrap();
    socket.write_all(b"GET /v1/token HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    println!("socket {}", answer.lines().next().unwrap());
}
"#;

/// Compiles a static program with the toolchain's own linker, or with the machine's.
fn compile(directory: &Path) -> Option<Vec<u8>> {
    let source = directory.join("inside.rs");
    std::fs::write(&source, INSIDE).expect("writes");
    let musl = ["--target=x86_64-unknown-linux-musl", "-Clinker=rust-lld", "-Clink-self-contained=yes"];
    let gnu = ["-Ctarget-feature=+crt-static"];
    [musl.as_slice(), &gnu].into_iter().find_map(|options| {
        let program = directory.join("inside");
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let output = Command::new(rustc).arg(&source).arg("-o").arg(&program).args(options).output().ok()?;
        output.status.success().then(|| std::fs::read(program).expect("program"))
    })
}

#[tokio::test]
async fn with_a_helper_the_program_sees_its_own_root_only_as_the_images_user() {
    let directory = tempfile::tempdir().expect("directory");
    let Some(program) = compile(directory.path()) else {
        assert!(
            std::env::var_os("CI_PEERS").is_none_or(|peers| peers != "required"),
            "no static program can be linked"
        );
        let _ = writeln!(std::io::stderr(), "SKIPPED: neither the musl target nor a static C library is installed");
        return;
    };
    let simulator = start(Some(crate::scene::program())).await;
    let mut layer = LayerBuilder::new();
    layer.directory("tmp", Access { mode: 0o700, uid: 65532, gid: 65532 }).expect("directory");
    layer.file("workload", Access::root(0o755), program).expect("file");
    let config = ContainerConfig { working_dir: "/srv/here".to_owned(), ..config(&[]) };
    let image = push_image(&simulator, layer, config);
    let running = simulator.launcher().launch(request(&image)).await.expect("launches");
    let status = wait(&running).await;
    let text = running.text();
    if text.contains("runs from the extracted directory") {
        let _ = writeln!(std::io::stderr(), "SKIPPED: this system allows no root of its own: {text}");
        return;
    }
    assert!(status.success(), "{text}");
    for wanted in [
        "root dev etc run srv tmp workload",
        "user 65532:65532",
        "denied true",
        "directory /srv/here",
        "env FROM_IMAGE=1 HOSTNAME=workload PATH=/usr/bin:/bin",
        "token 2",
        "socket HTTP/1.1 200 OK",
    ] {
        assert!(text.lines().any(|line| line == wanted), "{wanted:?} is missing from\n{text}");
    }
}

#[tokio::test]
async fn what_the_operator_asks_for_beside_the_image_is_in_the_claims_or_starts_nothing() {
    let simulator = start(None).await;
    let labels =
        [("hardened_monitoring", "memoryonly"), ("allow_mount_destinations", "/data"), ("log_redirect", "always")];
    let image = push(&simulator, SCRIPT.as_bytes(), &labels);
    let mut asked = request(&image);
    asked.vm.platform.impersonated = vec!["other@project.iam.gserviceaccount.com".to_owned()];
    asked.monitoring = Monitoring::MemoryOnly;
    asked.mounts = vec![Mount { destination: "/data/scratch".to_owned(), size: Some(1 << 20) }];
    asked.log_redirect = LogRedirect::Serial;
    let running = simulator.launcher().launch(asked).await.expect("launches");
    wait(&running).await;
    let claims = default_claims(&running);
    let accounts = json!(["vm@operator.iam.gserviceaccount.com", "other@project.iam.gserviceaccount.com"]);
    assert_eq!(claims["google_service_accounts"], accounts);
    assert_eq!(claims["submods"]["confidential_space"]["monitoring_enabled"], json!({"memory": true}));
    assert_eq!(claims["submods"]["container"]["env"]["HOSTNAME"], "workload");
    assert!(running.root().join("data/scratch").is_dir());
    assert!(running.text().contains("will be redirected to serial logging"), "{}", running.text());

    type Attack = fn(&mut LaunchRequest);
    let attacks: [(&str, Attack); 5] = [
        ("destination mount points are not allowed", |asked| {
            asked.mounts = vec![Mount { destination: "/data/../etc".to_owned(), size: None }];
        }),
        ("policy only allows memory", |asked| asked.monitoring = Monitoring::All),
        ("additional capabilities are not allowed", |asked| asked.capabilities = vec!["CAP_SYS_ADMIN".to_owned()]),
        ("cgroups usage is not allowed", |asked| asked.cgroup_namespace = true),
        ("not allowed to be overridden", |asked| drop(asked.env.insert("A".to_owned(), "1".to_owned()))),
    ];
    for (words, attack) in attacks {
        let mut asked = request(&image);
        attack(&mut asked);
        let error = simulator.launcher().launch(asked).await.expect_err(words);
        assert!(error.to_string().contains(words), "{error}");
        let last = simulator.audit().pop().expect("an entry");
        assert!(!last.allowed && last.clause.contains(words) && last.clause.contains("exit code: 1"), "{last:?}");
    }
}

#[tokio::test]
async fn the_machine_ends_as_the_launchers_exit_code_says() {
    let simulator = start(None).await;
    let well = push(&simulator, b"#!/bin/sh\nexit 0\n", &[]);
    let badly = push(&simulator, b"#!/bin/sh\nexit 3\n", &[]);
    for (image, booted, restart, end, code) in [
        (&well, Image::Production, RestartPolicy::Never, MachineEnd::Finished, 0),
        (&badly, Image::Production, RestartPolicy::Never, MachineEnd::Failed, 1),
        (&well, Image::Production, RestartPolicy::OnFailure, MachineEnd::Finished, 0),
        (&well, Image::Debug, RestartPolicy::Always, MachineEnd::Hold, 4),
        (&badly, Image::Debug, RestartPolicy::OnFailure, MachineEnd::Hold, 4),
    ] {
        let asked = LaunchRequest { restart_policy: restart, vm: vm(booted), ..request(image) };
        let running = simulator.launcher().launch(asked).await.expect("launches");
        wait(&running).await;
        assert_eq!(running.machine_end(), Some(end), "{booted:?} {restart:?}");
        let text = running.text();
        assert!(text.contains(&format!("exit code: {code} (")) && !text.contains("restarting"), "{text}");
    }
    let asked = LaunchRequest { restart_policy: RestartPolicy::Always, ..request(&well) };
    let running = simulator.launcher().launch(asked).await.expect("launches");
    running.follow().find(|line| line.starts_with("restarting")).await.expect("it comes again");
    assert_eq!(running.machine_end(), None);
    assert!(running.text().contains("exit code: 3 (rebooting VM)"), "{}", running.text());
    running.stop(PATIENCE).await.expect("status");
    assert_ne!(running.machine_end(), None);
}

#[tokio::test]
async fn an_image_without_an_entry_point_cannot_be_given_a_command_and_odd_ports_start_nothing() {
    let simulator = start(None).await;
    let layer = || {
        let mut layer = LayerBuilder::new();
        layer.file("workload", Access::root(0o755), SCRIPT).expect("file");
        layer
    };
    let bare = ContainerConfig {
        entrypoint: Vec::new(),
        cmd: vec!["/workload".to_owned()],
        ..config(&[("allow_cmd_override", "true")])
    };
    let image = push_image(&simulator, layer(), bare);
    let own = simulator.launcher().launch(request(&image)).await.expect("its own command is enough");
    assert!(wait(&own).await.success());
    let asked = LaunchRequest { cmd: Some(vec!["/bin/sh".to_owned()]), ..request(&image) };
    let error = simulator.launcher().launch(asked).await.expect_err("refused").to_string();
    assert!(error.contains("length of Args [1] is shorter or equal to the length of the given Cmd [1]"), "{error}");
    for (port, words) in [
        ("8080", "failed to parse port and protocol"),
        ("x/tcp", "received invalid port number"),
        ("70000/tcp", "received invalid port number"),
        ("53/sctp", "received unknown protocol"),
    ] {
        let mut odd = config(&[]);
        odd.extra.insert("ExposedPorts".to_owned(), json!({port: {}}));
        let image = push_image(&simulator, layer(), odd);
        let error = simulator.launcher().launch(request(&image)).await.expect_err(port).to_string();
        assert!(error.contains(words), "{error}");
    }
    let mut exposed = config(&[]);
    exposed.extra.insert("ExposedPorts".to_owned(), json!({"8080/tcp": {}}));
    let image = push_image(&simulator, layer(), exposed);
    let running = simulator.launcher().launch(request(&image)).await.expect("launches");
    assert!(running.text().contains("open to everyone: 8080/tcp"), "{}", running.text());
}

/// This machine's shell with the libraries that it names, as a layer.
fn shell() -> Option<LayerBuilder> {
    let listing = Command::new("ldd").arg("/bin/sh").output().ok().filter(|output| output.status.success())?;
    let mut layer = LayerBuilder::new();
    let text = String::from_utf8_lossy(&listing.stdout).into_owned();
    let libraries = text.split_whitespace().filter(|word| word.starts_with('/'));
    for path in libraries.chain(["/bin/sh"]) {
        layer.file(path.trim_start_matches('/'), Access::root(0o755), std::fs::read(path).ok()?).ok()?;
    }
    Some(layer)
}

#[tokio::test]
async fn a_dynamic_program_finds_its_libraries_devices_and_hosts_in_its_own_root() {
    let Some(layer) = shell() else {
        let _ = writeln!(std::io::stderr(), "SKIPPED: this machine's shell cannot be taken apart");
        return;
    };
    let simulator = start(Some(crate::scene::program())).await;
    let script = "echo \"path $PATH\"; cd /dev && echo \"devices\" *; cd /etc && echo \"files\" *; echo \"args $0 $1\"";
    let config = ContainerConfig {
        env: Vec::new(),
        entrypoint: vec!["sh".to_owned(), "-c".to_owned(), script.to_owned()],
        cmd: vec!["zero".to_owned(), "one".to_owned()],
        ..config(&[])
    };
    let image = push_image(&simulator, layer, config);
    let running = simulator.launcher().launch(request(&image)).await.expect("launches");
    let status = wait(&running).await;
    let text = running.text();
    if text.contains("runs from the extracted directory") {
        let _ = writeln!(std::io::stderr(), "SKIPPED: this system allows no root of its own: {text}");
        return;
    }
    assert!(status.success(), "{text}");
    assert!(text.contains("path /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"), "{text}");
    assert!(text.contains("args zero one") && text.contains("shm"), "{text}");
    if !text.contains("there is no /dev/null") && rustix::process::geteuid().is_root() {
        assert!(text.contains("devices full null random shm urandom zero"), "{text}");
    }
}
