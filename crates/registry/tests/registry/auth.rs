//! Credentials: where they go, and above all where they do not.

use std::sync::Arc;

use axum::http::Method;
use bytes::Bytes;
use csign_oci::Tag;
use csign_registry::{
    Client, Content, CredentialSource, Credentials, Error, Progress, Secret, credentials::CredentialFuture,
};
use simulator::registry::{Auth, Effect, Fault, Registry, RegistryOptions};

use crate::support::{Bench, NAME, blob, builder, client};

const PASSWORD: &str = "correct horse";

struct Fixed(fn() -> Credentials);

impl CredentialSource for Fixed {
    fn credentials<'a>(&'a self, _: &'a str) -> CredentialFuture<'a> {
        Box::pin(async { Ok(Some(self.0())) })
    }
}

fn with(credentials: fn() -> Credentials) -> Client {
    builder().credentials(Arc::new(Fixed(credentials))).build().expect("client")
}

fn user() -> Credentials {
    Credentials::Basic { user: "me".into(), password: Secret::new(PASSWORD) }
}

fn stranger() -> Credentials {
    Credentials::Basic { user: "me".into(), password: Secret::new("wrong") }
}

fn identity() -> Credentials {
    Credentials::IdentityToken(Secret::new("refresh me"))
}

fn basic() -> Auth {
    Auth::Basic { user: "me".into(), password: PASSWORD.into() }
}

fn bearer(realm: Option<String>) -> Auth {
    Auth::Bearer {
        user: "me".into(),
        password: PASSWORD.into(),
        identity_token: Some("refresh me".into()),
        realm,
        anonymous_pull: false,
    }
}

async fn bench(auth: Auth) -> Bench {
    Bench::with(RegistryOptions { auth: Some(auth), ..RegistryOptions::default() }).await
}

async fn read(client: &Client, bench: &Bench) -> Result<(), Error> {
    let tag = Tag::parse("v1").expect("tag");
    client.manifest(&bench.repository, &tag.into()).await.map(|found| assert!(found.is_some()))
}

async fn write(client: &Client, bench: &Bench, content: &'static [u8]) -> Result<bool, Error> {
    let bytes = Content::Bytes(Bytes::from_static(content));
    client.push_blob(&bench.repository, &blob(content), bytes, &Progress::none()).await
}

fn assert_unauthorized(result: Result<(), Error>) {
    let error = result.expect_err("was let in");
    assert!(matches!(error, Error::Unauthorized { .. }), "{error:?}");
    assert!(!format!("{error} {error:?}").contains(PASSWORD), "{error:?}");
}

#[tokio::test]
async fn basic_credentials_are_sent_after_the_first_401_only() {
    let bench = bench(basic()).await;
    bench.image();
    let client = with(user);
    read(&client, &bench).await.expect("let in");
    read(&client, &bench).await.expect("let in");
    let statuses: Vec<u16> = bench.registry.requests().iter().map(|request| request.status).collect();
    assert_eq!(statuses, [401, 200, 200]);
    write(&client, &bench, b"x").await.expect("written");
    assert_unauthorized(read(&with(stranger), &bench).await);
    assert_unauthorized(read(&with(identity), &bench).await);
    assert_unauthorized(read(&crate::support::client(), &bench).await);
}

#[tokio::test]
async fn tokens_are_kept_per_scope_and_renewed() {
    let bench = bench(bearer(None)).await;
    bench.image();
    for credentials in [user, identity] {
        let client = with(credentials);
        bench.registry.clear_log();
        read(&client, &bench).await.expect("let in");
        read(&client, &bench).await.expect("let in");
        assert_eq!(bench.registry.count(|r| r.path.starts_with("/v2/token")), 1);
        bench.registry.expire_tokens();
        read(&client, &bench).await.expect("a new token");
        assert_eq!(bench.registry.count(|r| r.path.starts_with("/v2/token")), 2);
    }
    let client = with(user);
    write(&client, &bench, b"x").await.expect("written");
    bench.registry.clear_log();
    write(&client, &bench, b"y").await.expect("written");
    read(&client, &bench).await.expect("let in");
    assert_eq!(bench.registry.count(|r| r.status == 401), 0, "tokens were not kept");
    assert_unauthorized(read(&with(stranger), &bench).await);
    assert_unauthorized(read(&crate::support::client(), &bench).await);
}

