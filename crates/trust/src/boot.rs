//! May the workload start? The token must verify, the machine must be what the contract asks for, and the parties must
//! have signed the image that the token names.

mod platform;
mod sources;

use csign_attestation::{Claims, Expected, Keys, TokenError, verify};
use csign_contract::{Contract, Sources};
use csign_oci::Pinned;
use serde::Serialize;

use crate::{
    AttestationCheck, AttestationReport, Check, ImageCheck, ImageReport, PartyStatus, Refused, Roster, TokenSignature,
    Verdict, Verified,
    report::{Outcome, table},
};

/// What a verified boot stands for: this contract, this image, on a machine with these claims.
#[derive(Clone, Debug)]
pub struct Boot {
    /// The contract that was baked into the image.
    pub contract: Contract,
    /// The image that the token names.
    pub image: Pinned,
    /// What the token says.
    pub claims: Claims,
}

/// Collects what must hold before the workload starts.
pub struct BootCheck<'r> {
    boot: Boot,
    checks: Vec<Check>,
    image: ImageCheck<'r>,
    /// The token's signatures, where they must be there beside the registry's.
    token: Option<ImageCheck<'r>>,
    attested: Vec<(String, AttestationReport)>,
}

/// One policy of the contract, ready to check attestations.
pub trait BootPolicy: Sync {
    /// Its name in the contract.
    fn name(&self) -> &str;

    /// A check of `image` with no evidence yet.
    fn check(&self, image: &Pinned) -> AttestationCheck<'_>;
}

/// Everything that was found out at boot.
#[derive(Clone, Debug, Serialize)]
pub struct BootReport {
    /// The platform and the operator, claim by claim.
    pub platform: Vec<Check>,
    /// The parties' signatures. Where two sources must agree, a party counts only if both show its signature.
    pub image: ImageReport,
    /// The contract's policies, in its order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<PolicyReport>,
    /// Enough parties are missing from the token to refuse the boot, whatever the registry has.
    #[serde(skip)]
    token_refuses: bool,
    #[serde(skip)]
    boot: Boot,
}

/// One policy of the contract, and what the parties attested.
#[derive(Clone, Debug, Serialize)]
pub struct PolicyReport {
    /// The policy's name.
    pub name: String,
    /// What was found; `None` if nobody looked.
    #[serde(flatten)]
    pub report: Option<AttestationReport>,
}

impl PolicyReport {
    /// What was not looked at could not be checked.
    pub fn verdict(&self) -> Verdict {
        self.report.as_ref().map_or(Verdict::CouldNotCheck, AttestationReport::verdict)
    }
}

impl<'r> BootCheck<'r> {
    /// Steps 3 to 5 of the boot as far as the token goes; `roster` is the contract's.
    ///
    /// The steps: 1. The token verifies: signature, issuer, audience, times, nonce. 2. Its claims are held against the contract.
    /// 3. The image is the one that it names, and the signatures in it are the first evidence.
    ///
    /// # Errors
    /// A token that does not verify, or lacks a claim that decides.
    pub fn new(
        contract: &Contract,
        roster: &'r Roster,
        token: &str,
        keys: &Keys,
        expected: &Expected<'_>,
    ) -> Result<Self, TokenError> {
        // 1.
        let claims = verify(token, keys, expected)?;
        Ok(Self::of_claims(contract, roster, claims))
    }

    fn of_claims(contract: &Contract, roster: &'r Roster, claims: Claims) -> Self {
        // 2.
        let checks = platform::platform(contract, &claims);
        // 3.
        let pinned = contract.image.repository.at(claims.container.image_digest);
        let mut image = ImageCheck::new(&pinned, roster);
        let mut token = None;
        let in_token = match contract.signatures.sources {
            Sources::Any | Sources::Token => Some(&mut image),
            Sources::Registry => None,
            Sources::Both => Some(token.insert(ImageCheck::new(&pinned, roster))),
        };
        if let Some(check) = in_token {
            for found in &claims.container.image_signatures {
                check.token_signature(&TokenSignature {
                    key_id: found.key_id,
                    signature: &found.signature,
                    algorithm: &found.signature_algorithm,
                });
            }
        }
        let boot = Boot { contract: contract.clone(), image: pinned, claims };
        Self { boot, checks, image, token, attested: Vec::new() }
    }

    /// A second token, of another kind, that was verified as the first was: it must be about the same container on the same
    /// machine.
    pub fn confirmed_by(&mut self, other: &Claims) {
        self.checks.push(platform::same_workload(&self.boot.claims, other));
    }

