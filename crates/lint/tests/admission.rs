//! What a party published lets in the agreed image and nobody else, or it is said who is let in besides.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "the other tests use the rest")]
#[path = "rules/good.rs"]
mod good;

use std::collections::BTreeMap;

use csign_contract::Contract;
use csign_lint::{Admission, Document, admission, lint, machine};
use csign_oci::Digest;
use csign_render::{Grant, rules};
use serde_json::{Value, json};

fn agreed() -> Digest {
    good::DIGEST.parse().expect("a digest")
}

/// Builder, alice, who sends data, and carol, under a threshold.
fn contract(threshold: &str) -> Contract {
    let text = good::contract().replacen("[[party]]", &format!("[signatures]\nthreshold = {threshold}\n[[party]]"), 1);
    let carol = format!("[[party]]\nname = \"carol\"\npublic_key = \"\"\"\n{}\"\"\"\n", good::pem(3));
    Contract::from_toml(&(text + &carol)).expect("a contract")
}

/// Alice's provider and policy as `csign render` makes them.
fn published(contract: &Contract, grant: Grant) -> (Value, Value) {
    let rules = rules(contract, grant, &[agreed()]).expect("rules");
    let mapping: BTreeMap<_, _> = rules.mapping.into_iter().collect();
    let mut provider = good::with_condition(&rules.condition);
    provider["attributeMapping"] = json!(mapping);
    let member = match grant {
        Grant::Digest => format!("attribute.image_digest/{}", agreed()),
        Grant::Signers => "attribute.agreement/signed".to_owned(),
    };
    (provider, good::policy_for(&[&good::member(&member)]))
}

fn documents(values: &[&Value]) -> Vec<Document> {
    let read = |value: &&Value| Document::read("x.json", value.to_string().as_bytes(), None).expect("a document");
    values.iter().map(read).collect()
}

fn ask(contract: &Contract, values: &[&Value], also: &[Digest]) -> Admission {
    admission(&documents(values), contract, "alice", &agreed(), also).expect("providers that are some")
}

#[test]
fn what_render_writes_lets_in_the_agreed_image_and_nobody_else() {
    for threshold in ["\"all\"", "2"] {
        let contract = contract(threshold);
        for grant in [Grant::Digest, Grant::Signers] {
            let (provider, policy) = published(&contract, grant);
            let found = ask(&contract, &[&provider, &policy], &[]);
            let what = format!("{threshold}, {grant:?}: {found:#?}");
            assert!(found.missing.is_empty() && found.refused.is_empty() && found.strangers.is_empty(), "{what}");
            assert!(found.tokens > 8, "{what}");
            assert!(lint(&documents(&[&provider, &policy]), Some(&contract)).is_empty(), "{what}");
        }
    }
}

#[test]
fn an_image_that_too_few_signed_is_a_stranger_whom_a_policy_by_signers_may_not_let_in() {
    let contract = contract("\"all\"");
    let (mut provider, policy) = published(&contract, Grant::Signers);
    let carol = contract.parties[2].public_key.id().to_string();
    // Carol's clause is gone from the condition and from the mapping.
    for place in ["/attributeCondition", "/attributeMapping/attribute.agreement"] {
        let text = provider.pointer(place).and_then(Value::as_str).expect("CEL").to_owned();
        let clause = text.split(" && ").find(|clause| clause.contains(&carol) && clause.starts_with("assertion"));
        let start = text.find(&carol).and_then(|at| text[..at].rfind(" && assertion")).expect("carol's clause");
        let end = text[start..].find("\")").map(|at| start + at + 2).expect("its end");
        assert!(clause.is_some());
        *provider.pointer_mut(place).expect("CEL") = format!("{}{}", &text[..start], &text[end..]).into();
    }
    let found = ask(&contract, &[&provider, &policy], &[]);
    assert!(
        found.strangers.iter().any(|who| who.contains("another image that only builder, alice signed")),
        "{found:#?}"
    );
}

