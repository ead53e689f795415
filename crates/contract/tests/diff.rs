//! Two contracts compared, as a party reads it before it approves again.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

use csign_contract::{
    Contract,
    diff::{Change, ChangeKind, Difference, difference},
};
use csign_envelope::PublicKey;
use p256::ecdsa::SigningKey;

fn key(seed: u8) -> PublicKey {
    PublicKey::new(*SigningKey::from_slice(&[seed; 32]).expect("scalar").verifying_key()).expect("key")
}

fn party(name: &str, seed: u8, data: bool) -> String {
    let data = if data {
        format!(
            "[party.collaborator]\nkms_key = \"projects/{name}/locations/global/keyRings/r/cryptoKeys/k\"\n\
             identity_provider = \"//iam.googleapis.com/projects/{seed}/locations/global/workloadIdentityPools/p/providers/x\"\n"
        )
    } else {
        String::new()
    };
    format!("[[party]]\nname = \"{name}\"\npublic_key = \"\"\"\n{}\"\"\"\n{data}", key(seed).pem())
}

const HEAD: &str = r#"version = 1
name = "word-count"
[image]
repository = "r.example/team/app"
[build]
recipe = "cargo-musl"
[environment]
kind = "google"
[operator]
project_id = "op"
service_account = "sa@op.iam.gserviceaccount.com"
[platform]
hardware = ["GCP_INTEL_TDX"]
[signatures]
threshold = "all"
[messages]
topic = "projects/op/topics/t"
subscription = "projects/op/subscriptions/s"
[[policy]]
name = "provenance"
predicate_type = "slsaprovenance1"
rego = """
package signature
default allow = false
allow { input.predicateType }
"""
"#;

fn sample() -> String {
    [HEAD.to_owned(), party("builder", 1, false), party("alice", 2, true), party("bob", 3, true)].concat()
}

