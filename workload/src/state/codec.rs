//! What stands in the rows: keys that say nothing, sealed values, and one head that vouches for all of them.
//!
//! From the state key come three keys by HKDF-SHA256 with the contract's digest as salt, so that rows of another
//! contract never open: one names rows (HMAC-SHA256 of a word or a message's id), one seals values (AES-256-GCM), one
//! authenticates the set of all rows. Without a state key the first and the third are well known and nothing is sealed:
//! for a store that nobody else can read.

use std::{collections::BTreeMap, fmt};

use aes_gcm::{
    Aes256Gcm, KeyInit as _, Nonce,
    aead::{Aead as _, Payload},
};
use csign_contract::Contract;
use hkdf::Hkdf;
use hmac::{Hmac, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{error::StateError, sum::Sum};

/// Names a row.
pub(crate) type Key = [u8; 32];

/// Random bytes per transaction: too many for two transactions ever to draw the same.
const SALT: usize = 24;
/// Salt and number of a value in its transaction.
const PREFIX: usize = SALT + 4;
/// A word's length shows only in steps of this.
const STEP: usize = 32;
/// The head's in steps of this.
const HEAD_STEP: usize = 512;

/// The key that only the attested workload can obtain. No `Clone`, and `Debug` shows nothing.
pub(crate) struct StateKey(Zeroizing<[u8; 32]>);

impl StateKey {
    pub(crate) fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for StateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StateKey")
    }
}

/// Names, seals and opens rows.
#[derive(Clone)]
pub(crate) struct Codec {
    names: Hmac<Sha256>,
    rows: Hmac<Sha256>,
    seals: Option<Hmac<Sha256>>,
}

/// What kind of value is sealed; one never opens as the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Head,
    Number,
}

/// A word and how often it was counted.
#[derive(PartialEq, Eq)]
pub(crate) struct Number {
    pub(crate) word: String,
    pub(crate) count: u64,
}

/// What vouches for the rows: changed by every transaction, sealed like them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Head {
    /// Transactions so far.
    pub(crate) sequence: u64,
    /// Messages that are in the counts.
    pub(crate) messages: u64,
    /// Refused deliveries that are kept one by one.
    pub(crate) refused: u64,
    /// Different words.
    pub(crate) words: u64,
    /// Reason → refused deliveries, also of those that are not kept.
    pub(crate) refusals: BTreeMap<String, u64>,
    /// Over every row.
    pub(crate) sum: Sum,
}

impl Codec {
    pub(crate) fn new(contract: &Contract, key: Option<&StateKey>) -> Result<Self, StateError> {
        let none = [0; 32];
        let secret: &[u8] = key.map_or(&none, |key| key.0.as_slice());
        let expand = Hkdf::<Sha256>::new(Some(contract.digest().as_bytes()), secret);
        let derive = |info: &str| {
            let mut derived = Zeroizing::new([0; 32]);
            expand.expand(info.as_bytes(), derived.as_mut_slice()).map_err(|_| StateError::Cryptography)?;
            mac(derived.as_slice())
        };
        Ok(Self {
            names: derive("csign.state.v1 names")?,
            rows: derive("csign.state.v1 rows")?,
            seals: key.map(|_| derive("csign.state.v1 seals")).transpose()?,
        })
    }

    /// Are values sealed?
    pub(crate) const fn is_sealed(&self) -> bool {
        self.seals.is_some()
    }

    /// The row of a message that is in the counts. Neither a collaborator's name nor a message's id can have a `/`.
    pub(crate) fn message(&self, collaborator: &str, message: &str) -> Key {
        digest(&self.names, &[b"message\0", collaborator.as_bytes(), b"/", message.as_bytes()])
    }

    /// The row of a delivery that was refused. It is not the message's: otherwise whoever may publish could shut out a
    /// message by sending rubbish under its id first.
    pub(crate) fn delivery(&self, delivery: &str) -> Key {
        digest(&self.names, &[b"delivery\0", delivery.as_bytes()])
    }

    /// The row of a word.
    pub(crate) fn word(&self, word: &str) -> Key {
        digest(&self.names, &[b"word\0", word.as_bytes()])
    }

