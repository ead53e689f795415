//! `csign policy eval`: what does a policy say about a statement?

use std::{
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use csign_policy::Decision;
use csign_trust::ExitStatus;

use super::{Rego, sources};
use crate::{
    context::{CommandResult, Context, read},
    failure::Failure,
};

#[derive(clap::Args)]
pub(super) struct Args {
    /// The policy; several files see each other
    #[arg(required = true, value_name = "FILE")]
    policies: Vec<PathBuf>,
    /// The in-toto statement; - is stdin
    #[arg(long, value_name = "STATEMENT")]
    input: PathBuf,
    /// What time.now_ns() is, in seconds since 1970 (default: now)
    #[arg(long, value_name = "SECONDS")]
    now: Option<u64>,
    #[command(flatten)]
    rego: Rego,
}

pub(super) fn run(args: &Args, context: &Context) -> CommandResult {
    let unit: sources::Unit = sources::units(&args.policies)?.into_iter().flatten().collect();
    let policy = sources::parse(&unit, args.rego.rego)?;
    let now = match args.now {
        Some(now) => now,
        None => SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_err(|_| Failure::could_not_check("the clock says that it is before 1970"))?
            .as_secs(),
    };
    let decision = policy.evaluate(&read(&args.input)?, now)?;
    context.print(&decision, || match &decision {
        Decision::Allowed => "ALLOWED\n".to_owned(),
        Decision::Refused { reasons } => {
            reasons.iter().map(|reason| format!("{reason}\n")).chain(["REFUSED\n".to_owned()]).collect()
        }
    })?;
    Ok(match decision {
        Decision::Allowed => ExitStatus::Success,
        Decision::Refused { .. } => ExitStatus::Rejected,
    })
}
