//! Envelopes: known answers from a second implementation, and what does not open.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use csign_contract::envelope::{
    DataKey, Envelope, EnvelopeError, MAX_ENVELOPE, MAX_PLAINTEXT, MAX_USES, MAX_WRAPPED_KEY, Sealer,
};
use serde::Deserialize;

const KEY: [u8; 32] = [7; 32];
const NONCE: [u8; 12] = [9; 12];
const BOUND: &[u8] = b"additional";

/// One entry of `fixtures/envelopes.json`, which `fixtures/make_envelopes.py` makes.
#[derive(Deserialize)]
struct Vector {
    name: String,
    data_key: String,
    wrapped_key: String,
    nonce: String,
    additional_data: String,
    plaintext: String,
    envelope: String,
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn sealed() -> Vec<u8> {
    Sealer::new(&KEY, b"wrapped".to_vec()).unwrap().seal(NONCE, b"alice", BOUND).unwrap()
}

fn open(key: &[u8], envelope: &[u8], bound: &[u8]) -> Result<Vec<u8>, EnvelopeError> {
    DataKey::new(key)?.open(&Envelope::parse(envelope)?, bound).map(|plaintext| plaintext.to_vec())
}

#[test]
fn envelopes_of_a_second_implementation_open_and_ours_are_the_same_bytes() {
    let vectors: Vec<Vector> = serde_json::from_str(include_str!("fixtures/envelopes.json")).unwrap();
    assert_eq!(vectors.len(), 3);
    for vector in vectors {
        let (key, envelope) = (bytes(&vector.data_key), bytes(&vector.envelope));
        let (bound, plaintext) = (vector.additional_data.as_bytes(), bytes(&vector.plaintext));
        assert_eq!(open(&key, &envelope, bound).unwrap(), plaintext, "{}", vector.name);
        assert_eq!(Envelope::parse(&envelope).unwrap().wrapped_key, bytes(&vector.wrapped_key), "{}", vector.name);
        let mut sealer = Sealer::new(&key, bytes(&vector.wrapped_key)).unwrap();
        let nonce = bytes(&vector.nonce).try_into().unwrap();
        assert_eq!(sealer.seal(nonce, &plaintext, bound).unwrap(), envelope, "{}", vector.name);
    }
}

#[test]
fn no_byte_of_nonce_ciphertext_or_tag_may_change_and_no_other_key_or_binding_opens() {
    let sealed = sealed();
    assert_eq!(open(&KEY, &sealed, BOUND).unwrap(), b"alice");
    for at in 3 + b"wrapped".len()..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert_eq!(open(&KEY, &changed, BOUND), Err(EnvelopeError::NotAuthentic), "byte {at}");
    }
    assert_eq!(open(&[8; 32], &sealed, BOUND), Err(EnvelopeError::NotAuthentic));
    assert_eq!(open(&KEY, &sealed, b"another message"), Err(EnvelopeError::NotAuthentic));
    assert_eq!(open(&KEY[1..], &sealed, BOUND), Err(EnvelopeError::DataKey(31)));
}

#[test]
fn what_is_cut_short_too_large_or_of_another_version_is_no_envelope() {
    let sealed = sealed();
    for length in 0..3 + b"wrapped".len() + 12 + 16 {
        assert_eq!(Envelope::parse(&sealed[..length]), Err(EnvelopeError::Malformed), "{length} bytes");
    }
    let header = |version: u8, length: usize| {
        let length = u16::try_from(length).unwrap().to_be_bytes();
        [&[version], &length[..], &[0; MAX_WRAPPED_KEY + 100]].concat()
    };
    assert!(Envelope::parse(&header(1, MAX_WRAPPED_KEY)).is_ok());
    for (version, length) in [(0, 7), (2, 7), (1, 0), (1, MAX_WRAPPED_KEY + 1), (1, usize::from(u16::MAX))] {
        assert_eq!(Envelope::parse(&header(version, length)), Err(EnvelopeError::Malformed), "{version} {length}");
    }
    assert_eq!(Envelope::parse(&vec![1; MAX_ENVELOPE + 1]), Err(EnvelopeError::TooLarge));
    let mut sealer = Sealer::new(&KEY, vec![1]).unwrap();
    let largest = vec![b'a'; MAX_PLAINTEXT + 1];
    assert_eq!(sealer.seal(NONCE, &largest, BOUND), Err(EnvelopeError::TooLarge));
    assert!(open(&KEY, &sealer.seal(NONCE, &largest[1..], BOUND).unwrap(), BOUND).is_ok());
    for wrapped in [0, MAX_WRAPPED_KEY + 1] {
        assert!(matches!(Sealer::new(&KEY, vec![1; wrapped]), Err(EnvelopeError::WrappedKey(_))));
    }
}

#[test]
fn a_data_key_seals_only_as_many_messages_as_random_nonces_are_safe_for() {
    let mut sealer = Sealer::new(&KEY, vec![1]).unwrap();
    for _ in 0..MAX_USES {
        sealer.seal(NONCE, b"", b"").unwrap();
    }
    assert_eq!(sealer.seal(NONCE, b"", b""), Err(EnvelopeError::WornOut));
}

#[test]
fn keys_and_content_are_not_in_debug_output() {
    let mut sealer = Sealer::new(&[0x41; 32], b"wrapped".to_vec()).unwrap();
    let sealed = sealer.seal(NONCE, b"alice-in-the-clear", BOUND).unwrap();
    let shown = format!("{:?} {sealer:?} {:?}", DataKey::new(&KEY).unwrap(), Envelope::parse(&sealed).unwrap());
    assert!(!shown.contains("clear") && !shown.contains("65, 65") && !shown.contains("7, 7"), "{shown}");
}
