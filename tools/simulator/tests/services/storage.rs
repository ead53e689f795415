//! Cloud Storage over its JSON API: uploads in every form, ranges, lists, conditions, and who may do what.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use simulator::{Config, Simulator};

use crate::rest::{answer, get, post, request};

const BUCKET: &str = "models";

async fn scene() -> (Simulator, String) {
    let config = Config { buckets: vec![BUCKET.to_owned()], ..Config::default() };
    let simulator = Simulator::start(config).await.expect("starts");
    simulator.iam().bind("projects/_/buckets/models", "roles/storage.admin", "user:owner@c1.example");
    let token = simulator.admin_token("user:owner@c1.example").expect("token");
    (simulator, token)
}

fn object(name: &str) -> String {
    format!("/storage/v1/b/{BUCKET}/o/{}", name.replace('/', "%2F"))
}

async fn media(simulator: &Simulator, token: &str, name: &str, data: impl Into<reqwest::Body>) -> (u16, Value) {
    let path = format!("/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name={name}");
    answer(request(simulator, Method::POST, &path, token).header("content-type", "text/plain").body(data)).await
}

async fn download(simulator: &Simulator, token: &str, name: &str, range: Option<&str>) -> Response {
    let mut get = request(simulator, Method::GET, &format!("{}?alt=media", object(name)), token);
    if let Some(range) = range {
        get = get.header("range", range);
    }
    get.send().await.expect("answers")
}

#[tokio::test]
async fn what_is_uploaded_comes_back_whole_or_in_ranges_with_its_checksums() {
    let (simulator, token) = scene().await;
    let (status, about) = media(&simulator, &token, "dir%2Fa%20b.txt", "0123456789").await;
    assert_eq!(status, 200, "{about}");
    assert_eq!((about["name"].as_str(), about["size"].as_str()), (Some("dir/a b.txt"), Some("10")));
    let crc = STANDARD.encode(crc32c::crc32c(b"0123456789").to_be_bytes());
    assert_eq!(
        (about["crc32c"].as_str(), about["md5Hash"].as_str()),
        (Some(crc.as_str()), Some("eB5eJF1ptWaXm4bijSPyxw=="))
    );
    let (_, same) = get(&simulator, &object("dir/a%20b.txt"), &token).await;
    assert_eq!(same, about);
    for (range, status, body) in [
        (None, 200, "0123456789"),
        (Some("bytes=2-4"), 206, "234"),
        (Some("bytes=7-"), 206, "789"),
        (Some("bytes=-3"), 206, "789"),
        (Some("bytes=8-100"), 206, "89"),
    ] {
        let response = download(&simulator, &token, "dir/a%20b.txt", range).await;
        assert_eq!(response.status().as_u16(), status, "{range:?}");
        let hash = response.headers()["x-goog-hash"].to_str().expect("text").to_owned();
        assert_eq!(hash, format!("crc32c={crc},md5=eB5eJF1ptWaXm4bijSPyxw=="));
        assert_eq!(response.headers()["content-type"], "text/plain");
        assert_eq!(response.text().await.expect("text"), body, "{range:?}");
    }
    for range in ["bytes=10-", "bytes=5-4", "bytes=x-1", "bytes=1"] {
        assert_eq!(download(&simulator, &token, "dir/a%20b.txt", Some(range)).await.status(), 416, "{range}");
    }
    assert_eq!(download(&simulator, &token, "dir/a", None).await.status(), 404);
}

#[tokio::test]
async fn a_large_object_goes_through_in_pieces() {
    let (simulator, token) = scene().await;
    let piece = bytes::Bytes::from(vec![7_u8; 1 << 20]);
    let pieces = futures_util::stream::iter((0..40).map(move |_| Ok::<_, std::io::Error>(piece.clone())));
    let (status, about) = media(&simulator, &token, "large", reqwest::Body::wrap_stream(pieces)).await;
    assert_eq!((status, about["size"].as_str()), (200, Some("41943040")), "{about}");
    let body = download(&simulator, &token, "large", None).await.bytes().await.expect("bytes");
    assert!(body.len() == 41_943_040 && body.iter().all(|byte| *byte == 7));
}

