//! Identities in certificates, as `csign-keyless` checks them, in the terms of `csign-trust`.

use std::collections::BTreeMap;

use csign_keyless::{Artifact, Content, IdentityPolicy, Pattern, SanKind, TrustedRoot, Verifier};
use csign_oci::Digest;
use csign_trust::{
    Credential, Identity, Signer,
    certificate::{CertificateVerifier, Certified},
};

use crate::failure::Failure;

/// Checks what was signed with certificates, about one image.
pub(crate) struct Certificates {
    verifier: Verifier,
    image: Digest,
}

impl Certificates {
    /// A verifier under `root` for signatures made before `now` (seconds since 1970).
    pub(crate) fn new(root: &TrustedRoot, now: i64, image: Digest) -> Result<Self, Failure> {
        Ok(Self { verifier: Verifier::new(root, now).map_err(Failure::usage)?, image })
    }
}

impl CertificateVerifier for Certificates {
    fn bundle(&self, bundle: &[u8]) -> Result<(Certified, Vec<u8>), String> {
        let found = self.verifier.verify_bundle(bundle, Artifact::Digest(&self.image)).map_err(|e| e.to_string())?;
        match found.content {
            Content::Statement(payload) => Ok((certified(found.identity), payload)),
            Content::Artifact => Err("it signs bytes, not a statement about an image".to_owned()),
        }
    }

    fn layer(
        &self,
        bytes: &[u8],
        signature: Option<&[u8]>,
        annotations: &BTreeMap<String, String>,
    ) -> Result<(Certified, Vec<u8>), String> {
        let found = match signature {
            Some(signature) => self.verifier.verify_legacy(bytes, signature, annotations),
            None => self.verifier.verify_legacy_attestation(bytes, Artifact::Digest(&self.image), annotations),
        };
        let found = found.map_err(|error| error.to_string())?;
        let payload = match found.content {
            Content::Statement(payload) => payload,
            Content::Artifact => bytes.to_vec(),
        };
        Ok((certified(found.identity), payload))
    }
}

fn certified(identity: csign_keyless::Identity) -> Certified {
    Certified { subject: identity.san, issuer: identity.issuer }
}

/// A signer of the roster for an identity policy.
pub(crate) fn signer(identity: Pattern, issuer: Pattern) -> Signer {
    let text = format!("{identity} (by {issuer})");
    let name = identity.to_string();
    let policy = IdentityPolicy { identity, issuer };
    let matches = move |found: &Certified| {
        // The kind of name was checked with the certificate; the policy is about texts.
        let identity = csign_keyless::Identity {
            san: found.subject.clone(),
            san_kind: SanKind::Uri,
            issuer: found.issuer.clone(),
        };
        policy.check(&identity).is_ok()
    };
    Signer { name, credential: Credential::Identity(Identity::new(text, matches)) }
}
