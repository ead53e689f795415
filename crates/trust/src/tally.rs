//! Who has signed so far: one place that counts every party once, whatever it signed how often and in which format.

use csign_envelope::{
    PublicKey,
    bundle::{Bundle, BundleError},
    dsse::{self, Envelope, EnvelopeError},
};
use csign_oci::{Digest, Pinned};

use crate::{
    Roster,
    certificate::{CertificateVerifier, Certified},
    image_report::{ImageReport, PartyRow, PartyStatus, Stray},
    report::printable,
    roster::Credential,
};

/// Evidence about one image for one roster, as far as it was judged.
pub(crate) struct Tally<'r> {
    pub(crate) image: Pinned,
    pub(crate) roster: &'r Roster,
    /// Names under which a signer may know the image's repository.
    pub(crate) repositories: Vec<String>,
    certificates: Option<&'r dyn CertificateVerifier>,
    statuses: Vec<PartyStatus>,
    unknown: Vec<Stray>,
    unchecked: Vec<String>,
}

/// A signed statement and its signer.
pub(crate) struct Attributed {
    pub(crate) signer: usize,
    pub(crate) payload: Vec<u8>,
}

impl<'r> Tally<'r> {
    /// Nothing is known: every party is missing.
    pub(crate) fn new(image: &Pinned, roster: &'r Roster) -> Self {
        Self {
            image: image.clone(),
            roster,
            repositories: vec![image.repository.to_string()],
            certificates: None,
            statuses: vec![PartyStatus::Missing; roster.signers().len()],
            unknown: Vec::new(),
            unchecked: Vec::new(),
        }
    }

    pub(crate) fn certificates(&mut self, verifier: &'r dyn CertificateVerifier) {
        self.certificates = Some(verifier);
    }

    /// The signer whose key verifies `signature` over `message`.
    pub(crate) fn signer_of(&self, message: &[u8], signature: &[u8]) -> Option<usize> {
        self.roster.keys().find(|(_, key)| key.verify(message, signature)).map(|(index, _)| index)
    }

    /// Does anyone on the roster sign with certificates?
    pub(crate) fn wants_certificates(&self) -> bool {
        self.roster.signers().iter().any(|signer| matches!(signer.credential, Credential::Identity(_)))
    }

    /// The certificate verifier's answer about one piece of evidence, attributed to a signer.
    pub(crate) fn certified(
        &mut self,
        evidence: Digest,
        check: impl FnOnce(&dyn CertificateVerifier) -> Result<(Certified, Vec<u8>), String>,
    ) -> Option<Attributed> {
        let Some(verifier) = self.certificates.filter(|_| self.wants_certificates()) else {
            self.stray(evidence, "signed with a certificate, and no identity was asked for");
            return None;
        };
        let (certified, payload) = match check(verifier) {
            Ok(found) => found,
            Err(problem) => {
                self.stray(evidence, format!("signed with a certificate: {}", printable(&problem, 300)));
                return None;
            }
        };
        let identities = self.roster.signers().iter().enumerate().filter(|(_, signer)| match &signer.credential {
            Credential::Identity(identity) => identity.matches(&certified),
            Credential::Key(_) => false,
        });
        let mut fitting = identities.map(|(index, _)| index);
        let (first, second) = (fitting.next(), fitting.next());
        let (subject, issuer) = (printable(&certified.subject, 200), printable(&certified.issuer, 200));
        let Some(signer) = first else {
            self.stray(evidence, format!("signed by {subject} ({issuer}), who was not asked for"));
            return None;
        };
        if second.is_some() {
            // One subject is one signer: it must not count for two.
            let problem = format!("signed by {subject} ({issuer}), who fits two of the identities: tell them apart");
            self.stray(evidence, problem);
            return None;
        }
        Some(Attributed { signer, payload })
    }

