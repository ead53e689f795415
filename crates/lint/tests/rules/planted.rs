//! For every rule a mistake and the same document without it.

use serde_json::{Value, json};

use super::{Case, good::*};

pub(crate) struct Pair {
    pub(crate) id: &'static str,
    pub(crate) planted: Case,
    pub(crate) clean: Case,
}

fn pair(id: &'static str, planted: Case, clean: Case) -> Pair {
    Pair { id, planted, clean }
}

fn with(mut value: Value, pointer: &str, new: Value) -> Value {
    *value.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer} is not there")) = new;
    value
}

fn without(mut value: Value, parent: &str, name: &str) -> Value {
    value.pointer_mut(parent).and_then(Value::as_object_mut).expect("an object").remove(name);
    value
}

pub(crate) fn pairs() -> Vec<Pair> {
    [contracts(), images(), admission(), conditions(), providers(), bindings(), instances(), others()]
        .into_iter()
        .flatten()
        .collect()
}

const STATE: &str = "[state]\nkind = \"postgres\"\nurl = \"postgresql://csign@127.0.0.1:5432/counts\"\n\
    password_secret = \"projects/op/secrets/db/versions/1\"\n\
    ca = \"\"\"\n-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n\"\"\"\n";
const STATE_KEY: &str = "[state.key]\nkms_key = \"projects/keeper/locations/global/keyRings/ring/cryptoKeys/state\"\n\
    identity_provider = \"//iam.googleapis.com/projects/9/locations/global/workloadIdentityPools/pool/providers/provider\"";

fn contracts() -> Vec<Pair> {
    let changed = |from: &str, to: &str| {
        let text = contract().replacen(from, to, 1);
        assert_ne!(text, contract(), "{from:?} is not there");
        Case::of("collaboration.toml", text)
    };
    let with = |text: &str| changed("[[party]]", &format!("{text}\n[[party]]"));
    let clean = || Case::of("collaboration.toml", contract());
    let simulated = changed(
        "kind = \"google\"",
        "kind = \"simulated\"\nissuer = \"http://attestation.simulator.localhost\"\n\
         issuer_keys = [\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"]",
    );
    let mut simulated_contract = simulated;
    for (_, text) in &mut simulated_contract.documents {
        *text = text.replace("r.example/", "registry.simulator.localhost/");
    }
    let ed25519 = ed25519_dalek::SigningKey::from_bytes(&[7; 32]).verifying_key();
    let ed25519 = csign_envelope::PublicKey::from_der(&spki(&ed25519)).expect("a key").pem();
    vec![
        pair("contract-invalid", changed("version = 1", "version = 2"), clean()),
        pair("simulated", simulated_contract, clean()),
        pair("threshold", with("[signatures]\nthreshold = 1"), with("[signatures]\nthreshold = \"all\"")),
        pair("recipe", changed("cargo-musl", "cargo-gnu-static"), clean()),
        pair("support", changed("[messages]", "support = \"USABLE\"\n[messages]"), clean()),
        pair("print-words", changed("[[party]]", "print_words = true\n[[party]]"), clean()),
        pair(
            "log-redirect",
            changed("[[party]]", "print_words = true\n[launch]\nlog_redirect = \"always\"\n[[party]]"),
            with("[launch]\nlog_redirect = \"always\""),
        ),
        pair("algorithm", changed(&pem(1), &ed25519), clean()),
        pair(
            "state-key",
            with(&format!("{STATE}{}", STATE_KEY.replace("keeper", "op"))),
            with(&format!("{STATE}{STATE_KEY}")),
        ),
        pair(
            "no-collaborator",
            Case::of("collaboration.toml", contract().split("[party.collaborator]").next().expect("a part")),
            clean(),
        ),
    ]
}

