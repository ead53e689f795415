//! Rego policies as rules over attestations.

use std::path::PathBuf;

use csign_policy::{Policy, RegoRule, RegoVersion};

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

impl PolicyArgs {
    pub(crate) fn read(&self, context: &Context) -> Result<Vec<RegoRule>, Failure> {
        let read = |path: &PathBuf| {
            let name = path.display().to_string();
            let policy = Policy::parse(&name, &read_text(path)?, self.rego).map_err(|error| {
                let failure = Failure::usage(&error);
                match error.hint() {
                    Some(hint) => failure.hint(hint),
                    None => failure,
                }
            })?;
            Ok(RegoRule::new(name, policy, u64::try_from(context.now()).unwrap_or_default()))
        };
        self.policy.iter().map(read).collect()
    }
}
