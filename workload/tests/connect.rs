//! `csign connect` against a running workload, and against whoever pretends to be one. The honest client's certificate and
//! key are the attacker's too, where that helps the attacker.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    process::Output,
    sync::{Arc, Mutex},
    time::Duration,
};

use csign_trust::ExitStatus;
use serde_json::{Value, json};
use simulator::attestation::Image;
use support::{
    COLLABORATORS, PARTIES, Site,
    tls::{self, Client, Scene},
};

/// What a test gives `csign connect`.
async fn connect(scene: &Scene, address: SocketAddr, more: &[&str]) -> Output {
    let identity = scene.authorities[0].client();
    scene.site.write("client.pem", support::authority::pem("CERTIFICATE", &identity.certificate).as_bytes());
    scene.site.write("client.key", support::authority::pem("PRIVATE KEY", &identity.key).as_bytes());
    scene.site.write("words.txt", b"alice bob alice");
    let mut command = tokio::process::Command::new(csign_tests::peer::csign());
    command
        .args(["connect", &address.to_string(), "--collaborator", COLLABORATORS[0]])
        .args(["--cert", "client.pem", "--key", "client.key"])
        .args(["--contract", "etc/csign/contract.json", "--allow-simulated"])
        .args(more)
        .current_dir(scene.site.root.path())
        .env_clear()
        .env("CSIGN_SIMULATOR", scene.site.simulator.address().to_string())
        .kill_on_drop(true);
    tokio::time::timeout(Duration::from_secs(120), command.output()).await.expect("csign ends").unwrap()
}

const SEND: [&str; 4] = ["--send", "words.txt", "--message", "m1"];

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[track_caller]
fn expect(output: &Output, status: i32, words: &[&str]) {
    let text = text(output);
    assert_eq!(output.status.code(), Some(status), "{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is missing in {text}");
    }
    assert!(!text.contains("eyJ"), "a token was printed: {text}");
}

#[tokio::test]
async fn sends_to_the_attested_workload_and_again_without_counting_twice() {
    let scene = Scene::new().await;
    let running = scene.site.start().await;
    let address = tls::address(&running);
    let image = scene.site.container.image_reference.clone();
    expect(&connect(&scene, address, &["--image", &image]).await, 0, &["VERIFIED", &image]);
    expect(&connect(&scene, address, &SEND).await, 0, &["VERIFIED", "message counted"]);
    let again = connect(&scene, address, &[&SEND[..], &["--output", "json"]].concat()).await;
    let json: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(json["verdict"], "verified");
    assert_eq!(json["answer"]["status"], "already-counted");
    assert_eq!(running.stop().await.0, ExitStatus::Success);
    assert_eq!(scene.site.state().messages().unwrap(), 1);
}

#[tokio::test]
async fn a_message_that_the_workload_refuses_is_rejected_with_its_code() {
    let scene = Scene::new().await;
    let running = scene.site.start().await;
    scene.site.write("poison.bin", b"\xff");
    let output = connect(&scene, tls::address(&running), &["--send", "poison.bin", "--message", "m"]).await;
    expect(&output, 1, &["not-text"]);
}

/// A man in the middle with the client's own certificate: he ends TLS on both sides and passes everything on.
fn relay(scene: &Scene, upstream: SocketAddr) -> (SocketAddr, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let config = tls::server(&[&rustls::version::TLS13]);
    let identity = scene.authorities[0].client();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let overheard = Arc::clone(&seen);
    std::thread::spawn(move || {
        let Ok((socket, _)) = listener.accept() else { return };
        let mut victim = tls::accept(socket, config);
        let client = Client { identity: Some(identity), ..Client::named(tls::NAMES[0]) };
        let Ok(mut workload) = client.connect(upstream) else { return };
        let mut buffer = [0; 16 << 10];
        while let Ok(length) = victim.read(&mut buffer) {
            if length == 0 {
                return;
            }
            overheard.lock().unwrap().extend_from_slice(&buffer[..length]);
            let _ = workload.write_all(&buffer[..length]).and_then(|()| workload.flush());
            let Ok(head) = tls::answer_bytes(&mut workload) else { return };
            let _ = victim.write_all(&head).and_then(|()| victim.flush());
        }
    });
    (address, seen)
}

#[tokio::test]
async fn a_man_in_the_middle_who_passes_the_token_on_is_found_out_and_gets_no_data() {
    let scene = Scene::new().await;
    let running = scene.site.start().await;
    let (address, seen) = relay(&scene, tls::address(&running));
    expect(&connect(&scene, address, &SEND).await, 1, &["not the attested workload", "eat_nonce", "stands between"]);
    let seen = String::from_utf8_lossy(&seen.lock().unwrap().clone()).into_owned();
    assert!(seen.contains("/connect"), "the relay was not used: {seen}");
    assert!(!seen.contains("alice"), "data was sent: {seen}");
}

/// A server with the simulator's tokens, whose claims a test twists: what an operator could run in place of the workload.
fn impostor(scene: &Scene, twist: impl Fn(&mut Value, &str) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let config = tls::server(&[&rustls::version::TLS13]);
    let (issuer, vm, container) =
        (scene.site.simulator.issuer().clone(), scene.site.vm.clone(), scene.site.container.clone());
    let audience = scene.site.contract.ingest_audience();
    std::thread::spawn(move || {
        while let Ok((socket, _)) = listener.accept() {
            let mut victim = tls::accept(socket, Arc::clone(&config));
            let nonce = tls::binding(&victim.conn);
            let claims = support::token_claims(&issuer, &vm, &container, &audience, &nonce);
            let mut claims: Value = claims;
            twist(&mut claims, &nonce);
            let token = issuer.sign_anything(None, &claims).unwrap();
            let mut head = [0; 4096];
            let length = victim.read(&mut head).unwrap_or(0);
            let request = String::from_utf8_lossy(&head[..length]).into_owned();
            let body =
                if request.starts_with("GET /connect") { token } else { json!({"status": "counted"}).to_string() };
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            let _ = victim.write_all(answer.as_bytes()).and_then(|()| victim.flush());
            let length = victim.read(&mut head).unwrap_or(0);
            assert!(!String::from_utf8_lossy(&head[..length]).contains("alice"), "data was sent to an impostor");
        }
    });
    address
}

