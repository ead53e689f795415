//! The issuer's RSA keys, derived from a seed so that their thumbprints can be pinned in a contract.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rsa::{
    RsaPrivateKey, RsaPublicKey,
    pkcs1v15::{Signature, SigningKey, VerifyingKey},
    pkcs8::DecodePrivateKey as _,
    signature::{SignatureEncoding as _, Signer as _, Verifier as _},
    traits::PublicKeyParts as _,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    Error, Result,
    config::DEMO_SEED,
    derive::{SeededRng, derive},
};

/// The keys of [`DEMO_SEED`], made by the test below: public, worthless, committed only to save their generation. Each
/// PEM block follows its name in brackets.
const DEMO_KEYS: &str = include_str!("demo-keys.public-and-worthless.pem");
/// The first two generations, and the certificates of PKI tokens.
const DEMO_NAMES: [&str; 5] =
    ["attestation issuer", "attestation issuer 1", "pki root", "pki intermediate", "pki leaf"];

/// An RS256 key pair and its RFC 7638 thumbprint, which is also its `kid`.
#[derive(Clone)]
pub(crate) struct IssuerKey {
    signing: SigningKey<Sha256>,
    verifying: VerifyingKey<Sha256>,
    public: RsaPublicKey,
    thumbprint: String,
}

impl IssuerKey {
    /// The key that signs OIDC tokens after `generation` rotations.
    pub(crate) fn of_generation(seed: &str, generation: u32) -> Result<Self> {
        match generation {
            0 => Self::named(seed, DEMO_NAMES[0]),
            later => Self::named(seed, &format!("{} {later}", DEMO_NAMES[0])),
        }
    }

    /// The key of `seed` with this name; only those of [`DEMO_SEED`] that are committed are quick.
    pub(crate) fn named(seed: &str, name: &str) -> Result<Self> {
        let private = match committed(name) {
            Some(key) if seed == DEMO_SEED => key?,
            _ => generate(seed, name)?,
        };
        let public = RsaPublicKey::from(&private);
        let canonical = format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, exponent(&public), modulus(&public));
        let thumbprint = URL_SAFE_NO_PAD.encode(Sha256::digest(canonical));
        let signing = SigningKey::new(private);
        Ok(Self { signing, verifying: VerifyingKey::new(public.clone()), public, thumbprint })
    }

    pub(crate) fn public(&self) -> &RsaPublicKey {
        &self.public
    }

    pub(crate) fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// This key as a member of a JWKS.
    pub(crate) fn jwk(&self) -> Value {
        json!({
            "kty": "RSA",
            "alg": "RS256",
            "use": "sig",
            "kid": self.thumbprint,
            "n": modulus(&self.public),
            "e": exponent(&self.public),
        })
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        let signature = self.signing.try_sign(message).map_err(|e| Error::Key(format!("signing: {e}")))?;
        Ok(signature.to_vec())
    }

    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        Signature::try_from(signature).is_ok_and(|signature| self.verifying.verify(message, &signature).is_ok())
    }
}

fn modulus(key: &RsaPublicKey) -> String {
    URL_SAFE_NO_PAD.encode(key.n_bytes())
}

fn exponent(key: &RsaPublicKey) -> String {
    URL_SAFE_NO_PAD.encode(key.e_bytes())
}

fn generate(seed: &str, name: &str) -> Result<RsaPrivateKey> {
    let mut rng = SeededRng::new(derive(seed, "rsa", name));
    RsaPrivateKey::new(&mut rng, 2048).map_err(|e| Error::Key(format!("the RSA key {name:?}: {e}")))
}

fn committed(name: &str) -> Option<Result<RsaPrivateKey>> {
    const END: &str = "-----END PRIVATE KEY-----\n";
    let (_, block) = DEMO_KEYS.split_once(&format!("[{name}]\n"))?;
    let block = &block[..block.find(END)? + END.len()];
    Some(RsaPrivateKey::from_pkcs8_pem(block).map_err(|e| Error::Key(format!("the demo key {name:?}: {e}"))))
}

#[cfg(test)]
mod tests {
    use rsa::pkcs8::{EncodePrivateKey as _, LineEnding};

    use super::*;

    /// Run with `SIMULATOR_WRITE_DEMO_KEYS=1` to write the file anew.
    #[test]
    fn the_committed_demo_keys_are_those_that_their_seed_generates() {
        let mut expected = "Demo keys of the simulator: public, worthless, derived from a seed in the source.\n\
                            Written by the test beside attestation/key.rs.\n"
            .to_owned();
        for name in DEMO_NAMES {
            let pem = generate(DEMO_SEED, name).expect("generates").to_pkcs8_pem(LineEnding::LF).expect("encodes");
            expected.push_str(&format!("[{name}]\n{}", pem.as_str()));
        }
        if std::env::var_os("SIMULATOR_WRITE_DEMO_KEYS").is_some() {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/attestation/demo-keys.public-and-worthless.pem");
            std::fs::write(path, &expected).expect("writes");
        }
        assert!(DEMO_KEYS == expected, "the file differs from what the seed generates");
        assert!(DEMO_NAMES.iter().all(|name| committed(name).is_some_and(|key| key.is_ok())));
    }

    #[test]
    fn another_seed_is_another_key_and_the_same_seed_the_same() {
        let demo = IssuerKey::of_generation(DEMO_SEED, 0).expect("demo");
        let other = IssuerKey::of_generation("other", 0).expect("other");
        assert_ne!(demo.thumbprint(), other.thumbprint());
        assert_ne!(demo.thumbprint(), IssuerKey::of_generation(DEMO_SEED, 1).expect("rotated").thumbprint());
        assert_eq!(other.thumbprint(), IssuerKey::of_generation("other", 0).expect("again").thumbprint());
        let signature = demo.sign(b"message").expect("signs");
        assert!(demo.verify(b"message", &signature));
        assert!(!demo.verify(b"massage", &signature));
        assert!(!other.verify(b"message", &signature));
    }
}
