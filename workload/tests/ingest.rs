//! Data over TLS: who may send, what the endpoint proves about itself, and that a message counts once.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::{
    collections::BTreeMap,
    io::{ErrorKind, Write as _},
    net::SocketAddr,
    sync::Arc,
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use csign_trust::ExitStatus;
use serde_json::Value;
use support::{
    COLLABORATORS, PARTIES, Site,
    authority::Authority,
    tls::{Client, Scene, address, answer, ask},
};

/// Blocking work of a client beside the workload, which runs on this runtime.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

async fn connects(client: Client, address: SocketAddr) -> bool {
    blocking(move || match client.connect(address) {
        Ok(_) => true,
        Err(error) => {
            assert!(!matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "it hangs: {error}");
            false
        }
    })
    .await
}

#[tokio::test]
async fn a_message_over_tls_is_counted_once_whatever_is_sent_again() {
    let scene = Scene::new().await;
    let running = scene.site.start().await;
    let (address, client) = (address(&running), scene.client(0));
    let answers = blocking(move || {
        let mut stream = client.connect(address).unwrap();
        let first = ask(&mut stream, "POST", "/messages/m1", b"alice bob alice").unwrap();
        let again = ask(&mut stream, "POST", "/messages/m1", b"alice bob alice").unwrap();
        let other = ask(&mut stream, "POST", "/messages/m1", b"something else").unwrap();
        [first, again, other]
    })
    .await;
    let statuses =
        answers.map(|(status, body)| (status, serde_json::from_str::<Value>(&body).unwrap()["status"].clone()));
    assert_eq!(statuses[0], (200, "counted".into()));
    assert_eq!(statuses[1], (200, "already-counted".into()));
    assert_eq!(statuses[2], (200, "already-counted".into()));
    // The same id through Pub/Sub is the same message; another collaborator's is another.
    scene.site.publish(COLLABORATORS[0], "m1", "alice").await;
    scene.site.publish(COLLABORATORS[1], "m1", "carol").await;
    scene.site.drained().await;
    assert_eq!(running.stop().await.0, ExitStatus::Success);
    assert_eq!(
        scene.site.state().counts().unwrap(),
        BTreeMap::from([("alice", 2), ("bob", 1), ("carol", 1)].map(|(w, n)| (w.to_owned(), n)))
    );
}

#[tokio::test]
async fn the_certificate_says_whose_message_it_is() {
    let scene = Scene::new().await;
    let running = scene.site.start().await;
    let address = address(&running);
    for index in [0, 1] {
        let client = scene.client(index);
        let answer =
            blocking(move || ask(&mut client.connect(address).unwrap(), "POST", "/messages/m", b"word").unwrap());
        assert_eq!(answer.await.0, 200);
    }
    running.stop().await;
    assert_eq!(scene.site.state().counts().unwrap(), BTreeMap::from([("word".to_owned(), 2)]));
}

#[tokio::test]
async fn connect_gives_a_token_that_names_this_connection_and_no_other() {
    let scene = Scene::new().await;
    let running = scene.site.start().await;
    let address = address(&running);
    let mut seen = Vec::new();
    for _ in 0..2 {
        let client = scene.client(0);
        let (token, again, material) = blocking(move || {
            let mut stream = client.connect(address).unwrap();
            let token = ask(&mut stream, "GET", "/connect", b"").unwrap();
            let again = ask(&mut stream, "GET", "/connect", b"").unwrap();
            let material = stream.conn.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(b"")).unwrap();
            (token, again, material)
        })
        .await;
        assert_eq!(token.0, 200);
        assert_eq!(token, again, "one token is enough for a connection");
        let payload = BASE64_URL_SAFE_NO_PAD.decode(token.1.split('.').nth(1).unwrap()).unwrap();
        let claims: Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(claims["eat_nonce"], BASE64_URL_SAFE_NO_PAD.encode(material));
        assert_eq!(claims["aud"], format!("https://csign.dev/ingest/{}", scene.site.contract.digest()));
        seen.push(material);
    }
    assert_ne!(seen[0], seen[1]);
    assert!(!running.log.text().contains("eyJ"), "a token is in the log");
}

#[tokio::test]
async fn a_client_without_certificate_is_refused() {
    let scene = Scene::new().await;
    let running = scene.site.start().await;
    let client = Client { identity: None, ..scene.client(0) };
    assert!(!connects(client, address(&running)).await);
    assert!(connects(scene.client(0), address(&running)).await, "the honest client is served");
}

#[tokio::test]
async fn a_certificate_of_another_collaborators_authority_is_refused_under_this_name() {
    let scene = Scene::new().await;
    let running = scene.site.start().await;
    let client = Client { identity: Some(scene.authorities[1].client()), ..scene.client(0) };
    assert!(!connects(client, address(&running)).await);
}

#[tokio::test]
async fn a_certificate_of_an_authority_of_the_same_name_with_another_key_is_refused() {
    let scene = Scene::new().await;
    let running = scene.site.start().await;
    let client = Client { identity: Some(Authority::new("one").client()), ..scene.client(0) };
    assert!(!connects(client, address(&running)).await);
}

#[tokio::test]
async fn expired_server_and_self_signed_certificates_are_refused() {
    let scene = Scene::new().await;
    let running = scene.site.start().await;
    let authority = &scene.authorities[0];
    for identity in [authority.expired(), authority.server(), authority.own()] {
        let client = Client { identity: Some(identity), ..scene.client(0) };
        assert!(!connects(client, address(&running)).await);
    }
}