#[tokio::test]
async fn an_upload_survives_the_end_of_its_token() {
    let bench = bench(bearer(None)).await;
    let client = with(user);
    let expire = Effect::Before(Arc::new(Registry::expire_tokens));
    bench.registry.inject(Fault::on("digest=", expire).method(Method::PUT));
    assert!(write(&client, &bench, b"content").await.expect("written"));
}

#[tokio::test]
async fn anonymous_tokens_read_what_is_public_and_write_nothing() {
    let auth = Auth::Bearer {
        user: "me".into(),
        password: PASSWORD.into(),
        identity_token: None,
        realm: None,
        anonymous_pull: true,
    };
    let bench = bench(auth).await;
    bench.image();
    let nobody = client();
    read(&nobody, &bench).await.expect("public");
    let error = write(&nobody, &bench, b"x").await.expect_err("written");
    assert!(matches!(error, Error::Unauthorized { .. }), "{error:?}");
}

#[tokio::test]
async fn no_credentials_go_to_a_realm_on_another_hosts_plain_http() {
    for realm in ["http://registry.example/token", "http://127.0.0.1.example/token", "ftp://127.0.0.1/token"] {
        let bench = bench(bearer(Some(realm.into()))).await;
        bench.image();
        let error = read(&with(user), &bench).await.expect_err("sent");
        assert!(matches!(&error, Error::Insecure { to, .. } if realm.starts_with(to.as_str())), "{error:?}");
        assert!(error.to_string().contains("example") || realm.starts_with("ftp"), "names the host: {error}");
    }
}

