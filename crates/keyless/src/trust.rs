//! The verifier that `csign_trust` asks about certificates, and the identities that its roster lists.

use std::collections::BTreeMap;

use csign_trust::{
    Identity as RosterIdentity,
    certificate::{CertificateVerifier, Certified as TrustCertified},
};

use crate::{Artifact, Certified, Content, IdentityPolicy, KeylessError, Verifier};

impl CertificateVerifier for Verifier {
    fn bundle(&self, bundle: &[u8]) -> Result<(TrustCertified, Vec<u8>), String> {
        answer(self.verify_bundle(bundle, Artifact::AnySubject), &[])
    }

    fn layer(
        &self,
        bytes: &[u8],
        signature: Option<&[u8]>,
        annotations: &BTreeMap<String, String>,
    ) -> Result<(TrustCertified, Vec<u8>), String> {
        let outcome = match signature {
            Some(signature) => self.verify_legacy(bytes, signature, annotations),
            None => self.verify_legacy_attestation(bytes, Artifact::AnySubject, annotations),
        };
        answer(outcome, bytes)
    }
}

fn answer(outcome: Result<Certified, KeylessError>, bytes: &[u8]) -> Result<(TrustCertified, Vec<u8>), String> {
    let Certified { identity, content, .. } = outcome.map_err(|error| error.to_string())?;
    let signed = match content {
        Content::Statement(statement) => statement,
        Content::Artifact => bytes.to_vec(),
    };
    Ok((TrustCertified { subject: identity.san, issuer: identity.issuer }, signed))
}

impl From<IdentityPolicy> for RosterIdentity {
    fn from(policy: IdentityPolicy) -> Self {
        let text = format!("{} (by {})", policy.identity, policy.issuer);
        Self::new(text, move |found| policy.identity.matches(&found.subject) && policy.issuer.matches(&found.issuer))
    }
}
