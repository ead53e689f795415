//! A simulator with two collaborators, and clients for it.

use std::collections::BTreeMap;

use csign_oci::Digest;
use google_cloud_auth::credentials::{CacheableResource, Credentials, CredentialsProvider, EntityTag};
use http::{Extensions, HeaderMap, HeaderValue};
use serde_json::Value;
use simulator::{
    Config, Simulator,
    attestation::{Container, Image, TokenOptions, Vm},
    config::{Key, Subscription},
    kms::Purpose,
    sts::{Provider, Rules},
};

pub(crate) const TOPIC: &str = "projects/operator/topics/messages";
pub(crate) const SUBSCRIPTION: &str = "projects/operator/subscriptions/workload";
pub(crate) const BUILDER_KEY: &str = "projects/builder/locations/global/keyRings/r/cryptoKeys/sign";
pub(crate) const DECRYPT: &str = "cloudkms.cryptoKeyVersions.useToDecrypt";
pub(crate) const ENCRYPT: &str = "cloudkms.cryptoKeyVersions.useToEncrypt";

/// The image that everyone agreed on.
pub(crate) fn agreed() -> Digest {
    Digest::of("the agreed image")
}

/// Collaborator `n`'s key.
pub(crate) fn key(n: u32) -> String {
    format!("projects/c{n}/locations/global/keyRings/r/cryptoKeys/data")
}

/// Collaborator `n`'s pool.
pub(crate) fn pool(n: u32) -> String {
    format!("projects/10{n}/locations/global/workloadIdentityPools/c{n}")
}

/// Collaborator `n`'s provider.
pub(crate) fn provider(n: u32) -> String {
    format!("{}/providers/attestation", pool(n))
}

/// The audience of a token for collaborator `n`.
pub(crate) fn audience(n: u32) -> String {
    format!("//iam.googleapis.com/{}", provider(n))
}

pub(crate) fn admin(n: u32) -> String {
    format!("user:admin@c{n}.example")
}

pub(crate) fn vm(image: Image) -> Vm {
    Vm {
        project: "operator".to_owned(),
        project_number: "100".to_owned(),
        zone: "europe-west4-a".to_owned(),
        instance: "workload".to_owned(),
        instance_id: "4711".to_owned(),
        service_account: "vm@operator.iam.gserviceaccount.com".to_owned(),
        image,
        platform: Default::default(),
    }
}

pub(crate) fn container(image_digest: Digest) -> Container {
    Container {
        image_reference: format!("registry.simulator.localhost/app@{image_digest}"),
        image_digest,
        image_id: Digest::of("configuration"),
        restart_policy: "Never".to_owned(),
        args: vec!["/workload".to_owned()],
        env: BTreeMap::new(),
        env_override: BTreeMap::new(),
        cmd_override: Vec::new(),
        image_signatures: Vec::new(),
    }
}

/// The simulator under test. It is started in other directories, and Bazel names it by a relative path.
pub(crate) fn program() -> std::path::PathBuf {
    std::path::absolute(env!("CARGO_BIN_EXE_simulator")).expect("an absolute path")
}

/// Two collaborators whose keys admit the agreed image, and a builder with a signing key.
pub(crate) async fn start() -> Simulator {
    let _ = rustls_graviola::default_provider().install_default();
    let mut config = Config {
        topics: vec![TOPIC.to_owned()],
        subscriptions: vec![Subscription {
            name: SUBSCRIPTION.to_owned(),
            topic: TOPIC.to_owned(),
            ack_deadline_seconds: 10,
            dead_letter: None,
            ..Subscription::default()
        }],
        root_helper: Some(program()),
        ..Config::default()
    };
    config.keys.push(Key { name: BUILDER_KEY.to_owned(), purpose: Purpose::AsymmetricSign });
    for n in [1, 2] {
        config.keys.push(Key { name: key(n), purpose: Purpose::EncryptDecrypt });
        let rules = Rules {
            project: Some("operator".to_owned()),
            service_account: Some("vm@operator.iam.gserviceaccount.com".to_owned()),
            ..Rules::for_images([agreed()])
        };
        config.providers.push(Provider::admitting(provider(n), &rules));
    }
    let simulator = Simulator::start(config).await.expect("starts");
    for n in [1, 2] {
        simulator.iam().bind(&key(n), DECRYPT, &format!("principalSet://iam.googleapis.com/{}/*", pool(n)));
        simulator.iam().bind(&key(n), DECRYPT, &admin(n));
        simulator.iam().bind(&key(n), ENCRYPT, &admin(n));
    }
    simulator
}

/// An attestation token for collaborator `n`.
pub(crate) fn token(simulator: &Simulator, image: Image, digest: Digest, n: u32) -> String {
    let options = TokenOptions { audience: audience(n), nonces: Vec::new() };
    simulator.issuer().token(&vm(image), &container(digest), &options).expect("token")
}

/// `POST /v1/token`.
pub(crate) async fn exchange(simulator: &Simulator, token: &str, audience: &str) -> (u16, Value) {
    let form = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
        ("scope", "https://www.googleapis.com/auth/cloud-platform"),
        ("subject_token", token),
        ("audience", audience),
    ];
    let url = format!("{}/v1/token", simulator.endpoint());
    let response = reqwest::Client::new().post(url).form(&form).send().await.expect("answers");
    let status = response.status().as_u16();
    (status, response.json().await.expect("json"))
}

/// Credentials that present one token, or none at all.
pub(crate) fn bearer(token: &str) -> Credentials {
    let value = HeaderValue::from_str(&format!("Bearer {token}")).expect("header");
    Credentials::from(Static(value))
}

#[derive(Debug)]
struct Static(HeaderValue);

impl CredentialsProvider for Static {
    async fn headers(
        &self,
        _extensions: Extensions,
    ) -> Result<CacheableResource<HeaderMap>, google_cloud_auth::errors::CredentialsError> {
        let data = HeaderMap::from_iter([(http::header::AUTHORIZATION, self.0.clone())]);
        Ok(CacheableResource::New { entity_tag: EntityTag::new(), data })
    }

    async fn universe_domain(&self) -> Option<String> {
        None
    }
}
