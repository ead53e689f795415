//! Bundles of honest services verify; every lie is refused, for the reason that it is one.

use crate::world::{
    ARTIFACT, EMAIL, ISSUER, NOW, Party, Request, SAN, SERVER_AUTH, SIGNED, Signed, URI, base64, checkpoint, entry_v1,
    entry_v2, entry_with_verifier, honest, sha256, sign_message, sign_statement, signed_entry_timestamp, statement,
    time_stamp, trusted_root, verifier, verifier_at, verify,
};
use csign_envelope::{
    PublicKey,
    dsse::IN_TOTO,
    statement::{SIGN_PREDICATE, Statement},
};
use csign_keyless::{Artifact, Content, KeylessError, SanKind};
use csign_oci::Digest;
use serde_json::{Value, json};

/// The bundle is refused, with these words.
fn refused(bundle: &Value, words: &str) {
    let error = verify(bundle).expect_err(words);
    assert!(error.to_string().contains(words), "wanted {words:?}, got: {error}");
}

fn certified_by(request: &Request) -> Value {
    sign_message(request, ARTIFACT).bundle_v1()
}

fn message() -> Signed {
    sign_message(&Request::default(), ARTIFACT)
}

fn envelope() -> Signed {
    sign_statement(&Request::default(), IN_TOTO, &statement())
}

fn entry(bundle: &mut Value) -> &mut Value {
    &mut bundle["verificationMaterial"]["tlogEntries"][0]
}

fn without(mut bundle: Value, members: &[&str]) -> Value {
    for member in members {
        entry(&mut bundle).as_object_mut().expect("an entry").remove(*member);
    }
    bundle
}

#[test]
fn a_message_logged_by_rekor_v1_verifies() {
    let certified = verify(&honest()).expect("verifies");
    assert_eq!(certified.identity.san, SAN);
    assert_eq!(certified.identity.san_kind, SanKind::Email);
    assert_eq!(certified.identity.issuer, ISSUER);
    assert_eq!((certified.signed_at, certified.content), (SIGNED, Content::Artifact));
    assert_eq!((certified.log[0].index, certified.log[0].kind.as_str()), (7, "hashedrekord 0.0.1"));
    let by_digest = verifier().verify_bundle(honest().to_string().as_bytes(), Artifact::Digest(&Digest::of(ARTIFACT)));
    assert!(by_digest.is_ok());
}

#[test]
fn a_statement_comes_back_byte_for_byte_for_its_predicate_to_be_checked() {
    for bundle in [envelope().bundle_v1(), envelope().bundle_v2()] {
        let certified = verify(&bundle).expect("verifies");
        let Content::Statement(bytes) = certified.content else { panic!("a statement") };
        assert_eq!(bytes, statement());
        Statement::parse_about(&bytes, SIGN_PREDICATE, &Digest::of(ARTIFACT)).expect("the sign predicate");
    }
}

#[test]
fn rekor_v2_with_a_time_stamp_verifies() {
    let certified = verify(&message().bundle_v2()).expect("verifies");
    assert_eq!((certified.signed_at, certified.log[0].kind.as_str()), (SIGNED, "hashedrekord 0.0.2"));
}

#[test]
fn a_chain_and_a_promise_alone_make_a_bundle_0_1() {
    let mut bundle = without(honest(), &["inclusionProof"]);
    let certificate = bundle["verificationMaterial"]["certificate"].take();
    bundle["verificationMaterial"].as_object_mut().expect("material").remove("certificate");
    bundle["verificationMaterial"]["x509CertificateChain"] = json!({"certificates": [certificate]});
    bundle["mediaType"] = "application/vnd.dev.sigstore.bundle+json;version=0.1".into();
    let certified = verify(&bundle).expect("verifies");
    assert!(!certified.log[0].proven);
    // Later versions want the proof.
    bundle["mediaType"] = "application/vnd.dev.sigstore.bundle+json;version=0.2".into();
    refused(&bundle, "inclusion proof");
}

#[test]
fn a_uri_and_the_older_issuer_extension_are_read() {
    let request = Request {
        names: vec![(URI, "https://example.com/workflow".to_owned())],
        issuer: None,
        old_issuer: Some(ISSUER.to_owned()),
        ..Request::default()
    };
    let identity = verify(&certified_by(&request)).expect("verifies").identity;
    assert_eq!((identity.san_kind, identity.issuer.as_str()), (SanKind::Uri, ISSUER));
}

