//! `csign policy`: check, test and try the policies that `verify-attestation --policy` asks.

mod check;
mod eval;
mod sources;
mod test;

use std::path::PathBuf;

use clap::Subcommand;
use csign_policy::RegoVersion;

use crate::context::{CommandResult, Context};

/// Check, test and try Rego policies over attestations
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  csign policy test policy\n  csign policy eval policy.rego --input statement.json")]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Run every rule called `test_…`; the files of one directory see each other
    #[command(after_help = "Example:\n  csign policy test policy/v0/custom")]
    Test(Files),
    /// Check syntax, calls and recursion; say which version of Rego each file is and whether it can allow anything
    #[command(after_help = "Example:\n  csign policy check policy.rego")]
    Check(Files),
    /// Decide about one statement, and say why not
    #[command(after_help = "Example:\n  csign policy eval policy.rego --input statement.json --now 1800000000")]
    Eval(eval::Args),
}

#[derive(clap::Args)]
struct Files {
    /// Policies, or directories of them
    #[arg(required = true, value_name = "DIR|FILE")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    rego: Rego,
}

#[derive(clap::Args)]
struct Rego {
    /// Version of Rego; auto is v0 unless the file says `import rego.v1`, as cosign reads it
    #[arg(long, value_name = "auto|v0|v1", default_value = "auto")]
    rego: RegoVersion,
}

pub(crate) fn run(args: &Args, context: &Context) -> CommandResult {
    match &args.action {
        Action::Test(files) => test::run(files, context),
        Action::Check(files) => check::run(files, context),
        Action::Eval(args) => eval::run(args, context),
    }
}
