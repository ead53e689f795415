//! The simulator's ciphertext format: `SIMKMS2`, the key version's number in 4 bytes, 12 bytes of nonce, AES-256-GCM
//! output. The version's name is bound in.

use aes_gcm::{
    Aes256Gcm, KeyInit as _,
    aead::{Aead as _, Payload},
};

const MAGIC: &[u8; 7] = b"SIMKMS2";
const NONCE: usize = 12;

/// A version's symmetric key, with its name.
pub(super) struct Sealer<'a> {
    pub(super) key: &'a [u8; 32],
    pub(super) name: &'a str,
    pub(super) version: u32,
}

/// The number of the version that made a ciphertext, and the rest of it; `None` if the bytes are no ciphertext.
pub(super) fn version(ciphertext: &[u8]) -> Option<(u32, &[u8])> {
    let (version, rest) = ciphertext.strip_prefix(MAGIC)?.split_first_chunk()?;
    Some((u32::from_be_bytes(*version), rest))
}

impl Sealer<'_> {
    /// Additional data under AES-GCM: the key's name with its length, the version, then the caller's.
    fn bound(&self, additional: &[u8]) -> Vec<u8> {
        let mut out = (self.name.len() as u64).to_be_bytes().to_vec();
        out.extend_from_slice(self.name.as_bytes());
        out.extend_from_slice(&self.version.to_be_bytes());
        out.extend_from_slice(additional);
        out
    }

    pub(super) fn encrypt(&self, plaintext: &[u8], additional: &[u8]) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).ok()?;
        let payload = Payload { msg: plaintext, aad: &self.bound(additional) };
        let sealed = Aes256Gcm::new(&(*self.key).into()).encrypt(&nonce.into(), payload).ok()?;
        Some([MAGIC.as_slice(), &self.version.to_be_bytes(), &nonce, &sealed].concat())
    }

    /// Opens what follows the version; `None` for anything that this key and this additional data did not produce.
    pub(super) fn decrypt(&self, rest: &[u8], additional: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = rest.split_first_chunk::<NONCE>()?;
        let payload = Payload { msg: sealed, aad: &self.bound(additional) };
        Aes256Gcm::new(&(*self.key).into()).decrypt(&(*nonce).into(), payload).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_key_version_and_additional_data_open_it_and_no_byte_may_change() {
        let sealer = |key: &'static [u8; 32], name, version| Sealer { key, name, version };
        let open = |sealer: Sealer<'_>, ciphertext: &[u8], additional: &[u8]| {
            version(ciphertext).and_then(|(_, rest)| sealer.decrypt(rest, additional))
        };
        let sealed = sealer(&[1; 32], "k", 1).encrypt(b"plaintext", b"aad").expect("encrypts");
        assert_eq!(version(&sealed).map(|(version, _)| version), Some(1));
        assert_eq!(open(sealer(&[1; 32], "k", 1), &sealed, b"aad").as_deref(), Some(b"plaintext".as_slice()));
        assert_eq!(open(sealer(&[2; 32], "k", 1), &sealed, b"aad"), None);
        assert_eq!(open(sealer(&[1; 32], "l", 1), &sealed, b"aad"), None);
        assert_eq!(open(sealer(&[1; 32], "k", 2), &sealed, b"aad"), None);
        assert_eq!(open(sealer(&[1; 32], "k", 1), &sealed, b"aae"), None);
        for position in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[position] ^= 1;
            let opened = version(&changed).filter(|(version, _)| *version == 1);
            assert_eq!(opened.and_then(|(_, rest)| sealer(&[1; 32], "k", 1).decrypt(rest, b"aad")), None);
            assert_eq!(open(sealer(&[1; 32], "k", 1), &sealed[..position], b"aad"), None, "cut at {position}");
        }
    }
}
