//! The target `vault`, given to a real OpenBao with the simulator's keys: the agreed workload logs in, and nothing else does.

use std::{fs, net::SocketAddr, net::TcpListener, net::TcpStream, thread, time::Duration};

use csign_oci::Digest;
use csign_render::{Files, Target};
use csign_tests::{
    peer::peer,
    process::{Bench, Finished, Server},
};
use serde_json::{Value, json};
use simulator::{Config, Simulator, attestation::TokenOptions};

use crate::{
    released::{container, vm},
    scene::{contract, rendered},
};

const TOKEN: &str = "token-of-the-test";
/// Where the issuer publishes its keys.
const JWKS: &str = "/service_accounts/v1/metadata/jwk/signer@confidentialspace-sign.iam.gserviceaccount.com";

/// OpenBao in memory with what was rendered, and the issuer whose keys it knows.
pub(crate) struct Bao {
    bench: Bench,
    address: SocketAddr,
    simulator: Simulator,
    runtime: tokio::runtime::Runtime,
    _server: Server,
}

impl Bao {
    pub(crate) fn with(files: &Files) -> Option<Self> {
        let program = peer("bao")?;
        let bench = Bench::new();
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).unwrap();
        let mut command = bench.command(&program);
        command.args(["server", "-dev", "-dev-no-store-token"]);
        command.arg(format!("-dev-root-token-id={TOKEN}")).arg(format!("-dev-listen-address={free}"));
        let (server, port) = Server::start(&mut command, |line| {
            line.split_once("Api Address: http://127.0.0.1:")?.1.trim().parse().ok()
        });
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let config = Config { issuer: "https://confidentialcomputing.googleapis.com".to_owned(), ..Config::default() };
        let simulator = runtime.block_on(Simulator::start(config)).unwrap();
        let bao = Self { bench, address: ([127, 0, 0, 1], port).into(), simulator, runtime, _server: server };
        for _ in 0..100 {
            if TcpStream::connect(bao.address).is_ok() && bao.run(&["status"]).code == Some(0) {
                break;
            }
            thread::sleep(Duration::from_millis(100));
        }
        bao.place(files);
        bao.run(&["secrets", "enable", "transit"]).success();
        bao.run(&["write", "-f", "transit/keys/collaborator-1"]).success();
        bao.run(&["write", "-f", "transit/keys/other"]).success();
        Some(bao)
    }

    /// Puts files where the script is run. The real issuer's discovery is out of reach; everything else is as rendered.
    pub(crate) fn place(&self, files: &Files) {
        for (name, file) in files {
            fs::write(self.bench.path(name), &file.text).unwrap();
        }
        let keys = format!("{}{JWKS}", self.simulator.endpoint());
        let mut config: Value = serde_json::from_str(&files["vault-config.json"].text).unwrap();
        let members = config.as_object_mut().unwrap();
        assert_eq!(members.remove("oidc_discovery_url"), Some(json!("https://confidentialcomputing.googleapis.com")));
        members.insert("jwks_url".to_owned(), json!(keys));
        fs::write(self.bench.path("vault-config.json"), config.to_string()).unwrap();
        let script = &files["vault.sh"].text;
        let discovery = "'oidc_discovery_url' '\"https://confidentialcomputing.googleapis.com\"'";
        assert!(script.contains(discovery));
        fs::write(self.bench.path("vault.sh"), script.replace(discovery, &format!("'jwks_url' '\"{keys}\"'"))).unwrap();
    }

    fn command(&self, program: &std::path::Path, token: &str) -> std::process::Command {
        let mut command = self.bench.command(program);
        let address = format!("http://{}", self.address);
        command.env("BAO_ADDR", &address).env("BAO_TOKEN", token).env("VAULT_ADDR", address).env("VAULT_TOKEN", token);
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Finished {
        self.run_as(TOKEN, arguments)
    }

    fn run_as(&self, token: &str, arguments: &[&str]) -> Finished {
        Finished::of(self.command(&peer("bao").unwrap(), token).args(arguments))
    }

    /// Runs the rendered script.
    pub(crate) fn script(&self, arguments: &[&str]) -> Finished {
        self.script_as(TOKEN, arguments)
    }

    fn script_as(&self, token: &str, arguments: &[&str]) -> Finished {
        let mut command = self.command("bash".as_ref(), token);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let bin = peer("bao").unwrap().parent().unwrap().to_path_buf();
        let path = std::env::join_paths(std::iter::once(bin).chain(std::env::split_paths(&path))).unwrap();
        Finished::of(command.env("PATH", path).arg("vault.sh").args(arguments))
    }

    fn login(&self, change: impl FnOnce(&mut Value)) -> Finished {
        self.login_for(audience(), change)
    }

    pub(crate) fn login_for(&self, audience: String, change: impl FnOnce(&mut Value)) -> Finished {
        let options = TokenOptions { audience, nonces: Vec::new() };
        let issuer = self.simulator.issuer();
        let mut claims = issuer.claims(&vm(), &container(), &options);
        change(&mut claims);
        let token = issuer.sign_anything(None, &claims).unwrap();
        self.run(&["write", "-format=json", "auth/jwt/login", "role=csign-workload", &format!("jwt={token}")])
    }
}