fn compare(old: &str, new: &str) -> Difference {
    let parse = |text: &str| Contract::from_toml(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    difference(&parse(old), &parse(new))
}

/// The only change after a replacement in the sample.
#[track_caller]
fn only(from: &str, to: &str) -> Change {
    let text = sample();
    assert!(text.contains(from), "{from}");
    let found = compare(&text, &text.replacen(from, to, 1));
    assert_eq!(found.changes.len(), 1, "{found:#?}");
    found.changes[0].clone()
}

#[test]
fn the_same_contract_has_no_difference_whatever_its_spelling() {
    let noisy = format!("# a comment\n{}", sample().replace("topic = ", "data_key_seconds = 300\ntopic = "));
    // A default that is written out has another digest, and must not pass for the same contract.
    let written_out = compare(&sample(), &noisy);
    assert!(!written_out.is_empty(), "{written_out:#?}");
    let comment = compare(&sample(), &format!("# a comment\n{}", sample()));
    assert!(comment.is_empty() && comment.text().is_empty() && comment.old == comment.new);
}

#[test]
fn a_changed_key_is_shown_by_its_ids_and_concerns_trust() {
    let change = only(&key(3).pem(), &key(4).pem());
    assert_eq!((change.at.as_str(), change.security), ("party.bob.public_key", true));
    assert_eq!(change.text, format!("bob's key changed from {} to {}", key(3).id(), key(4).id()));
}

#[test]
fn a_lowered_threshold_says_so() {
    let change = only("threshold = \"all\"", "threshold = 2");
    assert!(change.security);
    assert_eq!(change.text, "signatures.threshold was lowered: all 3 of 3 had to sign, only 2 of 3 must now");
    let found = compare(&sample(), &sample().replacen("threshold = \"all\"", "threshold = 2", 1));
    assert!(found.warnings.iter().any(|warning| warning.rule == "threshold"), "{found:#?}");
    let back = compare(&sample().replacen("threshold = \"all\"", "threshold = 2", 1), &sample());
    assert!(back.text().contains("was raised") && back.warnings.is_empty(), "{}", back.text());
}

#[test]
fn every_member_that_decides_about_trust_is_a_change_of_its_own() {
    for (from, to, at) in [
        ("r.example/team/app", "r.example/team/other", "image.repository"),
        ("\"cargo-musl\"", "\"bazel\"", "build.recipe"),
        ("project_id = \"op\"", "project_id = \"other\"", "operator.project_id"),
        ("sa@op", "sb@op", "operator.service_account"),
        ("[\"GCP_INTEL_TDX\"]", "[\"GCP_INTEL_TDX\", \"GCP_AMD_SEV\"]", "platform.hardware[GCP_AMD_SEV]"),
        ("[signatures]", "[launch]\nlog_redirect = \"always\"\n[signatures]", "launch.log_redirect"),
        ("[signatures]", "[attestation]\ntoken = \"pki\"\n[signatures]", "attestation.token"),
        ("threshold = \"all\"", "threshold = \"all\"\nsources = \"registry\"", "signatures.sources"),
        ("topic = ", "print_words = true\ntopic = ", "messages.print_words"),
        ("topic = ", "dead_letter = \"projects/op/topics/d\"\ntopic = ", "messages.dead_letter"),
        ("topic = ", "data_key_seconds = 3600\ntopic = ", "messages.data_key_seconds"),
        ("projects/bob/locations", "projects/eve/locations", "party.bob.collaborator.kms_key"),
        ("projects/3/locations", "projects/9/locations", "party.bob.collaborator.identity_provider"),
        ("slsaprovenance1", "slsaprovenance02", "policy.provenance.predicate_type"),
        ("rego = ", "threshold = 1\nrego = ", "policy.provenance.threshold"),
    ] {
        let change = only(from, to);
        assert_eq!((change.at.as_str(), change.security), (at, true), "{change:#?}");
    }
}

#[test]
fn what_concerns_trust_comes_first_and_is_marked() {
    let new = sample().replacen("word-count", "another", 1).replacen("sa@op", "sb@op", 1);
    let found = compare(&sample(), &new);
    let text = found.text();
    assert!(text.starts_with("! operator.service_account changed"), "{text}");
    assert!(text.ends_with("  name changed from word-count to another\n"), "{text}");
}

#[test]
fn a_party_that_joins_or_leaves_is_one_change() {
    let grown = sample() + &party("carol", 4, true);
    let joined = compare(&sample(), &grown);
    assert_eq!(joined.changes.len(), 1, "{joined:#?}");
    assert_eq!((joined.changes[0].kind, joined.changes[0].security), (ChangeKind::Added, true));
    assert!(
        joined.changes[0].text.contains("carol is a new party") && joined.changes[0].text.contains("projects/carol/")
    );
    let left = compare(&grown, &sample());
    assert_eq!((left.changes.len(), left.changes[0].kind), (1, ChangeKind::Removed));
    // Under another name with the same key.
    let renamed = compare(&sample(), &sample().replacen("name = \"bob\"", "name = \"robert\"", 1));
    assert!(renamed.text().contains("robert has that key in the other contract"), "{}", renamed.text());
}

#[test]
fn the_same_threshold_of_more_parties_is_a_lower_one() {
    let two = sample().replacen("threshold = \"all\"", "threshold = 3", 1);
    let found = compare(&two, &(two.clone() + &party("carol", 4, false)));
    assert_eq!(found.changes.len(), 2, "{found:#?}");
    assert!(found.text().contains("was lowered: all 3 of 3 had to sign, only 3 of 4 must now"), "{}", found.text());
}

#[test]
fn a_policys_text_is_compared_line_by_line() {
    let change = only("allow { input.predicateType }", "allow { true }");
    assert_eq!(change.lines, ["- allow { input.predicateType }", "+ allow { true }"]);
}

#[test]
fn parties_in_another_order_are_no_quiet_change() {
    let swapped =
        [HEAD.to_owned(), party("alice", 2, true), party("builder", 1, false), party("bob", 3, true)].concat();
    let found = compare(&sample(), &swapped);
    assert_eq!(found.changes.len(), 1);
    assert!(!found.is_empty() && found.text().contains("order"), "{}", found.text());
}

#[test]
fn control_characters_in_a_contract_do_not_reach_the_reader() {
    let change = only("project_id = \"op\"", "project_id = \"o\\u001b[2Jp\\u202e\"");
    assert!(!change.text.contains(['\u{1b}', '\u{202e}']), "{change:?}");
}
