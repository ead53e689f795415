//! The simulator's ciphertext format: `SIMKMS1`, 12 bytes of nonce, AES-256-GCM output. The key's name is bound in.

use aes_gcm::{
    Aes256Gcm, KeyInit as _,
    aead::{Aead as _, Payload},
};

const MAGIC: &[u8; 7] = b"SIMKMS1";
const NONCE: usize = 12;

/// Additional data under AES-GCM: the key's name with its length, then the caller's.
fn bound(name: &str, additional: &[u8]) -> Vec<u8> {
    let mut out = (name.len() as u64).to_be_bytes().to_vec();
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(additional);
    out
}

pub(super) fn encrypt(key: &[u8; 32], name: &str, plaintext: &[u8], additional: &[u8]) -> Option<Vec<u8>> {
    let mut nonce = [0; NONCE];
    getrandom::fill(&mut nonce).ok()?;
    let payload = Payload { msg: plaintext, aad: &bound(name, additional) };
    let sealed = Aes256Gcm::new(&(*key).into()).encrypt(&nonce.into(), payload).ok()?;
    Some([MAGIC.as_slice(), &nonce, &sealed].concat())
}

/// `None` for anything that this key and this additional data did not produce.
pub(super) fn decrypt(key: &[u8; 32], name: &str, ciphertext: &[u8], additional: &[u8]) -> Option<Vec<u8>> {
    let (nonce, sealed) = ciphertext.strip_prefix(MAGIC)?.split_first_chunk::<NONCE>()?;
    let payload = Payload { msg: sealed, aad: &bound(name, additional) };
    Aes256Gcm::new(&(*key).into()).decrypt(&(*nonce).into(), payload).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_key_name_and_additional_data_open_it_and_no_byte_may_change() {
        let sealed = encrypt(&[1; 32], "k", b"plaintext", b"aad").expect("encrypts");
        assert_eq!(decrypt(&[1; 32], "k", &sealed, b"aad").as_deref(), Some(b"plaintext".as_slice()));
        assert_eq!(decrypt(&[2; 32], "k", &sealed, b"aad"), None);
        assert_eq!(decrypt(&[1; 32], "l", &sealed, b"aad"), None);
        assert_eq!(decrypt(&[1; 32], "k", &sealed, b"aae"), None);
        for position in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[position] ^= 1;
            assert_eq!(decrypt(&[1; 32], "k", &changed, b"aad"), None, "byte {position}");
            assert_eq!(decrypt(&[1; 32], "k", &sealed[..position], b"aad"), None, "cut at {position}");
        }
    }
}
