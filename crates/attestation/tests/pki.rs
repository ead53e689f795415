//! PKI tokens: every way in which the chain of a header may lie. Keys and certificates are worthless.

#![allow(clippy::expect_used, reason = "helpers of tests, outside #[test] functions")]

mod common;

use std::time::Duration;

use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE},
};
use csign_attestation::{Claims, Expected, Jwks, Keys, LIMITS, PkiRoots, RootPin, TokenError, verify};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod,
    PublicKeyData, SignatureAlgorithm, SigningKey, date_time_ymd,
};
use rsa::{
    pkcs1::EncodeRsaPublicKey as _,
    pkcs1v15,
    signature::{SignatureEncoding as _, Signer as _},
};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::common::{NOW, expected, payload, private_key, sign_text};

/// One of the worthless keys, for rcgen.
struct Key(char, Vec<u8>);

impl Key {
    fn new(name: char) -> Self {
        Self(name, private_key(name).to_public_key().to_pkcs1_der().expect("encodes").as_bytes().to_vec())
    }
}

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        &self.1
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_RSA_SHA256
    }
}

impl SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(pkcs1v15::SigningKey::<Sha256>::new(private_key(self.0)).sign(message).to_vec())
    }
}

/// A certificate for `name`, valid around [`NOW`].
fn params(name: &str, is_ca: IsCa) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(vec![1].into());
    params.key_identifier_method = KeyIdMethod::PreSpecified(name.as_bytes().to_vec());
    params.not_before = date_time_ymd(2025, 1, 1);
    params.not_after = date_time_ymd(2026, 1, 1);
    params.is_ca = is_ca;
    params
}

const AUTHORITY: IsCa = IsCa::Ca(BasicConstraints::Unconstrained);

/// What a chain is made of: root under key `c`, intermediate under `b`, leaf under `a`.
struct Chain {
    root: CertificateParams,
    intermediate: CertificateParams,
    leaf: CertificateParams,
    root_key: char,
    intermediate_key: char,
}

impl Chain {
    fn good() -> Self {
        Self {
            root: params("root", AUTHORITY),
            intermediate: params("intermediate", AUTHORITY),
            leaf: params("leaf", IsCa::NoCa),
            root_key: 'c',
            intermediate_key: 'b',
        }
    }

    fn with(change: impl FnOnce(&mut Self)) -> [Vec<u8>; 3] {
        let mut chain = Self::good();
        change(&mut chain);
        chain.build()
    }

    fn build(self) -> [Vec<u8>; 3] {
        let root = self.root.self_signed(&Key::new(self.root_key)).expect("root").der().to_vec();
        let root_issuer = Issuer::new(self.root, Key::new(self.root_key));
        let intermediate = self.intermediate.signed_by(&Key::new(self.intermediate_key), &root_issuer);
        let issuer = Issuer::new(self.intermediate, Key::new(self.intermediate_key));
        let leaf = self.leaf.signed_by(&Key::new('a'), &issuer).expect("leaf");
        [leaf.der().to_vec(), intermediate.expect("intermediate").der().to_vec(), root]
    }
}

fn good() -> [Vec<u8>; 3] {
    Chain::good().build()
}

fn roots() -> Keys {
    PkiRoots::pinned([RootPin::of(&good()[2])]).into()
}

fn header(chain: &[Vec<u8>]) -> Value {
    let x5c: Vec<_> = chain.iter().map(|der| BASE64_STANDARD.encode(der)).collect();
    json!({"alg": "RS256", "typ": "JWT", "x5c": x5c})
}

fn verdict(header: &Value) -> Result<Claims, TokenError> {
    verify(&sign_text(&header.to_string(), &payload().to_string()), &roots(), &expected())
}

fn of_chain(chain: &[Vec<u8>]) -> Result<Claims, TokenError> {
    verdict(&header(chain))
}

#[test]
fn a_pki_token_gives_the_claims_that_an_oidc_token_gives() {
    let claims = of_chain(&good()).expect("good");
    assert_eq!(claims.hwmodel, "GCP_INTEL_TDX");
    let mut other = payload();
    other["aud"] = json!("https://elsewhere.example");
    let refused = verify(&sign_text(&header(&good()).to_string(), &other.to_string()), &roots(), &expected());
    assert!(matches!(refused, Err(TokenError::Mismatch { claim: "aud", .. })), "{refused:?}");
    let late = Expected { now: NOW + 4000, ..expected() };
    let refused = verify(&sign_text(&header(&good()).to_string(), &payload().to_string()), &roots(), &late);
    assert!(matches!(refused, Err(TokenError::Expired { .. })), "{refused:?}");
}

