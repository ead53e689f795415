//! `csign completions`: shell completions.

use csign_trust::ExitStatus;

use crate::context::{CommandResult, Context, write_stdout};

/// Print shell completions
#[derive(clap::Args)]
#[command(after_help = "Example:\n  csign completions bash > /etc/bash_completion.d/csign")]
pub(crate) struct Args {
    /// The shell that they are for
    shell: clap_complete::Shell,
}

pub(crate) fn run(args: &Args, _: &Context) -> CommandResult {
    let mut out = Vec::new();
    clap_complete::generate(args.shell, &mut crate::command(), "csign", &mut out);
    write_stdout(&out)?;
    Ok(ExitStatus::Success)
}
