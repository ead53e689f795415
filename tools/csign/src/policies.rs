//! Rego policies as rules over attestations.

use std::path::PathBuf;

use csign_policy::{Decision, Policy, RegoVersion};
use csign_trust::{Judgement, StatementPolicy};

use crate::{
    context::{Context, read_text},
    failure::Failure,
};

/// Policies that every attestation must satisfy.
#[derive(clap::Args)]
pub(crate) struct PolicyArgs {
    /// Rego policy that every attestation must satisfy (data.signature.allow is true); give it once for each
    #[arg(long, value_name = "FILE")]
    policy: Vec<PathBuf>,
    /// Version of the policies: v0 is what cosign evaluates; auto takes v1 where a file says "import rego.v1"
    #[arg(long, value_name = "auto|v0|v1", default_value = "auto", requires = "policy")]
    rego: RegoVersion,
}

/// A policy file, ready to judge at a time.
pub(crate) struct RegoPolicy {
    name: String,
    policy: Policy,
    now: u64,
}

impl PolicyArgs {
    pub(crate) fn read(&self, context: &Context) -> Result<Vec<RegoPolicy>, Failure> {
        let read = |path: &PathBuf| {
            let name = path.display().to_string();
            let policy = Policy::parse(&name, &read_text(path)?, self.rego).map_err(|error| {
                let failure = Failure::usage(&error);
                match error.hint() {
                    Some(hint) => failure.hint(hint),
                    None => failure,
                }
            })?;
            Ok(RegoPolicy { name, policy, now: u64::try_from(context.now()).unwrap_or_default() })
        };
        self.policy.iter().map(read).collect()
    }
}

impl StatementPolicy for RegoPolicy {
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
