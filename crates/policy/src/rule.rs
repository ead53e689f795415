//! Policies as rules over attestations, and the policies that a contract brings: what `csign verify-attestation`, `csign
//! verify` and the workload's boot hold against what parties attested.

use csign_contract::{Contract, PolicyRule};
use csign_envelope::PredicateType;
use csign_oci::Pinned;
use csign_trust::{AttestationCheck, BootPolicy, Judgement, Roster, RosterError, Signer, StatementPolicy};

use crate::{Decision, Policy, PolicyError, RegoVersion};

/// A policy that judges statements at a fixed time.
#[derive(Debug)]
pub struct RegoRule {
    name: String,
    policy: Policy,
    now: u64,
}

impl RegoRule {
    /// The policy under the name that reports show; `now` is in seconds since 1970.
    pub fn new(name: impl Into<String>, policy: Policy, now: u64) -> Self {
        Self { name: name.into(), policy, now }
    }
}

impl StatementPolicy for RegoRule {
    fn name(&self) -> &str {
        &self.name
    }

    /// What cannot be evaluated is refused.
    fn judge(&self, statement: &[u8]) -> Judgement {
        match self.policy.evaluate(statement, self.now) {
            Ok(Decision::Allowed) => Judgement::Allowed,
            Ok(Decision::Refused { reasons }) => {
                Judgement::Refused(reasons.iter().map(|reason| reason.to_string().replace("\n ", ";")).collect())
            }
            Err(error) => Judgement::Refused(vec![error.to_string()]),
        }
    }
}

/// One policy of a contract: who must have attested what, and what it must say.
#[derive(Debug)]
pub struct ContractPolicy {
    predicate: PredicateType,
    roster: Roster,
    rule: RegoRule,
}

/// Why a contract's policy makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum ContractPolicyError {
    /// Its text is no policy.
    #[error("the contract's policy {name}: {source}")]
    Rego {
        /// The policy's name.
        name: String,
        /// What is wrong.
        #[source]
        source: Box<PolicyError>,
    },
    /// It says nothing about what is asked, so it would refuse everything.
    #[error("the contract's policy {0} does not define data.signature.allow (package signature, rule allow)")]
    Silent(String),
    /// Its predicate type is none.
    #[error("the contract's policy {0} has an unknown predicate type")]
    Predicate(String),
    /// Its threshold cannot be met.
    #[error("the contract's policy {name}: {source}")]
    Roster {
        /// The policy's name.
        name: String,
        /// What is wrong.
        #[source]
        source: RosterError,
    },
}

impl ContractPolicy {
    /// The policies of a contract, in its order, parsed and checked. `now` is in seconds since 1970.
    ///
    /// # Errors
    /// A policy that no attestation could satisfy: see [`ContractPolicyError`].
    pub fn of_contract(contract: &Contract, now: u64) -> Result<Vec<Self>, ContractPolicyError> {
        contract.policies.iter().map(|policy| Self::new(contract, policy, now)).collect()
    }

    fn new(contract: &Contract, policy: &PolicyRule, now: u64) -> Result<Self, ContractPolicyError> {
        let name = || policy.name.clone();
        let version = match policy.rego_version {
            csign_contract::RegoVersion::Auto => RegoVersion::Auto,
            csign_contract::RegoVersion::V0 => RegoVersion::V0,
            csign_contract::RegoVersion::V1 => RegoVersion::V1,
        };
        let parsed = Policy::parse(&policy.name, &policy.rego, version)
            .map_err(|source| ContractPolicyError::Rego { name: name(), source: Box::new(source) })?;
        if !parsed.allows() {
            return Err(ContractPolicyError::Silent(name()));
        }
        let signers = contract.parties.iter().map(|party| Signer::with_key(&party.name, party.public_key.clone()));
        let roster = Roster::new(signers.collect(), policy.threshold.unwrap_or(contract.signatures.threshold))
            .map_err(|source| ContractPolicyError::Roster { name: name(), source })?;
        let predicate = policy.predicate().ok_or_else(|| ContractPolicyError::Predicate(name()))?;
        Ok(Self { predicate, roster, rule: RegoRule::new(&policy.name, parsed, now) })
    }
}

impl BootPolicy for ContractPolicy {
    fn name(&self) -> &str {
        self.rule.name()
    }

    fn check(&self, image: &Pinned) -> AttestationCheck<'_> {
        AttestationCheck::new(image, &self.roster, &self.predicate, [&self.rule as &dyn StatementPolicy])
    }
}
