//! Programs that know nothing of the simulator, with nothing but the environment that it prints: Google's own client
//! libraries for Python, and a registry client in Go.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failure here fails the test")]

use std::{
    fs,
    io::{BufReader, Read as _},
    process::Stdio,
};

use csign_tests::{
    image,
    peer::{self, peer, repository},
    process::{Bench, Finished},
};
use serde_json::Value;

const KEY: &str = "projects/alice/locations/global/keyRings/demo/cryptoKeys/data";
const TOPIC: &str = "projects/operator/topics/words";
const SUBSCRIPTION: &str = "projects/operator/subscriptions/words";
const BUCKET: &str = "models";
const SECRET: &str = "projects/operator/secrets/database-password";

/// `simulator up`; killed when dropped.
struct Up {
    child: std::process::Child,
    environment: Vec<(String, String)>,
}

impl Up {
    fn start(bench: &Bench, config: &str) -> Self {
        fs::write(bench.path("simulator.toml"), config).unwrap();
        let mut command = bench.command(peer::simulator());
        command.args(["up", "--config", "simulator.toml", "--directory", "simulator"]).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).bytes().map_while(Result::ok);
        let mut text = Vec::new();
        let description: Value = loop {
            text.push(stdout.next().unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&text))));
            if let Ok(value) = serde_json::from_slice(&text) {
                break value;
            }
        };
        let environment = description["environment"].as_object().unwrap();
        let environment = environment.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()));
        Self { environment: environment.collect(), child }
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The example configuration, with these permissions for the client's workload.
fn config(granted: &[(&str, &str)]) -> String {
    let example = fs::read_to_string(repository().join("tools/simulator/simulator.toml")).unwrap();
    let pool = "projects/200000000000/locations/global/workloadIdentityPools/workload";
    let bindings = granted.iter().map(|(permission, resource)| {
        format!(
            "\n[[bindings]]\nresource = \"{resource}\"\npermission = \"{permission}\"\n\
             member = \"principalSet://iam.googleapis.com/{pool}/*\"\n"
        )
    });
    example + &bindings.collect::<String>()
}

fn client(bench: &Bench, up: &Up, python: &std::path::Path, arguments: &[&str]) -> (Option<i32>, Value) {
    let mut command = bench.command(python);
    command.arg(repository().join("tools/simulator/examples/python/client.py")).args(arguments);
    command.envs(up.environment.iter().map(|(name, value)| (name, value)));
    let finished = Finished::of(&mut command);
    let results = serde_json::from_str(&finished.stdout).unwrap_or_else(|e| panic!("{e}: {finished}"));
    (finished.code, results)
}

/// Both ways in which the libraries speak: gRPC, which is their default, and JSON.
#[test]
fn googles_python_libraries_run_unchanged_with_the_environment_that_the_simulator_prints() {
    let Some(python) = peer("python-peers") else { return };
    let bench = Bench::new();
    let up = Up::start(
        &bench,
        &config(&[
            ("roles/cloudkms.cryptoKeyEncrypter", KEY),
            ("roles/pubsub.publisher", TOPIC),
            ("roles/pubsub.subscriber", SUBSCRIPTION),
            ("roles/storage.objectUser", &format!("projects/_/buckets/{BUCKET}")),
            ("roles/secretmanager.secretAccessor", SECRET),
        ]),
    );
    for transport in ["grpc", "rest"] {
        let messages = ["--topic", TOPIC, "--subscription", SUBSCRIPTION];
        let others = ["--key", KEY, "--bucket", BUCKET, "--secret", SECRET, "--transport", transport];
        let (code, results) = client(&bench, &up, &python, &[&messages[..], &others].concat());
        assert_eq!(code, Some(0), "{transport}: {results:#}");
        for (service, wanted) in [
            ("kms", "encrypted and decrypted"),
            ("pubsub", "acknowledged"),
            ("storage", "stored, listed and read"),
            ("secret", "was read"),
        ] {
            assert!(results[service].as_str().is_some_and(|text| text.contains(wanted)), "{transport}: {results:#}");
        }
    }
}

#[test]
fn a_registry_client_pushes_to_googles_own_registry_name_and_reads_back() {
    let Some(crane) = peer("crane") else { return };
    let bench = Bench::new();
    let up = Up::start(&bench, "");
    let digest = image::write_layout(&bench.path("image"), "a message");
    let crane = |arguments: &[&str]| {
        let mut command = bench.command(&crane);
        command.args(arguments).envs(up.environment.iter().map(|(name, value)| (name, value)));
        Finished::of(&mut command)
    };
    let name = "us-docker.pkg.dev/operator/images/app";
    crane(&["push", "image", &format!("{name}:v1")]).success();
    assert_eq!(crane(&["digest", &format!("{name}:v1")]).success().trim(), digest);
    let elsewhere = crane(&["digest", "registry.example.com/operator/app:v1"]).failure(1);
    assert!(elsewhere.contains("Forbidden"), "the proxy leads nowhere else: {elsewhere}");
}

#[test]
fn what_is_not_granted_to_the_clients_workload_is_denied_to_it() {
    let Some(python) = peer("python-peers") else { return };
    let bench = Bench::new();
    let up = Up::start(&bench, &config(&[]));
    let (code, results) = client(&bench, &up, &python, &["--key", KEY, "--transport", "rest"]);
    assert_eq!(code, Some(1), "{results:#}");
    assert!(results["kms"].as_str().is_some_and(|text| text.contains("useToEncrypt")), "{results:#}");
}