#[test]
fn two_certificates_of_one_identity_are_one_signer() {
    let other = Request { key: Party::Stranger, not_before: SIGNED - 30, ..Request::default() };
    let (one, two) = (verify(&honest()).expect("verifies"), verify(&certified_by(&other)).expect("verifies"));
    assert_eq!(one.identity, two.identity);
}

#[test]
fn a_public_key_in_the_certificate_field_is_refused() {
    let mut bundle = honest();
    bundle["verificationMaterial"]["certificate"]["rawBytes"] = base64(Party::Signer.spki()).into();
    refused(&bundle, "the certificate's place holds a public key");
    let mut hint = honest();
    hint["verificationMaterial"].as_object_mut().expect("material").remove("certificate");
    hint["verificationMaterial"]["publicKey"] = json!({"hint": "anything"});
    refused(&hint, "the bundle holds a public key");
    hint["verificationMaterial"]["certificate"] = honest()["verificationMaterial"]["certificate"].clone();
    refused(&hint, "certificate, chain or key: 2 found");
}

#[test]
fn a_certificate_with_another_key_than_the_one_that_signed_is_refused() {
    let mut signed = sign_message(&Request { key: Party::Stranger, ..Request::default() }, ARTIFACT);
    signed.certificate = Request::default().certificate();
    refused(&signed.bundle_v1(), "did not make this signature");
    let mut signed = sign_statement(&Request { key: Party::Stranger, ..Request::default() }, IN_TOTO, &statement());
    signed.certificate = Request::default().certificate();
    refused(&signed.bundle_v2(), "did not make this signature");
}

#[test]
fn a_certificate_that_was_not_valid_at_the_signing_time_is_refused() {
    for not_before in [SIGNED + 1, SIGNED - 601] {
        let request = Request { not_before, ..Request::default() };
        refused(&certified_by(&request), "certificate");
        let stamped = sign_message(&request, ARTIFACT).bundle_v2();
        refused(&stamped, "certificate");
    }
}

#[test]
fn one_good_time_does_not_excuse_a_bad_one() {
    let signed = message();
    let late = time_stamp(&signed.signature, SIGNED + 3600);
    refused(&signed.bundle(&[entry_v1(&signed)], &[late]), "certificate");
}

#[test]
fn a_certificate_authority_of_ones_own_is_refused() {
    refused(
        &certified_by(&Request { authority: Party::Stranger, ..Request::default() }),
        "certificate chain is invalid",
    );
}

#[test]
fn a_certificate_for_another_usage_is_refused() {
    refused(&certified_by(&Request { usage: SERVER_AUTH, ..Request::default() }), "certificate chain is invalid");
}

#[test]
fn a_certificate_that_no_transparency_log_has_seen_is_refused() {
    refused(&certified_by(&Request { transparency: None, ..Request::default() }), "Signed Certificate Timestamp");
    let unknown = Request { transparency: Some(Party::Stranger), ..Request::default() };
    refused(&certified_by(&unknown), "signed certificate timestamp");
}

#[test]
fn a_certificate_that_names_nobody_or_two_is_refused() {
    let named = |names: &[(u8, &str)]| Request {
        names: names.iter().map(|(tag, name)| (*tag, (*name).to_owned())).collect(),
        ..Request::default()
    };
    refused(&certified_by(&named(&[])), "names no signer");
    refused(&certified_by(&named(&[(0x82, "example.com")])), "names no signer");
    refused(&certified_by(&named(&[(EMAIL, "")])), "names no signer");
    refused(&certified_by(&named(&[(EMAIL, SAN), (EMAIL, "other@example.com")])), "exactly one");
    refused(&certified_by(&Request { issuer: None, ..Request::default() }), "no OIDC issuer");
}

#[test]
fn an_entry_about_another_payload_is_refused() {
    let other = sign_message(&Request::default(), b"another artifact");
    refused(&message().bundle(&[entry_v1(&other)], &[]), "about something else");
    let stamp = time_stamp(&message().signature, SIGNED);
    refused(&message().bundle(&[entry_v2(&other)], &[stamp]), "about something else");
    let other = sign_statement(&Request::default(), IN_TOTO, b"{}");
    refused(&envelope().bundle(&[entry_v1(&other)], &[]), "does not match the bundle");
}

#[test]
fn an_entry_about_another_signature_or_certificate_is_refused() {
    let stranger = sign_message(&Request { key: Party::Stranger, ..Request::default() }, ARTIFACT);
    refused(&message().bundle(&[entry_v1(&stranger)], &[]), "does not match");
    refused(&message().bundle(&[entry_v2(&stranger)], &[time_stamp(&message().signature, SIGNED)]), "does not match");
    let mut same_key = message();
    same_key.certificate = Request { not_before: SIGNED - 1, ..Request::default() }.certificate();
    refused(&same_key.bundle(&[entry_v1(&message())], &[]), "certificate in bundle does not match");
}

