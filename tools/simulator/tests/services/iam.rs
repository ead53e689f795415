//! IAM over the wire: members, roles, policies that programs set, and impersonation.

use reqwest::Method;
use serde_json::{Value, json};
use simulator::{Config, Simulator, attestation::Image, config::Binding};

use crate::{
    rest::{answer, get, grpc, post, request},
    scene::{DECRYPT, admin, agreed, audience, exchange, key, pool, provider, start, token},
};

const ACCOUNT: &str = "reader@c1.iam.gserviceaccount.com";
const SCOPES: &str = "https://www.googleapis.com/auth/cloud-platform";

/// An access token of the workload for collaborator 1.
async fn workload(simulator: &Simulator) -> String {
    let token = token(simulator, Image::Production, agreed(), 1);
    let (status, body) = exchange(simulator, &token, &audience(1)).await;
    assert_eq!(status, 200, "{body}");
    body["access_token"].as_str().expect("a token").to_owned()
}

async fn may(simulator: &Simulator, token: &str, permission: &str) -> bool {
    let body = json!({"permissions": [permission]});
    let (status, reply) = post(simulator, &format!("/v1/{}:testIamPermissions", key(1)), token, &body).await;
    assert_eq!(status, 200, "{reply}");
    reply["permissions"] == json!([permission])
}

#[tokio::test]
async fn every_form_of_member_admits_exactly_whom_it_names() {
    let simulator = start().await;
    simulator.iam().unbind(&key(1), DECRYPT, &format!("principalSet://iam.googleapis.com/{}/*", pool(1)));
    let mut mapped = simulator.sts().provider(&provider(1)).expect("there");
    for (attribute, value) in [
        ("google.subject", "'machine/7@x:y'"),
        ("google.groups", "['team', 'team/a']"),
        ("attribute.path", "'x/y@z:1'"),
    ] {
        mapped.attribute_mapping.insert(attribute.to_owned(), value.to_owned());
    }
    simulator.sts().set_provider(mapped).expect("a provider");
    let workload = workload(&simulator).await;
    let of_pool = |rest: &str| format!("principalSet://iam.googleapis.com/{}/{rest}", pool(1));
    let subject = |pool: &str, subject: &str| format!("principal://iam.googleapis.com/{pool}/subject/{subject}");
    for (member, admitted) in [
        (subject(&pool(1), "machine/7@x:y"), true),
        (subject(&pool(1), "machine/7@x"), false),
        (subject(&pool(1), "machine"), false),
        (subject(&pool(2), "machine/7@x:y"), false),
        (of_pool("*"), true),
        (of_pool(""), false),
        (format!("principalSet://iam.googleapis.com/{}/*", pool(2)), false),
        (of_pool("group/team"), true),
        (of_pool("group/team/a"), true),
        (of_pool("group/team/b"), false),
        (of_pool("attribute.path/x/y@z:1"), true),
        (of_pool("attribute.path/x/y@z"), false),
        (of_pool("attribute.path/x"), false),
        (of_pool("attribute.path/*"), false),
        (of_pool("attribute.other/x/y@z:1"), false),
        (of_pool("attribute.path/x/y@z:1/more"), false),
        ("user:machine/7@x:y".to_owned(), false),
        ("allUsers".to_owned(), true),
    ] {
        simulator.iam().bind(&key(1), "roles/cloudkms.cryptoKeyDecrypter", &member);
        assert_eq!(may(&simulator, &workload, DECRYPT).await, admitted, "{member}");
        assert!(simulator.iam().unbind(&key(1), "roles/cloudkms.cryptoKeyDecrypter", &member));
    }
    assert!(!may(&simulator, &workload, DECRYPT).await, "every binding is gone");
}

