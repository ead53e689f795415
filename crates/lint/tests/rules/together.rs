//! Documents that belong together, and documents that hold others.

use serde_json::json;

use super::{
    Case,
    good::{self, DIGEST, POOL, member, policy_for},
};

#[test]
fn a_member_that_says_nothing_about_the_image_is_fine_behind_a_condition_that_does() {
    let policy = || policy_for(&[&member("*")]);
    let open = Case::of("policy.json", policy()).and("provider.json", good::provider());
    assert!(open.rules().contains("admits-any-image"), "{:?}", open.findings());
    let pinned = good::and(&format!("assertion.submods.container.image_digest == '{DIGEST}'"));
    let closed = Case::of("policy.json", policy()).and("provider.json", pinned);
    assert_eq!(closed.findings(), []);
}

#[test]
fn a_member_that_the_condition_never_admits_is_found() {
    let other = format!("sha256:{}", "0".repeat(64));
    let pinned = good::and(&format!("assertion.submods.container.image_digest == '{DIGEST}'"));
    let case = Case::of("policy.json", policy_for(&[&member(&format!("attribute.image_digest/{other}"))]))
        .and("provider.json", pinned);
    assert!(!case.findings().is_empty(), "nobody is both");
}

#[test]
fn a_contract_decides_what_the_right_operator_is() {
    let other = good::with_condition(&good::CONDITION.replace("'op'", "'op2'"));
    assert_eq!(Case::of("provider.json", other.clone()).findings(), []);
    assert!(Case::of("provider.json", other).under(good::contract()).rules().contains("admits-nobody"));
}

#[test]
fn resources_of_a_plan_and_of_a_configuration_are_found_with_their_places() {
    let values = json!({
        "attribute_condition": "assertion.swname == 'CONFIDENTIAL_SPACE'",
        "attribute_mapping": {"google.subject": "assertion.sub"},
        "oidc": [{"issuer_uri": "https://confidentialcomputing.googleapis.com", "allowed_audiences": null}],
    });
    let plan = json!({
        "format_version": "1.2",
        "planned_values": {"root_module": {"child_modules": [{"resources": [{
            "address": "module.a.google_iam_workload_identity_pool_provider.p",
            "type": "google_iam_workload_identity_pool_provider",
            "values": values,
        }]}]}},
    });
    let found = Case::of("plan.json", plan).findings();
    let debug = found.iter().find(|finding| finding.rule == "admits-debug").expect("found");
    assert_eq!(debug.pointer, "/planned_values/root_module/child_modules/0/resources/0/values/attribute_condition");
    let configuration = json!({"resource": {
        "google_iam_workload_identity_pool_provider": {"p": values},
        "google_kms_crypto_key_iam_member": {"m": {"role": "roles/cloudkms.cryptoKeyDecrypter", "member": "allUsers"}},
        "google_kms_crypto_key_iam_binding": {"b": {
            "role": "roles/cloudkms.cryptoKeyDecrypter",
            "members": ["principalSet://iam.googleapis.com/${google_iam_workload_identity_pool.p.name}/*"],
        }},
    }});
    let found = Case::of("main.tf.json", configuration).rules();
    assert!(found.contains("admits-debug") && found.contains("binding-public"), "{found:?}");
}

#[test]
fn what_a_plan_does_not_know_yet_is_not_taken_for_absent() {
    let plan = json!({"planned_values": {"root_module": {"resources": [{
        "type": "google_iam_workload_identity_pool_provider",
        "values": {"attribute_mapping": {"google.subject": "assertion.submods.gce.instance_id"}, "oidc": [{}]},
    }]}}});
    assert_eq!(Case::of("plan.json", plan).findings(), []);
}

#[test]
fn a_list_of_resources_is_looked_at_one_by_one() {
    let list = json!([good::provider(), good::with_condition("")]);
    let found = Case::of("list.json", list).findings();
    assert!(found.iter().any(|finding| finding.pointer == "/1/attributeCondition"), "{found:?}");
    assert!(found.iter().all(|finding| finding.pointer.starts_with("/1")), "{found:?}");
    assert!(POOL.contains("workloadIdentityPools"));
}