fn audience() -> String {
    format!("https://csign.dev/vault/{}", contract("").digest())
}

#[test]
fn the_agreed_workload_logs_in_to_openbao_and_no_mutated_token_does() {
    let files = rendered(Target::Vault, "collaborator=collaborator-1");
    let Some(bao) = Bao::with(&files) else { return };
    assert_eq!(bao.script(&["--check"]).code, Some(1), "nothing is there yet");
    bao.script(&[]).success();
    bao.script(&[]).success();
    bao.script(&["--check"]).success();
    // A check finds what someone changed, and a run sets it right.
    let mut role: Value = serde_json::from_str(&files["vault-role.json"].text).unwrap();
    role["bound_claims"]["/submods/container/image_digest"].as_array_mut().unwrap().push(json!(Digest::of("another")));
    fs::write(bao.bench.path("drift.json"), role.to_string()).unwrap();
    fs::write(bao.bench.path("drift.hcl"), "path \"*\" {\n  capabilities = [\"sudo\"]\n}\n").unwrap();
    for change in [
        &["write", "auth/jwt/role/csign-workload", "@drift.json"][..],
        &["policy", "write", "csign-workload", "drift.hcl"],
    ] {
        bao.run(change).success();
        let checked = bao.script(&["--check"]);
        assert!(checked.code == Some(1) && checked.stdout.contains("differs "), "{checked}");
        bao.script(&[]).success();
        bao.script(&["--check"]).success();
    }
    assert_eq!(
        bao.script_as("no-such-token", &["--check"]).code,
        Some(3),
        "what cannot be read is not taken for right"
    );

    let login: Value = serde_json::from_str(&bao.login(|_| {}).success()).unwrap();
    let token = login["auth"]["client_token"].as_str().unwrap();
    assert_eq!(login["auth"]["token_policies"], json!(["csign-workload"]));
    let sealed =
        bao.run(&["write", "-field=ciphertext", "transit/encrypt/collaborator-1", "plaintext=d29yZHM="]).success();
    let ciphertext = format!("ciphertext={}", sealed.trim());
    let opened =
        bao.run_as(token, &["write", "-field=plaintext", "transit/decrypt/collaborator-1", &ciphertext]).success();
    assert_eq!(opened.trim(), "d29yZHM=");
    for beyond in ["transit/decrypt/other", "transit/encrypt/collaborator-1"] {
        let refused = bao.run_as(token, &["write", beyond, &ciphertext]);
        assert!(refused.stderr.contains("permission denied"), "{refused}");
    }

    type Change = fn(&mut Value);
    let changes: [(&str, Change); 15] = [
        ("another image", |c| c["submods"]["container"]["image_digest"] = json!(Digest::of("another"))),
        ("no digest", |c| _ = c["submods"]["container"].as_object_mut().unwrap().remove("image_digest")),
        ("another project", |c| c["submods"]["gce"]["project_id"] = json!("another-project")),
        ("a project whose name begins the same", |c| c["submods"]["gce"]["project_id"] = json!("operator-project-2")),
        ("another service account", |c| c["google_service_accounts"] = json!(["other@example.com"])),
        ("no service account", |c| c["google_service_accounts"] = json!([])),
        ("a debug image", |c| {
            c["dbgstat"] = json!("enabled");
            c["submods"]["confidential_space"].as_object_mut().unwrap().remove("support_attributes");
        }),
        ("out of support", |c| c["submods"]["confidential_space"]["support_attributes"] = json!(["USABLE"])),
        ("experimental", |c| c["submods"]["confidential_space"]["support_attributes"] = json!(["EXPERIMENTAL"])),
        ("no secure boot", |c| c["secboot"] = json!(false)),
        ("other hardware", |c| c["hwmodel"] = json!("GCP_SHIELDED_VM")),
        ("not Confidential Space", |c| c["swname"] = json!("GCE")),
        ("another audience", |c| c["aud"] = json!("https://sts.googleapis.com")),
        ("another issuer", |c| c["iss"] = json!("https://issuer.example")),
        ("expired", |c| {
            c["iat"] = json!(1_000_000_000);
            c["nbf"] = json!(1_000_000_000);
            c["exp"] = json!(1_000_003_600);
        }),
    ];
    for (what, change) in changes {
        let refused = bao.login(change);
        assert!(refused.code != Some(0) && refused.stderr.contains("Code: 400"), "{what}: {refused}");
    }
    bao.script(&["--teardown"]).success();
    assert_ne!(bao.login(|_| {}).code, Some(0));
    let Bao { simulator, runtime, .. } = bao;
    runtime.block_on(simulator.shutdown());
}
