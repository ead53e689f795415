//! What the workload serves to an operator's probes, and what it keeps from everyone who connects.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use csign_trust::ExitStatus;
use serde_json::Value;
use support::{COLLABORATORS, PARTIES, Recorder, Running, Site};

/// A site whose contract serves health on a port that the system picks.
async fn site() -> Site {
    let mut site = Site::with_contract(|text| text.replace("[messages]", "[health]\nport = 0\n[messages]")).await;
    site.sign_in_token(&PARTIES);
    site.listen(Arc::new(|_, _| {}));
    site
}

fn address(log: &Recorder) -> SocketAddr {
    let events = log.events();
    let event = events.iter().find(|event| event["event"] == "listening" && event["port"] == "health").unwrap();
    event["address"].as_str().unwrap().parse().unwrap()
}

/// Sends `request` as it stands and reads until the workload closes.
async fn raw(address: SocketAddr, request: impl Into<Vec<u8>>) -> String {
    let request = request.into();
    tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let _ = stream.write_all(&request);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    })
    .await
    .unwrap()
}

async fn get(running: &Running, path: &str) -> (u16, String) {
    let answer = raw(address(&running.log), format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")).await;
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

/// Asks until the subscription is pulled.
async fn ready(running: &Running) -> Value {
    for _ in 0..6000 {
        let (status, body) = get(running, "/readyz").await;
        if status == 200 {
            return serde_json::from_str(&body).unwrap();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never became ready: {}", running.log.text());
}

#[tokio::test]
async fn health_says_what_runs_and_how_each_collaborator_is() {
    let site = site().await;
    let running = site.start().await;
    let readiness = ready(&running).await;
    assert_eq!(readiness["boot"], "verified");
    assert_eq!(readiness["contract"], site.contract.digest().to_string());
    assert_eq!(readiness["image"], site.container.image_reference);
    for collaborator in COLLABORATORS {
        assert_eq!(readiness["collaborators"][collaborator], "works");
    }
    assert_eq!(get(&running, "/healthz").await, (200, "alive\n".to_owned()));
    assert_eq!(get(&running, "/etc/csign/contract.json").await.0, 404);
    assert_eq!(running.stop().await.0, ExitStatus::Success);
}

#[tokio::test]
async fn metrics_count_messages_and_show_no_word_of_them() {
    let site = site().await;
    let running = site.start().await;
    ready(&running).await;
    site.publish(COLLABORATORS[0], "m1", "zebra zebra").await;
    site.publish_raw(
        b"rubbish".to_vec(),
        &[("version", "1"), ("collaborator", "mallory\"} 1\nforged"), ("message", "m")],
    );
    site.drained().await;
    let (status, text) = get(&running, "/metrics").await;
    assert_eq!(status, 200);
    let counted = r#"csign_workload_messages_total{collaborator="collaborator-1",outcome="counted"} 1"#;
    assert!(text.lines().any(|line| line == counted), "{text}");
    let refused = r#"csign_workload_messages_total{collaborator="",outcome="refused"} 1"#;
    assert!(text.lines().any(|line| line == refused), "{text}");
    assert!(text.ends_with("# EOF\n"), "OpenMetrics text ends with its end");
    for secret in ["zebra", "mallory", "forged"] {
        assert!(!text.contains(secret), "{secret} is in the metrics: {text}");
    }
}

#[tokio::test]
async fn a_message_cannot_make_a_new_series() {
    let site = site().await;
    let running = site.start().await;
    ready(&running).await;
    let series = |text: &str| text.lines().filter(|line| line.contains("messages_total")).count();
    let before = series(&get(&running, "/metrics").await.1);
    for n in 0..20 {
        let name = format!("stranger-{n}");
        site.publish_raw(b"x".to_vec(), &[("version", "1"), ("collaborator", &name), ("message", "m")]);
    }
    site.drained().await;
    assert_eq!(series(&get(&running, "/metrics").await.1), before);
}

#[tokio::test]
async fn requests_that_no_probe_makes_are_refused() {
    let site = site().await;
    let running = site.start().await;
    let address = address(&running.log);
    let status = |answer: &str| answer.split(' ').nth(1).unwrap_or("closed").to_owned();
    let post = raw(address, "POST /metrics HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(status(&post), "405");
    let body = raw(address, "GET /metrics HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nbody").await;
    assert_eq!(status(&body), "413");
    let long = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(1 << 20));
    let long = status(&raw(address, long).await);
    assert!(["431", "414", "closed"].contains(&long.as_str()), "{long}");
    let two = raw(address, "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\nGET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!(two.matches("200 OK").count(), 1, "one request for each connection: {two}");
    ready(&running).await;
}

#[tokio::test]
async fn who_says_nothing_is_disconnected_and_others_are_served_meanwhile() {
    let site = site().await;
    let running = site.start().await;
    let address = address(&running.log);
    let silent: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(address).unwrap()).collect();
    assert_eq!(get(&running, "/healthz").await.0, 200);
    for mut stream in silent {
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let closed = tokio::task::spawn_blocking(move || {
            let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\n");
            stream.read_to_end(&mut Vec::new()).is_ok()
        });
        assert!(closed.await.unwrap(), "a silent connection stayed open");
    }
}

#[tokio::test]
async fn readiness_is_withdrawn_when_the_subscription_is_lost() {
    let site = site().await;
    let running = site.start().await;
    ready(&running).await;
    let machine = "serviceAccount:vm@operator.iam.gserviceaccount.com";
    assert!(site.simulator.iam().unbind(support::SUBSCRIPTION, "pubsub.subscriptions.consume", machine));
    let (stopped, _) = running.stop().await;
    assert_eq!(stopped, ExitStatus::Success);
    let running = site.start().await;
    support::until("pulling to fail", || running.log.has("pulling stopped")).await;
    let (status, body) = get(&running, "/readyz").await;
    assert_eq!(status, 503, "{body}");
    assert_eq!(get(&running, "/healthz").await.0, 200, "it is alive all the same");
}

#[tokio::test]
async fn a_port_that_is_taken_means_could_not_check_and_no_message_is_pulled() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut site =
        Site::with_contract(|text| text.replace("[messages]", &format!("[health]\nport = {port}\n[messages]"))).await;
    site.sign_in_token(&PARTIES);
    site.listen(Arc::new(|_, _| {}));
    let (status, log) = site.boot_refused().await;
    assert_eq!(status, ExitStatus::CouldNotCheck);
    assert!(log.people().contains("health port"), "{}", log.people());
}

#[tokio::test]
async fn events_are_what_cloud_logging_reads() {
    let site = site().await;
    let running = site.start().await;
    ready(&running).await;
    site.publish(COLLABORATORS[0], "m1", "zebra").await;
    site.drained().await;
    let (_, log) = running.stop().await;
    let events = log.events();
    for event in &events {
        assert!(["INFO", "ERROR"].contains(&event["severity"].as_str().unwrap()), "{event}");
        assert_eq!(event["message"], event["event"], "{event}");
        let timestamp = event["timestamp"].as_str().unwrap();
        assert!(timestamp.len() >= 20 && timestamp.ends_with('Z') && timestamp.contains('T'), "{event}");
        let labels = &event["logging.googleapis.com/labels"];
        assert_eq!(labels["contract"], site.contract.digest().to_string(), "{event}");
    }
    let counts = events.iter().find(|event| event["event"] == "word counts").unwrap();
    assert_eq!(counts["message_id"], "m1");
    assert_eq!(counts["logging.googleapis.com/labels"]["image"], site.container.image_reference);
}