#[test]
fn a_debug_image_behind_an_alternative_is_found() {
    let condition = format!("({}) || assertion.submods.gce.project_id == 'op'", good::CONDITION);
    assert!(Case::of("provider.json", good::with_condition(&condition)).rules().contains("admits-debug"));
}

#[test]
fn a_condition_that_counts_signers_is_judged_by_how_many_it_needs() {
    let counted = |least: usize| {
        good::and(&format!(
            "size(['ECDSA_P256_SHA256:{}', 'ECDSA_P256_SHA256:{}'].filter(k, assertion.submods.container.image_signatures\
             .exists(s, s.signature_algorithm + ':' + s.key_id == k))) >= {least}",
            good::KEY_ONE,
            good::KEY_TWO
        ))
    };
    assert_eq!(Case::of("provider.json", counted(2)).findings(), []);
    assert!(Case::of("provider.json", counted(1)).rules().contains("admits-one-signer"));
    assert!(Case::of("provider.json", counted(0)).rules().contains("admits-unsigned"));
}

#[test]
fn a_contract_says_how_many_signers_are_enough() {
    let id = |seed| csign_envelope::PublicKey::from_pem(&good::pem(seed)).expect("a key").id().to_string();
    let signed = |seed| format!("assertion.submods.container.image_signatures.exists(s, s.key_id == '{}')", id(seed));
    let case = |clause: &str, contract: String| Case::of("provider.json", good::and(clause)).under(contract);
    let either = format!("({} || {})", signed(1), signed(2));
    let one_of_two = good::contract().replacen("[[party]]", "[signatures]\nthreshold = 1\n[[party]]", 1);
    assert!(case(&either, good::contract()).rules().contains("admits-one-signer"));
    assert_eq!(case(&either, one_of_two).findings(), []);
    assert!(case(&signed(1), good::contract()).rules().contains("admits-one-signer"), "the other one is missing");
}

#[test]
fn a_member_finds_the_provider_of_its_pool_in_the_same_configuration() {
    let good = good::provider();
    let configuration = json!({"resource": {
        "google_iam_workload_identity_pool_provider": {"p": {
            "workload_identity_pool_id": "trusted-workload-pool",
            "workload_identity_pool_provider_id": "attestation-verifier",
            "attribute_condition": format!("{} && assertion.submods.container.image_digest == '{DIGEST}'", good::CONDITION),
            "attribute_mapping": good["attributeMapping"],
            "oidc": {"issuer_uri": "https://confidentialcomputing.googleapis.com"},
        }},
        "google_kms_crypto_key_iam_member": {"m": {"role": "roles/cloudkms.cryptoKeyDecrypter", "member": member("*")}},
        "google_compute_instance": {"vm": {
            "metadata": {"tee-image-reference": "${var.image}"},
            "confidential_instance_config": {"confidential_instance_type": "TDX"},
            "shielded_instance_config": {"enable_secure_boot": true},
        }},
    }});
    assert_eq!(Case::of("main.tf.json", configuration).findings(), []);
}

#[test]
fn a_clause_that_refuses_everyone_hides_no_other_mistake() {
    let condition = "assertion.swname == 'CONFIDENTIAL_SPACE' && int(assertion.swversion) >= 1 \
        && assertion.submods.gce.zone.matches('^us-[a-z]+[0-9]-b$')";
    let found = Case::of("provider.json", good::with_condition(condition)).rules();
    for id in ["admits-undecided", "condition-swversion", "admits-debug", "admits-unstable", "admits-other-operator"] {
        assert!(found.contains(id), "{id} is missing from {found:?}");
    }
}

#[test]
fn a_list_with_something_unknown_is_not_called_clean() {
    let read = |value: serde_json::Value| csign_lint::Document::read("x.json", value.to_string().as_bytes(), None);
    assert!(read(json!([good::provider()])).is_ok());
    for unknown in [json!([good::provider(), {"name": "x"}]), json!([]), json!({}), json!(1), json!("resource")] {
        assert!(read(unknown.clone()).is_err(), "{unknown}");
    }
    assert!(
        read(json!({"resource": {"google_storage_bucket": {"b": {}}}})).is_ok_and(|document| document.items.is_empty())
    );
}