    /// What a row of a message or a delivery adds to the head's sum.
    pub(crate) fn seen_tag(&self, key: &Key) -> Key {
        digest(&self.rows, &[b"seen\0", key])
    }

    /// What a word's row adds to the head's sum.
    pub(crate) fn number_tag(&self, key: &Key, value: &[u8]) -> Key {
        digest(&self.rows, &[b"number\0", key, value])
    }

    /// Seals the values of one transaction.
    pub(crate) fn sealer(&self) -> Result<Sealer, StateError> {
        let Some(seals) = &self.seals else { return Ok(Sealer { cipher: None, salt: [0; SALT], next: 0 }) };
        let mut salt = [0; SALT];
        getrandom::fill(&mut salt).map_err(|_| StateError::Cryptography)?;
        Ok(Sealer { cipher: Some(cipher(seals, &salt)?), salt, next: 0 })
    }

    /// Opens a word's row.
    ///
    /// # Errors
    /// Not a value that a workload with this key wrote into this row.
    pub(crate) fn open_number(&self, key: &Key, value: &[u8]) -> Result<Number, StateError> {
        let bytes = self.open(Kind::Number, key, value)?;
        let number = || {
            let (count, rest) = bytes.split_first_chunk::<8>()?;
            let (length, rest) = rest.split_first_chunk::<4>()?;
            let word = rest.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
            let word = std::str::from_utf8(word).ok()?.to_owned();
            Some(Number { word, count: u64::from_be_bytes(*count) })
        };
        // The name is authenticated by the row; this says that it is the row's own also where nothing is sealed.
        number().filter(|number| self.word(&number.word) == *key).ok_or(StateError::tampered("a count does not open"))
    }

    /// Opens the head.
    ///
    /// # Errors
    /// Not a head that a workload with this key wrote.
    pub(crate) fn open_head(&self, value: &[u8]) -> Result<Head, StateError> {
        let wrong = || StateError::tampered("its head does not open with this state key");
        let bytes = self.open(Kind::Head, &[0; 32], value).map_err(|_| wrong())?;
        serde_json::from_slice(&bytes).map_err(|_| wrong())
    }

    fn open(&self, kind: Kind, key: &Key, value: &[u8]) -> Result<Zeroizing<Vec<u8>>, StateError> {
        let Some(seals) = &self.seals else { return Ok(Zeroizing::new(value.to_vec())) };
        let open = || {
            let (prefix, sealed) = value.split_first_chunk::<PREFIX>()?;
            let (salt, number) = prefix.split_first_chunk::<SALT>()?;
            let cipher = cipher(seals, salt).ok()?;
            let payload = Payload { msg: sealed, aad: &additional(kind, key) };
            cipher.decrypt(&nonce(number), payload).ok()
        };
        open().map(Zeroizing::new).ok_or(StateError::tampered("a value does not open with this state key"))
    }
}

impl fmt::Debug for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Codec(sealed: {})", self.is_sealed())
    }
}

/// Seals the values of one transaction under a key of its own, derived from random bytes, with numbers as nonces: so no
/// nonce is ever used twice under one key, whatever is rolled back and however much is written.
pub(crate) struct Sealer {
    cipher: Option<Aes256Gcm>,
    salt: [u8; SALT],
    next: u32,
}

impl Sealer {
    pub(crate) fn number(&mut self, key: &Key, number: &Number) -> Result<Vec<u8>, StateError> {
        let word = number.word.as_bytes();
        let length = u32::try_from(word.len()).map_err(|_| StateError::Cryptography)?;
        let mut bytes = Zeroizing::new(Vec::with_capacity((12 + word.len()).next_multiple_of(STEP)));
        bytes.extend_from_slice(&number.count.to_be_bytes());
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(word);
        let padded = bytes.len().next_multiple_of(STEP);
        bytes.resize(padded, 0);
        self.seal(Kind::Number, key, &bytes)
    }

    pub(crate) fn head(&mut self, head: &Head) -> Result<Vec<u8>, StateError> {
        let mut bytes = serde_json::to_vec(head).map_err(|_| StateError::Cryptography)?;
        let padded = bytes.len().next_multiple_of(HEAD_STEP);
        bytes.resize(padded, b' ');
        self.seal(Kind::Head, &[0; 32], &bytes)
    }