#[tokio::test]
async fn an_impostor_with_true_claims_passes_so_that_the_other_tests_mean_something() {
    let scene = Scene::new().await;
    expect(&connect(&scene, impostor(&scene, |_, _| {}), &[]).await, 0, &["VERIFIED"]);
}

#[tokio::test]
async fn a_replayed_token_or_one_for_another_purpose_is_refused() {
    let scene = Scene::new().await;
    let other_connection = |claims: &mut Value, _: &str| claims["eat_nonce"] = json!("A".repeat(43));
    expect(&connect(&scene, impostor(&scene, other_connection), &SEND).await, 1, &["eat_nonce"]);
    let no_nonce = |claims: &mut Value, _: &str| claims["eat_nonce"] = Value::Null;
    expect(&connect(&scene, impostor(&scene, no_nonce), &SEND).await, 1, &["eat_nonce"]);
    let other_audience = |claims: &mut Value, _: &str| claims["aud"] = json!("https://sts.googleapis.com");
    expect(&connect(&scene, impostor(&scene, other_audience), &SEND).await, 1, &["aud"]);
    let other_contract = |claims: &mut Value, _: &str| {
        claims["aud"] = json!(format!("https://csign.dev/ingest/{}", csign_oci::Digest::of("another contract")));
    };
    expect(&connect(&scene, impostor(&scene, other_contract), &SEND).await, 1, &["aud"]);
    let expired = |claims: &mut Value, _: &str| {
        for claim in ["iat", "nbf", "exp"] {
            claims[claim] = json!(claims[claim].as_u64().unwrap() - 7200);
        }
    };
    expect(&connect(&scene, impostor(&scene, expired), &SEND).await, 1, &["expired"]);
}

#[tokio::test]
async fn another_image_or_a_machine_that_the_contract_does_not_name_is_refused() {
    let scene = Scene::new().await;
    let other = csign_oci::Digest::of("another image");
    let changes: [(&str, Value, &str); 5] = [
        ("/submods/container/image_digest", json!(other), "image_reference"),
        ("/dbgstat", json!("enabled"), "dbgstat"),
        ("/hwmodel", json!("GCP_SHIELDED_VM"), "hwmodel"),
        ("/submods/gce/project_id", json!("mallory"), "project_id"),
        ("/submods/container/image_signatures", Value::Null, "signature of builder"),
    ];
    for (pointer, value, row) in changes {
        let twist = move |claims: &mut Value, _: &str| *claims.pointer_mut(pointer).unwrap() = value.clone();
        expect(
            &connect(&scene, impostor(&scene, twist), &SEND).await,
            1,
            &["REFUSED", row, "REJECTED", "nothing was sent"],
        );
    }
    let running = scene.site.start().await;
    let image = format!("{}@{other}", support::REPOSITORY);
    let output = connect(&scene, tls::address(&running), &[&SEND[..], &["--image", &image]].concat()).await;
    expect(&output, 1, &["not the image asked for"]);
}

#[tokio::test]
async fn an_endpoint_without_tls_1_3_or_without_any_is_not_spoken_to() {
    let scene = Scene::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let old = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let config = tls::server(&[&rustls::version::TLS12]);
        while let Ok((socket, _)) = listener.accept() {
            let mut stream = tls::accept(socket, Arc::clone(&config));
            let _ = stream.read(&mut [0; 16]);
        }
    });
    expect(&connect(&scene, old, &SEND).await, 3, &["TLS 1.3"]);
    let health = scene.site.simulator.address();
    expect(&connect(&scene, health, &SEND).await, 3, &["TLS 1.3"]);
}

#[tokio::test]
async fn a_debug_machine_is_refused_by_the_client_too() {
    let mut scene = Scene::new().await;
    scene.site.vm.image = Image::Debug;
    let address = impostor(&scene, |_, _| {});
    expect(&connect(&scene, address, &SEND).await, 1, &["dbgstat", "support_attributes", "nothing was sent"]);
}

#[tokio::test]
async fn wrong_calls_are_told_apart() {
    let scene = Scene::new().await;
    let running = scene.site.start().await;
    let address = tls::address(&running);
    expect(&connect(&scene, address, &["--send", "words.txt", "--message", "a b"]).await, 2, &["message id"]);
    expect(&connect(&scene, address, &["--send", "absent.txt", "--message", "m"]).await, 2, &["absent.txt"]);
    let mut command = std::process::Command::new(csign_tests::peer::csign());
    command.current_dir(scene.site.root.path()).env_clear();
    let far =
        ["connect", "192.0.2.1:443", "--collaborator", COLLABORATORS[0], "--cert", "client.pem", "--key", "client.key"];
    command.args(far).args(["--contract", "etc/csign/contract.json", "--allow-simulated"]);
    expect(&command.output().unwrap(), 2, &["not on this machine"]);
    let site: &Site = &scene.site;
    assert_eq!(site.contract.parties.len(), PARTIES.len());
}