#[tokio::test]
async fn a_role_allows_what_it_is_for_and_nothing_else_and_the_log_names_it() {
    let simulator = start().await;
    let user = "user:x@c1.example";
    let token = simulator.admin_token(user).expect("token");
    simulator.iam().bind(&key(1), "roles/cloudkms.cryptoKeyEncrypter", user);
    assert!(may(&simulator, &token, "cloudkms.cryptoKeyVersions.useToEncrypt").await);
    assert!(!may(&simulator, &token, DECRYPT).await);
    assert!(!may(&simulator, &token, "cloudkms.cryptoKeys.setIamPolicy").await);
    let (status, _) = post(&simulator, &format!("/v1/{}:encrypt", key(1)), &token, &json!({"plaintext": "eA=="})).await;
    assert_eq!(status, 200);
    let last = simulator.audit().pop().expect("an entry");
    assert!(last.clause.contains("roles/cloudkms.cryptoKeyEncrypter") && last.clause.contains(user), "{last:?}");
    simulator.iam().bind(&key(1), "roles/cloudkms.everything", user);
    assert!(!may(&simulator, &token, DECRYPT).await, "an unknown role allows nothing");
    let binding =
        Binding { resource: key(1), permission: "roles/cloudkms.decrypter".to_owned(), member: user.to_owned() };
    let config = Config { bindings: vec![binding], ..Config::default() };
    assert!(Simulator::start(config).await.is_err(), "a role that nobody knows is a mistake in the configuration");
}

#[tokio::test]
async fn a_policy_that_a_program_sets_replaces_the_old_one_and_stops_live_tokens() {
    let simulator = start().await;
    let workload = workload(&simulator).await;
    simulator.iam().bind("projects/c1", "roles/cloudkms.admin", "user:owner@c1.example");
    let owner = simulator.admin_token("user:owner@c1.example").expect("token");
    let path = format!("/v1/{}", key(1));
    let (status, old) = get(&simulator, &format!("{path}:getIamPolicy"), &owner).await;
    assert_eq!(status, 200, "{old}");
    assert!(old.to_string().contains(&admin(1)), "{old}");
    assert!(may(&simulator, &workload, DECRYPT).await);
    let bindings = json!([{"role": "roles/cloudkms.cryptoKeyDecrypter", "members": ["user:new@c1.example"]}]);
    let policy = json!({"policy": {"etag": old["etag"], "bindings": bindings}});
    let (status, new) = post(&simulator, &format!("{path}:setIamPolicy"), &owner, &policy).await;
    assert_eq!((status, &new["bindings"]), (200, &bindings), "{new}");
    assert!(!may(&simulator, &workload, DECRYPT).await, "the workload lost its grant");
    let (status, stale) = post(&simulator, &format!("{path}:setIamPolicy"), &owner, &policy).await;
    assert_eq!(
        (status, stale["error"]["status"].as_str()),
        (409, Some("ABORTED")),
        "the etag is that of the old policy"
    );

    let refused: [(&str, Value); 5] = [
        ("unknown role", json!([{"role": "roles/cloudkms.nothing", "members": ["allUsers"]}])),
        ("unknown member", json!([{"role": "roles/cloudkms.viewer", "members": ["alice@example.com"]}])),
        ("empty member", json!([{"role": "roles/cloudkms.viewer", "members": ["user:"]}])),
        (
            "a condition",
            json!([{"role": "roles/cloudkms.viewer", "members": ["allUsers"], "condition": {"expression": "false"}}]),
        ),
        ("members that are no list", json!([{"role": "roles/cloudkms.viewer", "members": "allUsers"}])),
    ];
    for (name, bindings) in refused {
        let (status, _) =
            post(&simulator, &format!("{path}:setIamPolicy"), &owner, &json!({"policy": {"bindings": bindings}})).await;
        assert_eq!(status, 400, "{name}");
    }
    assert_eq!(post(&simulator, &format!("{path}:setIamPolicy"), &owner, &json!({})).await.0, 400, "no policy at all");
    let stranger = simulator.admin_token(&admin(2)).expect("token");
    assert_eq!(get(&simulator, &format!("{path}:getIamPolicy"), &stranger).await.0, 403);
    assert_eq!(get(&simulator, "/v1/projects/c1/things/x:getIamPolicy", &owner).await.0, 400);

    #[derive(Clone, PartialEq, prost::Message)]
    struct Test {
        #[prost(string, tag = "1")]
        resource: String,
        #[prost(string, repeated, tag = "2")]
        permissions: Vec<String>,
    }
    let test = Test { resource: key(1), permissions: vec![DECRYPT.to_owned(), "cloudkms.cryptoKeys.get".to_owned()] };
    let held: Test =
        grpc(&simulator, "google.iam.v1.IAMPolicy/TestIamPermissions", &owner, &test).await.expect("answers");
    assert_eq!(held.permissions, Vec::<String>::new(), "the reply's field is the first one, which Test calls resource");
    assert_eq!(held.resource, "cloudkms.cryptoKeys.get");
}