#[test]
fn a_bundle_without_a_log_entry_is_refused() {
    refused(&message().bundle(&[], &[time_stamp(&message().signature, SIGNED)]), "no entry of a transparency log");
    refused(&without(honest(), &["inclusionProof", "inclusionPromise"]), "neither an inclusion proof nor a promise");
    let bare =
        without(honest(), &["inclusionProof", "inclusionPromise"])["verificationMaterial"]["tlogEntries"][0].take();
    refused(&message().bundle(&[entry_v1(&message()), bare], &[]), "neither an inclusion proof nor a promise");
}

#[test]
fn a_bundle_without_a_trusted_time_is_refused() {
    let signed = message();
    refused(&signed.bundle(&[entry_v2(&signed)], &[]), "no trusted time of signing");
    // Rekor v1's time is part of the promise; without it, it is only a number.
    refused(&without(honest(), &["inclusionPromise"]), "no trusted time of signing");
    let mut claimed = signed.bundle(&[entry_v2(&signed)], &[]);
    entry(&mut claimed)["integratedTime"] = SIGNED.to_string().into();
    refused(&claimed, "no trusted time of signing");
}

#[test]
fn a_tampered_promise_is_refused() {
    let mut bundle = honest();
    entry(&mut bundle)["integratedTime"] = (SIGNED + 1).to_string().into();
    refused(&bundle, "SET verification failed");
    let mut bundle = honest();
    entry(&mut bundle)["logIndex"] = "8".into();
    refused(&bundle, "SET verification failed");
    let mut bundle = honest();
    let body = entry(&mut bundle)["canonicalizedBody"].as_str().expect("a body").to_owned();
    let forged = signed_entry_timestamp(&body, SIGNED, 7, Party::Stranger);
    entry(&mut bundle)["inclusionPromise"]["signedEntryTimestamp"] = base64(forged).into();
    refused(&bundle, "SET verification failed");
}

#[test]
fn an_entry_of_an_unknown_log_is_refused() {
    let mut bundle = honest();
    entry(&mut bundle)["logId"]["keyId"] = base64(sha256(Party::Stranger.spki())).into();
    refused(&bundle, "a log that the trusted root does not name");
    // A promise of the stranger's own log, and a proof of it, too.
    let body = entry(&mut bundle)["canonicalizedBody"].as_str().expect("a body").to_owned();
    let forged = signed_entry_timestamp(&body, SIGNED, 7, Party::Stranger);
    entry(&mut bundle)["inclusionPromise"]["signedEntryTimestamp"] = base64(forged).into();
    refused(&bundle, "a log that the trusted root does not name");
    let mut bundle = message().bundle_v2();
    entry(&mut bundle)["logId"]["keyId"] = base64([7; 32]).into();
    refused(&bundle, "a log that the trusted root does not name");
}

#[test]
fn a_tampered_inclusion_proof_is_refused() {
    for mut bundle in [honest(), message().bundle_v2()] {
        entry(&mut bundle)["inclusionProof"]["hashes"][0] = base64([7; 32]).into();
        refused(&bundle, "invalid inclusion proof");
        entry(&mut bundle)["inclusionProof"]["hashes"] = json!([]);
        refused(&bundle, "inclusion proof");
    }
    let mut bundle = honest();
    entry(&mut bundle)["inclusionProof"]["logIndex"] = "0".into();
    refused(&bundle, "invalid inclusion proof");
    let mut bundle = honest();
    entry(&mut bundle)["inclusionProof"]["rootHash"] = base64([7; 32]).into();
    refused(&bundle, "root hash");
}

#[test]
fn a_checkpoint_by_another_key_is_refused() {
    let forge = |id: Party, signer: Party| {
        let mut bundle = honest();
        let proof = &mut entry(&mut bundle)["inclusionProof"];
        let root = base64_decoded(&proof["rootHash"]);
        let note = checkpoint(2, &root, |note| (sha256(id.spki()), signer.sign(note)));
        proof["checkpoint"]["envelope"] = note.into();
        bundle
    };
    assert!(verify(&forge(Party::Rekor, Party::Rekor)).is_ok());
    refused(&forge(Party::Stranger, Party::Stranger), "No matching Rekor key");
    refused(&forge(Party::Rekor, Party::Stranger), "No valid Rekor signature");
    let mut bundle = honest();
    entry(&mut bundle)["inclusionProof"].as_object_mut().expect("a proof").remove("checkpoint");
    assert!(verify(&bundle).is_err());
}

