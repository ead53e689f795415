//! The issuer's RSA key, derived from a seed so that its thumbprint can be pinned in a contract.

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

/// The key of [`DEMO_SEED`], made by the test below: public, worthless, committed only to save its generation.
const DEMO_KEY: &str = include_str!("demo-key.public-and-worthless.pem");
const PEM_LABEL: &str = "-----BEGIN PRIVATE KEY-----";

/// An RS256 key pair and its RFC 7638 thumbprint, which is also its `kid`.
#[derive(Clone)]
pub(crate) struct IssuerKey {
    signing: SigningKey<Sha256>,
    verifying: VerifyingKey<Sha256>,
    public: RsaPublicKey,
    thumbprint: String,
}

impl IssuerKey {
    /// The key of `seed`; only [`DEMO_SEED`] is quick.
    pub(crate) fn from_seed(seed: &str) -> Result<Self> {
        let private = if seed == DEMO_SEED { committed()? } else { generate(seed)? };
        let public = RsaPublicKey::from(&private);
        let canonical = format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, exponent(&public), modulus(&public));
        let thumbprint = URL_SAFE_NO_PAD.encode(Sha256::digest(canonical));
        let signing = SigningKey::new(private);
        Ok(Self { signing, verifying: VerifyingKey::new(public.clone()), public, thumbprint })
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

fn generate(seed: &str) -> Result<RsaPrivateKey> {
    let mut rng = SeededRng::new(derive(seed, "rsa", "attestation issuer"));
    RsaPrivateKey::new(&mut rng, 2048).map_err(|e| Error::Key(format!("the issuer's RSA key: {e}")))
}

fn committed() -> Result<RsaPrivateKey> {
    let start = DEMO_KEY.find(PEM_LABEL).ok_or_else(|| Error::Key("the demo key has no PEM block".to_owned()))?;
    RsaPrivateKey::from_pkcs8_pem(&DEMO_KEY[start..]).map_err(|e| Error::Key(format!("the demo key: {e}")))
}

#[cfg(test)]
mod tests {
    use rsa::pkcs8::{EncodePrivateKey as _, LineEnding};

    use super::*;

    /// Run with `SIMULATOR_WRITE_DEMO_KEY=1` to write the file anew.
    #[test]
    fn the_committed_demo_key_is_the_one_that_its_seed_generates() {
        let pem = generate(DEMO_SEED).expect("generates").to_pkcs8_pem(LineEnding::LF).expect("encodes");
        let note = "Demo key of the simulator: public, worthless, derived from a seed in the source.\n\
                    Written by the test beside attestation/key.rs.\n";
        let expected = format!("{note}{}", pem.as_str());
        if std::env::var_os("SIMULATOR_WRITE_DEMO_KEY").is_some() {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/attestation/demo-key.public-and-worthless.pem");
            std::fs::write(path, &expected).expect("writes");
        }
        assert!(DEMO_KEY == expected, "the file differs from what the seed generates");
    }

    #[test]
    fn another_seed_is_another_key_and_the_same_seed_the_same() {
        let demo = IssuerKey::from_seed(DEMO_SEED).expect("demo");
        let other = IssuerKey::from_seed("other").expect("other");
        assert_ne!(demo.thumbprint(), other.thumbprint());
        assert_eq!(other.thumbprint(), IssuerKey::from_seed("other").expect("again").thumbprint());
        let signature = demo.sign(b"message").expect("signs");
        assert!(demo.verify(b"message", &signature));
        assert!(!demo.verify(b"massage", &signature));
        assert!(!other.verify(b"message", &signature));
    }
}
