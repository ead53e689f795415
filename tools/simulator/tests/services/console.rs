//! The simulator's own side: the audit log over HTTP and in the program, the page's state, and what needs the control
//! token.

use std::{io::Write as _, process::Command, time::Duration};

use csign_oci::{
    Layout,
    image::{ContainerConfig, assemble},
    layer::{Access, LayerBuilder},
};
use futures_util::StreamExt as _;
use reqwest::{StatusCode, header};
use serde_json::{Value, json};
use simulator::{Config, Simulator, attestation::Image, config::Client};

use crate::{
    launcher::{SCRIPT, push},
    scene::{agreed, audience, exchange, key, pool, provider, start, token},
};

const PATIENCE: Duration = Duration::from_secs(60);

async fn get(simulator: &Simulator, path: &str) -> reqwest::Response {
    reqwest::get(format!("{}/simulator/{path}", simulator.endpoint())).await.expect("answers")
}

async fn entries(simulator: &Simulator, query: &str) -> Vec<Value> {
    let response = get(simulator, &format!("audit?{query}")).await;
    assert_eq!(response.status(), StatusCode::OK);
    let text = response.text().await.expect("text");
    text.lines().map(|line| serde_json::from_str(line).expect("an entry")).collect()
}

/// One exchange that is granted and one that is not.
async fn two_exchanges(simulator: &Simulator) {
    let good = token(simulator, Image::Production, agreed(), 1);
    assert_eq!(exchange(simulator, &good, &audience(1)).await.0, 200);
    let bad = token(simulator, Image::Debug, agreed(), 2);
    assert_eq!(exchange(simulator, &bad, &audience(2)).await.0, 400);
}

#[tokio::test]
async fn the_log_is_read_by_filter_from_any_place_on_and_never_holds_a_token() {
    let simulator = start().await;
    two_exchanges(&simulator).await;
    let all = entries(&simulator, "").await;
    assert_eq!(all.len(), 4, "{all:?}");
    let denied = entries(&simulator, "service=sts&allowed=false").await;
    assert_eq!(denied.len(), 1);
    assert_eq!(denied[0]["resource"], audience(2));
    let rest = entries(&simulator, "since=2").await;
    assert_eq!(rest, all[2..]);
    let response = get(&simulator, "audit?since=1&limit=2").await;
    assert_eq!(
        (&response.headers()["audit-next"], &response.headers()["audit-lost"]),
        (&"3".parse().unwrap(), &"0".parse().unwrap())
    );
    let text = get(&simulator, "audit").await.text().await.expect("text");
    assert!(!text.contains("eyJ") && !text.contains("ya29."), "{text}");
    for senseless in ["allowed=no", "since=x", "sevrice=kms"] {
        let response = get(&simulator, &format!("audit?{senseless}")).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{senseless} would have hidden or shown too much");
    }
}

#[tokio::test]
async fn a_live_view_gets_what_was_before_and_what_comes_after() {
    let simulator = start().await;
    two_exchanges(&simulator).await;
    let response = get(&simulator, "audit/stream?service=sts").await;
    assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
    let mut body = response.bytes_stream();
    let mut text = String::new();
    let mut until = async |wanted: usize| {
        while text.matches("data: ").count() < wanted {
            let chunk = tokio::time::timeout(PATIENCE, body.next()).await.expect("in time");
            text.push_str(&String::from_utf8_lossy(&chunk.expect("more").expect("bytes")));
        }
    };
    until(2).await;
    two_exchanges(&simulator).await;
    until(4).await;
    assert!(text.contains("id: 1\ndata: {") && text.matches("\"service\":\"sts\"").count() == 4, "{text}");
}

#[tokio::test]
async fn a_name_that_was_rebound_to_the_loopback_interface_reaches_nothing() {
    let simulator = start().await;
    for path in ["", "state", "audit", "audit/stream", "token", "launch"] {
        let url = format!("{}/simulator/{path}", simulator.endpoint());
        let port = simulator.address().port();
        for host in [
            "attacker.example".to_owned(),
            format!("127.0.0.1.attacker.example:{port}"),
            "sts.googleapis.com".to_owned(),
        ] {
            let request = reqwest::Client::new().get(&url).header(header::HOST, &host);
            let response = request.send().await.expect("answers");
            assert_eq!(response.status(), StatusCode::MISDIRECTED_REQUEST, "{host} reached /simulator/{path}");
        }
    }
    for host in ["localhost", "registry.simulator.localhost"] {
        let request = reqwest::Client::new().get(format!("{}/simulator/state", simulator.endpoint()));
        let response = request.header(header::HOST, host).send().await.expect("answers");
        assert_eq!(response.status(), StatusCode::OK, "{host}");
    }
}