    /// Who signed a sigstore bundle, and what. The steps: 1. The bundle parses, and a key or a certificate signed it, not
    /// both. 2. A certificate is the verifier's business. 3. The key that it hints at is tried first, then every other: a
    /// hint is only a hint.
    pub(crate) fn bundle(&mut self, bytes: &[u8]) -> Option<Attributed> {
        let evidence = Digest::of(bytes);
        // 1.
        let bundle = match Bundle::parse(bytes) {
            Ok(bundle) => bundle,
            // 2.
            Err(BundleError::Certificate) => return self.certified(evidence, |verifier| verifier.bundle(bytes)),
            Err(error) => {
                self.stray(evidence, printable(&error.to_string(), 200));
                return None;
            }
        };
        // 3.
        let hint = &bundle.verification_material.public_key.hint;
        let hinted = self.roster.keys().find(|(_, key)| key.bundle_hint() == *hint).map(|(index, _)| index);
        self.envelope(evidence, &bundle.dsse_envelope, hinted)
    }

    /// Who signed an envelope, and what. `claimed` is the signer that whatever holds the envelope names.
    pub(crate) fn envelope(
        &mut self,
        evidence: Digest,
        envelope: &Envelope,
        claimed: Option<usize>,
    ) -> Option<Attributed> {
        let mut keys: Vec<(usize, &PublicKey)> = self.roster.keys().collect();
        keys.sort_by_key(|(index, _)| Some(*index) != claimed);
        let mut problem = None;
        for (signer, key) in keys {
            match envelope.verify(key) {
                Ok(payload) => return Some(Attributed { signer, payload }),
                Err(EnvelopeError::Signature(_)) => {}
                Err(error) => problem = problem.or(Some(error.to_string())),
            }
        }
        match (problem, claimed) {
            (Some(problem), Some(index)) => self.record(index, PartyStatus::WrongPayload { problem }),
            (Some(problem), None) => self.stray(evidence, printable(&problem, 200)),
            (None, Some(index)) => self.record(index, PartyStatus::BadSignature),
            (None, None) if envelope.payload_type == dsse::IN_TOTO => {
                self.stray(evidence, "signed with a key that is not on the roster");
            }
            (None, None) => self.stray(evidence, "an envelope of another payload type"),
        }
        None
    }

    /// A party that signed stays signed; otherwise the newest finding stands.
    pub(crate) fn record(&mut self, index: usize, status: PartyStatus) {
        if let Some(slot) = self.statuses.get_mut(index)
            && !matches!(slot, PartyStatus::Signed { .. })
        {
            *slot = status;
        }
    }

    /// A finding that no other one undoes.
    pub(crate) fn overrule(&mut self, index: usize, status: PartyStatus) {
        if let Some(slot) = self.statuses.get_mut(index) {
            *slot = status;
        }
    }

    pub(crate) fn stray(&mut self, evidence: Digest, problem: impl Into<String>) {
        self.unknown.push(Stray { payload: evidence, problem: problem.into() });
    }

    /// A source or a piece of evidence that could not be read.
    pub(crate) fn unchecked(&mut self, reason: impl Into<String>) {
        self.unchecked.push(reason.into());
    }

    pub(crate) fn everyone_signed(&self) -> bool {
        self.statuses.iter().all(|status| matches!(status, PartyStatus::Signed { .. }))
    }

    /// Have enough parties signed? Further evidence cannot change that.
    pub(crate) fn is_complete(&self) -> bool {
        self.statuses.iter().filter(|status| matches!(status, PartyStatus::Signed { .. })).count()
            >= self.roster.required()
    }

    /// What was found out.
    pub(crate) fn report(self) -> ImageReport {
        let all_read = self.unchecked.is_empty();
        let known = |status| match status {
            PartyStatus::Missing if !all_read => PartyStatus::Unchecked,
            status => status,
        };
        let rows = self.roster.signers().iter().zip(self.statuses.into_iter().map(known));
        let row = |(signer, status): (&crate::Signer, PartyStatus)| {
            let (key_id, identity) = match &signer.credential {
                Credential::Key(key) => (Some(key.id()), None),
                Credential::Identity(identity) => (None, Some(identity.to_string())),
            };
            PartyRow { party: signer.name.clone(), key_id, identity, status }
        };
        ImageReport {
            required: self.roster.required(),
            parties: rows.map(row).collect(),
            image: self.image,
            unknown: self.unknown,
            unchecked: self.unchecked,
        }
    }
}
