//! cosign's key file: a PEM block around JSON around PKCS#8, sealed with a password (scrypt, NaCl secretbox).
//!
//! What is written is byte for byte what cosign writes for the same key, password, salt and nonce.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use crypto_secretbox::{KeyInit as _, XSalsa20Poly1305, aead::Aead as _};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{KeysError, Password, PrivateKey};

/// Longest key file that is read, in bytes: a real one has under 700.
pub const MAX_LEN: usize = 16 << 10;

const LABEL: &str = "ENCRYPTED SIGSTORE PRIVATE KEY";
const OLD_LABEL: &str = "ENCRYPTED COSIGN PRIVATE KEY";
const LOG_N: u8 = 16;
const R: u32 = 8;
const P: u32 = 1;

/// The JSON document, members in cosign's order.
#[derive(Serialize, Deserialize)]
struct Document {
    kdf: Kdf,
    cipher: Cipher,
    ciphertext: String,
}

#[derive(Serialize, Deserialize)]
struct Kdf {
    name: String,
    params: Params,
    salt: String,
}

#[derive(Serialize, Deserialize)]
struct Params {
    #[serde(rename = "N")]
    n: u64,
    r: u64,
    p: u64,
}

#[derive(Serialize, Deserialize)]
struct Cipher {
    name: String,
    nonce: String,
}

/// Seals `key` with `password`, with a fresh salt and nonce from the operating system.
///
/// # Errors
/// The operating system gives no random bytes.
pub fn encrypt(key: &PrivateKey, password: &Password) -> Result<String, KeysError> {
    let (mut salt, mut nonce) = ([0; 32], [0; 24]);
    getrandom::fill(&mut salt).map_err(|_| KeysError::Random)?;
    getrandom::fill(&mut nonce).map_err(|_| KeysError::Random)?;
    seal(key.to_pkcs8_der()?.as_bytes(), password, &salt, &nonce)
}

/// A key file that has been parsed and not yet opened.
pub struct SealedKey {
    salt: [u8; 32],
    nonce: [u8; 24],
    log_n: u8,
    ciphertext: Vec<u8>,
}

impl SealedKey {
    /// Parses a key file. Everything that can be said without the password is said here.
    ///
    /// # Errors
    /// No encrypted key file, an unencrypted one, a public key, other key derivation parameters.
    pub fn parse(pem: &str) -> Result<Self, KeysError> {
        let document: Document = serde_json::from_slice(&pem_body(pem)?)
            .map_err(|_| KeysError::Malformed("its content is not the JSON document that cosign writes"))?;
        if document.kdf.name != "scrypt" || document.cipher.name != "nacl/secretbox" {
            return Err(KeysError::Malformed("it is not sealed with scrypt and nacl/secretbox"));
        }
        let Params { n, r, p } = document.kdf.params;
        let log_n = match (n, r, p) {
            (0x8000, 8, 1) => 15,
            (0x1_0000, 8, 1) => 16,
            (0x2_0000, 8, 1) => 17,
            _ => return Err(KeysError::Kdf { n, r, p }),
        };
        Ok(Self {
            salt: bytes(&document.kdf.salt, "its salt is not 32 bytes in base64")?,
            nonce: bytes(&document.cipher.nonce, "its nonce is not 24 bytes in base64")?,
            log_n,
            ciphertext: BASE64_STANDARD
                .decode(&document.ciphertext)
                .map_err(|_| KeysError::Malformed("its ciphertext is not base64"))?,
        })
    }

    /// Opens the key. Key derivation takes some 64 MiB of memory and a noticeable part of a second.
    ///
    /// # Errors
    /// A wrong password, another key type.
    pub fn open(&self, password: &Password) -> Result<PrivateKey, KeysError> {
        let der = cipher(password, &self.salt, self.log_n)?
            .decrypt(&self.nonce.into(), self.ciphertext.as_slice())
            .map(Zeroizing::new)
            .map_err(|_| KeysError::WrongPassword)?;
        PrivateKey::from_pkcs8_der(&der)
    }
}

