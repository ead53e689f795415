//! Keys that live with a provider: csign signs with them and cosign verifies, cosign signs with them and csign verifies.
//!
//! The providers are a real OpenBao, moto's AWS KMS and a program that speaks cosign's plugin protocol. Debian's cosign
//! has no provider for Vault and OpenBao; there it verifies with the public key.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    process::Command,
    thread,
    time::Duration,
};

use csign_tests::{
    peer::{self, peer, repository},
    process::{Bench, Finished, Server},
    registry::Registry,
};
use serde_json::Value;

use crate::scene::{LEGACY, Scene};

const TOKEN: &str = "token-of-the-test";

/// OpenBao in memory, with a transit secrets engine.
struct Bao {
    address: SocketAddr,
    bench: Bench,
    _server: Server,
}

impl Bao {
    fn start() -> Option<Self> {
        let program = peer("bao")?;
        let bench = Bench::new();
        let token = format!("-dev-root-token-id={TOKEN}");
        // It cannot say which port the system picked, so it gets one that was free a moment ago.
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
        let listen = format!("-dev-listen-address={free}");
        let mut command = bench.command(&program);
        command.args(["server", "-dev", &token, "-dev-no-store-token", &listen]);
        let (server, port) = Server::start(&mut command, |line| {
            line.split_once("Api Address: http://127.0.0.1:")?.1.trim().parse().ok()
        });
        let bao = Self { address: ([127, 0, 0, 1], port).into(), bench, _server: server };
        // It says its address a moment before it is ready.
        for _ in 0..100 {
            if TcpStream::connect(bao.address).is_ok() && bao.run(&program, &["status"]).code == Some(0) {
                break;
            }
            thread::sleep(Duration::from_millis(100));
        }
        bao.run(&program, &["secrets", "enable", "transit"]).success();
        Some(bao)
    }

    fn environment(&self, command: &mut Command) {
        command.env("BAO_ADDR", format!("http://{}", self.address)).env("BAO_TOKEN", TOKEN);
        command.env("VAULT_ADDR", format!("http://{}", self.address)).env("VAULT_TOKEN", TOKEN);
    }

    fn run(&self, program: &std::path::Path, arguments: &[&str]) -> Finished {
        let mut command = self.bench.command(program);
        self.environment(&mut command);
        Finished::of(command.args(arguments))
    }
}

/// csign with the settings that `with` makes.
fn csign(scene: &Scene, arguments: &[&str], with: impl FnOnce(&mut Command)) -> Finished {
    let mut command = scene.bench.command(peer::csign());
    with(&mut command);
    Finished::of(command.args(arguments))
}

#[test]
fn cosign_verifies_what_csign_signed_with_a_transit_key_of_each_type() {
    let Some(scene) = Scene::new(Registry::with_referrers()) else { return };
    let Some(bao) = Bao::start() else { return };
    // cosign verifies a P-384 key over SHA-256 unless told otherwise, so that type has a test of its own below.
    for (index, kind) in ["p256", "rsa-2048", "ed25519"].into_iter().enumerate() {
        let scheme = ["openbao", "hashivault"][index % 2];
        let created = csign(
            &scene,
            &["generate-key-pair", "--kms", &format!("{scheme}://{kind}"), "--type", kind, "--output-key-prefix", kind],
            |c| {
                bao.environment(c);
            },
        );
        assert!(created.success().contains(&format!("{scheme}://{kind}/versions/1")));
        let key = format!("{scheme}://{kind}/versions/1");
        let public = fs::read_to_string(scene.bench.path(format!("{kind}.pub"))).unwrap();
        assert_eq!(csign(&scene, &["public-key", "--key", &key], |c| bao.environment(c)).success(), public);
        csign(&scene, &["sign", &scene.image, "--key", &key], |c| bao.environment(c)).success();
        scene.cosign_accepts(kind);
        scene.csign_verifies(&[kind]).success();
    }
}

