//! The simulator as a program: `simulator up`, `run`, `gcloud`, `audit`, `init`, `demo`, `man`.

mod commands;
mod demo;
mod manual;

use std::{
    ffi::OsString,
    io::{self, Write as _},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use simulator::launcher;

use crate::commands::{Usage, audit, gcloud, init, man, run, up};

/// Exit statuses, printed under the help text.
const AFTER_HELP: &str = "\
Exit status:
  0  done
  2  usage: called wrongly, or a configuration that makes no sense
  3  could not be done: a file or port could not be used, or no simulator answered";

/// Confidential Space and the Google APIs on one machine, for tests and demonstrations.
#[derive(Parser)]
#[command(name = "simulator", version, after_help = AFTER_HELP, subcommand_required = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Up(up::Args),
    Run(run::Args),
    Gcloud(gcloud::Args),
    Audit(audit::Args),
    Init(init::Args),
    Demo(demo::Args),
    Man(man::Args),
}

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    // Before anything starts a thread: this process is about to become another program.
    if let Some(code) = launcher::enter_root(&args) {
        return code;
    }
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    match runtime.block_on(async {
        match cli.command {
            Command::Up(args) => up::run(args).await,
            Command::Run(args) => run::run(args).await,
            Command::Gcloud(args) => gcloud::run(args).await,
            Command::Audit(args) => audit::run(args).await,
            Command::Init(args) => init::run(&args),
            Command::Demo(args) => demo::run(args).await,
            Command::Man(args) => man::run(&args),
        }
    }) {
        Ok(code) => code,
        Err(error) => fail(&*error),
    }
}

/// 2 for what the caller can mend in a file or an argument, 3 for all else that kept the command from being done.
fn fail(error: &(dyn std::error::Error + 'static)) -> ExitCode {
    let _ = writeln!(io::stderr(), "error: {error}");
    ExitCode::from(if error.is::<Usage>() { 2 } else { 3 })
}