#[test]
fn a_chain_that_ends_in_another_root_is_refused() {
    let other = Chain::with(|chain| chain.root.distinguished_name.push(DnType::OrganizationName, "mallory"));
    assert!(matches!(of_chain(&other), Err(TokenError::UnknownRoot(_))));
    // The same name and key, another certificate.
    let twin = Chain::with(|chain| chain.root.serial_number = Some(vec![2].into()));
    assert!(matches!(of_chain(&twin), Err(TokenError::UnknownRoot(_))));
    // The pinned root is shown, and the path is another root's.
    let [leaf, intermediate, _] = Chain::with(|chain| chain.root_key = 'b');
    let [.., pinned] = good();
    let refused = of_chain(&[leaf, intermediate, pinned]);
    assert!(matches!(refused, Err(TokenError::Certificate(_))), "{refused:?}");
    let token = sign_text(&header(&good()).to_string(), &payload().to_string());
    for keys in [PkiRoots::google(), PkiRoots::pinned([])] {
        assert!(matches!(verify(&token, &keys.into(), &expected()), Err(TokenError::UnknownRoot(_))));
    }
}

#[test]
fn a_leaf_signed_by_another_intermediate_is_refused() {
    let [leaf, ..] = Chain::with(|chain| chain.intermediate_key = 'c');
    let [_, intermediate, root] = good();
    let refused = of_chain(&[leaf, intermediate, root]);
    assert!(matches!(refused, Err(TokenError::Certificate(_))), "{refused:?}");
    let [leaf, ..] = Chain::with(|chain| chain.intermediate = params("other", AUTHORITY));
    let [_, intermediate, root] = good();
    let refused = of_chain(&[leaf, intermediate, root]);
    assert!(matches!(refused, Err(TokenError::Certificate(_))), "{refused:?}");
}

#[test]
fn a_leaf_that_the_root_signed_itself_does_not_need_the_intermediate_and_is_refused() {
    let [_, intermediate, root] = good();
    let issuer = Issuer::new(params("root", AUTHORITY), Key::new('c'));
    let leaf = params("leaf", IsCa::NoCa).signed_by(&Key::new('a'), &issuer).expect("leaf").der().to_vec();
    let refused = of_chain(&[leaf, intermediate, root]);
    assert!(matches!(refused, Err(TokenError::Chain(_))), "{refused:?}");
}

#[test]
fn certificates_are_valid_now_with_the_leeway_and_no_more() {
    let second = |at: u64| date_time_ymd(1970, 1, 1) + Duration::from_secs(at);
    type Part = fn(&mut Chain) -> &mut CertificateParams;
    let parts: [(&str, Part); 2] = [("leaf", |c| &mut c.leaf), ("intermediate", |c| &mut c.intermediate)];
    for (name, part) in parts {
        assert!(of_chain(&Chain::with(|c| part(c).not_after = second(NOW - 30))).is_ok(), "{name}");
        let refused = of_chain(&Chain::with(|c| part(c).not_after = second(NOW - 31)));
        assert!(matches!(refused, Err(TokenError::Certificate(_))), "{name}: {refused:?}");
        assert!(of_chain(&Chain::with(|c| part(c).not_before = second(NOW + 30))).is_ok(), "{name}");
        let refused = of_chain(&Chain::with(|c| part(c).not_before = second(NOW + 31)));
        assert!(matches!(refused, Err(TokenError::Certificate(_))), "{name}: {refused:?}");
    }
    for (after, holds) in [(NOW - 30, true), (NOW - 31, false)] {
        let chain = Chain::with(|c| c.root.not_after = second(after));
        let keys: Keys = PkiRoots::pinned([RootPin::of(&chain[2])]).into();
        let token = sign_text(&header(&chain).to_string(), &payload().to_string());
        let verdict = verify(&token, &keys, &expected());
        assert_eq!(verdict.is_ok(), holds, "a root until {after}: {verdict:?}");
    }
}

#[test]
fn an_authority_is_no_leaf_and_a_leaf_no_authority() {
    let refused = of_chain(&Chain::with(|chain| chain.leaf.is_ca = AUTHORITY));
    assert!(matches!(refused, Err(TokenError::Certificate(_))), "{refused:?}");
    for not_an_authority in [IsCa::NoCa, IsCa::ExplicitNoCa] {
        let refused = of_chain(&Chain::with(|chain| chain.intermediate.is_ca = not_an_authority));
        assert!(matches!(refused, Err(TokenError::Certificate(_))), "{refused:?}");
    }
    let [_, intermediate, root] = good();
    let refused = of_chain(&[intermediate.clone(), intermediate, root]);
    assert!(matches!(refused, Err(TokenError::Certificate(_))), "{refused:?}");
}

#[test]
fn a_purpose_in_a_certificate_neither_helps_nor_hurts() {
    let chain = Chain::with(|chain| chain.leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]);
    assert!(of_chain(&chain).is_ok());
}