    fn seal(&mut self, kind: Kind, key: &Key, bytes: &[u8]) -> Result<Vec<u8>, StateError> {
        let Some(cipher) = &self.cipher else { return Ok(bytes.to_vec()) };
        let number = self.next.to_be_bytes();
        self.next = self.next.checked_add(1).ok_or(StateError::Cryptography)?;
        let payload = Payload { msg: bytes, aad: &additional(kind, key) };
        let sealed = cipher.encrypt(&nonce(&number), payload).map_err(|_| StateError::Cryptography)?;
        Ok([self.salt.as_slice(), &number, &sealed].concat())
    }
}

fn mac(key: &[u8]) -> Result<Hmac<Sha256>, StateError> {
    Hmac::new_from_slice(key).map_err(|_| StateError::Cryptography)
}

fn digest(mac: &Hmac<Sha256>, parts: &[&[u8]]) -> Key {
    let mut mac = mac.clone();
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

fn cipher(seals: &Hmac<Sha256>, salt: &[u8; SALT]) -> Result<Aes256Gcm, StateError> {
    let key = Zeroizing::new(digest(seals, &[salt]));
    Aes256Gcm::new_from_slice(key.as_slice()).map_err(|_| StateError::Cryptography)
}

fn nonce(number: &[u8]) -> Nonce<aes_gcm::aead::consts::U12> {
    let mut nonce = Nonce::default();
    nonce.iter_mut().rev().zip(number.iter().rev()).for_each(|(to, from)| *to = *from);
    nonce
}

fn additional(kind: Kind, key: &Key) -> Vec<u8> {
    let kind: &[u8] = if kind == Kind::Head { b"csign.state.v1 head\0" } else { b"csign.state.v1 number\0" };
    [kind, key].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codec(key: Option<u8>) -> Codec {
        Codec::new(&super::super::tests::contract(), key.map(|byte| StateKey::new(Zeroizing::new([byte; 32]))).as_ref())
            .expect("derives")
    }

    #[test]
    fn values_open_in_their_own_row_and_under_their_own_key_only() {
        let ours = codec(Some(1));
        let (alice, bob) = (ours.word("alice"), ours.word("bob"));
        let number = Number { word: "alice".to_owned(), count: 7 };
        let mut sealer = ours.sealer().expect("seals");
        let sealed = sealer.number(&alice, &number).expect("seals");
        assert!(ours.open_number(&alice, &sealed).expect("opens") == number);
        assert!(ours.open_number(&bob, &sealed).is_err(), "a row took another row's value");
        assert!(ours.open_head(&sealed).is_err(), "a count passed for the head");
        assert!(codec(Some(2)).open_number(&alice, &sealed).is_err(), "another state key opened it");
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert!(ours.open_number(&alice, &changed).is_err(), "byte {place} is not protected");
            assert!(ours.open_number(&alice, &sealed[..place]).is_err(), "cut after {place} bytes, it opened");
        }
    }

    #[test]
    fn sealed_values_show_no_word_and_no_two_are_alike() {
        let ours = codec(Some(1));
        let key = ours.word("alice");
        let number = Number { word: "alice".to_owned(), count: 1 };
        let mut sealer = ours.sealer().expect("seals");
        let sealed: Vec<_> = (0..2).map(|_| sealer.number(&key, &number).expect("seals")).collect();
        let other = ours.sealer().expect("seals").number(&key, &number).expect("seals");
        assert!(sealed[0] != sealed[1] && sealed[0] != other && sealed[0][..PREFIX] != other[..PREFIX]);
        assert!(!sealed[0].windows(5).any(|window| window == b"alice"));
        let long = Number { word: "a".repeat(20), count: u64::MAX };
        assert_eq!(sealed[0].len(), sealer.number(&ours.word(&long.word), &long).expect("seals").len());
    }

    #[test]
    fn names_differ_by_purpose_key_and_contract() {
        let ours = codec(Some(1));
        let names = [
            ours.word("a/b"),
            ours.message("a", "b"),
            ours.delivery("a/b"),
            codec(Some(2)).word("a/b"),
            codec(None).word("a/b"),
        ];
        assert_eq!(std::collections::BTreeSet::from(names).len(), names.len());
    }
}
