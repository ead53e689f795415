//! May the workload start? The token must verify, the machine must be what the contract asks for, and the parties must
//! have signed the image that the token names.

use csign_attestation::{Claims, Expected, Keys, Override, TokenError, verify};
use csign_contract::{Contract, SIMULATOR_VARIABLE};
use csign_oci::{Pinned, Reference};
use serde::Serialize;

use crate::{
    Check, ImageCheck, ImageReport, PartyStatus, Refused, Roster, TokenSignature, Verdict, Verified,
    report::{Outcome, printable, table},
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
}

/// Everything that was found out at boot.
#[derive(Clone, Debug, Serialize)]
pub struct BootReport {
    /// The platform and the operator, claim by claim.
    pub platform: Vec<Check>,
    /// The parties' signatures.
    pub image: ImageReport,
    #[serde(skip)]
    boot: Boot,
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
        let checks = platform(contract, &claims);
        // 3.
        let pinned = contract.image.repository.at(claims.container.image_digest);
        let mut image = ImageCheck::new(&pinned, roster);
        for found in &claims.container.image_signatures {
            image.token_signature(&TokenSignature {
                key_id: found.key_id,
                signature: &found.signature,
                algorithm: &found.signature_algorithm,
            });
        }
        Self { boot: Boot { contract: contract.clone(), image: pinned, claims }, checks, image }
    }

    /// The image whose signatures decide.
    pub const fn pinned(&self) -> &Pinned {
        &self.boot.image
    }

    /// Takes further evidence: the `.sig` tag's layers, and bundles.
    pub const fn image(&mut self) -> &mut ImageCheck<'r> {
        &mut self.image
    }

    /// Does the platform hold, so that fetching further signatures makes sense?
    pub fn platform_holds(&self) -> bool {
        self.checks.iter().all(|check| check.outcome == Outcome::Passed)
    }

    /// What was found out.
    pub fn report(self) -> BootReport {
        BootReport { platform: self.checks, image: self.image.report(), boot: self.boot }
    }
}

impl BootReport {
    /// Rejected if any claim fails; otherwise what the signatures say.
    pub fn verdict(&self) -> Verdict {
        if self.platform.iter().all(|check| check.outcome == Outcome::Passed) {
            self.image.verdict()
        } else {
            Verdict::Rejected
        }
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
        for row in &self.image.parties {
            let word = match row.status {
                PartyStatus::Signed { .. } => Outcome::Passed,
                PartyStatus::Unchecked => Outcome::Unchecked,
                _ => Outcome::Failed,
            };
            let detail = format!("{}: {}", row.status.word(), row.status.detail());
            rows.push(vec![word.word().to_owned(), format!("signature of {}", row.party), detail]);
        }
        for reason in &self.image.unchecked {
            rows.push(vec![Outcome::Unchecked.word().to_owned(), "registry".to_owned(), reason.clone()]);
        }
        table(&["RESULT", "CHECK", "FOUND"], &rows)
    }
}

/// Every claim that decides, held against the contract.
fn platform(contract: &Contract, claims: &Claims) -> Vec<Check> {
    let want = |subject: &str, holds: bool, got: &str, want: &str| {
        let got = printable(got, 160);
        Check::new(subject, holds, if holds { got } else { format!("{got}, not {want}") })
    };
    let equals = |subject: &str, got: &str, wanted: &str| want(subject, got == wanted, got, wanted);
    let support = contract.platform.support.name();
    let attributes = claims.support_attributes.as_deref();
    let attributes_text = attributes.map_or_else(|| "none (a debug image)".to_owned(), |list| list.join(", "));
    let accounts = &claims.google_service_accounts;
    let account = contract.operator.service_account.as_str();
    let listed = |list: &[String], item: &str| list.iter().any(|text| text == item);
    let container = &claims.container;
    let pinned = contract.image.repository.at(container.image_digest);
    let is_pinned =
        Reference::parse(&container.image_reference).is_ok_and(|found| found == Reference::Pinned(pinned.clone()));
    vec![
        equals("swname", &claims.swname, "CONFIDENTIAL_SPACE"),
        want(
            "hwmodel",
            listed(&contract.platform.hardware, &claims.hwmodel),
            &claims.hwmodel,
            &contract.platform.hardware.join(" or "),
        ),
        want("secboot", claims.secboot, &claims.secboot.to_string(), "true"),
        equals("dbgstat", &claims.dbgstat, "disabled-since-boot"),
        want(
            "support_attributes",
            attributes.is_some_and(|list| listed(list, support)),
            &attributes_text,
            &format!("with {support}"),
        ),
        equals("project_id", &claims.gce.project_id, &contract.operator.project_id),
        want("service account", listed(accounts, account), &accounts.join(", "), account),
        want("image_reference", is_pinned, &container.image_reference, &pinned.to_string()),
        want("cmd_override", container.cmd_override.is_empty(), "the operator's", "empty"),
        env_override(contract, &container.env_override),
    ]
}

/// The operator may override nothing, but for the simulator's address under a simulated contract.
fn env_override(contract: &Contract, found: &Override) -> Check {
    let names: Vec<&str> = match found {
        Override::Absent | Override::Null => Vec::new(),
        Override::Object(members) => members.keys().map(String::as_str).collect(),
        Override::Array(words) => {
            words.iter().map(|word| word.split_once('=').map_or(word.as_str(), |(name, _)| name)).collect()
        }
    };
    let allowed = |name: &&str| contract.environment.is_simulated() && *name == SIMULATOR_VARIABLE;
    let foreign: Vec<&str> = names.iter().filter(|name| !allowed(name)).copied().collect();
    let found = if names.is_empty() { "none".to_owned() } else { printable(&names.join(", "), 160) };
    let detail = if foreign.is_empty() {
        found
    } else {
        format!("{}: the operator may not set it", printable(&foreign.join(", "), 160))
    };
    Check::new("env_override", foreign.is_empty(), detail)
}

#[cfg(test)]
mod tests;
