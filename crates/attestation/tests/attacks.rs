//! Every way in which a token may lie, fed to the verifier. Tokens are signed with the worthless key of the fixtures.

#![allow(clippy::expect_used, reason = "helpers of tests, outside #[test] functions")]

mod common;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use csign_attestation::{Claims, Expected, Jwks, Keys, LIMITS, Override, Token, TokenError, verify};
use proptest::prelude::*;
use rsa::traits::PublicKeyParts as _;
use serde_json::{Value, json};

use crate::common::{AUDIENCE, ISSUER, NONCE, NOW, expected, payload, private_key, sign_text};

fn keys() -> Keys {
    let key = private_key('a');
    let [n, e] = [key.n_bytes(), key.e_bytes()].map(|number| BASE64_URL_SAFE_NO_PAD.encode(number));
    let set = json!({"keys": [{"kty": "RSA", "kid": "k1", "alg": "RS256", "use": "sig", "n": n, "e": e}]});
    Jwks::parse(set.to_string().as_bytes()).expect("key set").into()
}

fn header() -> Value {
    json!({"alg": "RS256", "kid": "k1", "typ": "JWT"})
}

fn sign(header: &Value, payload: &Value) -> String {
    sign_text(&header.to_string(), &payload.to_string())
}

/// The verdict on a correctly signed token with this one change in its payload.
fn with(change: impl FnOnce(&mut Value)) -> Result<Claims, TokenError> {
    let mut payload = payload();
    change(&mut payload);
    verify(&sign(&header(), &payload), &keys(), &expected())
}

fn remove(value: &mut Value, pointer: &str) {
    let (parent, member) = pointer.rsplit_once('/').expect("pointer");
    value.pointer_mut(parent).and_then(Value::as_object_mut).expect("parent").remove(member).expect("member");
}

#[test]
fn a_good_token_gives_its_claims() {
    let claims = with(|_| {}).expect("good token");
    assert_eq!(claims.nonces, [NONCE]);
    assert_eq!(claims.swversion, ["250800"]);
    assert_eq!(claims.support_attributes.as_deref(), Some(&["LATEST", "STABLE", "USABLE"].map(String::from)[..]));
    assert_eq!(claims.container.env_override, Override::Null);
    assert_eq!(claims.container.cmd_override, Override::Absent);
    assert_eq!(claims.container.image_signatures[0].key_id.to_string(), "ab".repeat(32));
    assert_eq!(claims.container.image_signatures[0].signature, "MEUCIQ==");
    assert_eq!(claims.gce.project_number, "1234");
}

#[test]
fn algorithms_other_than_rs256_are_refused() {
    for alg in ["none", "None", "HS256", "RS384", "PS256", "ES256", "rs256", ""] {
        let token = sign(&json!({"alg": alg, "kid": "k1"}), &payload());
        assert!(matches!(verify(&token, &keys(), &expected()), Err(TokenError::Algorithm(_))), "{alg:?}");
        let (unsigned, _) = token.rsplit_once('.').expect("compact");
        let stripped = format!("{unsigned}.");
        assert!(matches!(verify(&stripped, &keys(), &expected()), Err(TokenError::Algorithm(_))), "{alg:?}");
    }
    for header in [json!({"kid": "k1"}), json!({"alg": ["RS256"], "kid": "k1"}), json!(["RS256"])] {
        let token = sign(&header, &payload());
        assert!(matches!(verify(&token, &keys(), &expected()), Err(TokenError::Algorithm(_))), "{header}");
    }
}

#[test]
fn keys_and_extensions_in_the_header_are_refused() {
    for member in ["crit", "jku", "jwk", "x5u", "x5c", "b64", "zip", "enc"] {
        for value in [json!([member]), json!("https://evil.example/keys"), json!(false), Value::Null] {
            let mut header = header();
            header[member] = value;
            let refused = verify(&sign(&header, &payload()), &keys(), &expected());
            assert!(matches!(refused, Err(TokenError::HeaderMember(_))), "{header}: {refused:?}");
        }
    }
}