#[test]
fn a_token_signed_with_another_key_than_the_leafs_is_refused() {
    // The chain is genuine; its leaf has key b, and the token is signed with key a.
    let [_, intermediate, root] = good();
    let issuer = Issuer::new(params("intermediate", AUTHORITY), Key::new('b'));
    let leaf = params("leaf", IsCa::NoCa).signed_by(&Key::new('b'), &issuer).expect("leaf").der().to_vec();
    let refused = of_chain(&[leaf, intermediate, root]);
    assert!(matches!(refused, Err(TokenError::Signature)), "{refused:?}");
}

#[test]
fn only_standard_base64_of_exactly_three_certificates_is_a_chain() {
    let [leaf, intermediate, root] = good();
    let three = [&leaf, &intermediate, &root];
    let text = |encode: &dyn Fn(&[u8]) -> String| json!(three.map(|der| encode(der)));
    // A byte that makes the alphabets differ, so that the test cannot pass by luck.
    assert!(BASE64_STANDARD.encode(&leaf).contains(['+', '/']));
    for x5c in [
        text(&|der| BASE64_URL_SAFE.encode(der)),
        text(&|der| BASE64_STANDARD_NO_PAD.encode(der) + "\n"),
        text(&|der| format!("-----BEGIN CERTIFICATE-----{}", BASE64_STANDARD.encode(der))),
        json!([BASE64_STANDARD.encode(&leaf), BASE64_STANDARD.encode(&root)]),
        json!([BASE64_STANDARD.encode(&leaf)]),
        json!([&leaf, &intermediate, &intermediate, &root].map(|der| BASE64_STANDARD.encode(der))),
        json!([]),
        json!([1, 2, 3]),
        json!("x"),
        Value::Null,
    ] {
        let refused = verdict(&json!({"alg": "RS256", "x5c": x5c}));
        assert!(matches!(refused, Err(TokenError::Chain(_))), "{x5c}: {refused:?}");
    }
    let nonsense = verdict(&header(&[b"leaf".to_vec(), intermediate, root]));
    assert!(matches!(nonsense, Err(TokenError::Certificate(_))), "{nonsense:?}");
}

#[test]
fn a_huge_chain_is_refused_before_it_is_parsed() {
    let [leaf, intermediate, root] = good();
    let big = vec![0x30; LIMITS.certificate_text_bytes];
    let refused = of_chain(&[leaf, big, root.clone()]);
    assert!(matches!(refused, Err(TokenError::Chain("an entry of x5c is too large"))), "{refused:?}");
    let many = vec![intermediate; 40];
    assert!(matches!(of_chain(&many), Err(TokenError::Chain(_) | TokenError::TooLarge { .. })));
    assert!(matches!(of_chain(&vec![root; 400]), Err(TokenError::TooLarge { .. })));
}

#[test]
fn the_kind_of_token_is_the_verifiers_choice_and_not_the_tokens() {
    let both = |mut header: Value| {
        header["kid"] = json!("k1");
        header
    };
    assert!(matches!(verdict(&both(header(&good()))), Err(TokenError::HeaderMember("kid"))));
    assert!(matches!(verdict(&json!({"alg": "RS256", "kid": "k1"})), Err(TokenError::HeaderMember("kid"))));
    assert!(matches!(verdict(&json!({"alg": "RS256"})), Err(TokenError::NoChain)));
    // A genuine chain in a verification that expects an issuer's key is refused, not ignored.
    let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3o\
             knjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZ\
             Hzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-k\
             EgU8awapJzKnqDKgw";
    let set = json!({"keys": [{"kty": "RSA", "kid": "k1", "n": n, "e": "AQAB"}]});
    let oidc: Keys = Jwks::parse(set.to_string().as_bytes()).expect("set").into();
    for header in [header(&good()), both(header(&good()))] {
        let token = sign_text(&header.to_string(), &payload().to_string());
        assert!(matches!(verify(&token, &oidc, &expected()), Err(TokenError::HeaderMember("x5c"))));
    }
    for member in ["crit", "jku", "jwk", "x5u", "b64", "zip", "enc"] {
        let mut header = header(&good());
        header[member] = json!([member]);
        assert!(matches!(verdict(&header), Err(TokenError::HeaderMember(_))), "{member}");
    }
    for alg in ["none", "HS256", "PS256", "RS384"] {
        let mut header = header(&good());
        header["alg"] = json!(alg);
        assert!(matches!(verdict(&header), Err(TokenError::Algorithm(_))), "{alg}");
    }
}

#[test]
fn a_root_is_pinned_by_the_lowercase_hex_of_its_sha256() {
    let google = "148b293821bb0c6a317f413c8ba475814091cb22d49b9e3c94198db8e8f86c39";
    assert_eq!(RootPin::GOOGLE.to_string(), google);
    assert_eq!(RootPin::parse(google), Some(RootPin::GOOGLE));
    for bad in ["", "148b", &google.to_uppercase(), &format!("{google}0"), &format!("{google}00"), &google[1..]] {
        assert_eq!(RootPin::parse(bad), None, "{bad:?}");
    }
}
