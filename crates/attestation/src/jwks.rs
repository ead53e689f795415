//! The issuer's public keys (RFC 7517) and their thumbprints (RFC 7638).

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use csign_oci::json;
use rsa::{
    BoxedUint, RsaPublicKey,
    pkcs1v15::{Signature, VerifyingKey},
    signature::Verifier as _,
};
use serde::{Deserialize, Serialize, de};
use sha2::{Digest as _, Sha256};

use crate::{error::JwksError, token::LIMITS};

/// sha256 thumbprint of a key (RFC 7638), written in base64url without padding: what a contract pins.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Thumbprint([u8; 32]);

impl Thumbprint {
    /// Parses 43 characters of base64url without padding.
    pub fn parse(text: &str) -> Option<Self> {
        BASE64_URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok().map(Self)
    }

    /// Of the RSA key with this modulus and exponent, big-endian without leading zeros.
    fn of_rsa(n: &[u8], e: &[u8]) -> Self {
        let [n, e] = [n, e].map(|number| BASE64_URL_SAFE_NO_PAD.encode(number));
        Self(Sha256::digest(format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#)).into())
    }
}

impl fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64_URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Thumbprint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Thumbprint {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom("a thumbprint is 43 characters of unpadded base64url"))
    }
}

/// RSA keys for RS256 by name. Keys of other types are not in it.
#[derive(Clone)]
pub struct Jwks(BTreeMap<String, Key>);

#[derive(Clone)]
struct Key {
    verifier: VerifyingKey<Sha256>,
    thumbprint: Thumbprint,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Jwk>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    alg: Option<String>,
    n: Option<String>,
    e: Option<String>,
}

impl Jwks {
    /// Parses a key set. Keys of another type, for another use or algorithm, or without a name are skipped: no token
    /// can select them.
    ///
    /// # Errors
    /// Malformed JSON, duplicate members, two keys of one name, a malformed or weak RSA key (under 2048 bits, exponent
    /// even or under 65537), too many bytes or keys, no usable key.
    pub fn parse(bytes: &[u8]) -> Result<Self, JwksError> {
        const WHAT: &str = "key set";
        if bytes.len() > LIMITS.issuer_document_bytes {
            return Err(JwksError::TooLarge { what: WHAT, limit: LIMITS.issuer_document_bytes });
        }
        let document: Document = json::from_slice(bytes).map_err(|source| JwksError::Json { what: WHAT, source })?;
        if document.keys.len() > LIMITS.keys {
            return Err(JwksError::TooLarge { what: "number of keys", limit: LIMITS.keys });
        }
        let mut names = BTreeSet::new();
        let mut keys = BTreeMap::new();
        for jwk in document.keys {
            let Some(kid) = jwk.kid.clone() else { continue };
            if !names.insert(kid.clone()) {
                return Err(JwksError::DuplicateKeyId(kid));
            }
            let signs = jwk.usage.as_deref().is_none_or(|usage| usage == "sig");
            let rs256 = jwk.alg.as_deref().is_none_or(|alg| alg == "RS256");
            if jwk.kty == "RSA" && signs && rs256 {
                let key = Key::parse(&jwk).map_err(|why| JwksError::Key { kid: kid.clone(), why })?;
                keys.insert(kid, key);
            }
        }
        if keys.is_empty() { Err(JwksError::NoKey) } else { Ok(Self(keys)) }
    }

    /// Only the keys whose thumbprint is in `pins`.
    ///
    /// # Errors
    /// None of the keys is pinned.
    pub fn pinned(mut self, pins: &[Thumbprint]) -> Result<Self, JwksError> {
        let offered = self.0.len();
        self.0.retain(|_, key| pins.contains(&key.thumbprint));
        if self.0.is_empty() { Err(JwksError::NonePinned(offered)) } else { Ok(self) }
    }

    /// Names and thumbprints, sorted by name.
    pub fn thumbprints(&self) -> impl Iterator<Item = (&str, Thumbprint)> {
        self.0.iter().map(|(kid, key)| (kid.as_str(), key.thumbprint))
    }