#[test]
fn a_wrong_absent_or_duplicate_kid_is_refused() {
    let verdict = |header: &str| verify(&sign_text(header, &payload().to_string()), &keys(), &expected());
    assert!(matches!(verdict(r#"{"alg":"RS256","kid":"other"}"#), Err(TokenError::UnknownKey(_))));
    assert!(matches!(verdict(r#"{"alg":"RS256"}"#), Err(TokenError::NoKeyId)));
    assert!(matches!(verdict(r#"{"alg":"RS256","kid":""}"#), Err(TokenError::NoKeyId)));
    assert!(matches!(verdict(r#"{"alg":"RS256","kid":["k1"]}"#), Err(TokenError::NoKeyId)));
    assert!(matches!(verdict(r#"{"alg":"RS256","kid":"x","kid":"k1"}"#), Err(TokenError::Json { part: "header", .. })));
    assert!(matches!(verdict(r#"{"alg":"none","alg":"RS256","kid":"k1"}"#), Err(TokenError::Json { .. })));
}

#[test]
fn every_change_of_a_signed_byte_is_noticed() {
    let good = sign(&header(), &payload());
    let (signed, signature) = good.rsplit_once('.').expect("compact");
    let (head, _) = signed.split_once('.').expect("compact");
    let mut other = payload();
    other["google_service_accounts"] = json!(["evil@op.iam.gserviceaccount.com"]);
    let swapped = format!("{head}.{}.{signature}", BASE64_URL_SAFE_NO_PAD.encode(other.to_string()));
    assert!(matches!(verify(&swapped, &keys(), &expected()), Err(TokenError::Signature)));
    let zero = format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode([0; 256]));
    assert!(matches!(verify(&zero, &keys(), &expected()), Err(TokenError::Signature)));
    let empty = format!("{signed}.");
    assert!(matches!(verify(&empty, &keys(), &expected()), Err(TokenError::Signature)));
    // The same signature with a leading zero byte is another text for one token.
    let raw = BASE64_URL_SAFE_NO_PAD.decode(signature).expect("base64url");
    let longer = format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode([&[0][..], &raw].concat()));
    assert!(matches!(verify(&longer, &keys(), &expected()), Err(TokenError::Signature)));
}

#[test]
fn malformed_compact_forms_are_refused() {
    let good = sign(&header(), &payload());
    let (head, rest) = good.split_once('.').expect("compact");
    for bad in [
        String::new(),
        ".".into(),
        "..".into(),
        head.to_owned(),
        format!("{good}="),
        format!("{good}\n"),
        format!(" {good}"),
        format!("{good}.{head}"),
        format!("{head}=.{rest}"),
        good.replacen('.', "..", 1),
        format!("{head}+/.{rest}"),
    ] {
        assert!(verify(&bad, &keys(), &expected()).is_err(), "{bad:?} was accepted");
    }
    assert!(matches!(verify(&format!("{good}="), &keys(), &expected()), Err(TokenError::Compact(_))));
}

#[test]
fn a_huge_token_is_refused_before_it_is_decoded() {
    let refused = with(|payload| payload["padding"] = json!("x".repeat(LIMITS.token_bytes)));
    assert!(matches!(refused, Err(TokenError::TooLarge { .. })));
    assert!(with(|payload| payload["padding"] = json!("x".repeat(LIMITS.token_bytes / 2))).is_ok());
}

#[test]
fn duplicate_claims_are_refused() {
    let text = payload().to_string();
    let twice = text.replacen('{', r#"{"iss":"https://evil.example","#, 1);
    let deep = text.replacen(r#""gce":{"#, r#""gce":{"project_id":"evil","#, 1);
    assert_ne!(deep, text);
    for bad in [twice, deep] {
        let refused = verify(&sign_text(&header().to_string(), &bad), &keys(), &expected());
        assert!(matches!(refused, Err(TokenError::Json { part: "payload", .. })), "{refused:?}");
    }
}

#[test]
fn another_issuer_is_refused() {
    for bad in [
        "https://confidentialcomputing.googleapis.com/",
        "https://CONFIDENTIALCOMPUTING.googleapis.com",
        "https://fake-issuer-for-testing",
        "https://accounts.google.com",
    ] {
        assert!(matches!(with(|p| p["iss"] = json!(bad)), Err(TokenError::Mismatch { claim: "iss", .. })), "{bad}");
    }
    assert!(matches!(with(|p| p["iss"] = json!([ISSUER])), Err(TokenError::Form { claim: "iss", .. })));
}

#[test]
fn another_audience_is_refused() {
    let other = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/other";
    for bad in [json!(other), json!([other]), json!(format!("{AUDIENCE}/"))] {
        let refused = with(|p| p["aud"] = bad.clone());
        assert!(matches!(refused, Err(TokenError::Mismatch { claim: "aud", .. })), "{bad}");
    }
    for bad in [json!([AUDIENCE, other]), json!([]), json!(1), json!({"a": AUDIENCE}), json!("")] {
        assert!(matches!(with(|p| p["aud"] = bad.clone()), Err(TokenError::Form { claim: "aud", .. })), "{bad}");
    }
    assert_eq!(with(|p| p["aud"] = json!([AUDIENCE])).expect("array of one").audience, AUDIENCE);
}

#[test]
fn times_are_checked_with_the_leeway_and_no_more() {
    let times = |iat: u64, nbf: u64, exp: u64| {
        with(|p| {
            p["iat"] = json!(iat);
            p["nbf"] = json!(nbf);
            p["exp"] = json!(exp);
        })
    };
    assert!(times(NOW - 60, NOW - 60, NOW - 29).is_ok());
    assert!(matches!(times(NOW - 60, NOW - 60, NOW - 30), Err(TokenError::Expired { .. })));
    assert!(times(NOW, NOW + 30, NOW + 60).is_ok());
    assert!(matches!(times(NOW, NOW + 31, NOW + 60), Err(TokenError::NotYetValid { claim: "nbf", .. })));
    assert!(matches!(times(NOW + 31, NOW, NOW + 60), Err(TokenError::NotYetValid { claim: "iat", .. })));
    let day = LIMITS.lifetime_seconds;
    assert!(times(NOW - 1, NOW, NOW - 1 + day).is_ok());
    assert!(matches!(times(NOW - 1, NOW, NOW + day), Err(TokenError::Lifetime { .. })));
    assert!(matches!(times(NOW - 1, NOW, u64::MAX), Err(TokenError::Lifetime { .. })));
    assert!(matches!(times(NOW + 20, NOW, NOW + 20), Err(TokenError::Lifetime { .. })));
    assert!(matches!(times(NOW + 20, NOW, NOW + 10), Err(TokenError::Lifetime { .. })));
}

#[test]
fn times_that_are_no_whole_seconds_are_refused() {
    for claim in ["iat", "nbf", "exp"] {
        for bad in [json!("1757100000"), json!(1_757_100_000.5), json!(-1), json!([NOW]), json!(true)] {
            assert!(matches!(with(|p| p[claim] = bad.clone()), Err(TokenError::Form { .. })), "{claim} {bad}");
        }
    }
}

#[test]
fn nonces_are_compared() {
    let other = "f".repeat(32);
    assert!(with(|p| p["eat_nonce"] = json!(NONCE)).is_ok(), "bare string");
    assert!(with(|p| p["eat_nonce"] = json!([other, NONCE])).is_ok(), "any order");
    for bad in [json!(other), json!([other]), json!(format!("{NONCE}0")), json!(&NONCE[1..])] {
        let refused = with(|p| p["eat_nonce"] = bad.clone());
        assert!(matches!(refused, Err(TokenError::Mismatch { claim: "eat_nonce", .. })), "{bad}");
    }
    for bad in [json!(vec![NONCE; 7]), json!("short"), json!("x".repeat(89)), json!([NONCE, 1]), json!({"n": NONCE})] {
        assert!(matches!(with(|p| p["eat_nonce"] = bad.clone()), Err(TokenError::Form { .. })), "{bad}");
    }
    assert!(matches!(with(|p| remove(p, "/eat_nonce")), Err(TokenError::Missing("eat_nonce"))));
    assert!(matches!(with(|p| p["eat_nonce"] = json!([])), Err(TokenError::Missing("eat_nonce"))));

    let mut default_token = payload();
    remove(&mut default_token, "/eat_nonce");
    let expect = Expected { nonce: None, ..expected() };
    assert!(verify(&sign(&header(), &default_token), &keys(), &expect).is_ok());
}

#[test]
fn every_claim_that_decides_is_required() {
    for pointer in [
        "/iss",
        "/aud",
        "/sub",
        "/iat",
        "/nbf",
        "/exp",
        "/swname",
        "/hwmodel",
        "/secboot",
        "/dbgstat",
        "/submods",
        "/submods/container",
        "/submods/container/image_reference",
        "/submods/container/image_digest",
        "/submods/gce",
        "/submods/gce/project_id",
        "/submods/gce/project_number",
        "/submods/gce/zone",
        "/submods/gce/instance_name",
        "/submods/gce/instance_id",
    ] {
        let refused = with(|p| remove(p, pointer));
        assert!(matches!(refused, Err(TokenError::Missing(_))), "{pointer}: {refused:?}");
        let refused = with(|p| *p.pointer_mut(pointer).expect("member") = Value::Null);
        assert!(matches!(refused, Err(TokenError::Missing(_))), "{pointer}: {refused:?}");
        let refused = with(|p| *p.pointer_mut(pointer).expect("member") = json!([[]]));
        assert!(matches!(refused, Err(TokenError::Form { .. })), "{pointer}: {refused:?}");
    }
}

#[test]
fn absence_has_its_stated_meaning() {
    let debug = with(|p| remove(p, "/submods/confidential_space/support_attributes")).expect("debug image");
    assert_eq!(debug.support_attributes, None);
    assert_eq!(with(|p| remove(p, "/submods/confidential_space")).expect("debug image").support_attributes, None);
    let empty = with(|p| p["submods"]["confidential_space"]["support_attributes"] = json!([])).expect("empty");
    assert_eq!(empty.support_attributes, Some(Vec::new()));
    assert!(with(|p| remove(p, "/google_service_accounts")).expect("none").google_service_accounts.is_empty());
    assert!(
        with(|p| remove(p, "/submods/container/image_signatures"))
            .is_ok_and(|c| { c.container.image_signatures.is_empty() })
    );
    assert_eq!(with(|p| p["swversion"] = json!("230600")).expect("string").swversion, ["230600"]);
}

#[test]
fn claims_that_decide_nothing_are_read_in_every_form_and_refuse_none() {
    let tdx = json!({"gcp_attester_tcb_status": "UpToDate", "gcp_attester_tcb_date": "2024-03-13T00:00:00Z"});
    let status = |claims: Claims| claims.details.tdx.and_then(|tdx| tdx.tcb_status);
    assert_eq!(status(with(|p| p["tdx"] = json!([tdx])).expect("documented")).as_deref(), Some("UpToDate"));
    assert_eq!(status(with(|p| p["tdx"] = tdx.clone()).expect("object")).as_deref(), Some("UpToDate"));
    assert_eq!(status(with(|p| p["submods"]["tdx"] = tdx.clone()).expect("submods")).as_deref(), Some("UpToDate"));
    let claims = with(|p| {
        p["oemid"] = json!(11129);
        p["attester_tcb"] = json!("INTEL");
        p["submods"]["nvidia_gpu"] = json!({"cc_mode": "DEVTOOLS"});
        p["submods"]["confidential_space"]["monitoring_enabled"] = json!({"memory": true});
        p["https://aws.amazon.com/tags"] = json!({"principal_tags": {"gce.zone": ["z"]}});
    });
    let details = claims.expect("reads").details;
    assert_eq!((details.oemid, details.attester_tcb), (Some(11129), vec!["INTEL".to_owned()]));
    assert_eq!((details.gpu_cc_mode.as_deref(), details.memory_monitoring), (Some("DEVTOOLS"), Some(true)));
    assert_eq!(details.aws_principal_tags["gce.zone"], ["z"]);
    for odd in [json!(1), json!("x"), json!([]), json!({}), json!([1]), Value::Null] {
        let claims = with(|p| {
            for claim in ["tdx", "oemid", "attester_tcb", "eat_profile", "https://aws.amazon.com/tags"] {
                p[claim] = odd.clone();
            }
            p["submods"]["nvidia_gpu"] = odd.clone();
            p["submods"]["container"]["image_id"] = odd.clone();
        });
        assert!(claims.is_ok(), "{odd}: {claims:?}");
    }
}

#[test]
fn overrides_are_read_in_all_their_forms() {
    let read =
        |value: Value| with(|p| p["submods"]["container"]["cmd_override"] = value).map(|c| c.container.cmd_override);
    assert!(read(Value::Null).expect("null").is_empty());
    assert!(read(json!([])).expect("array").is_empty());
    assert!(read(json!({})).expect("object").is_empty());
    assert_eq!(read(json!(["sh"])).expect("array"), Override::Array(vec!["sh".into()]));
    assert!(!read(json!({"A": "1"})).expect("object").is_empty());
    for bad in [json!("sh"), json!(0), json!(false), json!([1]), json!({"A": 1})] {
        assert!(matches!(read(bad.clone()), Err(TokenError::Form { .. })), "{bad}");
    }
}

#[test]
fn malformed_digests_and_signatures_are_refused() {
    for bad in ["", "latest", "sha512:00", "SHA256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"] {
        let refused = with(|p| p["submods"]["container"]["image_digest"] = json!(bad));
        assert!(matches!(refused, Err(TokenError::Form { .. })), "{bad}");
    }
    let good = payload()["submods"]["container"]["image_signatures"][0].clone();
    let mut base64_key = good.clone();
    base64_key["key_id"] = json!("q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=");
    for bad in [json!([base64_key]), json!([{}]), json!("x"), json!(vec![good.clone(); 301])] {
        let refused = with(|p| p["submods"]["container"]["image_signatures"] = bad);
        assert!(matches!(refused, Err(TokenError::Form { .. })));
    }
    // Whoever may push can attach a signature with odd base64: it counts for nothing and hurts nobody.
    let mut odd = good.clone();
    odd["signature"] = json!("MEUC\nIQ==");
    let claims = with(|p| p["submods"]["container"]["image_signatures"] = json!([odd, good])).expect("tolerated");
    assert_eq!(claims.container.image_signatures[0].signature, "MEUC\nIQ==");
    assert_eq!(claims.container.image_signatures[1].signature, "MEUCIQ==");
}

#[test]
fn debug_never_prints_a_token() {
    let text = sign(&header(), &payload());
    let token = Token::new(&format!("{text}\n"));
    assert_eq!(token.expose(), text);
    let shown = format!("{token:?}");
    assert!(shown.len() < 40 && !shown.contains(&text[..20]), "{shown}");
    for damaged in [format!("{text}="), text.replace('.', ""), text.replacen("ey", "e", 1)] {
        let error = verify(&damaged, &keys(), &expected()).expect_err("damaged");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains(&text[30..60]) && !shown.contains(&text[text.len() - 60..text.len() - 20]), "{shown}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn arbitrary_tokens_never_panic(token in ".{0,400}", header in ".{0,80}", payload in any::<Vec<u8>>()) {
        let _ = verify(&token, &keys(), &expected());
        let [header, payload] = [header.into_bytes(), payload].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part));
        let _ = verify(&format!("{header}.{payload}.AAAA"), &keys(), &expected());
    }

    #[test]
    fn arbitrary_documents_never_panic(bytes in any::<Vec<u8>>()) {
        let _ = Jwks::parse(&bytes);
        let _ = csign_attestation::Discovery::parse(&bytes, ISSUER);
        let _ = Claims::parse_without_verification(&bytes);
    }

    #[test]
    fn mutated_payloads_never_panic(at in 0..900_usize, with in any::<u8>()) {
        let mut bytes = payload().to_string().into_bytes();
        let at = at % bytes.len();
        bytes[at] = with;
        let _ = Claims::parse_without_verification(&bytes);
    }
}
