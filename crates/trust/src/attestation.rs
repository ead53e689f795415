//! Who attested what about an image, and do the policies allow it?

use csign_envelope::{
    PredicateType,
    dsse::Envelope,
    statement::{Statement, StatementError},
};
use csign_oci::{Digest, Pinned};
use serde::Serialize;
use serde_json::Value;

use crate::{
    Refused, Roster, Verified,
    certificate::{CERTIFICATE_ANNOTATION, CertificateVerifier},
    image_report::{ImageReport, PartyStatus, Source},
    report::{Verdict, printable},
    tally::{Attributed, Tally},
};

/// A rule over statements.
pub trait StatementPolicy: Send + Sync {
    /// The name under which reports mention it.
    fn name(&self) -> &str;

    /// Does the statement satisfy it? `statement` is the signed payload, byte for byte: JSON in which no member stands
    /// twice.
    fn judge(&self, statement: &[u8]) -> Judgement;
}

/// What a policy says about a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It is allowed.
    Allowed,
    /// It is not, for these reasons.
    Refused(Vec<String>),
}

/// A statement that a party on the roster signed, about this image, of the type that was asked for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AttestedStatement {
    /// Who signed it.
    pub party: String,
    /// The statement.
    pub statement: Value,
}

/// An image, and what its parties attested about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Attested {
    /// The image.
    pub image: Pinned,
    /// The statements, each by a party on the roster.
    pub statements: Vec<AttestedStatement>,
}

/// Everything that was found out about an image's attestations of one type.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AttestationReport {
    /// The predicate type that was asked for.
    pub predicate_type: String,
    /// How many policies every statement had to satisfy.
    pub policies: usize,
    /// Every party, and what could not be read.
    #[serde(flatten)]
    pub image: ImageReport,
    /// The statements of the parties, also those that a policy refuses.
    pub statements: Vec<AttestedStatement>,
}

/// Collects attestations of one type about one image for one roster.
///
/// A party has attested if it signed at least one statement of the type about the image, and no statement of the type
/// that it signed breaks a policy: what one of a party's attestations admits, another cannot take back.
pub struct AttestationCheck<'r> {
    tally: Tally<'r>,
    predicate: &'r PredicateType,
    policies: Vec<&'r dyn StatementPolicy>,
    refused: Vec<Vec<String>>,
    statements: Vec<AttestedStatement>,
    seen: Vec<(usize, Digest)>,
}

impl<'r> AttestationCheck<'r> {
    /// Starts a check with no evidence: every party is missing.
    pub fn new(
        image: &Pinned,
        roster: &'r Roster,
        predicate: &'r PredicateType,
        policies: impl IntoIterator<Item = &'r dyn StatementPolicy>,
    ) -> Self {
        let refused = vec![Vec::new(); roster.signers().len()];
        let (tally, policies) = (Tally::new(image, roster), policies.into_iter().collect());
        Self { tally, predicate, policies, refused, statements: Vec::new(), seen: Vec::new() }
    }

    /// Also counts statements about the same digest under these names of its repository, for images that were copied.
    #[must_use]
    pub fn signed_as(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.tally.repositories.extend(names);
        self
    }

    /// Lets `verifier` check what was signed with certificates. Without it such attestations belong to nobody.
    #[must_use]
    pub fn with_certificates(mut self, verifier: &'r dyn CertificateVerifier) -> Self {
        self.tally.certificates(verifier);
        self
    }

    /// The image that is checked.
    pub const fn image(&self) -> &Pinned {
        &self.tally.image
    }

    /// The bytes of a layer of the `.att` tag, which are a DSSE envelope, and the layer's annotations.
    pub fn envelope(&mut self, bytes: &[u8], annotations: &std::collections::BTreeMap<String, String>) {
        let evidence = Digest::of(bytes);
        let envelope = match Envelope::parse(bytes) {
            Ok(envelope) => envelope,
            Err(error) => return self.tally.stray(evidence, printable(&error.to_string(), 200)),
        };
        let found = if annotations.contains_key(CERTIFICATE_ANNOTATION) && self.tally.wants_certificates() {
            self.tally.certified(evidence, |verifier| verifier.layer(bytes, None, annotations))
        } else {
            self.tally.envelope(evidence, &envelope, None)
        };
        if let Some(found) = found {
            self.judge(found, Source::Attestation);
        }
    }