#[test]
fn a_transit_key_signs_with_the_version_that_was_asked_for_after_it_has_been_rotated() {
    let Some(scene) = Scene::new(Registry::with_referrers()) else { return };
    let Some(bao) = Bao::start() else { return };
    csign(
        &scene,
        &["generate-key-pair", "--kms", "openbao://p384", "--type", "p384", "--output-key-prefix", "first"],
        |c| {
            bao.environment(c);
        },
    )
    .success();
    bao.run(&peer("bao").unwrap(), &["write", "-f", "transit/keys/p384/rotate"]).success();
    csign(&scene, &["sign", &scene.image, "--key", "openbao://p384/versions/1"], |c| bao.environment(c)).success();
    scene.csign_verifies(&["first"]).success();
    let second = csign(&scene, &["public-key", "--key", "openbao://p384/versions/2"], |c| bao.environment(c)).success();
    assert_ne!(second, fs::read_to_string(scene.bench.path("first.pub")).unwrap());
    let third = csign(&scene, &["public-key", "--key", "openbao://p384/versions/3"], |c| bao.environment(c));
    assert!(third.stderr.contains("there are 1, 2"), "{third}");
    let again = csign(&scene, &["generate-key-pair", "--kms", "openbao://p384", "--output-key-prefix", "again"], |c| {
        bao.environment(c);
    });
    assert!(again.failure(2).contains("exists already"));
}

#[test]
fn a_wrong_token_is_refused_and_not_repeated() {
    let Some(scene) = Scene::new(Registry::with_referrers()) else { return };
    let Some(bao) = Bao::start() else { return };
    let refused = csign(&scene, &["public-key", "--key", "openbao://k/versions/1"], |c| {
        bao.environment(c);
        c.env("BAO_TOKEN", "s.wrong-token");
    });
    assert!(refused.stderr.contains("permission denied") && !refused.stderr.contains("s.wrong-token"), "{refused}");
    assert_ne!(refused.code, Some(0));
}

/// moto, which keeps its keys in memory.
struct Aws {
    address: SocketAddr,
    _server: Server,
}

impl Aws {
    fn start(bench: &Bench) -> Option<Self> {
        let script = repository().join("tests/interop/scripts/moto_kms.py");
        let mut command = bench.command(peer("python-peers")?);
        let (server, port) = Server::start(command.arg(script).arg("0"), |line| {
            line.split_once("listening on 127.0.0.1:")?.1.trim().parse().ok()
        });
        Some(Self { address: ([127, 0, 0, 1], port).into(), _server: server })
    }

    fn environment(&self, command: &mut Command) {
        command
            .env("AWS_ENDPOINT_URL", format!("http://{}", self.address))
            .env("AWS_REGION", "eu-west-1")
            .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", "secret-of-the-test");
    }

    /// Makes a key and returns its ARN.
    fn create(&self, bench: &Bench, spec: &str) -> String {
        let script = "import boto3, sys; print(boto3.client('kms').create_key(KeySpec=sys.argv[1], \
                      KeyUsage='SIGN_VERIFY')['KeyMetadata']['Arn'])";
        let mut command = bench.command(peer("python-peers").unwrap());
        self.environment(&mut command);
        command.env("AWS_DEFAULT_REGION", "eu-west-1");
        Finished::of(command.args(["-c", script, spec])).success().trim().to_owned()
    }
}

#[test]
fn csign_and_cosign_sign_with_the_same_aws_key_and_verify_each_other() {
    let Some(scene) = Scene::new(Registry::with_referrers()) else { return };
    let Some(aws) = Aws::start(&scene.bench) else { return };
    for spec in ["ECC_NIST_P256", "RSA_2048"] {
        let arn = aws.create(&scene.bench, spec);
        let key = format!("awskms:///{arn}");
        let public = csign(&scene, &["public-key", "--key", &key], |c| aws.environment(c)).success();
        fs::write(scene.bench.path(format!("{spec}.pub")), &public).unwrap();
        let mut theirs = scene.bench.command(peer::find("cosign").unwrap());
        aws.environment(&mut theirs);
        assert_eq!(Finished::of(theirs.args(["public-key", "--key", &key])).success().trim(), public.trim());

        csign(&scene, &["sign", &scene.image, "--key", &key], |c| aws.environment(c)).success();
        scene.cosign_accepts(spec);

        // The other way round, on another image, so that csign finds nothing but cosign's signature.
        let other = csign_tests::image::write_layout(&scene.bench.path(format!("other-{spec}")), spec);
        let crane = peer::find("crane").unwrap();
        scene
            .bench
            .run(crane, ["push", &format!("other-{spec}"), &format!("{}:{}", scene.repository, spec.to_lowercase())])
            .success();
        let image = format!("{}@{other}", scene.repository);
        let mut theirs = scene.bench.command(peer::find("cosign").unwrap());
        aws.environment(&mut theirs);
        Finished::of(theirs.arg("sign").args(LEGACY).args(["--key", &key, &image])).success();
        scene.csign(["verify", &image, "--key", &format!("{spec}.pub")]).success();
    }
}