#[tokio::test]
async fn the_page_may_run_its_own_script_only_and_nobody_may_frame_or_read_it() {
    let simulator = start().await;
    let response = get(&simulator, "").await;
    let headers = response.headers().clone();
    let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().expect("text").to_owned();
    for part in
        ["default-src 'none'", "script-src 'sha256-", "frame-ancestors 'none'", "require-trusted-types-for 'script'"]
    {
        assert!(policy.contains(part), "{policy}");
    }
    assert_eq!(headers["x-frame-options"], "DENY");
    assert_eq!(headers["cross-origin-resource-policy"], "same-origin");
    assert!(headers.get("access-control-allow-origin").is_none());
    assert!(response.text().await.expect("text").starts_with("<!doctype html>"));
}

#[tokio::test]
async fn the_state_shows_every_partys_key_provider_and_bindings() {
    let simulator = start().await;
    let state: Value = get(&simulator, "state").await.json().await.expect("json");
    let party = |name: &str| {
        let mut parties = state["parties"].as_array().expect("parties").iter();
        parties.find(|party| party["name"] == name).expect("the party")["party"].clone()
    };
    for n in [1, 2] {
        let party = party(&format!("c{n}"));
        assert_eq!(party["keys"][0]["name"], key(n));
        assert_eq!(party["providers"][0]["name"], provider(n));
        let members = party["bindings"].to_string();
        assert!(members.contains(&format!("principalSet://iam.googleapis.com/{}/*", pool(n))), "{members}");
    }
    assert_eq!(state["total"], 0);
}

fn client() -> Client {
    Client {
        image: format!("registry.simulator.localhost/app@{}", agreed()),
        provider: provider(1),
        service_account: None,
    }
}

#[tokio::test]
async fn a_client_takes_its_workloads_token_with_the_control_token_only() {
    let _ = rustls_graviola::default_provider().install_default();
    let config = Config { client: Some(client()), ..Config::default() };
    let simulator = Simulator::start(config).await.expect("starts");
    let url = format!("{}/simulator/token", simulator.endpoint());
    for wrong in [None, Some("Bearer "), Some("Bearer 0123"), Some("Basic x")] {
        let mut request = reqwest::Client::new().get(&url);
        if let Some(wrong) = wrong {
            request = request.header(header::AUTHORIZATION, wrong);
        }
        assert_eq!(request.send().await.expect("answers").status(), StatusCode::UNAUTHORIZED, "{wrong:?}");
    }
    assert!(simulator.audit().iter().all(|entry| !entry.allowed && entry.service == "simulator"));
    let request = reqwest::Client::new().get(&url).bearer_auth(simulator.control_token());
    let response = request.send().await.expect("answers");
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.text().await.expect("text").split('.').count(), 3);
    let last = simulator.audit().pop().expect("an entry");
    assert!(last.allowed && last.service == "attestation" && last.resource == client().audience(), "{last:?}");
}

#[tokio::test]
async fn a_client_image_without_a_digest_is_refused_at_start() {
    let client = Client { image: "registry.simulator.localhost/app:latest".to_owned(), ..client() };
    let error = Simulator::start(Config { client: Some(client), ..Config::default() }).await.expect_err("a tag");
    assert!(error.to_string().contains("client.image"), "{error}");
}

/// `simulator run` for an image whose program is the script.
fn run(simulator: &Simulator, image: &str, more: &[&str]) -> Command {
    let mut command = Command::new(crate::scene::program());
    command.args(["run", "--image", image, "--metadata", "tee-signed-image-repos="]).args(more);
    command.env("CSIGN_SIMULATOR", simulator.address().to_string());
    command.env("SIMULATOR_CONTROL", simulator.control_token());
    command
}