#[test]
fn the_image_is_asked_about_on_every_hardware_of_the_contract() {
    let text = String::from_utf8(contract("\"all\"").canonical()).expect("JSON");
    let first = contract("\"all\"");
    let (provider, policy) = published(&first, Grant::Digest);
    let more = text.replacen("[\"GCP_INTEL_TDX\"]", "[\"GCP_INTEL_TDX\",\"GCP_AMD_SEV\"]", 1);
    let more = Contract::from_canonical(more.as_bytes()).expect("a contract");
    let found = ask(&more, &[&provider, &policy], &[]);
    assert!(found.refused.len() == 1 && found.refused[0].contains("GCP_AMD_SEV"), "{found:#?}");
}

#[test]
fn a_role_that_does_not_decrypt_is_no_release_and_any_role_for_a_stranger_is_one() {
    let contract = contract("\"all\"");
    let (provider, mut policy) = published(&contract, Grant::Digest);
    policy["bindings"][1]["role"] = "roles/cloudkms.viewer".into();
    let found = ask(&contract, &[&provider, &policy], &[]);
    assert!(found.refused[0].contains("no role that decrypts"), "{found:#?}");
    let open = good::with_condition("true");
    let viewer = json!({"bindings": [{"role": "roles/cloudkms.viewer", "members": ["allUsers"]}]});
    let found = ask(&contract, &[&open, &policy, &viewer], &[]);
    assert!(found.strangers.len() > 5, "{found:#?}");
}

#[test]
fn another_image_that_the_documents_name_is_let_in_only_if_it_is_meant() {
    let contract = contract("\"all\"");
    let other = Digest::of("before");
    let mut named = published(&contract, Grant::Digest);
    let both = rules(&contract, Grant::Digest, &[other, agreed()]).expect("rules").condition;
    named.0["attributeCondition"] = both.into();
    named.1["bindings"][1]["members"]
        .as_array_mut()
        .expect("members")
        .push(good::member(&format!("attribute.image_digest/{other}")).into());
    let found = ask(&contract, &[&named.0, &named.1], &[]);
    assert_eq!(found.strangers, [format!("the image {other}, which the documents name")]);
    assert!(ask(&contract, &[&named.0, &named.1], &[other]).strangers.is_empty());
}

#[test]
fn a_provider_that_the_contract_does_not_name_or_names_twice_is_no_answer() {
    let contract = contract("\"all\"");
    let (mut provider, policy) = published(&contract, Grant::Digest);
    assert!(admission(&documents(&[&provider, &provider, &policy]), &contract, "alice", &agreed(), &[]).is_err());
    provider["name"] = format!("{}/providers/another", good::POOL).into();
    let found = ask(&contract, &[&provider, &policy], &[]);
    assert!(found.missing[0].contains("attestation-verifier") && found.tokens == 0, "{found:#?}");
    let many: Vec<String> =
        (0..200).map(|n| good::member(&format!("attribute.image_digest/{}", Digest::of(format!("{n}"))))).collect();
    let many = good::policy_for(&many.iter().map(String::as_str).collect::<Vec<_>>());
    let provider = published(&contract, Grant::Digest).0;
    assert!(admission(&documents(&[&provider, &many]), &contract, "alice", &agreed(), &[]).is_err());
}

#[test]
fn a_machine_is_the_agreed_one_only_if_its_export_says_so() {
    let contract = contract("\"all\"");
    let ask = |value: &Value| machine(&documents(&[value]), &contract, &agreed());
    let good = ask(&good::instance());
    assert!(good.wrong.is_empty() && good.unknown.is_empty(), "{good:#?}");
    let other = good::instance_with("tee-image-reference", &format!("r.example/team/app@{}", Digest::of("x")));
    assert_eq!(ask(&other).wrong.len(), 1);
    for (pointer, what) in
        [("/selfLink", "project"), ("/serviceAccounts", "service account"), ("/disks", "Confidential Space")]
    {
        let mut silent = good::instance();
        *silent.pointer_mut(pointer).expect("a member") = Value::Null;
        let found = ask(&silent);
        assert!(found.unknown.iter().any(|unknown| unknown.contains(what)), "{what}: {found:#?}");
    }
    let two = documents(&[&good::instance(), &good::instance()]);
    assert_eq!(machine(&two, &contract, &agreed()).unknown, ["several machines are described"]);
}
