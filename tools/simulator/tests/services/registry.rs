//! The distribution specification's rules, each as one test named after its section and what it asks.
//! <https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md>

use csign_oci::{
    Digest,
    manifest::{IMAGE_INDEX, IMAGE_MANIFEST},
};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use simulator::{Config, Simulator};

const REPOSITORY: &str = "team/app";

struct Site {
    simulator: Simulator,
    client: reqwest::Client,
}

impl Site {
    async fn new() -> Self {
        Self::with(Config::default()).await
    }

    async fn with(config: Config) -> Self {
        let _ = rustls_graviola::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build().expect("client");
        Self { simulator: Simulator::start(config).await.expect("starts"), client }
    }

    async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Response {
        let url =
            if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.simulator.endpoint()) };
        let request = headers.iter().fold(self.client.request(method, url), |r, (name, value)| r.header(*name, *value));
        request.body(body.into()).send().await.expect("an answer")
    }

    async fn get(&self, path: &str) -> Response {
        self.send(Method::GET, path, &[], "").await
    }

    /// The address of a new upload.
    async fn upload(&self, repository: &str) -> String {
        let begun = self.send(Method::POST, &format!("/v2/{repository}/blobs/uploads/"), &[], "").await;
        assert_eq!(begun.status(), StatusCode::ACCEPTED);
        header(&begun, "location")
    }

    async fn push_blob(&self, content: &str) -> Digest {
        let (digest, location) = (Digest::of(content), self.upload(REPOSITORY).await);
        let done = self.send(Method::PUT, &format!("{location}?digest={digest}"), &[], content).await;
        assert_eq!(done.status(), StatusCode::CREATED);
        digest
    }

    async fn push_manifest(&self, reference: &str, manifest: &Value) -> Response {
        let kind = manifest["mediaType"].as_str().expect("a media type").to_owned();
        let path = format!("/v2/{REPOSITORY}/manifests/{reference}");
        self.send(Method::PUT, &path, &[("content-type", &kind)], manifest.to_string()).await
    }

    /// An image of one layer; its manifest.
    async fn image(&self) -> Value {
        let (config, layer) = (self.push_blob("{}").await, self.push_blob("layer").await);
        json!({
            "schemaVersion": 2,
            "mediaType": IMAGE_MANIFEST,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2},
            "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer, "size": 5}],
        })
    }
}

fn header(response: &Response, name: &str) -> String {
    response.headers().get(name).map(|value| value.to_str().expect("text").to_owned()).unwrap_or_default()
}

/// The code of the specification's error document.
async fn refused(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let document: Value = response.json().await.expect("an error document");
    (status, document["errors"][0]["code"].as_str().expect("a code").to_owned())
}

fn digest(manifest: &Value) -> Digest {
    Digest::of(manifest.to_string())
}