#[tokio::test]
async fn multipart_uploads_carry_a_description_and_wrong_checksums_store_nothing() {
    let (simulator, token) = scene().await;
    let upload = async |about: Value, data: &str| {
        let body = format!(
            "--===b==\r\ncontent-type: application/json; charset=UTF-8\r\n\r\n{about}\r\n--===b==\r\ncontent-type: \
             text/x-model\r\n\r\n{data}\r\n--===b==--"
        );
        let path = format!("/upload/storage/v1/b/{BUCKET}/o?uploadType=multipart");
        let request = request(&simulator, Method::POST, &path, &token);
        answer(request.header("content-type", "multipart/related; boundary=\"===b==\"").body(body)).await
    };
    let data = "line\r\n--===b==x\r\nnot the end";
    let crc = STANDARD.encode(crc32c::crc32c(data.as_bytes()).to_be_bytes());
    let about = json!({"name": "m", "metadata": {"party": "c1"}, "crc32c": crc});
    let (status, reply) = upload(about.clone(), data).await;
    assert_eq!((status, reply["metadata"]["party"].as_str()), (200, Some("c1")), "{reply}");
    assert_eq!(reply["contentType"], "text/x-model");
    assert_eq!(download(&simulator, &token, "m", None).await.text().await.expect("text"), data);
    assert_eq!(upload(about, "other data").await.0, 400);
    assert_eq!(upload(json!({"name": "n", "md5Hash": "AAAA"}), data).await.0, 400);
    assert_eq!(upload(json!({}), data).await.0, 400, "no name");
    assert_eq!(get(&simulator, &object("n"), &token).await.0, 404);
    assert_eq!(
        download(&simulator, &token, "m", None).await.text().await.expect("text"),
        data,
        "the old object is there"
    );
    let path = format!("/upload/storage/v1/b/{BUCKET}/o?uploadType=multipart");
    for (kind, body) in
        [("multipart/related", "x"), ("multipart/related; boundary=b", "--b\r\nno end"), ("text/plain", "")]
    {
        let request = request(&simulator, Method::POST, &path, &token).header("content-type", kind).body(body);
        assert_eq!(answer(request).await.0, 400, "{kind}");
    }
}

#[tokio::test]
async fn a_resumable_upload_goes_on_where_it_stopped() {
    let (simulator, token) = scene().await;
    let path = format!("/upload/storage/v1/b/{BUCKET}/o?uploadType=resumable");
    let start =
        request(&simulator, Method::POST, &path, &token).json(&json!({"name": "r"})).send().await.expect("answers");
    assert_eq!(start.status(), 200);
    let session = start.headers()["location"].to_str().expect("text").to_owned();
    assert!(session.starts_with(&simulator.endpoint()), "{session}");
    let put = async |range: &str, data: &'static str| {
        let request = reqwest::Client::new().put(&session).header("content-range", range).body(data);
        let response = request.send().await.expect("answers");
        let arrived = response.headers().get("range").map(|range| range.to_str().expect("text").to_owned());
        (response.status().as_u16(), arrived, response.text().await.expect("text"))
    };
    assert_eq!(put("bytes */*", "").await.0, 308);
    let (status, arrived, _) = put("bytes 0-3/*", "0123").await;
    assert_eq!((status, arrived.as_deref()), (308, Some("bytes=0-3")));
    let (status, arrived, _) = put("bytes 2-5/10", "2345").await;
    assert_eq!((status, arrived.as_deref()), (308, Some("bytes=0-3")), "a piece from elsewhere changes nothing");
    assert_eq!(put("bytes nonsense", "").await.0, 400);
    let (status, _, body) = put("bytes 4-9/10", "456789").await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(download(&simulator, &token, "r", None).await.text().await.expect("text"), "0123456789");
    assert_eq!(put("bytes 0-3/4", "0123").await.0, 404, "the session is over");
}