async fn output(mut command: Command) -> (Option<i32>, String, String) {
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("joins").expect("runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test]
async fn run_launches_in_the_running_simulator_and_passes_output_and_status_on() {
    let simulator = Simulator::start(Config::default()).await.expect("starts");
    let script = format!("{SCRIPT}exit 7\n");
    let image = push(&simulator, script.as_bytes(), &[("allow_env_override", "NAME")]).to_string();
    let (code, stdout, stderr) =
        output(run(&simulator, &image, &["--metadata", "tee-env-NAME=value", "--debug"])).await;
    assert_eq!(code, Some(7), "{stdout}{stderr}");
    assert!(stdout.contains("started argument\n") && stdout.contains("NAME=value\n"), "{stdout}");
    assert!(stderr.contains("on stderr\n") && !stdout.contains("on stderr"), "{stderr}");
    let state: Value = get(&simulator, "state").await.json().await.expect("json");
    let shown = &state["images"][0];
    assert_eq!((&shown["image"], &shown["machine"]), (&json!(image), &json!("debug")));
}

#[tokio::test]
async fn what_the_launch_policy_forbids_is_not_started_and_the_reason_is_told() {
    let simulator = Simulator::start(Config::default()).await.expect("starts");
    let image = push(&simulator, SCRIPT.as_bytes(), &[]).to_string();
    let (code, stdout, stderr) = output(run(&simulator, &image, &["--metadata", "tee-env-LD_PRELOAD=x"])).await;
    assert_eq!((code, stdout.as_str()), (Some(125), ""), "{stderr}");
    assert!(stderr.contains("LD_PRELOAD"), "{stderr}");
    let last = simulator.audit().pop().expect("an entry");
    assert!(!last.allowed && last.service == "launcher", "{last:?}");
}

#[tokio::test]
async fn the_image_of_a_layout_is_launched_under_its_own_policy() {
    let config = ContainerConfig { entrypoint: vec!["/workload".to_owned()], ..ContainerConfig::default() };
    let mut layer = LayerBuilder::new();
    layer.file("workload", Access::root(0o755), SCRIPT.as_bytes()).expect("file");
    let image = assemble(config, vec![(layer.build().expect("layer"), "test")]).expect("image");
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("image");
    let builder = Layout::create(&path).expect("creates");
    let descriptor = builder.add_image(&image).expect("adds");
    builder.finish(vec![descriptor]).expect("finishes");
    let run = async |directory: &std::path::Path| {
        let mut command = Command::new(crate::scene::program());
        command.args(["run", "--own", "--metadata", "tee-env-LD_PRELOAD=x", "--layout"]).arg(directory);
        output(command).await
    };
    let (code, _, stderr) = run(&path).await;
    assert!(code == Some(125) && stderr.contains("LD_PRELOAD"), "{stderr}");
    let (code, _, stderr) = run(directory.path()).await;
    assert_eq!(code, Some(2), "no layout is there: {stderr}");
}

#[tokio::test]
async fn nobody_launches_without_the_control_token() {
    let simulator = Simulator::start(Config::default()).await.expect("starts");
    let image = push(&simulator, SCRIPT.as_bytes(), &[]).to_string();
    let mut command = run(&simulator, &image, &[]);
    command.env("SIMULATOR_CONTROL", "wrong");
    let (code, _, stderr) = output(command).await;
    assert_eq!(code, Some(3), "{stderr}");
    assert!(stderr.contains("401") && stderr.contains("control token"), "{stderr}");
    assert!(!simulator.audit().iter().any(|entry| entry.service == "launcher"));
}

#[tokio::test]
async fn the_program_audit_prints_a_table_or_json_of_a_simulator_or_of_a_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("audit.jsonl");
    let simulator =
        Simulator::start(Config { audit_log: Some(file.clone()), ..Config::default() }).await.expect("starts");
    let hostile = "\u{1b}[31mnot//iam\n";
    exchange(&simulator, "a.b.c", hostile).await;
    exchange(&simulator, "a.b.c", &audience(1)).await;
    let audit = async |args: &[&str]| {
        let mut command = Command::new(crate::scene::program());
        command.arg("audit").args(args).env("CSIGN_SIMULATOR", simulator.address().to_string());
        let (code, stdout, stderr) = output(command).await;
        assert_eq!(code, Some(0), "{stderr}");
        stdout
    };
    let table = audit(&["--denied"]).await;
    assert_eq!(table.lines().count(), 3, "{table}");
    assert!(table.starts_with("SEQUENCE") && !table.contains('\u{1b}') && table.contains("\\u{1b}[31m"), "{table}");
    let json = audit(&["--output", "json"]).await;
    let path = file.to_str().expect("text");
    assert_eq!(json, audit(&["--output", "json", "--file", path]).await);
    assert_eq!(json, std::fs::read_to_string(&file).expect("the file"));
    assert_eq!(audit(&["--since", "1", "--service", "sts", "--output", "json"]).await.lines().count(), 1);
    assert_eq!(audit(&["--allowed"]).await.lines().count(), 1, "only the headers");

    // Half a line, as a crash may leave it, is an error and no entry.
    let mut half = std::fs::OpenOptions::new().append(true).open(&file).expect("opens");
    half.write_all(b"{\"sequence\":").expect("writes");
    let mut command = Command::new(crate::scene::program());
    command.args(["audit", "--file", path]);
    let (code, _, stderr) = output(command).await;
    assert!(code == Some(3) && stderr.contains("not whole"), "{stderr}");
}