    /// The image whose signatures decide.
    pub const fn pinned(&self) -> &Pinned {
        &self.boot.image
    }

    /// Takes further evidence: the `.sig` tag's layers, and bundles.
    pub const fn image(&mut self) -> &mut ImageCheck<'r> {
        &mut self.image
    }

    /// Does the platform hold, so that reading anything else makes sense?
    pub fn platform_holds(&self) -> bool {
        self.checks.iter().all(|check| check.outcome == Outcome::Passed)
    }

    /// Could signatures in the registry still change the verdict? Never where the contract does not let them.
    pub fn wants_registry(&self) -> bool {
        match self.boot.contract.signatures.sources {
            Sources::Any => !self.image.is_complete(),
            Sources::Token => false,
            Sources::Registry | Sources::Both => true,
        }
    }

    /// What was attested under the contract's policy of this name.
    pub fn attested(&mut self, policy: &str, report: AttestationReport) {
        self.attested.push((policy.to_owned(), report));
    }

    /// What was found out. A policy without a report about this image and its predicate type was not looked at.
    pub fn report(mut self) -> BootReport {
        let mut policies = Vec::new();
        for policy in &self.boot.contract.policies {
            let threshold = policy.threshold.unwrap_or(self.boot.contract.signatures.threshold);
            let required = threshold.required(self.boot.contract.parties.len());
            let is_about = |found: &AttestationReport| {
                found.image.image == self.boot.image
                    && found.image.required == required
                    && found.policies == 1
                    && policy.predicate().is_some_and(|kind| kind.uri() == found.predicate_type)
            };
            let found = self.attested.iter().position(|(name, found)| *name == policy.name && is_about(found));
            let report = found.map(|index| self.attested.swap_remove(index).1);
            policies.push(PolicyReport { name: policy.name.clone(), report });
        }
        let image = self.image.report();
        let (image, token_refuses) = match self.token.map(ImageCheck::report) {
            None => (image, false),
            Some(token) => {
                let refuses = token.verdict() == Verdict::Rejected;
                (sources::agreed(&token, image), refuses)
            }
        };
        BootReport { platform: self.checks, image, policies, token_refuses, boot: self.boot }
    }
}

impl BootReport {
    /// Rejected if any claim fails; otherwise the worst of what the signatures and the policies say.
    pub fn verdict(&self) -> Verdict {
        if self.token_refuses || self.platform.iter().any(|check| check.outcome != Outcome::Passed) {
            return Verdict::Rejected;
        }
        let policies = self.policies.iter().map(PolicyReport::verdict);
        policies.fold(self.image.verdict(), Verdict::and)
    }

    /// The boot, if everything holds.
    ///
    /// # Errors
    /// The report itself, with its verdict.
    pub fn into_verified(self) -> Result<Verified<Boot>, Box<Refused<Self>>> {
        match self.verdict() {
            Verdict::Verified => Ok(Verified::new(self.boot)),
            verdict => Err(Box::new(Refused { verdict, report: self })),
        }
    }

    /// One table of every check, what passed and what was missing.
    pub fn table(&self) -> String {
        let mut rows: Vec<Vec<String>> = self
            .platform
            .iter()
            .map(|check| vec![check.outcome.word().to_owned(), check.subject.clone(), check.detail.clone()])
            .collect();
        party_rows("signature of", &self.image, &mut rows);
        for policy in &self.policies {
            match &policy.report {
                Some(report) => party_rows(&format!("{} by", policy.name), &report.image, &mut rows),
                None => {
                    let subject = format!("policy {}", policy.name);
                    rows.push(vec![Outcome::Unchecked.word().to_owned(), subject, "was not looked at".to_owned()]);
                }
            }
        }
        table(&["RESULT", "CHECK", "FOUND"], &rows)
    }
}

fn party_rows(what: &str, report: &ImageReport, rows: &mut Vec<Vec<String>>) {
    for row in &report.parties {
        let word = match row.status {
            PartyStatus::Signed { .. } => Outcome::Passed,
            PartyStatus::Unchecked => Outcome::Unchecked,
            _ => Outcome::Failed,
        };
        let detail = format!("{}: {}", row.status.word(), row.status.detail());
        rows.push(vec![word.word().to_owned(), format!("{what} {}", row.party), detail]);
    }
    for reason in &report.unchecked {
        rows.push(vec![Outcome::Unchecked.word().to_owned(), "registry".to_owned(), reason.clone()]);
    }
}

#[cfg(test)]
mod tests;
