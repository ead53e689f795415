//! Secret Manager: versions, their states, checksums, and who may read them.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;
use simulator::{Config, Simulator, config::Secret};

use crate::{
    rest::{get, grpc, post},
    scene::start,
};

const SECRET: &str = "projects/c1/secrets/password";

async fn scene() -> (Simulator, String, String) {
    let simulator = start().await;
    simulator.secrets().add(SECRET, "hunter2").expect("a secret");
    simulator.iam().bind(SECRET, "roles/secretmanager.secretAccessor", "user:reader@c1.example");
    simulator.iam().bind("projects/c1", "roles/secretmanager.admin", "user:owner@c1.example");
    let reader = simulator.admin_token("user:reader@c1.example").expect("token");
    let owner = simulator.admin_token("user:owner@c1.example").expect("token");
    (simulator, reader, owner)
}

#[tokio::test]
async fn the_newest_version_is_latest_and_its_checksum_comes_with_it() {
    let (simulator, reader, owner) = scene().await;
    let payload =
        |data: &str, crc: u32| json!({"payload": {"data": STANDARD.encode(data), "dataCrc32c": crc.to_string()}});
    let add = format!("/v1/{SECRET}:addVersion");
    let (status, added) = post(&simulator, &add, &owner, &payload("second", crc32c::crc32c(b"second"))).await;
    assert_eq!((status, added["name"].as_str()), (200, Some(format!("{SECRET}/versions/2").as_str())), "{added}");
    let (status, _) = post(&simulator, &add, &owner, &payload("third", 1)).await;
    assert_eq!(status, 400, "a wrong checksum adds nothing");
    for (which, number, data) in [("latest", 2, "second"), ("2", 2, "second"), ("1", 1, "hunter2")] {
        let (status, reply) = get(&simulator, &format!("/v1/{SECRET}/versions/{which}:access"), &reader).await;
        assert_eq!((status, &reply["name"]), (200, &json!(format!("{SECRET}/versions/{number}"))));
        assert_eq!(reply["payload"]["data"], STANDARD.encode(data));
        assert_eq!(reply["payload"]["dataCrc32c"], crc32c::crc32c(data.as_bytes()).to_string());
    }
    for absent in ["0", "3", "01", "-1", "newest"] {
        let (status, _) = get(&simulator, &format!("/v1/{SECRET}/versions/{absent}:access"), &reader).await;
        assert_eq!(status, 404, "{absent}");
    }
    let log = serde_json::to_string(&simulator.audit()).expect("json");
    assert!(!log.contains("hunter2") && !log.contains(&STANDARD.encode("hunter2")), "a secret in the log");
}

#[tokio::test]
async fn disabled_and_destroyed_versions_are_not_read_and_latest_does_not_fall_back() {
    let (simulator, reader, owner) = scene().await;
    simulator.secrets().add(SECRET, "second").expect("a version");
    let second = format!("/v1/{SECRET}/versions/2");
    let access = format!("/v1/{SECRET}/versions/latest:access");
    assert_eq!(post(&simulator, &format!("{second}:disable"), &owner, &json!({})).await.1["state"], "DISABLED");
    let (status, refused) = get(&simulator, &access, &reader).await;
    assert_eq!((status, refused["error"]["status"].as_str()), (400, Some("FAILED_PRECONDITION")));
    let wanted = format!("Secret Version [{SECRET}/versions/2] is in DISABLED state.");
    assert_eq!(refused["error"]["message"], wanted);
    assert_eq!(post(&simulator, &format!("{second}:enable"), &owner, &json!({})).await.0, 200);
    assert_eq!(get(&simulator, &access, &reader).await.0, 200);
    assert_eq!(post(&simulator, &format!("{second}:destroy"), &owner, &json!({})).await.1["state"], "DESTROYED");
    assert_eq!(get(&simulator, &access, &reader).await.0, 400);
    assert_eq!(post(&simulator, &format!("{second}:enable"), &owner, &json!({})).await.0, 400, "destroyed is for ever");
}

#[tokio::test]
async fn only_who_may_access_reads_and_reading_is_not_managing() {
    let (simulator, reader, _) = scene().await;
    let access = format!("/v1/{SECRET}/versions/1:access");
    assert_eq!(get(&simulator, &access, "").await.0, 401);
    let stranger = simulator.admin_token("user:stranger@c2.example").expect("token");
    let (status, refused) = get(&simulator, &access, &stranger).await;
    assert_eq!(status, 403);
    let message = refused["error"]["message"].as_str().expect("a message");
    assert!(message.starts_with("Permission 'secretmanager.versions.access' denied on resource"), "{message}");
    assert_eq!(post(&simulator, &format!("/v1/{SECRET}/versions/1:destroy"), &reader, &json!({})).await.0, 403);
    assert_eq!(
        post(&simulator, &format!("/v1/{SECRET}:addVersion"), &reader, &json!({"payload": {"data": "eA=="}})).await.0,
        403
    );
    assert_eq!(post(&simulator, "/v1/projects/c1/secrets?secretId=new", &reader, &json!({})).await.0, 403);
}

#[tokio::test]
async fn grpc_reads_what_the_configuration_put_there() {
    #[derive(Clone, PartialEq, prost::Message)]
    struct Access {
        #[prost(string, tag = "1")]
        name: String,
        #[prost(message, optional, tag = "2")]
        payload: Option<Payload>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    struct Payload {
        #[prost(bytes = "vec", tag = "1")]
        data: Vec<u8>,
        #[prost(int64, optional, tag = "2")]
        crc: Option<i64>,
    }
    let secret = Secret { name: SECRET.to_owned(), data: "hunter2".to_owned() };
    assert!(!format!("{secret:?}").contains("hunter2"));
    let simulator = Simulator::start(Config { secrets: vec![secret], ..Config::default() }).await.expect("starts");
    simulator.iam().bind(SECRET, "roles/secretmanager.secretAccessor", "user:reader@c1.example");
    let reader = simulator.admin_token("user:reader@c1.example").expect("token");
    let question = Access { name: format!("{SECRET}/versions/latest"), payload: None };
    let method = "google.cloud.secretmanager.v1.SecretManagerService/AccessSecretVersion";
    let reply: Access = grpc(&simulator, method, &reader, &question).await.expect("answers");
    let payload = reply.payload.expect("a payload");
    assert_eq!(
        (payload.data.as_slice(), payload.crc),
        (b"hunter2".as_slice(), Some(i64::from(crc32c::crc32c(b"hunter2"))))
    );
    assert_eq!(reply.name, format!("{SECRET}/versions/1"));
    assert_eq!(grpc::<Access>(&simulator, method, "", &question).await.expect_err("no token").0, "16");
}