    /// A sigstore bundle from a referrer of the image.
    pub fn bundle(&mut self, bytes: &[u8]) {
        if let Some(found) = self.tally.bundle(bytes) {
            self.judge(found, Source::Bundle);
        }
    }

    /// The steps: 1. The statement parses and is of the type asked for; another type is no finding at all. 2. It is about
    /// this image in this repository. 3. Every policy allows it.
    fn judge(&mut self, found: Attributed, source: Source) {
        let Attributed { signer, payload } = found;
        // 1.
        let parsed = match Statement::parse(&payload) {
            Ok(parsed) if self.predicate.is(&parsed.predicate_type) => parsed,
            Ok(_) => return,
            Err(error) => return self.tally.record(signer, PartyStatus::of_statement_error(error)),
        };
        // 2.
        if let Err(error) = parsed.require_subject(&self.tally.image.digest, &self.tally.repositories) {
            return self.tally.record(signer, PartyStatus::of_statement_error(error));
        }
        // The same statement in the legacy format and in a bundle is one.
        let known = (signer, Digest::of(&payload));
        if self.seen.contains(&known) {
            return;
        }
        self.seen.push(known);
        let statement = match csign_oci::json::value_from_slice(&payload) {
            Ok(statement) => statement,
            Err(error) => {
                return self.tally.record(signer, PartyStatus::of_statement_error(StatementError::Json(error)));
            }
        };
        // 3.
        for policy in &self.policies {
            if let Judgement::Refused(reasons) = policy.judge(&payload)
                && let Some(all) = self.refused.get_mut(signer)
            {
                let reasons = if reasons.is_empty() { vec!["not allowed".to_owned()] } else { reasons };
                let lines = reasons.iter().map(|reason| match reason.starts_with(policy.name()) {
                    true => printable(reason, 500),
                    false => format!("{}: {}", policy.name(), printable(reason, 500)),
                });
                all.extend(lines.filter(|line| !all.contains(line)).collect::<Vec<_>>());
            }
        }
        let party = self.tally.roster.signers().get(signer).map(|signer| signer.name.clone()).unwrap_or_default();
        self.statements.push(AttestedStatement { party, statement });
        self.tally.record(signer, PartyStatus::Signed { source });
    }

    /// A source or an attestation that could not be read.
    pub fn unchecked(&mut self, reason: impl Into<String>) {
        self.tally.unchecked(reason);
    }

    /// What was found out.
    pub fn report(mut self) -> AttestationReport {
        for (index, reasons) in self.refused.into_iter().enumerate().filter(|(_, reasons)| !reasons.is_empty()) {
            self.tally.overrule(index, PartyStatus::PolicyRefused { reasons });
        }
        AttestationReport {
            predicate_type: self.predicate.uri().to_owned(),
            policies: self.policies.len(),
            image: self.tally.report(),
            statements: self.statements,
        }
    }
}

impl AttestationReport {
    /// Enough parties attested. With policies everything must have been read: what was not could be what they refuse.
    pub fn verdict(&self) -> Verdict {
        match self.image.verdict() {
            Verdict::Verified if self.policies > 0 && !self.image.unchecked.is_empty() => Verdict::CouldNotCheck,
            verdict => verdict,
        }
    }

    /// The image and what was attested about it, if enough parties did.
    ///
    /// # Errors
    /// The report itself, with its verdict.
    pub fn into_verified(self) -> Result<Verified<Attested>, Box<Refused<Self>>> {
        match self.verdict() {
            Verdict::Verified => Ok(Verified::new(Attested { image: self.image.image, statements: self.statements })),
            verdict => Err(Box::new(Refused { verdict, report: self })),
        }
    }
}