fn base64_decoded(value: &Value) -> Vec<u8> {
    use ::base64::{Engine as _, prelude::BASE64_STANDARD};
    BASE64_STANDARD.decode(value.as_str().expect("text")).expect("base64")
}

#[test]
fn a_time_stamp_over_another_signature_is_refused() {
    let signed = message();
    let other = time_stamp(b"another signature", SIGNED);
    refused(&signed.bundle(&[entry_v2(&signed)], std::slice::from_ref(&other)), "time stamp is refused");
    // Also where the log vouches for a time of its own.
    refused(&signed.bundle(&[entry_v1(&signed)], &[other]), "time stamp is refused");
}

#[test]
fn a_time_stamp_of_an_unknown_authority_or_a_tampered_one_is_refused() {
    let signed = message();
    let mut token = time_stamp(&signed.signature, SIGNED);
    let last = token.len() - 1;
    token[last] ^= 1;
    refused(&signed.bundle(&[entry_v2(&signed)], &[token]), "time stamp is refused");
    let mut root = trusted_root();
    root["timestampAuthorities"] = json!([]);
    let bundle = signed.bundle_v2().to_string();
    let error =
        verifier_at(&root, NOW).verify_bundle(bundle.as_bytes(), Artifact::Bytes(ARTIFACT)).expect_err("no TSA");
    assert!(matches!(error, KeylessError::TimeStamp(_)), "{error}");
}

#[test]
fn a_signature_from_the_future_is_refused() {
    for bundle in [honest(), message().bundle_v2()] {
        let verify_at = |now| {
            verifier_at(&trusted_root(), now).verify_bundle(bundle.to_string().as_bytes(), Artifact::Bytes(ARTIFACT))
        };
        assert!(matches!(verify_at(SIGNED - 1), Err(KeylessError::Future { .. })));
        assert!(verify_at(SIGNED).is_ok());
    }
}

#[test]
fn another_artifact_is_refused() {
    for bundle in [honest(), message().bundle_v2(), envelope().bundle_v1(), envelope().bundle_v2()] {
        let bundle = bundle.to_string();
        for artifact in [Artifact::Bytes(b"other"), Artifact::Digest(&Digest::of(b"other"))] {
            assert!(verifier().verify_bundle(bundle.as_bytes(), artifact).is_err());
        }
    }
}

#[test]
fn a_statement_with_our_digest_under_another_algorithm_alone_is_refused() {
    let text = String::from_utf8(statement()).expect("UTF-8").replace("\"sha256\"", "\"sha3_256\"");
    refused(&sign_statement(&Request::default(), IN_TOTO, text.as_bytes()).bundle_v1(), "digest");
}