#[tokio::test]
async fn conditions_on_generations_stop_a_lost_update() {
    let (simulator, token) = scene().await;
    let put =
        async |data: &'static str, condition: &str| media(&simulator, &token, &format!("g&{condition}"), data).await;
    let (status, first) = put("1", "ifGenerationMatch=0").await;
    assert_eq!(status, 200);
    let (status, refused) = put("2", "ifGenerationMatch=0").await;
    assert_eq!((status, refused["error"]["errors"][0]["reason"].as_str()), (412, Some("conditionNotMet")));
    let generation = first["generation"].as_str().expect("a generation");
    let (status, second) = put("2", &format!("ifGenerationMatch={generation}")).await;
    assert_eq!(status, 200);
    assert_ne!(second["generation"], first["generation"]);
    assert_eq!(put("3", &format!("ifGenerationMatch={generation}")).await.0, 412);
    assert_eq!(put("3", "ifGenerationMatch=x").await.0, 400);
    assert_eq!(
        get(&simulator, &format!("{}?generation={generation}", object("g")), &token).await.0,
        404,
        "it was replaced"
    );
    let delete = async |condition: &str| {
        let path = format!("{}?{condition}", object("g"));
        answer(request(&simulator, Method::DELETE, &path, &token)).await.0
    };
    assert_eq!(delete(&format!("ifGenerationMatch={generation}")).await, 412);
    assert_eq!(delete(&format!("ifGenerationMatch={}", second["generation"].as_str().expect("text"))).await, 204);
    assert_eq!(delete("").await, 404);
}

#[tokio::test]
async fn lists_have_prefixes_groups_and_pages() {
    let (simulator, token) = scene().await;
    for name in ["a/1", "a/2", "a/b/3", "b", "c/4"] {
        simulator.storage().put(BUCKET, name, b"x").expect("an object");
    }
    let list = async |query: &str| get(&simulator, &format!("/storage/v1/b/{BUCKET}/o?{query}"), &token).await.1;
    let names = |page: &Value| -> Vec<String> {
        let items = page["items"].as_array().cloned().unwrap_or_default();
        items.iter().map(|item| item["name"].as_str().expect("a name").to_owned()).collect()
    };
    assert_eq!(names(&list("").await), ["a/1", "a/2", "a/b/3", "b", "c/4"]);
    assert_eq!(names(&list("prefix=a/").await), ["a/1", "a/2", "a/b/3"]);
    let page = list("delimiter=/").await;
    assert_eq!((names(&page), &page["prefixes"]), (vec!["b".to_owned()], &json!(["a/", "c/"])));
    let page = list("prefix=a/&delimiter=/").await;
    assert_eq!((names(&page).join(","), &page["prefixes"]), ("a/1,a/2".to_owned(), &json!(["a/b/"])));
    let (mut seen, mut token_of_page) = (Vec::new(), String::new());
    loop {
        let page = list(&format!("delimiter=/&maxResults=1&pageToken={token_of_page}")).await;
        seen.extend(names(&page));
        seen.extend(page["prefixes"].as_array().into_iter().flatten().map(|p| p.as_str().expect("text").to_owned()));
        match page["nextPageToken"].as_str() {
            Some(next) => next.clone_into(&mut token_of_page),
            None => break,
        }
    }
    assert_eq!(seen, ["a/", "b", "c/"], "each once, over all pages");
    assert_eq!(names(&list("startOffset=a/2&endOffset=c").await), ["a/2", "a/b/3", "b"]);
}