#[tokio::test]
async fn determining_support_the_base_answers_200() {
    assert_eq!(Site::new().await.get("/v2/").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn pulling_manifests_by_tag_and_digest_gives_bytes_type_and_digest_to_get_and_head() {
    let site = Site::new().await;
    let manifest = site.image().await;
    let pushed = site.push_manifest("v1", &manifest).await;
    assert_eq!(pushed.status(), StatusCode::CREATED);
    let digest = digest(&manifest);
    for reference in ["v1".to_owned(), digest.to_string()] {
        let path = format!("/v2/{REPOSITORY}/manifests/{reference}");
        for method in [Method::GET, Method::HEAD] {
            let pulled = site.send(method.clone(), &path, &[("accept", IMAGE_MANIFEST)], "").await;
            assert_eq!(pulled.status(), StatusCode::OK);
            assert_eq!(header(&pulled, "content-type"), IMAGE_MANIFEST);
            assert_eq!(header(&pulled, "docker-content-digest"), digest.to_string());
            assert_eq!(header(&pulled, "content-length"), manifest.to_string().len().to_string());
            let body = pulled.text().await.expect("body");
            assert_eq!(body, if method == Method::HEAD { String::new() } else { manifest.to_string() });
        }
    }
    let location = header(&pushed, "location");
    assert_eq!(site.get(&location).await.status(), StatusCode::OK, "the location of a push is where to pull");
}

#[tokio::test]
async fn pulling_what_is_not_there_is_404_with_the_right_code() {
    let site = Site::new().await;
    let nobody = Digest::of("nobody");
    let manifest = format!("/v2/{REPOSITORY}/manifests/{nobody}");
    assert_eq!(refused(site.get(&manifest).await).await, (404, "MANIFEST_UNKNOWN".to_owned()));
    let blob = format!("/v2/{REPOSITORY}/blobs/{nobody}");
    assert_eq!(refused(site.get(&blob).await).await, (404, "BLOB_UNKNOWN".to_owned()));
    let tags = format!("/v2/{REPOSITORY}/tags/list");
    assert_eq!(refused(site.get(&tags).await).await, (404, "NAME_UNKNOWN".to_owned()));
    assert_eq!(site.send(Method::HEAD, &manifest, &[], "").await.status(), StatusCode::NOT_FOUND);
    assert_eq!(site.send(Method::HEAD, &blob, &[], "").await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn malformed_names_digests_and_other_algorithms_are_400_and_never_404() {
    let site = Site::new().await;
    let sha512 = format!("sha512:{}", "0".repeat(128));
    for (path, code) in [
        ("/v2/Upper/manifests/v1".to_owned(), "NAME_INVALID"),
        (format!("/v2/{REPOSITORY}/blobs/sha256:short"), "DIGEST_INVALID"),
        (format!("/v2/{REPOSITORY}/blobs/{sha512}"), "DIGEST_INVALID"),
        (format!("/v2/{REPOSITORY}/manifests/{sha512}"), "DIGEST_INVALID"),
        (format!("/v2/{REPOSITORY}/referrers/{sha512}"), "DIGEST_INVALID"),
    ] {
        assert_eq!(refused(site.get(&path).await).await, (400, code.to_owned()), "{path}");
    }
    let location = site.upload(REPOSITORY).await;
    let put = site.send(Method::PUT, &format!("{location}?digest={sha512}"), &[], "x").await;
    assert_eq!(refused(put).await, (400, "DIGEST_INVALID".to_owned()));
}

#[tokio::test]
async fn pulling_blobs_gives_the_range_that_is_asked_for() {
    let site = Site::new().await;
    let digest = site.push_blob("0123456789").await;
    let path = format!("/v2/{REPOSITORY}/blobs/{digest}");
    let whole = site.get(&path).await;
    assert_eq!((whole.status().as_u16(), header(&whole, "content-length")), (200, "10".to_owned()));
    assert_eq!(header(&whole, "docker-content-digest"), digest.to_string());
    for (range, content, body) in [
        ("bytes=2-4", "bytes 2-4/10", "234"),
        ("bytes=7-", "bytes 7-9/10", "789"),
        ("bytes=-3", "bytes 7-9/10", "789"),
        ("bytes=0-99", "bytes 0-9/10", "0123456789"),
    ] {
        let part = site.send(Method::GET, &path, &[("range", range)], "").await;
        assert_eq!((part.status().as_u16(), header(&part, "content-range").as_str()), (206, content), "{range}");
        assert_eq!(part.text().await.expect("body"), body);
    }
    let beyond = site.send(Method::GET, &path, &[("range", "bytes=10-12")], "").await;
    assert_eq!((beyond.status().as_u16(), header(&beyond, "content-range").as_str()), (416, "bytes */10"));
}

#[tokio::test]
async fn pushing_a_blob_monolithically_works_with_post_and_put_and_with_one_post() {
    let site = Site::new().await;
    let (digest, location) = (Digest::of("content"), site.upload(REPOSITORY).await);
    let done = site.send(Method::PUT, &format!("{location}?digest={digest}"), &[], "content").await;
    assert_eq!(done.status(), StatusCode::CREATED);
    assert_eq!(site.get(&header(&done, "location")).await.text().await.expect("body"), "content");
    let other = Digest::of("other");
    let path = format!("/v2/{REPOSITORY}/blobs/uploads/?digest={other}");
    let done = site.send(Method::POST, &path, &[], "other").await;
    assert_eq!(done.status(), StatusCode::CREATED);
    assert_eq!(site.get(&header(&done, "location")).await.text().await.expect("body"), "other");
}

#[tokio::test]
async fn pushing_a_blob_whose_digest_is_wrong_or_absent_stores_nothing() {
    let site = Site::new().await;
    let wrong = Digest::of("something else");
    for query in [format!("?digest={wrong}"), String::new()] {
        let location = site.upload(REPOSITORY).await;
        let put = site.send(Method::PUT, &format!("{location}{query}"), &[], "content").await;
        assert_eq!(refused(put).await, (400, "DIGEST_INVALID".to_owned()));
    }
    for digest in [wrong, Digest::of("content")] {
        assert_eq!(site.get(&format!("/v2/{REPOSITORY}/blobs/{digest}")).await.status(), StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn pushing_a_blob_in_chunks_reports_how_far_it_came_and_refuses_chunks_out_of_order() {
    let site = Site::new().await;
    let location = site.upload(REPOSITORY).await;
    let chunk =
        async |range: &str, body: &str| site.send(Method::PATCH, &location, &[("content-range", range)], body).await;
    let first = chunk("0-3", "0123").await;
    assert_eq!((first.status().as_u16(), header(&first, "range").as_str()), (202, "0-3"));
    for (range, body) in [("5-8", "5678"), ("0-3", "0123"), ("4-5", "4567"), ("nonsense", "4567")] {
        assert_eq!(chunk(range, body).await.status().as_u16(), 416, "{range}");
    }
    let status = site.get(&location).await;
    assert_eq!((status.status().as_u16(), header(&status, "range").as_str()), (204, "0-3"));
    assert_eq!(header(&status, "location"), location);
    assert_eq!(header(&chunk("4-7", "4567").await, "range"), "0-7");
    let digest = Digest::of("0123456789");
    let path = format!("{location}?digest={digest}");
    let late = site.send(Method::PUT, &path, &[("content-range", "9-9")], "9").await;
    assert_eq!(late.status().as_u16(), 416);
    let done = site.send(Method::PUT, &path, &[("content-range", "8-9")], "89").await;
    assert_eq!(done.status(), StatusCode::CREATED);
    let again = site.get(&location).await;
    assert_eq!(again.status(), StatusCode::NOT_FOUND, "an upload that is done is over");
}

#[tokio::test]
async fn pushing_more_than_the_registrys_limit_is_413_in_chunks_too() {
    let mut config = Config::default();
    config.registry.blob_limit = 6;
    let site = Site::with(config).await;
    let location = site.upload(REPOSITORY).await;
    assert_eq!(site.send(Method::PATCH, &location, &[], "0123").await.status(), StatusCode::ACCEPTED);
    assert_eq!(refused(site.send(Method::PATCH, &location, &[], "4567").await).await, (413, "SIZE_INVALID".to_owned()));
    assert_eq!(header(&site.get(&location).await, "range"), "0-3");
    let digest = Digest::of("01234567");
    let path = format!("/v2/{REPOSITORY}/blobs/uploads/?digest={digest}");
    let post = site.send(Method::POST, &path, &[], "01234567").await;
    assert_eq!(refused(post).await, (413, "SIZE_INVALID".to_owned()));
}

#[tokio::test]
async fn cancelling_an_upload_ends_it() {
    let site = Site::new().await;
    let location = site.upload(REPOSITORY).await;
    assert_eq!(site.send(Method::DELETE, &location, &[], "").await.status(), StatusCode::NO_CONTENT);
    assert_eq!(refused(site.get(&location).await).await, (404, "BLOB_UPLOAD_UNKNOWN".to_owned()));
    let elsewhere = site.upload("team/other").await.replace("team/other", REPOSITORY);
    assert_eq!(site.get(&elsewhere).await.status(), StatusCode::NOT_FOUND, "an upload belongs to its repository");
}

#[tokio::test]
async fn mounting_a_blob_takes_it_over_and_otherwise_begins_an_upload() {
    let site = Site::new().await;
    let digest = site.push_blob("content").await;
    let mount = |digest: Digest, from: &str| format!("/v2/team/other/blobs/uploads/?mount={digest}&from={from}");
    let mounted = site.send(Method::POST, &mount(digest, REPOSITORY), &[], "").await;
    assert_eq!(mounted.status(), StatusCode::CREATED);
    assert_eq!(site.get(&header(&mounted, "location")).await.text().await.expect("body"), "content");
    for (digest, from) in [(Digest::of("nobody"), REPOSITORY), (digest, "team/nobody")] {
        let begun = site.send(Method::POST, &mount(digest, from), &[], "").await;
        assert_eq!(begun.status(), StatusCode::ACCEPTED);
        assert!(header(&begun, "location").contains("/v2/team/other/blobs/uploads/"));
    }
}

#[tokio::test]
async fn pushing_manifests_that_lie_or_lack_their_content_is_refused() {
    let site = Site::new().await;
    let image = site.image().await;
    let mut lacking = image.clone();
    lacking["layers"][0]["digest"] = json!(Digest::of("nobody"));
    assert_eq!(refused(site.push_manifest("v1", &lacking).await).await, (400, "MANIFEST_BLOB_UNKNOWN".to_owned()));
    let wrong = Digest::of("something else").to_string();
    assert_eq!(refused(site.push_manifest(&wrong, &image).await).await, (400, "DIGEST_INVALID".to_owned()));
    assert_eq!(refused(site.push_manifest("-v1", &image).await).await, (400, "TAG_INVALID".to_owned()));
    let path = format!("/v2/{REPOSITORY}/manifests/v1");
    let other = site.send(Method::PUT, &path, &[("content-type", IMAGE_INDEX)], image.to_string()).await;
    assert_eq!(refused(other).await, (400, "MANIFEST_INVALID".to_owned()));
    let large = site.send(Method::PUT, &path, &[("content-type", IMAGE_MANIFEST)], vec![b' '; (4 << 20) + 1]).await;
    assert_eq!(refused(large).await, (413, "SIZE_INVALID".to_owned()));
    assert_eq!(site.get(&path).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn listing_tags_is_sorted_paged_and_says_where_to_go_on() {
    let site = Site::new().await;
    let image = site.image().await;
    for tag in ["b", "a", "C", "d"] {
        assert_eq!(site.push_manifest(tag, &image).await.status(), StatusCode::CREATED);
    }
    let base = format!("/v2/{REPOSITORY}/tags/list");
    let list = async |query: &str| {
        let answer = site.get(&format!("{base}{query}")).await;
        let link = header(&answer, "link");
        let body: Value = answer.json().await.expect("json");
        (body["tags"].clone(), link)
    };
    assert_eq!(list("").await, (json!(["C", "a", "b", "d"]), String::new()));
    let (first, link) = list("?n=2").await;
    assert_eq!(first, json!(["C", "a"]));
    let next = link.strip_prefix('<').and_then(|link| link.split_once(">; rel=\"next\"")).expect("a link").0;
    let rest: Value = site.get(next).await.json().await.expect("json");
    assert_eq!(rest["tags"], json!(["b", "d"]));
    assert_eq!(list("?n=0").await, (json!([]), String::new()));
    assert_eq!(list("?last=a&n=1").await.0, json!(["b"]));
    assert_eq!(list("?last=d").await, (json!([]), String::new()));
    let nonsense = site.get(&format!("{base}?n=many")).await;
    assert_eq!(refused(nonsense).await, (400, "PAGINATION_NUMBER_INVALID".to_owned()));
}

#[tokio::test]
async fn listing_referrers_finds_a_subjects_manifests_filters_them_and_says_so() {
    let site = Site::new().await;
    let image = site.image().await;
    let subject = json!({"mediaType": IMAGE_MANIFEST, "digest": digest(&image), "size": image.to_string().len()});
    let path = format!("/v2/{REPOSITORY}/referrers/{}", digest(&image));
    let empty: Value = site.get(&path).await.json().await.expect("a subject that nobody has pushed has no referrers");
    assert_eq!((empty["mediaType"].as_str(), empty["manifests"].clone()), (Some(IMAGE_INDEX), json!([])));
    for (kind, text) in [("application/x.one", "1"), ("application/x.two", "2")] {
        let mut referrer = site.image().await;
        referrer["subject"] = subject.clone();
        referrer["artifactType"] = json!(kind);
        referrer["annotations"] = json!({"text": text});
        // Pushed before its subject, which must be accepted.
        let pushed = site.push_manifest(&digest(&referrer).to_string(), &referrer).await;
        assert_eq!(pushed.status(), StatusCode::CREATED);
        assert_eq!(header(&pushed, "oci-subject"), digest(&image).to_string());
    }
    let mut by_config = site.image().await;
    by_config["subject"] = subject;
    site.push_manifest(&digest(&by_config).to_string(), &by_config).await;
    let all = site.get(&path).await;
    assert_eq!(
        (header(&all, "content-type").as_str(), header(&all, "oci-filters-applied").as_str()),
        (IMAGE_INDEX, "")
    );
    let all: Value = all.json().await.expect("json");
    let mut kinds: Vec<_> =
        all["manifests"].as_array().expect("list").iter().map(|m| m["artifactType"].clone()).collect();
    kinds.sort_by_key(ToString::to_string);
    let wanted = ["application/vnd.oci.image.config.v1+json", "application/x.one", "application/x.two"];
    assert_eq!(json!(kinds), json!(wanted), "without an artifactType the type of the configuration counts");
    let filtered = site.get(&format!("{path}?artifactType=application/x.two")).await;
    assert_eq!(header(&filtered, "oci-filters-applied"), "artifactType");
    let filtered: Value = filtered.json().await.expect("json");
    assert_eq!(filtered["manifests"].as_array().map(Vec::len), Some(1));
    assert_eq!(filtered["manifests"][0]["annotations"], json!({"text": "2"}));
    let page = site.get(&format!("{path}?n=2")).await;
    assert!(header(&page, "link").contains("rel=\"next\""));
}

#[tokio::test]
async fn a_registry_without_referrers_says_404_and_confirms_no_subject() {
    let mut config = Config::default();
    config.registry.referrers = false;
    let site = Site::with(config).await;
    let mut referrer = site.image().await;
    referrer["subject"] = json!({"mediaType": IMAGE_MANIFEST, "digest": Digest::of("subject"), "size": 7});
    let pushed = site.push_manifest("v1", &referrer).await;
    assert_eq!((pushed.status().as_u16(), header(&pushed, "oci-subject")), (201, String::new()));
    let listed = site.get(&format!("/v2/{REPOSITORY}/referrers/{}", Digest::of("subject"))).await;
    assert_eq!(listed.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn deleting_tags_manifests_and_blobs_is_202_and_then_404() {
    let site = Site::new().await;
    let image = site.image().await;
    for tag in ["one", "two"] {
        site.push_manifest(tag, &image).await;
    }
    let manifest = |reference: &str| format!("/v2/{REPOSITORY}/manifests/{reference}");
    let delete = async |path: &str| site.send(Method::DELETE, path, &[], "").await.status().as_u16();
    assert_eq!(delete(&manifest("one")).await, 202);
    assert_eq!((delete(&manifest("one")).await, site.get(&manifest("one")).await.status().as_u16()), (404, 404));
    assert_eq!(site.get(&manifest("two")).await.status(), StatusCode::OK, "deleting a tag deletes no manifest");
    let by_digest = manifest(&digest(&image).to_string());
    assert_eq!((delete(&by_digest).await, delete(&by_digest).await), (202, 404));
    assert_eq!(site.get(&manifest("two")).await.status(), StatusCode::NOT_FOUND, "its tags go with it");
    let blob = format!("/v2/{REPOSITORY}/blobs/{}", Digest::of("layer"));
    assert_eq!((delete(&blob).await, delete(&blob).await), (202, 404));
    assert_eq!(delete(&format!("/v2/{REPOSITORY}/tags/list")).await, 405);
}

#[tokio::test]
async fn pulls_pushes_deletions_and_denials_are_in_the_audit_log() {
    let site = Site::new().await;
    let image = site.image().await;
    site.push_manifest("v1", &image).await;
    site.get(&format!("/v2/{REPOSITORY}/manifests/v1")).await;
    site.get(&format!("/v2/{REPOSITORY}/manifests/none")).await;
    site.send(Method::DELETE, &format!("/v2/{REPOSITORY}/manifests/v1"), &[], "").await;
    let entries = site.simulator.audit().into_iter().filter(|entry| entry.service == "registry");
    let told: Vec<_> = entries.map(|entry| (entry.method, entry.resource, entry.allowed)).collect();
    let resource = format!("{REPOSITORY}:v1");
    let wanted = ["push", "pull", "delete"].map(|method| (method.to_owned(), resource.clone(), true));
    assert_eq!(told, wanted);
    let mut config = Config::default();
    let (user, password) = ("alice".to_owned(), "s3cret-word".to_owned());
    config.registry.auth = Some(simulator::registry::Auth::Basic { user, password });
    let site = Site::with(config).await;
    let path = format!("/v2/{REPOSITORY}/manifests/v1");
    let wrong = [("authorization", "Basic YWxpY2U6d3Jvbmctd29yZA==")];
    assert_eq!(site.send(Method::GET, &path, &wrong, "").await.status(), StatusCode::UNAUTHORIZED);
    let log = format!("{:?}", site.simulator.audit());
    assert!(log.contains("a user with a password") && log.contains("allowed: false"), "{log}");
    assert!(!log.contains("YWxpY2U6") && !log.contains("wrong-word"), "credentials in the log: {log}");
}