/// Deterministic: tests pass a salt and a nonce, [`encrypt`] fresh ones.
fn seal(der: &[u8], password: &Password, salt: &[u8; 32], nonce: &[u8; 24]) -> Result<String, KeysError> {
    const FAILED: KeysError = KeysError::Malformed("the key cannot be sealed");
    let ciphertext = cipher(password, salt, LOG_N)?.encrypt(&(*nonce).into(), der).map_err(|_| FAILED)?;
    let document = Document {
        kdf: Kdf {
            name: "scrypt".to_owned(),
            params: Params { n: 1 << LOG_N, r: R.into(), p: P.into() },
            salt: BASE64_STANDARD.encode(salt),
        },
        cipher: Cipher { name: "nacl/secretbox".to_owned(), nonce: BASE64_STANDARD.encode(nonce) },
        ciphertext: BASE64_STANDARD.encode(ciphertext),
    };
    let body = BASE64_STANDARD.encode(serde_json::to_vec(&document).map_err(|_| FAILED)?);
    let mut pem = format!("-----BEGIN {LABEL}-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = tail;
    }
    pem.push_str(&format!("-----END {LABEL}-----\n"));
    Ok(pem)
}

/// The base64-decoded body of exactly one PEM block with one of the two labels.
fn pem_body(pem: &str) -> Result<Vec<u8>, KeysError> {
    if pem.len() > MAX_LEN {
        return Err(KeysError::Malformed("the file is far too large"));
    }
    let pem = pem.trim();
    let block = [LABEL, OLD_LABEL].into_iter().find_map(|label| {
        pem.strip_prefix(&format!("-----BEGIN {label}-----"))?.strip_suffix(&format!("-----END {label}-----"))
    });
    let Some(block) = block else {
        return Err(match pem {
            _ if pem.contains(LABEL) || pem.contains(OLD_LABEL) => {
                KeysError::Malformed("the PEM block is cut off, or something stands before or after it")
            }
            _ if pem.contains("PUBLIC KEY-----") => KeysError::Public,
            _ if pem.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") => {
                KeysError::Malformed("it is sealed in another way (PKCS#8 PBES); cosign and csign write their own form")
            }
            _ if pem.contains("PRIVATE KEY-----") => KeysError::Unencrypted,
            _ => KeysError::Malformed("there is no PEM block ENCRYPTED SIGSTORE PRIVATE KEY in the file"),
        });
    };
    let base64: String = block.split_ascii_whitespace().collect();
    BASE64_STANDARD.decode(base64).map_err(|_| KeysError::Malformed("the PEM block is not base64"))
}

fn bytes<const N: usize>(base64: &str, what: &'static str) -> Result<[u8; N], KeysError> {
    let decoded = BASE64_STANDARD.decode(base64).map_err(|_| KeysError::Malformed(what))?;
    decoded.try_into().map_err(|_| KeysError::Malformed(what))
}