#[tokio::test]
async fn another_server_name_none_or_an_older_tls_is_refused() {
    let scene = Scene::new().await;
    let running = scene.site.start().await;
    let address = address(&running);
    for name in ["three.ingest", "localhost", ""] {
        let client = Client { server_name: name.to_owned(), ..scene.client(0) };
        assert!(!connects(client, address).await, "{name:?}");
    }
    assert!(!connects(Client { tls12: true, ..scene.client(0) }, address).await);
}

#[tokio::test]
async fn what_is_no_message_is_refused_with_a_code_and_not_counted() {
    let scene = Scene::new().await;
    let running = scene.site.start().await;
    let (address, client) = (address(&running), scene.client(0));
    let answers = blocking(move || {
        let mut stream = client.connect(address).unwrap();
        [
            ask(&mut stream, "POST", "/messages/a%20b", b"x").unwrap(),
            ask(&mut stream, "POST", &format!("/messages/{}", "a".repeat(129)), b"x").unwrap(),
            ask(&mut stream, "POST", "/messages/", b"x").unwrap(),
            ask(&mut stream, "GET", "/messages/m1", b"").unwrap(),
            ask(&mut stream, "POST", "/messages/m1", b"\xff\xfe").unwrap(),
            ask(&mut stream, "POST", "/connect", b"").unwrap(),
        ]
    })
    .await;
    let got = answers.map(|(status, body)| (status, serde_json::from_str::<Value>(&body).unwrap()["error"].clone()));
    let want = [
        (400, "malformed-message-id"),
        (400, "malformed-message-id"),
        (400, "malformed-message-id"),
        (405, "method"),
        (422, "not-text"),
        (405, "method"),
    ];
    assert_eq!(got, want.map(|(status, code)| (status, code.into())));
    running.stop().await;
    assert!(scene.site.state().counts().unwrap().is_empty());
}

#[tokio::test]
async fn a_message_that_is_too_large_is_refused_by_its_announcement_and_by_its_bytes() {
    let scene = Scene::new().await;
    let running = scene.site.start().await;
    let address = address(&running);
    for head in [
        "POST /messages/m HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999\r\n\r\n".to_owned(),
        format!(
            "POST /messages/m HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n200000\r\n{}",
            "a".repeat(0x200000)
        ),
    ] {
        let client = scene.client(0);
        let answer = blocking(move || {
            let mut stream = client.connect(address).unwrap();
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.flush());
            answer(&mut stream)
        })
        .await;
        // The workload may close before it has read everything, and the answer is lost then.
        if let Ok((status, body)) = answer {
            assert_eq!(status, 413, "{body}");
        }
    }
    assert!(connects(scene.client(0), address).await);
    running.stop().await;
    assert!(scene.site.state().counts().unwrap().is_empty());
}

#[tokio::test]
async fn who_breaks_off_in_the_middle_has_sent_nothing() {
    let scene = Scene::new().await;
    let running = scene.site.start().await;
    let (address, client) = (address(&running), scene.client(0));
    blocking(move || {
        let mut stream = client.connect(address).unwrap();
        stream.write_all(b"POST /messages/m HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf ").unwrap();
        stream.flush().unwrap();
    })
    .await;
    assert!(connects(scene.client(0), address).await);
    running.stop().await;
    assert!(scene.site.state().counts().unwrap().is_empty());
}

#[tokio::test]
async fn one_collaborators_many_connections_leave_room_for_the_others() {
    let scene = Scene::new().await;
    let running = scene.site.start().await;
    let address = address(&running);
    let clients: Vec<Client> = (0..16).map(|_| scene.client(0)).collect();
    let held =
        blocking(move || clients.into_iter().map(|client| client.connect(address).unwrap()).collect::<Vec<_>>()).await;
    assert!(!connects(scene.client(0), address).await, "a seventeenth was let in");
    assert!(connects(scene.client(1), address).await, "the other collaborator was locked out");
    drop(held);
}

#[tokio::test]
async fn a_launcher_without_tokens_means_503_and_messages_still_count() {
    let mut scene = Scene::new().await;
    let running = scene.site.start().await;
    let (address, client) = (address(&running), scene.client(0));
    scene.site.serve(axum::Router::new());
    let (connect, message) = blocking(move || {
        let mut stream = client.connect(address).unwrap();
        (ask(&mut stream, "GET", "/connect", b"").unwrap(), ask(&mut stream, "POST", "/messages/m", b"word").unwrap())
    })
    .await;
    assert_eq!(connect, (503, r#"{"error":"no-token"}"#.to_owned()));
    assert_eq!(message.0, 200);
}

#[tokio::test]
async fn an_authority_that_is_no_certificate_is_wrong_usage() {
    let site = Site::with_contract(|text| {
        let table = "[party.collaborator.ingest]\nserver_name = \"a.ingest\"\nclient_ca = \"\"\"\n-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n\"\"\"\n";
        text.replace("[messages]", "[ingest]\nport = 0\n[messages]") + table
    })
    .await;
    let mut site = site;
    site.sign_in_token(&PARTIES);
    site.listen(Arc::new(|_, _| {}));
    let log = support::Recorder::default();
    let status = workload::run(&site.setting(), &log.log(), std::future::pending()).await;
    assert_eq!(status, ExitStatus::Usage, "{}", log.text());
    assert!(log.people().contains("client_ca of collaborator-2"), "{}", log.people());
}