#[test]
fn a_statement_that_names_a_member_twice_is_refused() {
    let text = String::from_utf8(statement()).expect("UTF-8").replacen('{', r#"{"predicateType":"x","#, 1);
    refused(&sign_statement(&Request::default(), IN_TOTO, text.as_bytes()).bundle_v1(), "duplicate member");
    let twice = honest().to_string().replacen('{', r#"{"mediaType":"x","#, 1);
    let error = verifier().verify_bundle(twice.as_bytes(), Artifact::Bytes(ARTIFACT)).expect_err("duplicate");
    assert!(error.to_string().contains("duplicate member"), "{error}");
}

#[test]
fn an_envelope_with_two_signatures_or_none_is_refused() {
    let mut bundle = envelope().bundle_v1();
    let signature = bundle["dsseEnvelope"]["signatures"][0].clone();
    bundle["dsseEnvelope"]["signatures"] = json!([signature, signature]);
    refused(&bundle, "signature of the envelope: 2 found");
    bundle["dsseEnvelope"]["signatures"] = json!([]);
    refused(&bundle, "signature of the envelope: 0 found");
}

#[test]
fn a_swapped_payload_type_is_refused() {
    let mut bundle = sign_statement(&Request::default(), "text/plain", &statement()).bundle_v1();
    refused(&bundle, "payload type is \"text/plain\"");
    bundle["dsseEnvelope"]["payloadType"] = IN_TOTO.into();
    refused(&bundle, "did not make this signature");
}

#[test]
fn a_message_and_an_envelope_in_one_bundle_are_refused() {
    let mut bundle = honest();
    bundle["dsseEnvelope"] = envelope().bundle_v1()["dsseEnvelope"].clone();
    refused(&bundle, "signed content: 2 found");
}

#[test]
fn unknown_versions_and_kinds_are_refused() {
    let mut bundle = honest();
    bundle["mediaType"] = "application/vnd.dev.sigstore.bundle.v0.4+json".into();
    refused(&bundle, "known are the versions 0.1, 0.2 and 0.3");
    for (kind, version) in [("hashedrekord", "0.0.3"), ("dsse", "0.0.2"), ("helm", "0.0.1")] {
        let mut bundle = honest();
        entry(&mut bundle)["kindVersion"] = json!({"kind": kind, "version": version});
        refused(&bundle, "parsing the bundle");
    }
    let mut bundle = honest();
    entry(&mut bundle)["kindVersion"] = json!({"kind": "dsse", "version": "0.0.1"});
    assert!(verify(&bundle).is_err());
}

#[test]
fn more_proofs_than_anyone_needs_are_refused() {
    let signed = message();
    refused(&signed.bundle(&vec![entry_v1(&signed); 9], &[]), "log entries: more than the limit of 8");
    let stamps = vec![time_stamp(&signed.signature, SIGNED); 9];
    refused(&signed.bundle(&[entry_v1(&signed)], &stamps), "time stamps: more than the limit of 8");
}

/// One bit of every third byte, one after the other.
fn flips(bytes: &[u8]) -> impl Iterator<Item = (usize, Vec<u8>)> {
    (0..bytes.len()).step_by(3).map(|at| {
        let mut flipped = bytes.to_vec();
        flipped[at] ^= 1 << (at % 8);
        (at, flipped)
    })
}

#[test]
fn no_flipped_bit_of_a_certificate_passes_though_it_was_logged_so() {
    let verifier = verifier();
    for (at, certificate) in flips(&Request::default().certificate()) {
        let bundle = Signed { certificate, ..message() }.bundle_v1().to_string();
        assert!(verifier.verify_bundle(bundle.as_bytes(), Artifact::Bytes(ARTIFACT)).is_err(), "byte {at}");
    }
}

#[test]
fn no_flipped_bit_of_a_time_stamp_moves_the_time() {
    let (verifier, signed) = (verifier(), message());
    let mut accepted = 0;
    for (at, token) in flips(&time_stamp(&signed.signature, SIGNED)) {
        let bundle = signed.bundle(&[entry_v2(&signed)], &[token]).to_string();
        let outcome = verifier.verify_bundle(bundle.as_bytes(), Artifact::Bytes(ARTIFACT));
        if let Ok(certified) = outcome {
            assert_eq!(certified.signed_at, SIGNED, "byte {at}");
            accepted += 1;
        }
    }
    // Versions, the status and the list of hash algorithms are not signed.
    assert!(accepted < 10, "{accepted} flips were accepted");
}

#[test]
fn a_bundle_of_a_plain_key_verifies_under_that_key_alone_and_only_if_it_was_logged() {
    let pem = |party: Party| {
        let text = base64(party.spki());
        let (first, second) = text.split_at(64);
        format!("-----BEGIN PUBLIC KEY-----\n{first}\n{second}\n-----END PUBLIC KEY-----\n")
    };
    let key = |party: Party| PublicKey::from_pem(&pem(party)).expect("a key");
    let mut bundle = message().bundle(&[entry_with_verifier(&message(), &pem(Party::Signer))], &[]);
    let material = bundle["verificationMaterial"].as_object_mut().expect("material");
    material.remove("certificate");
    material.insert("publicKey".to_owned(), json!({"hint": "anything"}));
    let verify = |bundle: &Value, artifact: &[u8], party: Party| {
        verifier().verify_bundle_with_key(bundle.to_string().as_bytes(), Artifact::Bytes(artifact), &key(party))
    };
    assert_eq!(verify(&bundle, ARTIFACT, Party::Signer).expect("verifies"), Content::Artifact);
    assert!(verify(&bundle, ARTIFACT, Party::Stranger).is_err());
    assert!(verify(&bundle, b"another", Party::Signer).is_err());
    assert!(matches!(verify(&honest(), ARTIFACT, Party::Signer), Err(KeylessError::Unsupported(_))));
    bundle["verificationMaterial"]["tlogEntries"] = json!([]);
    assert!(matches!(verify(&bundle, ARTIFACT, Party::Signer), Err(KeylessError::NoLogEntry(_))));
}