fn cipher(password: &Password, salt: &[u8; 32], log_n: u8) -> Result<XSalsa20Poly1305, KeysError> {
    const FAILED: KeysError = KeysError::Malformed("its key derivation parameters are not valid");
    let params = scrypt::Params::new(log_n, R, P).map_err(|_| FAILED)?;
    let mut key = Zeroizing::new([0; 32]);
    scrypt::scrypt(password.bytes(), salt, &params, &mut *key).map_err(|_| FAILED)?;
    Ok(XSalsa20Poly1305::new((&*key).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: &str = include_str!("../tests/fixtures/cosign.key");
    const GOLDEN_PUBLIC: &str = include_str!("../tests/fixtures/cosign.pub");

    fn golden_password() -> Password {
        Password::from_file_contents(include_bytes!("../tests/fixtures/cosign.password").to_vec())
    }

    fn document(pem: &str) -> String {
        String::from_utf8(pem_body(pem).expect("body")).expect("text")
    }

    /// The golden file with another JSON document in it.
    fn rewritten(change: impl FnOnce(String) -> String) -> String {
        let before = document(GOLDEN);
        let after = change(before.clone());
        assert_ne!(before, after, "the change must hit something");
        format!("-----BEGIN {LABEL}-----\n{}\n-----END {LABEL}-----\n", BASE64_STANDARD.encode(after))
    }

    fn parse_error(pem: &str) -> KeysError {
        SealedKey::parse(pem).map(|_| ()).expect_err("must be refused")
    }

    /// PKCS#8 with the algorithm of `algorithm` and a private key that is never looked at.
    fn pkcs8(algorithm: &[u8]) -> Vec<u8> {
        let body = [&[0x02, 0x01, 0x00, 0x30, algorithm.len() as u8], algorithm, &[0x04, 0x02, 0x05, 0x00]].concat();
        [&[0x30, body.len() as u8], body.as_slice()].concat()
    }

    #[test]
    fn a_key_that_cosign_wrote_opens_and_is_written_again_byte_for_byte() {
        let sealed = SealedKey::parse(GOLDEN).expect("parse");
        let key = sealed.open(&golden_password()).expect("open");
        assert_eq!(key.public_key().pem(), GOLDEN_PUBLIC);
        let der = key.to_pkcs8_der().expect("der");
        let again = seal(der.as_bytes(), &golden_password(), &sealed.salt, &sealed.nonce).expect("seal");
        assert_eq!(again, GOLDEN);
    }

    #[test]
    fn a_new_key_survives_the_round_trip_and_the_older_label_is_read() {
        let key = PrivateKey::generate().expect("generate");
        let pem = encrypt(&key, &Password::new("pässword")).expect("encrypt");
        for text in [pem.clone(), pem.replace("SIGSTORE", "COSIGN"), pem.replace('\n', "\r\n"), format!("\n{pem}\n")] {
            let opened = SealedKey::parse(&text).expect("parse").open(&Password::new("pässword")).expect("open");
            assert_eq!(opened.public_key().id(), key.public_key().id());
        }
        assert_ne!(pem, encrypt(&key, &Password::new("pässword")).expect("encrypt"), "fresh salt and nonce each time");
    }

    #[test]
    fn a_wrong_password_is_its_own_error_and_so_is_a_changed_ciphertext() {
        let sealed = SealedKey::parse(GOLDEN).expect("parse");
        for wrong in ["", "correct horsf", "correct horse\n"] {
            assert!(matches!(sealed.open(&Password::new(wrong)), Err(KeysError::WrongPassword)), "{wrong:?}");
        }
        let mut changed = SealedKey::parse(GOLDEN).expect("parse");
        changed.ciphertext[20] ^= 1;
        assert!(matches!(changed.open(&golden_password()), Err(KeysError::WrongPassword)));
        changed.ciphertext.truncate(3);
        assert!(matches!(changed.open(&golden_password()), Err(KeysError::WrongPassword)));
    }

    #[test]
    fn truncation_anywhere_is_refused() {
        for length in (0..GOLDEN.trim_end().len()).step_by(7) {
            let error = parse_error(&GOLDEN[..length]);
            assert!(matches!(error, KeysError::Malformed(_)), "{length}: {error:?}");
        }
        let lines: Vec<&str> = GOLDEN.lines().collect();
        let missing_line = [&lines[..3], &lines[4..]].concat().join("\n");
        assert!(matches!(parse_error(&missing_line), KeysError::Malformed(_)));
        assert!(matches!(parse_error(&GOLDEN.repeat(2)), KeysError::Malformed(_)));
        assert!(matches!(parse_error(&GOLDEN.repeat(100)), KeysError::Malformed(_)));
    }

    #[test]
    fn other_key_derivation_parameters_are_refused_before_any_work() {
        for (from, to) in [
            ("\"N\":65536", "\"N\":1024"),
            ("\"N\":65536", "\"N\":1073741824"),
            ("\"r\":8", "\"r\":4096"),
            ("\"p\":1", "\"p\":100000"),
        ] {
            let error = parse_error(&rewritten(|json| json.replace(from, to)));
            assert!(matches!(error, KeysError::Kdf { .. }), "{to}: {error:?}");
            assert!(error.hint().is_some());
        }
        for n in ["32768", "131072"] {
            let sealed = SealedKey::parse(&rewritten(|json| json.replace("65536", n))).expect("accepted");
            assert!(matches!(sealed.open(&golden_password()), Err(KeysError::WrongPassword)));
        }
    }

    #[test]
    fn other_ciphers_and_sizes_are_refused() {
        for (from, to) in [
            ("scrypt", "argon2"),
            ("nacl/secretbox", "none"),
            ("\"salt\":\"", "\"salt\":\"AAAA"),
            ("\"nonce\":\"", "\"nonce\":\"AAAA"),
            ("\"kdf\"", "\"kdg\""),
            ("{\"kdf\"", "{\"ciphertext\":\"\",\"kdf\""),
        ] {
            let error = parse_error(&rewritten(|json| json.replacen(from, to, 1)));
            assert!(matches!(error, KeysError::Malformed(_)), "{to}: {error:?}");
        }
    }

    #[test]
    fn keys_of_other_types_are_named() {
        let cases: [(&[u8], &str); 3] = [
            (
                &[0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23],
                "ECDSA P-521",
            ),
            (&[0x06, 0x03, 0x2b, 0x65, 0x71], "Ed448"),
            (&[0x06, 0x03, 0x2b, 0x65, 0x6f], "unknown"),
        ];
        let password = Password::new("x");
        for (algorithm, name) in cases {
            let pem = seal(&pkcs8(algorithm), &password, &[1; 32], &[2; 24]).expect("seal");
            let error = SealedKey::parse(&pem).expect("parse").open(&password).map(|_| ()).expect_err(name);
            assert!(matches!(error, KeysError::KeyType(found) if found == name), "{name}: {error:?}");
        }
    }

    #[test]
    fn keys_of_every_type_that_cosign_imported_open_and_are_written_again_byte_for_byte() {
        for (name, pem, public, signature) in [
            (
                "p384",
                include_str!("../tests/fixtures/p384.key"),
                include_str!("../tests/fixtures/p384.pub"),
                include_str!("../tests/fixtures/README.md.p384.sig"),
            ),
            (
                "ed25519",
                include_str!("../tests/fixtures/ed25519.key"),
                include_str!("../tests/fixtures/ed25519.pub"),
                include_str!("../tests/fixtures/README.md.ed25519.sig"),
            ),
            (
                "rsa",
                include_str!("../tests/fixtures/rsa.key"),
                include_str!("../tests/fixtures/rsa.pub"),
                include_str!("../tests/fixtures/README.md.rsa.sig"),
            ),
        ] {
            let sealed = SealedKey::parse(pem).expect(name);
            let key = sealed.open(&golden_password()).expect(name);
            assert_eq!(key.public_key().pem(), public, "{name}");
            let der = key.to_pkcs8_der().expect(name);
            let again = seal(der.as_bytes(), &golden_password(), &sealed.salt, &sealed.nonce).expect(name);
            assert_eq!(again, pem, "{name}");

            let message = include_bytes!("../tests/fixtures/README.md");
            let by_cosign = BASE64_STANDARD.decode(signature.trim()).expect("base64");
            assert!(key.public_key().verify(message, &by_cosign), "{name}");
            assert!(key.public_key().verify(message, &key.sign(message).expect(name)), "{name}");
        }
    }

    #[test]
    fn unencrypted_and_public_keys_are_told_apart() {
        let key = PrivateKey::generate().expect("generate");
        let der = key.to_pkcs8_der().expect("der");
        let plain = der.to_pem("PRIVATE KEY", Default::default()).expect("pem");
        let error = parse_error(&plain);
        assert!(matches!(error, KeysError::Unencrypted));
        assert!(error.hint().expect("hint").contains("import-key-pair"));
        let imported = PrivateKey::from_unencrypted_pem(&plain).expect("import");
        assert_eq!(imported.public_key().id(), key.public_key().id());
        assert!(matches!(parse_error(GOLDEN_PUBLIC), KeysError::Public));
        assert!(matches!(PrivateKey::from_unencrypted_pem(GOLDEN_PUBLIC), Err(KeysError::Public)));
        assert!(matches!(parse_error("hello"), KeysError::Malformed(_)));
    }

    #[test]
    fn a_signature_by_cosign_and_one_by_us_verify_under_the_same_key() {
        let message = include_bytes!("../tests/fixtures/README.md");
        let by_cosign = BASE64_STANDARD.decode(include_str!("../tests/fixtures/README.md.sig")).expect("base64");
        let key = SealedKey::parse(GOLDEN).expect("parse").open(&golden_password()).expect("open");
        assert!(key.public_key().verify(message, &by_cosign));
        assert!(key.public_key().verify(message, &key.sign(message).expect("sign")));
    }

    #[test]
    fn debug_output_of_a_private_key_is_its_id() {
        let key = SealedKey::parse(GOLDEN).expect("parse").open(&golden_password()).expect("open");
        assert_eq!(format!("{key:?}"), format!("PrivateKey({}, …)", key.public_key().id()));
    }
}