#[tokio::test]
async fn faults_of_the_token_service_are_not_absence() {
    let bench = bench(bearer(None)).await;
    bench.image();
    for (effect, check) in [
        (Effect::Status(403, None), (|e| matches!(e, Error::Forbidden { .. })) as fn(&Error) -> bool),
        (Effect::Status(401, None), |e| matches!(e, Error::Unauthorized { .. })),
        (Effect::Status(500, None), |e| matches!(e, Error::Server { .. })),
        (Effect::Status(429, None), |e| matches!(e, Error::TooManyRequests { .. })),
        (Effect::Status(404, None), |e| matches!(e, Error::NotFound { .. })),
        (Effect::Body(Bytes::from_static(b"{}")), |e| matches!(e, Error::Malformed { .. })),
        (Effect::Body(Bytes::from_static(br#"{"token":7}"#)), |e| matches!(e, Error::Malformed { .. })),
        (Effect::Body(Bytes::from(vec![b'x'; 300 << 10])), |e| matches!(e, Error::TooLarge { .. })),
        (Effect::Answer(302, vec![("location", "http://127.0.0.1:1/".into())], Bytes::new()), |e| {
            matches!(e, Error::Refused { status: 302, .. })
        }),
    ] {
        bench.registry.inject(Fault::on("/v2/token", effect.clone()).times(9));
        let error = read(&with(user), &bench).await.expect_err("let in");
        assert!(check(&error), "{effect:?}: {error:?}");
        bench.registry.clear_faults();
    }
}

#[tokio::test]
async fn a_registry_that_keeps_refusing_is_not_asked_for_ever() {
    let bench = bench(bearer(None)).await;
    bench.image();
    bench.registry.inject(Fault::on("/manifests/", Effect::Before(Arc::new(Registry::expire_tokens))).times(99));
    assert_unauthorized(read(&with(user), &bench).await);
    assert!(bench.registry.requests().len() <= 3);
}

#[tokio::test]
async fn a_redirect_to_another_host_carries_no_credentials() {
    let bench = bench(basic()).await;
    let bytes = b"content";
    bench.registry.put_blob(NAME, &bytes[..]);
    let elsewhere = Bench::new().await;
    elsewhere.registry.put_blob(NAME, &bytes[..]);
    let target = format!("http://{}/v2/{NAME}/blobs/{}", elsewhere.repository.registry(), blob(bytes).digest);
    let redirect = |to: &str| Effect::Answer(307, vec![("location", to.to_owned())], Bytes::new());
    bench.registry.inject(Fault::on("/blobs/", redirect(&target)).after(1));
    assert_eq!(with(user).blob(&bench.repository, &blob(bytes)).await.expect("blob"), bytes);
    let there = elsewhere.registry.requests();
    assert_eq!((there.len(), there[0].authorized), (1, false), "{there:?}");
    assert!(bench.registry.requests()[1].authorized);

    // Within the registry's own origin they are needed.
    let here = format!("/v2/{NAME}/blobs/{}?again", blob(bytes).digest);
    bench.registry.inject(Fault::on("/blobs/", redirect(&here)).after(1));
    assert_eq!(with(user).blob(&bench.repository, &blob(bytes)).await.expect("blob"), bytes);

    // Not even when the other host sends the request back.
    let back = format!("http://{}/v2/{NAME}/blobs/{}", bench.repository.registry(), blob(bytes).digest);
    bench.registry.inject(Fault::on("/blobs/", redirect(&target)).after(1));
    elsewhere.registry.inject(Fault::on("/blobs/", redirect(&back)));
    bench.registry.clear_log();
    with(user).blob(&bench.repository, &blob(bytes)).await.expect_err("came back");
    assert!(!bench.registry.requests()[2].authorized);
}

#[tokio::test]
async fn redirects_are_bounded_checked_and_for_blobs_only() {
    let bench = Bench::new().await;
    bench.image();
    let bytes = b"content";
    bench.registry.put_blob(NAME, &bytes[..]);
    let redirect = |to: &str| Effect::Answer(302, vec![("location", to.to_owned())], Bytes::new());
    let fetch = async || client().blob(&bench.repository, &blob(bytes)).await.expect_err("followed");
    bench.registry.inject(Fault::on("/blobs/", redirect("?again")).times(99));
    assert!(matches!(fetch().await, Error::TooLarge { unit: "redirects", .. }));
    bench.registry.clear_faults();
    for to in ["http://registry.example/x", "http://10.0.0.1/x", "file:///etc/passwd", "http://u:p@127.0.0.1/x"] {
        bench.registry.inject(Fault::on("/blobs/", redirect(to)));
        assert!(matches!(fetch().await, Error::Insecure { .. }), "{to}");
    }
    bench.registry.inject(Fault::on("/blobs/", Effect::Answer(302, vec![], Bytes::new())));
    assert!(matches!(fetch().await, Error::Malformed { .. }));
    bench.registry.inject(Fault::on("/manifests/", redirect("?again")));
    let error = read(&client(), &bench).await.expect_err("followed");
    assert!(matches!(error, Error::Refused { status: 302, .. }), "{error:?}");
}

#[tokio::test]
async fn an_upload_location_on_another_host_gets_no_credentials() {
    let bench = bench(basic()).await;
    let elsewhere = self::bench(basic()).await;
    let client = with(user);
    let location = format!("http://{}/v2/{NAME}/blobs/uploads/1", elsewhere.repository.registry());
    let started = Effect::Answer(202, vec![("location", location)], Bytes::new());
    // HEAD teaches the client that credentials are needed, so its POST carries them.
    bench.registry.inject(Fault::on("/uploads/", started).method(Method::POST));
    let error = write(&client, &bench, b"content").await.expect_err("written");
    assert!(matches!(error, Error::Unauthorized { .. }), "{error:?}");
    let there = elsewhere.registry.requests();
    assert_eq!((there.len(), there[0].authorized), (1, false), "{there:?}");
}
