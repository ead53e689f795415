//! What published guides show, rebuilt, and the same as it must be written today.

use serde_json::json;

use super::{
    Case,
    good::{self, CONDITION, DIGEST, POOL, policy_for},
};

/// A widely copied guide: `swversion` as a number, the token's `sub` as subject, the shared audience, a slash.
fn guide() -> serde_json::Value {
    json!({
        "name": format!("{POOL}/providers/attestation-verifier"),
        "oidc": {
            "issuerUri": "https://confidentialcomputing.googleapis.com/",
            "allowedAudiences": ["https://sts.googleapis.com"],
        },
        "attributeMapping": {
            "google.subject": "assertion.sub",
            "attribute.image_reference": "assertion.submods.container.image_reference",
        },
        "attributeCondition": "assertion.swname=='CONFIDENTIAL_SPACE' && int(assertion.swversion) >= 1 && \
            assertion.submods.gce.project_id=='op' && 'sa@op.iam.gserviceaccount.com' in assertion.google_service_accounts",
    })
}

#[test]
fn the_widely_copied_provider_locks_everyone_out_and_shares_its_audience() {
    let found = Case::of("provider.json", guide()).rules();
    for id in [
        "condition-swversion",
        "admits-nobody",
        "mapping-subject-length",
        "provider-shared-audience",
        "provider-issuer-slash",
    ] {
        assert!(found.contains(id), "{id} is missing from {found:?}");
    }
}

#[test]
fn the_corrected_commands_of_that_guide_have_no_finding() {
    let member = format!("principalSet://iam.googleapis.com/{POOL}/attribute.image_digest/{DIGEST}");
    let case = Case::of("provider.json", good::provider())
        .and("policy.json", policy_for(&[&member]))
        .and("instance.json", good::instance())
        .and("subscription.json", good::subscription());
    assert_eq!(case.findings(), []);
    let case = Case { contract: Some(good::contract()), ..case };
    assert_eq!(case.findings(), []);
}

#[test]
fn conditions_of_other_samples_are_found_by_what_they_do() {
    let stable = "'STABLE' in assertion.submods.confidential_space.support_attributes";
    for (clause, id) in [
        // Debug images pass.
        ("assertion.hwmodel == 'GCP_AMD_SEV'", "admits-debug"),
        ("assertion.submods.confidential_space.support_attributes.debug_mode != true", "condition-debug-mode"),
        ("assertion.dbgstat == \"enable\"", "condition-impossible-value"),
        ("assertion.dbgstat != \"enable\"", "condition-impossible-value"),
        ("assertion.dbgstat != \"enable\"", "admits-debug"),
        ("assertion.hwmodel == \"INTEL_TDX\"", "condition-impossible-value"),
        ("assertion.swversion >= 1", "condition-swversion"),
        (
            "['ECDSA_P256_SHA256:MFkw'].exists(k, assertion.submods.container.image_signatures.exists(s, s.key_id == k))",
            "admits-nobody",
        ),
        ("assertion.submods.container.image_signatures.all(s, s.key_id == 'x')", "condition-all-on-empty"),
        ("assertion.submods.container.cmd_override.size() == 0", "condition-override-null"),
    ] {
        let case = Case::of("provider.json", good::with_condition(&CONDITION.replace(stable, clause)));
        assert!(case.rules().contains(id), "{clause}: {id} is missing from {:?}", case.rules());
    }
}

#[test]
fn the_vault_sample_of_that_guide_refuses_everyone_and_takes_the_token_for_google() {
    let config = json!({
        "jwks_url": "https://confidentialcomputing.googleapis.com/.well-known/jwks",
        "bound_issuer": "https://confidentialcomputing.googleapis.com/",
    });
    let role = json!({
        "role_type": "jwt",
        "user_claim": "sub",
        "bound_audiences": ["https://sts.googleapis.com"],
        "bound_claims": {
            "hwmodel": "GCP_AMD_SEV",
            "swname": "CONFIDENTIAL_SPACE",
            "swversion": "1",
            "/submods/container/image_digest": [DIGEST],
            "/submods/gce/project_id": ["op"],
            "google_service_accounts": ["sa@op.iam.gserviceaccount.com"],
        },
    });
    let found = Case::of("config.json", config).and("role.json", role).rules();
    for id in ["vault-keys", "vault-issuer", "vault-audience", "admits-nobody"] {
        assert!(found.contains(id), "{id} is missing from {found:?}");
    }
}

#[test]
fn the_aws_sample_without_a_project_admits_every_operator() {
    let mut policy = good::aws();
    policy["Statement"][0]["Condition"]["StringEquals"]
        .as_object_mut()
        .expect("an object")
        .remove("aws:RequestTag/gce.project_id");
    assert_eq!(Case::of("aws.json", policy).rules().into_iter().collect::<Vec<_>>(), ["admits-other-operator"]);
}

#[test]
fn a_person_who_may_encrypt_and_decrypt_to_try_things_out_is_found() {
    let mut policy = good::policy();
    policy["bindings"][0] =
        json!({"role": "roles/cloudkms.cryptoKeyEncrypterDecrypter", "members": ["user:alice@example.com"]});
    assert!(Case::of("policy.json", policy).rules().contains("binding-unattested-decrypter"));
}

#[test]
fn a_provider_of_aws_has_the_right_issuer_and_an_audience_of_its_own() {
    let provider = |url: &str, audience: &str| Case::of("p.json", json!({"Url": url, "ClientIDList": [audience]}));
    let good = "confidentialcomputing.googleapis.com";
    assert_eq!(provider(good, "https://aws.example").findings(), []);
    assert!(provider("storage.googleapis.com/bucket", "https://aws.example").rules().contains("provider-issuer"));
    assert!(provider(good, "https://sts.googleapis.com").rules().contains("aws-audience"));
    let client = |url: &str, audience: &str| {
        let arn = format!("arn:aws:iam::111122223333:oidc-provider/{url}");
        Case::of("p.json", json!({"OpenIDConnectProviderArn": arn, "ClientID": audience}))
    };
    assert_eq!(client(good, "https://aws.example").findings(), []);
    assert!(client("storage.googleapis.com/bucket", "https://aws.example").rules().contains("provider-issuer"));
    assert!(client(good, "https://sts.googleapis.com").rules().contains("aws-audience"));
}