/// `SubjectPublicKeyInfo` of an Ed25519 key (RFC 8410).
fn spki(key: &ed25519_dalek::VerifyingKey) -> Vec<u8> {
    let mut der = vec![0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
    der.extend(key.as_bytes());
    der
}

fn images() -> Vec<Pair> {
    let label =
        |name: &str, value: &str| Case::of("image.json", image_with(&format!("tee.launch_policy.{name}"), value));
    let clean = || Case::of("image.json", image());
    let user = |user: &str| Case::of("image.json", with(image(), "/config/User", json!(user)));
    let env = |variable: &str| Case::of("image.json", with(image(), "/config/Env/0", json!(variable)));
    let entrypoint = |words: Value| Case::of("image.json", with(image(), "/config/Entrypoint", words));
    vec![
        pair("image-env-override", label("allow_env_override", "LEVEL,KMS_KEY"), clean()),
        pair("image-env-override-other", label("allow_env_override", "LEVEL"), clean()),
        pair("image-cmd-override", label("allow_cmd_override", "true"), label("allow_cmd_override", "false")),
        pair("image-log-redirect", label("log_redirect", "always"), label("log_redirect", "never")),
        pair("image-privileges", label("allow_capabilities", "true"), label("allow_cgroups", "false")),
        pair("image-monitoring", label("hardened_monitoring", "memoryonly"), label("hardened_monitoring", "none")),
        pair("image-label", label("allow_env_overide", "X"), label("allow_mount_destinations", "")),
        pair("image-root", user("0"), user("nobody")),
        pair("image-entrypoint", entrypoint(json!(["/bin/sh", "-c", "run"])), entrypoint(json!(["/bin/run"]))),
        pair("image-secret", env("DB_PASSWORD=hunter2"), env("DB_PASSWORD_FILE=/run/secrets/db")),
        pair("image-contract", label("log_redirect", "never").under(contract()), clean().under(contract())),
    ]
}

fn admission() -> Vec<Pair> {
    let condition = |text: &str| Case::of("provider.json", with_condition(text));
    let clean = || Case::of("provider.json", provider());
    let without = |clause: &str| condition(&CONDITION.replace(clause, "true"));
    let signed = |id: &str| format!("assertion.submods.container.image_signatures.exists(s, s.key_id == '{id}')");
    let both = || Case::of("provider.json", and(&format!("{} && {}", signed(KEY_ONE), signed(KEY_TWO))));
    let stable = "'STABLE' in assertion.submods.confidential_space.support_attributes";
    vec![
        pair("admits-nobody", Case::of("provider.json", and("assertion.secboot == 'true'")), clean()),
        pair(
            "admits-undecided",
            Case::of("provider.json", and("assertion.submods.gce.zone.matches('^us-[a-z]+[0-9]-b$')")),
            Case::of("provider.json", and("assertion.submods.gce.zone.startsWith('us-east4')")),
        ),
        pair("admits-debug", without(stable), clean()),
        pair(
            "admits-unstable",
            condition(&CONDITION.replace(stable, "assertion.dbgstat == 'disabled-since-boot'")),
            clean(),
        ),
        pair(
            "admits-other-platform",
            condition("assertion.submods.gce.project_id == 'op' && assertion.dbgstat == 'disabled-since-boot'"),
            clean(),
        ),
        pair(
            "admits-other-operator",
            condition(
                "assertion.swname == 'CONFIDENTIAL_SPACE' && 'STABLE' in assertion.submods.confidential_space.support_attributes",
            ),
            clean(),
        ),
        pair(
            "admits-any-image",
            Case::of(
                "provider.json",
                with(provider(), "/attributeMapping", json!({"google.subject": "assertion.submods.gce.instance_id"})),
            ),
            Case::of(
                "provider.json",
                with(
                    and(&format!("assertion.submods.container.image_digest == '{DIGEST}'")),
                    "/attributeMapping",
                    json!({"google.subject": "assertion.submods.gce.instance_id"}),
                ),
            ),
        ),
        pair(
            "admits-unsigned",
            Case::of(
                "provider.json",
                and(&format!("assertion.submods.container.image_signatures.all(s, s.key_id == '{KEY_ONE}')")),
            ),
            both(),
        ),
        pair(
            "admits-one-signer",
            Case::of(
                "provider.json",
                and(&format!(
                    "assertion.submods.container.image_signatures.exists(s, s.key_id in ['{KEY_ONE}', '{KEY_TWO}'])"
                )),
            ),
            both(),
        ),
    ]
}

fn conditions() -> Vec<Pair> {
    let extra = |clause: &str| Case::of("provider.json", and(clause));
    let clean = || Case::of("provider.json", provider());
    vec![
        pair("condition-empty", Case::of("provider.json", without(provider(), "", "attributeCondition")), clean()),
        pair("condition-not-boolean", Case::of("provider.json", with_condition(&format!("\"{CONDITION}\""))), clean()),
        pair("condition-invalid", extra("assertion.sub = 'x'"), clean()),
        pair("condition-swversion", extra("int(assertion.swversion) >= 1"), extra("size(assertion.swversion) > 0")),
        pair(
            "condition-debug-mode",
            extra("assertion.submods.confidential_space.support_attributes.debug_mode == false"),
            clean(),
        ),
        pair("condition-unknown-claim", extra("assertion.submods.container.image_hash == 'x'"), clean()),
        pair(
            "condition-impossible-value",
            extra("assertion.hwmodel == 'INTEL_TDX'"),
            extra("assertion.hwmodel in ['GCP_INTEL_TDX', 'GCP_AMD_SEV']"),
        ),
        pair(
            "condition-key-id",
            extra("assertion.submods.container.image_signatures.exists(s, s.key_id == 'ECDSA_P256_SHA256:MFkw')"),
            extra(&format!("assertion.submods.container.image_signatures.exists(s, s.key_id == '{KEY_ONE}')")),
        ),
        pair(
            "condition-all-on-empty",
            Case::of(
                "provider.json",
                and("assertion.google_service_accounts.all(a, a == 'sa@op.iam.gserviceaccount.com')")
                    .to_string()
                    .replace("'sa@op.iam.gserviceaccount.com' in assertion.google_service_accounts && ", ""),
            ),
            clean(),
        ),
        pair(
            "condition-override-null",
            extra("size(assertion.submods.container.cmd_override) == 0"),
            extra(
                "(!has(assertion.submods.container.cmd_override) || assertion.submods.container.cmd_override == null \
                 || size(assertion.submods.container.cmd_override) == 0)",
            ),
        ),
    ]
}

fn providers() -> Vec<Pair> {
    let clean = || Case::of("provider.json", provider());
    let oidc = |member: &str, value: Value| {
        let mut provider = provider();
        provider["oidc"][member] = value;
        Case::of("provider.json", provider)
    };
    let own = json!([format!("https://iam.googleapis.com/{POOL}/providers/attestation-verifier")]);
    vec![
        pair("provider-issuer", oidc("issuerUri", json!("https://accounts.google.com")), clean()),
        pair(
            "provider-issuer-slash",
            oidc("issuerUri", json!("https://confidentialcomputing.googleapis.com/")),
            clean(),
        ),
        pair("provider-shared-audience", oidc("allowedAudiences", json!(["https://sts.googleapis.com"])), clean()),
        pair(
            "provider-audience",
            oidc("allowedAudiences", json!(["https://other.example"])).under(contract()),
            oidc("allowedAudiences", own).under(contract()),
        ),
        pair(
            "mapping-subject-length",
            Case::of("provider.json", with(provider(), "/attributeMapping/google.subject", json!("assertion.sub"))),
            clean(),
        ),
        pair(
            "provider-disabled",
            Case::of("provider.json", {
                let mut provider = provider();
                provider["disabled"] = json!(true);
                provider
            }),
            clean(),
        ),
        pair(
            "provider-not-the-contracts",
            Case::of("provider.json", with(provider(), "/name", json!(format!("{POOL}/providers/other"))))
                .under(contract()),
            clean().under(contract()),
        ),
        pair(
            "credentials-token-url",
            Case::of("credentials.json", with(credentials(), "/token_url", json!("https://sts.example/v1/token"))),
            Case::of("credentials.json", credentials()),
        ),
    ]
}

fn bindings() -> Vec<Pair> {
    let members = |members: &[&str]| Case::of("policy.json", policy_for(members));
    let clean = || Case::of("policy.json", policy());
    let attribute = |rest: &str| members(&[&member(rest)]);
    let subject = |text: &str| members(&[&format!("principal://iam.googleapis.com/{POOL}/subject/{text}")]);
    vec![
        pair("binding-public", members(&["allAuthenticatedUsers"]), clean()),
        pair("binding-whole-pool", attribute("*"), clean()),
        pair("binding-not-image", attribute("attribute.project_id/op"), clean()),
        pair(
            "binding-tag",
            attribute("attribute.image_reference/r.example/team/app:v1"),
            attribute(&format!("attribute.image_reference/r.example/team/app@{DIGEST}")),
        ),
        pair("binding-unattested-decrypter", members(&["user:bob@example.com"]), clean()),
        pair("binding-subject-length", subject(&format!("{DIGEST}{}", "x".repeat(60))), subject(DIGEST)),
        pair(
            "binding-malformed",
            members(&[&format!(
                "principalSet://iam.googleapis.com/projects/my-project/locations/global/workloadIdentityPools/p/attribute.image_digest/{DIGEST}"
            )]),
            clean(),
        ),
        pair(
            "binding-unmapped-attribute",
            Case::of("policy.json", policy_for(&[&member(&format!("attribute.digest/{DIGEST}"))]))
                .and("provider.json", provider()),
            clean().and("provider.json", provider()),
        ),
    ]
}

fn instances() -> Vec<Pair> {
    let set = |key: &str, value: &str| Case::of("instance.json", instance_with(key, value));
    let clean = || Case::of("instance.json", instance());
    let at = |pointer: &str, value: Value| Case::of("instance.json", with(instance(), pointer, value));
    vec![
        pair("instance-image", set("tee-image-reference", "r.example/team/app:latest"), clean()),
        pair(
            "instance-debug",
            at("/disks/0/licenses/0", json!("https://x/licenses/confidential-space-debug")),
            clean(),
        ),
        pair("instance-protection", at("/shieldedInstanceConfig/enableSecureBoot", json!(false)), clean()),
        pair(
            "instance-account",
            at("/serviceAccounts/0/email", json!("1-compute@developer.gserviceaccount.com")),
            clean(),
        ),
        pair("instance-env", set("tee-env-KMS_KEY", "mine"), set("tee-env-LEVEL", "info")),
        pair("instance-cmd", set("tee-cmd", "[\"--debug\"]"), set("tee-cmd", "[]")),
        pair("instance-metadata", set("tee-restart-policy", "never"), set("tee-restart-policy", "OnFailure")),
        pair(
            "instance-contract",
            at("/serviceAccounts/0/email", json!("other@op.iam.gserviceaccount.com")).under(contract()),
            clean().under(contract()),
        ),
        pair(
            "instance-address",
            at("/networkInterfaces/0", json!({"accessConfigs": [{"natIP": "203.0.113.1"}]})),
            clean(),
        ),
    ]
}

fn others() -> Vec<Pair> {
    let role = |pointer: &str, value: Value| Case::of("role.json", with(vault_role(), pointer, value));
    let good_role = || Case::of("role.json", vault_role());
    let config = |pointer: &str, value: Value| Case::of("config.json", with(vault_config(), pointer, value));
    let good_config = || Case::of("config.json", vault_config());
    let policy = |pointer: &str, value: Value| Case::of("aws.json", with(aws(), pointer, value));
    let good_policy = || Case::of("aws.json", aws());
    let rego = |text: &str| Case::of("policy.rego", text);
    vec![
        pair(
            "perimeter-any-identity",
            Case::of("i.json", ingress("cloudkms.googleapis.com")),
            Case::of("i.json", ingress("sts.googleapis.com")),
        ),
        pair(
            "subscription-dead-letter",
            Case::of("s.json", without(subscription(), "", "deadLetterPolicy")).under(contract()),
            Case::of("s.json", subscription()).under(contract()),
        ),
        pair(
            "message-names-key",
            Case::of("m.json", {
                let mut message = message();
                message["message"]["attributes"]["key"] = json!("projects/evil/…");
                message
            }),
            Case::of("m.json", message()),
        ),
        pair(
            "message-unbound",
            Case::of("m.json", with(message(), "/message/attributes", json!({}))),
            Case::of("m.json", message()),
        ),
        pair("vault-audience", role("/bound_audiences", json!(["https://sts.googleapis.com"])), good_role()),
        pair(
            "vault-issuer",
            config("/bound_issuer", json!("https://confidentialcomputing.googleapis.com/")),
            good_config(),
        ),
        pair("vault-keys", config("/jwt_supported_algs", json!(["RS256", "HS256"])), good_config()),
        pair("vault-role", role("/role_type", json!("oidc")), good_role()),
        pair(
            "aws-audience",
            Case::of(
                "aws.json",
                without(aws(), "/Statement/0/Condition/StringEquals", "confidentialcomputing.googleapis.com:aud"),
            ),
            good_policy(),
        ),
        pair("aws-tag-session", policy("/Statement/0/Action", json!("sts:AssumeRoleWithWebIdentity")), good_policy()),
        pair("aws-principal", policy("/Statement/0/Principal", json!({"AWS": "*"})), good_policy()),
        pair(
            "aws-absent-tag",
            Case::of("aws.json", aws().to_string().replace("StringLike", "StringLikeIfExists")),
            good_policy(),
        ),
        pair(
            "request-invalid",
            Case::of("request.json", json!({"repository": 1, "digest": 1, "contract": 1, "signatures": []})),
            request(true, contract()),
        ),
        pair(
            "request-contract",
            request(true, contract()).under(contract().replace("word-count", "other")),
            request(true, contract()).under(contract()),
        ),
        pair("request-source", request(false, contract()), request(true, contract())),
        pair("rego-invalid", rego("package signature\nallow if {"), rego(REGO)),
        pair("rego-never-allows", rego("package other\nimport rego.v1\nallow if input.x == 1\n"), rego(REGO)),
        pair("rego-allows-anything", rego("package signature\nimport rego.v1\ndefault allow := true\n"), rego(REGO)),
    ]
}

fn ingress(service: &str) -> Value {
    json!([{
        "ingressFrom": {"identityType": "ANY_IDENTITY", "sources": [{"resource": "projects/123"}]},
        "ingressTo": {"operations": [{"serviceName": service, "methodSelectors": [{"method": "*"}]}], "resources": ["projects/1"]},
    }])
}

fn request(complete: bool, contract: String) -> Case {
    let contract = csign_contract::Contract::from_toml(&contract).expect("a contract");
    let digest: csign_oci::Digest = DIGEST.parse().expect("a digest");
    let source = csign_trust::exchange::Source {
        recipe: String::new(),
        revision: complete.then(|| "0123456789abcdef0123456789abcdef01234567".to_owned()),
        repository: None,
        directory: None,
        modified: !complete,
        lock_file: complete.then_some(digest),
        toolchain: complete.then(|| "1.95.0".to_owned()),
    };
    let request = csign_trust::exchange::Request::new(&contract, digest, source);
    Case::of("request.json", request.to_text().expect("text"))
}
