//! Every type of key, with keys and signatures that OpenSSL made (`fixtures/make.sh`).

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::{fs, path::Path};

use csign_envelope::{KeyError, PublicKey, SignatureAlgorithm};

fn file(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/keys").join(name)).expect(name)
}

fn parse(name: &str) -> Result<PublicKey, KeyError> {
    PublicKey::from_pem(&String::from_utf8(file(&format!("{name}.pem"))).expect("text"))
}

fn key(name: &str) -> PublicKey {
    parse(name).expect(name)
}

/// Key, algorithm, and a signature that another implementation made with it.
fn cases() -> Vec<(PublicKey, SignatureAlgorithm, Vec<u8>)> {
    let mut cases = Vec::new();
    let mut case = |name: &str, algorithm: SignatureAlgorithm, signature: &str| {
        let stated = key(name).with_algorithm(algorithm).expect("the algorithm fits the key");
        cases.push((stated, algorithm, file(&format!("{signature}.sig"))));
    };
    case("p256", SignatureAlgorithm::EcdsaP256Sha256, "p256.sha256");
    case("p384", SignatureAlgorithm::EcdsaP384Sha384, "p384.sha384");
    case("p384", SignatureAlgorithm::EcdsaP384Sha256, "p384.sha256");
    case("ed25519", SignatureAlgorithm::Ed25519, "ed25519");
    for bits in ["rsa2048", "rsa4096"] {
        case(bits, SignatureAlgorithm::RsaPkcs1v15Sha256, &format!("{bits}.pkcs1v15.sha256"));
        case(bits, SignatureAlgorithm::RsaPkcs1v15Sha512, &format!("{bits}.pkcs1v15.sha512"));
        case(bits, SignatureAlgorithm::RsaPssSha256, &format!("{bits}.pss.sha256"));
        case(bits, SignatureAlgorithm::RsaPssSha256, &format!("{bits}.pss-longest-salt.sha256"));
        case(bits, SignatureAlgorithm::RsaPssSha512, &format!("{bits}.pss.sha512"));
    }
    cases
}

#[test]
fn signatures_of_every_algorithm_verify_over_exactly_their_message() {
    for (key, algorithm, signature) in cases() {
        assert!(key.verify(b"message", &signature), "{algorithm}");
        assert!(!key.verify(b"messagf", &signature), "{algorithm}");
        assert!(!key.verify(b"message", &signature[1..]), "{algorithm}");
        assert!(!key.verify(b"message", &[&signature[..], &[0]].concat()), "{algorithm}");
        assert!(!key.verify(b"message", b""), "{algorithm}");
    }
}

#[test]
fn a_signature_verifies_under_its_own_algorithm_and_no_other() {
    for (key, algorithm, signature) in cases() {
        for other in SignatureAlgorithm::ALL.into_iter().filter(|other| *other != algorithm) {
            if let Ok(stated) = key.clone().with_algorithm(other) {
                assert_eq!(stated.id(), key.id(), "a key under two algorithms is one signer");
                assert!(!stated.verify(b"message", &signature), "made with {algorithm}, accepted as {other}");
            }
        }
    }
}

#[test]
fn ed25519_prehashed_is_another_algorithm_than_ed25519() {
    use ed25519_dalek::{SigningKey, VerifyingKey};
    use sha2::{Digest as _, Sha512};
    let signing = SigningKey::from_bytes(&[5; 32]);
    let verifying: VerifyingKey = signing.verifying_key();
    let der = [&key("ed25519").der()[..12], verifying.as_bytes()].concat();
    let pure = PublicKey::from_der(&der).expect("key");
    let prehashed = pure.clone().with_algorithm(SignatureAlgorithm::Ed25519Ph).expect("fits");
    let signature = signing.sign_prehashed(Sha512::new_with_prefix(b"message"), None).expect("signs").to_bytes();
    assert!(prehashed.verify(b"message", &signature));
    assert!(!pure.verify(b"message", &signature));
}

#[test]
fn pkcs1_and_spki_compressed_and_uncompressed_are_one_key() {
    assert_eq!(key("rsa2048.pkcs1").id(), key("rsa2048").id());
    assert_eq!(key("p384.compressed").id(), key("p384").id());
    for name in ["p256", "p384", "ed25519", "rsa2048", "rsa4096"] {
        let text = String::from_utf8(file(&format!("{name}.pem"))).expect("text");
        assert_eq!(key(name).pem(), text, "the canonical form is what OpenSSL writes");
        assert_eq!(PublicKey::from_pem(&text.replace('\n', "\r\n")).expect("CRLF").id(), key(name).id());
    }
}

#[test]
fn other_keys_are_refused_by_name() {
    for (name, word) in [
        ("p521", "P-521"),
        ("secp256k1", "secp256k1"),
        ("x25519", "another type"),
        ("rsa1024", "another size or exponent"),
        ("rsa-exponent-3", "another size or exponent"),
        ("rsa-pss-only", "restricted to PSS"),
    ] {
        let error = parse(name).expect_err(name);
        assert!(error.to_string().contains(word), "{name}: {error}");
    }
}

#[test]
fn keys_of_small_order_are_refused() {
    // The neutral element and the point of order two verify signatures over any message.
    for point in [[&[1u8][..], &[0; 31]].concat(), [&[0xec][..], &[0xff; 30], &[0x7f]].concat()] {
        let der = [&key("ed25519").der()[..12], &point].concat();
        assert_eq!(PublicKey::from_der(&der), Err(KeyError::Malformed));
    }
}

#[test]
fn an_algorithm_of_another_type_of_key_is_refused() {
    assert!(matches!(
        key("p256").with_algorithm(SignatureAlgorithm::EcdsaP384Sha256),
        Err(KeyError::Algorithm { key: "ECDSA P-256", .. })
    ));
    assert!(key("rsa2048").with_algorithm(SignatureAlgorithm::Ed25519).is_err());
    assert!("ECDSA_P256".parse::<SignatureAlgorithm>().is_err());
    for algorithm in SignatureAlgorithm::ALL {
        assert_eq!(algorithm.name().parse(), Ok(algorithm));
        assert_eq!(serde_json::to_value(algorithm).expect("serializes"), algorithm.name());
    }
}