    /// Does `signature` over `message` verify under the key `kid`? `None` if there is no such key.
    pub(crate) fn verify(&self, kid: &str, message: &[u8], signature: &[u8]) -> Option<bool> {
        let key = self.0.get(kid)?;
        let verdict = Signature::try_from(signature).is_ok_and(|s| key.verifier.verify(message, &s).is_ok());
        Some(verdict)
    }
}

impl fmt::Debug for Jwks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.thumbprints()).finish()
    }
}

impl Key {
    fn parse(jwk: &Jwk) -> Result<Self, &'static str> {
        let number = |text: &Option<String>| {
            let bytes = text.as_deref().and_then(|text| BASE64_URL_SAFE_NO_PAD.decode(text).ok())?;
            let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
            Some(bytes[zeros..].to_vec())
        };
        let n = number(&jwk.n).ok_or("its modulus is absent or not unpadded base64url")?;
        let e = number(&jwk.e).ok_or("its exponent is absent or not unpadded base64url")?;
        if n.len() > RsaPublicKey::MAX_SIZE / 8 || e.len() > 8 {
            return Err("its modulus has more than 8192 bits, or its exponent more than 64");
        }
        let exponent = e.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
        if exponent < 65_537 || exponent % 2 == 0 {
            return Err("its exponent is even or under 65537");
        }
        let precision = u32::try_from(n.len() * 8).unwrap_or(u32::MAX);
        let modulus = BoxedUint::from_be_slice(&n, precision).map_err(|_| "its modulus is malformed")?;
        if modulus.bits() < 2048 {
            return Err("its modulus has fewer than 2048 bits");
        }
        let public = RsaPublicKey::new(modulus, BoxedUint::from(exponent))
            .map_err(|_| "its modulus is even, or its exponent too large")?;
        Ok(Self { verifier: VerifyingKey::new(public), thumbprint: Thumbprint::of_rsa(&n, &e) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of RFC 7638, section 3.1.
    const RFC_N: &str = concat!(
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3",
        "oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdA",
        "ZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-",
        "kEgU8awapJzKnqDKgw"
    );

    fn rsa(kid: &str, n: &str, e: &str) -> String {
        format!(r#"{{"kty":"RSA","alg":"RS256","use":"sig","kid":"{kid}","n":"{n}","e":"{e}"}}"#)
    }

    fn set(keys: &[String]) -> Result<Jwks, JwksError> {
        Jwks::parse(format!(r#"{{"keys":[{}]}}"#, keys.join(",")).as_bytes())
    }

    #[test]
    fn thumbprint_is_the_rfcs() {
        let jwks = set(&[rsa("a", RFC_N, "AQAB")]).expect("parses");
        let (_, thumbprint) = jwks.thumbprints().next().expect("one key");
        assert_eq!(thumbprint.to_string(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
        assert_eq!(Thumbprint::parse(&thumbprint.to_string()), Some(thumbprint));
        for bad in ["", "NzbL", "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs="] {
            assert_eq!(Thumbprint::parse(bad), None);
        }
    }

    #[test]
    fn a_leading_zero_changes_no_thumbprint() {
        let mut padded = vec![0];
        padded.extend(BASE64_URL_SAFE_NO_PAD.decode(RFC_N).expect("base64"));
        let padded = BASE64_URL_SAFE_NO_PAD.encode(padded);
        let thumbprint = |n: &str| set(&[rsa("a", n, "AQAB")]).expect("parses").thumbprints().next().map(|(_, t)| t);
        assert_eq!(thumbprint(&padded), thumbprint(RFC_N));
    }

    #[test]
    fn only_pinned_keys_stay() {
        let other = format!("{}w", &RFC_N[..RFC_N.len() - 1]).replace("0vx7", "1vx7");
        let jwks = set(&[rsa("a", RFC_N, "AQAB"), rsa("b", &other, "AQAB")]).expect("parses");
        let pin = Thumbprint::parse("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs").expect("thumbprint");
        let kept = jwks.clone().pinned(&[pin]).expect("one is pinned");
        assert_eq!(kept.thumbprints().map(|(kid, _)| kid).collect::<Vec<_>>(), ["a"]);
        assert!(matches!(jwks.clone().pinned(&[Thumbprint([7; 32])]), Err(JwksError::NonePinned(2))));
        assert!(matches!(jwks.pinned(&[]), Err(JwksError::NonePinned(2))));
    }

    #[test]
    fn keys_of_other_types_and_uses_are_skipped() {
        let ec = r#"{"kty":"EC","kid":"ec","crv":"P-256","x":"x","y":"y"}"#.to_owned();
        let future = r#"{"kty":"PQ","kid":"pq","n":[]}"#.replace("[]", "\"x\"");
        let nameless = rsa("x", RFC_N, "AQAB").replace(r#""kid":"x","#, "");
        let encrypts = rsa("enc", RFC_N, "AQAB").replace("\"sig\"", "\"enc\"");
        let pss = rsa("pss", RFC_N, "AQAB").replace("RS256", "PS256");
        let others = [ec, future, nameless, encrypts, pss];
        assert!(matches!(set(&others), Err(JwksError::NoKey)));
        let mut with_one = others.to_vec();
        with_one.push(rsa("good", RFC_N, "AQAB"));
        let jwks = set(&with_one).expect("one is usable");
        assert_eq!(jwks.thumbprints().map(|(kid, _)| kid).collect::<Vec<_>>(), ["good"]);
    }

    #[test]
    fn two_keys_of_one_name_are_refused_even_if_one_would_be_skipped() {
        let ec = r#"{"kty":"EC","kid":"a"}"#.to_owned();
        for twin in [rsa("a", RFC_N, "AQAB"), ec] {
            assert!(matches!(set(&[rsa("a", RFC_N, "AQAB"), twin]), Err(JwksError::DuplicateKeyId(_))));
        }
    }

    #[test]
    fn weak_or_malformed_keys_are_refused() {
        let short = BASE64_URL_SAFE_NO_PAD.encode([0xff; 128]);
        let just_short = BASE64_URL_SAFE_NO_PAD.encode([&[0x7f][..], &[0xff; 255]].concat());
        let huge = BASE64_URL_SAFE_NO_PAD.encode([0xff; 2000]);
        let even = BASE64_URL_SAFE_NO_PAD.encode([0xfe; 256]);
        let long = BASE64_URL_SAFE_NO_PAD.encode([1; 9]);
        for (n, e) in [
            (short.as_str(), "AQAB"),
            (&just_short, "AQAB"),
            (&huge, "AQAB"),
            (&even, "AQAB"),
            (RFC_N, "Aw"),
            (RFC_N, "AQAA"),
            (RFC_N, &long),
            (RFC_N, ""),
            ("", "AQAB"),
            ("+/==", "AQAB"),
        ] {
            let refused = set(&[rsa("weak", n, e)]);
            assert!(matches!(refused, Err(JwksError::Key { .. })), "n {n:?} e {e:?}: {refused:?}");
        }
        assert!(matches!(set(&[r#"{"kty":"RSA","kid":"a"}"#.to_owned()]), Err(JwksError::Key { .. })));
    }

    #[test]
    fn ambiguous_or_huge_sets_are_refused() {
        let twice = rsa("a", RFC_N, "AQAB").replace("{\"kty\"", "{\"n\":\"AQAB\",\"kty\"");
        assert!(matches!(set(&[twice]), Err(JwksError::Json { .. })));
        let many: Vec<_> = (0..=LIMITS.keys).map(|i| rsa(&i.to_string(), RFC_N, "AQAB")).collect();
        assert!(matches!(set(&many), Err(JwksError::TooLarge { .. })));
        assert!(matches!(Jwks::parse(&vec![b' '; LIMITS.issuer_document_bytes + 1]), Err(JwksError::TooLarge { .. })));
    }
}