#[test]
fn an_aws_key_of_p384_signs_sha384_and_a_missing_one_is_named() {
    let Some(scene) = Scene::new(Registry::with_referrers()) else { return };
    let Some(aws) = Aws::start(&scene.bench) else { return };
    let arn = aws.create(&scene.bench, "ECC_NIST_P384");
    // With the service's address in the reference, as cosign takes it.
    let key = format!("awskms://{}/{arn}", aws.address);
    let public = csign(&scene, &["public-key", "--key", &key], |c| aws.environment(c)).success();
    fs::write(scene.bench.path("p384.pub"), public).unwrap();
    csign(&scene, &["sign", &scene.image, "--key", &key], |c| aws.environment(c)).success();
    scene.csign_verifies(&["p384"]).success();
    let missing = key.replace(&arn[arn.len() - 8..], "00000000");
    let refused = csign(&scene, &["public-key", "--key", &missing], |c| aws.environment(c));
    assert!(refused.stderr.contains("not found") && refused.stderr.contains("AWS_REGION"), "{refused}");
}

/// A plugin over a key that openssl made, in the form of a shell script without any tool but openssl.
const PLUGIN: &str = r#"#!/bin/sh
cd "$(dirname "$0")" || exit 9
printf '%s %s\n' "$1" "$2" >>requests
case $2 in
*'"methodName":"publicKey"'*)
  printf '{"publicKey":{"publicKeyPEM":"%s"}}' "$(openssl pkey -in key.pem -pubout | openssl base64 -A)" ;;
*'"methodName":"signMessage"'*)
  printf '{"signMessage":{"signature":"%s"}}' "$(openssl dgst -sha256 -sign key.pem | openssl base64 -A)" ;;
*'"methodName":"defaultAlgorithm"'*) printf '{"defaultAlgorithm":{"defaultAlgorithm":"ecdsa"}}' ;;
*'"methodName":"supportedAlgorithms"'*) printf '{"supportedAlgorithms":{"supportedAlgorithms":["ecdsa"]}}' ;;
*) printf '{"errorMessage":"unknown method"}' ;;
esac
"#;

#[test]
fn csign_and_cosign_run_the_same_plugin_with_the_same_request_and_verify_each_other() {
    let Some(scene) = Scene::new(Registry::with_referrers()) else { return };
    if peer("openssl").is_none() {
        return;
    }
    let directory = scene.bench.path("plugins");
    fs::create_dir(&directory).unwrap();
    let program = directory.join("sigstore-kms-openssl");
    fs::write(&program, PLUGIN).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let pem = directory.join("key.pem");
    let mut openssl = scene.bench.command(peer::find("openssl").unwrap());
    openssl.args(["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out"]).arg(&pem);
    Finished::of(&mut openssl).success();

    let path = |command: &mut Command| {
        let old = std::env::var_os("PATH").unwrap_or_default();
        let directories = std::iter::once(directory.clone()).chain(std::env::split_paths(&old));
        command.env("PATH", std::env::join_paths(directories).unwrap());
    };
    let cosign = |arguments: &[&str]| {
        let mut command = scene.bench.command(peer::find("cosign").unwrap());
        path(&mut command);
        Finished::of(command.args(arguments))
    };
    let requests = || {
        let text = fs::read_to_string(directory.join("requests")).unwrap();
        fs::remove_file(directory.join("requests")).unwrap();
        let mut requests: Vec<(String, Value)> = text
            .lines()
            .map(|line| line.split_once(' ').unwrap())
            .map(|(version, json)| (version.to_owned(), serde_json::from_str(json).unwrap()))
            .collect();
        requests.retain(|(_, json)| json["methodName"] == "publicKey");
        requests
    };
    const KEY: &str = "openssl://slot/1";
    let public = csign(&scene, &["public-key", "--key", KEY], path).success();
    let ours = requests();
    assert_eq!(cosign(&["public-key", "--key", KEY]).success().trim(), public.trim());
    assert_eq!(requests(), ours, "cosign's request is csign's");
    fs::write(scene.bench.path("plugin.pub"), public).unwrap();

    csign(&scene, &["sign", &scene.image, "--key", KEY], path).success();
    scene.cosign_accepts("plugin");
    let other = csign_tests::image::write_layout(&scene.bench.path("other"), "other");
    scene.bench.run(peer::find("crane").unwrap(), ["push", "other", &format!("{}:other", scene.repository)]).success();
    let image = format!("{}@{other}", scene.repository);
    cosign(&[&["sign"][..], &LEGACY, &["--key", KEY, &image]].concat()).success();
    scene.csign(["verify", &image, "--key", "plugin.pub"]).success();
}