#[tokio::test]
async fn a_service_account_is_impersonated_by_whoever_may_and_for_as_long_as_asked() {
    let simulator = start().await;
    let workload = workload(&simulator).await;
    let path = format!("/v1/projects/-/serviceAccounts/{ACCOUNT}:generateAccessToken");
    let body = json!({"scope": [SCOPES], "lifetime": "300s"});
    let (status, refused) = post(&simulator, &path, &workload, &body).await;
    assert_eq!((status, refused["error"]["status"].as_str()), (403, Some("PERMISSION_DENIED")));
    let last = simulator.audit().pop().expect("an entry");
    assert!(!last.allowed && last.clause.contains("iam.serviceAccounts.getAccessToken"), "{last:?}");

    let member = format!("principalSet://iam.googleapis.com/{}/*", pool(1));
    simulator.iam().bind(&format!("projects/c1/serviceAccounts/{ACCOUNT}"), "roles/iam.workloadIdentityUser", &member);
    let (status, reply) = post(&simulator, &path, &workload, &body).await;
    assert_eq!(status, 200, "{reply}");
    assert!(reply["expireTime"].as_str().is_some_and(|time| time.len() == 20 && time.ends_with('Z')), "{reply}");
    let impersonated = reply["accessToken"].as_str().expect("a token").to_owned();
    let log = serde_json::to_string(&simulator.audit()).expect("json");
    assert!(!log.contains(&impersonated) && !log.contains(&workload), "a token in the log");

    simulator.iam().bind("projects/c1", "cloudkms.cryptoKeys.get", &format!("serviceAccount:{ACCOUNT}"));
    assert!(may(&simulator, &impersonated, "cloudkms.cryptoKeys.get").await);
    assert!(!may(&simulator, &workload, "cloudkms.cryptoKeys.get").await, "the account's grants are not the caller's");
    assert!(!may(&simulator, &impersonated, DECRYPT).await, "nor the caller's grants the account's");
    simulator.advance_clock(std::time::Duration::from_secs(300));
    let (status, _) = get(&simulator, &format!("/v1/{}", key(1)), &impersonated).await;
    assert_eq!(status, 401, "its lifetime is over");

    for body in [
        json!({"lifetime": "300s"}),
        json!({"scope": [SCOPES], "lifetime": "3601s"}),
        json!({"scope": [SCOPES], "lifetime": "0s"}),
        json!({"scope": [SCOPES], "lifetime": "300"}),
        json!({"scope": [SCOPES], "delegates": ["projects/-/serviceAccounts/x@y"]}),
        json!({"scope": SCOPES}),
    ] {
        assert_eq!(post(&simulator, &path, &workload, &body).await.0, 400, "{body}");
    }
    let other = "/v1/projects/c1/serviceAccounts/other@c2.iam.gserviceaccount.com:generateAccessToken";
    let (status, _) = post(&simulator, other, &workload, &json!({"scope": [SCOPES]})).await;
    assert_eq!(status, 403, "an account of another project, whatever project the request names");
}

#[tokio::test]
async fn the_auth_library_learns_that_tokens_may_be_used_everywhere() {
    let simulator = start().await;
    for resource in [format!("projects/-/serviceAccounts/{ACCOUNT}"), pool(1)] {
        let (status, body) = get(&simulator, &format!("/v1/{resource}/allowedLocations"), "").await;
        assert_eq!((status, body["encodedLocations"].as_str()), (200, Some("0x0")));
    }
    let unknown = answer(request(&simulator, Method::GET, "/v1/projects/x/nothing", "")).await;
    assert_eq!(unknown.0, 404);
}