#[tokio::test]
async fn each_permission_is_asked_for_and_a_denial_stores_nothing() {
    let (simulator, owner) = scene().await;
    media(&simulator, &owner, "x", "secret model").await;
    let viewer = "user:viewer@c2.example";
    simulator.iam().bind("projects/_/buckets/models", "roles/storage.objectViewer", viewer);
    let viewer = simulator.admin_token(viewer).expect("token");
    let stranger = simulator.admin_token("user:stranger@c3.example").expect("token");
    assert_eq!(download(&simulator, &viewer, "x", None).await.status(), 200);
    assert_eq!(media(&simulator, &viewer, "x", "other").await.0, 403);
    assert_eq!(answer(request(&simulator, Method::DELETE, &object("x"), &viewer)).await.0, 403);
    assert_eq!(get(&simulator, &format!("/storage/v1/b/{BUCKET}"), &viewer).await.0, 403);
    for (token, status) in [(stranger.as_str(), 403), ("ya29.forged", 401), ("", 401)] {
        assert_eq!(download(&simulator, token, "x", None).await.status().as_u16(), status);
        assert_eq!(get(&simulator, &object("x"), token).await.0, status);
        assert_eq!(get(&simulator, &format!("/storage/v1/b/{BUCKET}/o"), token).await.0, status);
        assert_eq!(media(&simulator, token, "y", "other").await.0, status);
        let path = format!("/upload/storage/v1/b/{BUCKET}/o?uploadType=resumable&name=y");
        assert_eq!(post(&simulator, &path, token, &json!({})).await.0, status);
    }
    assert_eq!(download(&simulator, &owner, "x", None).await.text().await.expect("text"), "secret model");
    assert_eq!(get(&simulator, &object("y"), &owner).await.0, 404);
    let denials = simulator.audit().into_iter().filter(|e| e.service == "storage" && !e.allowed);
    let clauses: Vec<String> = denials.map(|e| e.clause).collect();
    for permission in
        ["storage.objects.get", "storage.objects.create", "storage.objects.delete", "storage.objects.list"]
    {
        assert!(clauses.iter().any(|clause| clause.contains(permission)), "{permission} in {clauses:?}");
    }
}

#[tokio::test]
async fn buckets_are_created_once_by_who_may() {
    let (simulator, owner) = scene().await;
    let create = async |token: &str, name: &str| {
        post(&simulator, "/storage/v1/b?project=c1", token, &json!({"name": name})).await.0
    };
    assert_eq!(create(&owner, "other").await, 403, "an owner of a bucket is none of the project");
    simulator.iam().bind("projects/c1", "roles/storage.admin", "user:owner@c1.example");
    assert_eq!(create(&owner, "other").await, 200);
    assert_eq!(create(&owner, "other").await, 409);
    assert_eq!(create(&owner, "Bad Name").await, 400);
    assert_eq!(get(&simulator, "/storage/v1/b?project=c1", &owner).await.1["items"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn a_buckets_policy_is_set_by_who_may_and_decides_at_once() {
    let (simulator, owner) = scene().await;
    simulator.storage().put(BUCKET, "x", b"data").expect("an object");
    let viewer = simulator.admin_token("user:viewer@c2.example").expect("token");
    let path = format!("/storage/v1/b/{BUCKET}/iam");
    let (status, mut policy) = get(&simulator, &path, &owner).await;
    assert_eq!(status, 200, "{policy}");
    let added = json!({"role": "roles/storage.objectViewer", "members": ["user:viewer@c2.example"]});
    policy["bindings"].as_array_mut().expect("a list").push(added);
    let put = async |token: &str| answer(request(&simulator, Method::PUT, &path, token).json(&policy)).await.0;
    assert_eq!(put(&viewer).await, 403);
    assert_eq!(download(&simulator, &viewer, "x", None).await.status(), 403);
    assert_eq!(put(&owner).await, 200);
    assert_eq!(download(&simulator, &viewer, "x", None).await.status(), 200);
    assert_eq!(put(&owner).await, 409, "the etag is that of the old policy");
    let test = format!("{path}/testPermissions?permissions=storage.objects.get&permissions=storage.objects.delete");
    assert_eq!(get(&simulator, &test, &viewer).await.1["permissions"], json!(["storage.objects.get"]));
}
