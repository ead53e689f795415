//! The commands and the options that all of them have.

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use csign_trust::ExitStatus;

use crate::{
    commands::*,
    context::{CommandResult, Context, Environment, Output},
};

/// Exit statuses, printed under every help text.
const AFTER_HELP: &str = "\
Exit status:
  0  done; what was to be verified is verified
  1  rejected: checked, and not to be trusted
  2  usage: called wrongly, or a file that makes no sense
  3  could not check: a registry, a key service or the disk did not answer";

/// Parties who do not trust each other agree on one container image: build it, sign it, verify that all of them did.
#[derive(Parser)]
#[command(name = "csign", version, after_help = AFTER_HELP, propagate_version = true)]
struct Cli {
    /// How results are printed on stdout
    #[arg(long, global = true, value_enum, default_value_t = Output::Text, value_name = "FORMAT")]
    output: Output,
    /// Print results and errors only
    #[arg(long, short, global = true)]
    quiet: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Init(init::Args),
    Contract(contract::Args),
    GenerateKeyPair(generate_key_pair::Args),
    ImportKeyPair(import_key_pair::Args),
    PublicKey(public_key::Args),
    Build(build::Args),
    Push(push::Args),
    Pull(pull::Args),
    Diff(diff::Args),
    Digest(digest::Args),
    Sign(sign::Args),
    Request(request::Args),
    Rebuild(Box<rebuild::Args>),
    Approve(approve::Args),
    Collect(collect::Args),
    Attach(Box<attach::Args>),
    Attest(Box<attest::Args>),
    Generate(generate::Args),
    Verify(Box<verify::Args>),
    VerifyAttestation(Box<verify_attestation::Args>),
    Token(token::Args),
    Tree(tree::Args),
    Policy(policy::Args),
    Lint(Box<lint::Args>),
    Explain(Box<explain::Args>),
    Preflight(Box<preflight::Args>),
    Sbom(sbom::Args),
    Provenance(Box<provenance::Args>),
    Download(download::Args),
    Triangulate(triangulate::Args),
    Copy(copy::Args),
    Save(save::Args),
    Load(load::Args),
    Clean(clean::Args),
    Render(Box<render::Args>),
    Rotate(Box<rotate::Args>),
    Publish(publish::Args),
    Connect(Box<connect::Args>),
    Completions(completions::Args),
    Man(man::Args),
}

/// The command line as clap knows it, for completions and the reference.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the command of this process's arguments.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let result = Environment::from_process().and_then(|environment| {
        let context = Context { output: cli.output, environment, quiet: cli.quiet };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| crate::failure::Failure::could_not_check(format_args!("starting: {error}")))?;
        runtime.block_on(dispatch(cli.command, &context))
    });
    match result {
        Ok(status) => status.into(),
        Err(failure) => {
            let _ = std::io::Write::write_all(&mut std::io::stderr(), failure.text().as_bytes());
            let status: ExitStatus = failure.status;
            status.into()
        }
    }
}

async fn dispatch(command: Command, context: &Context) -> CommandResult {
    match command {
        Command::Init(args) => init::run(&args, context),
        Command::Contract(args) => contract::run(&args, context),
        Command::GenerateKeyPair(args) => generate_key_pair::run(&args, context).await,
        Command::ImportKeyPair(args) => import_key_pair::run(&args, context),
        Command::PublicKey(args) => public_key::run(&args, context).await,
        Command::Build(args) => build::run(&args, context),
        Command::Push(args) => push::run(&args, context).await,
        Command::Pull(args) => pull::run(&args, context).await,
        Command::Diff(args) => diff::run(&args, context).await,
        Command::Digest(args) => digest::run(&args, context).await,
        Command::Sign(args) => sign::run(&args, context).await,
        Command::Request(args) => request::run(&args, context),
        Command::Rebuild(args) => rebuild::run(&args, context).await,
        Command::Approve(args) => approve::run(&args, context).await,
        Command::Collect(args) => collect::run(&args, context).await,
        Command::Attach(args) => attach::run(&args, context).await,
        Command::Attest(args) => attest::run(&args, context).await,
        Command::Generate(args) => generate::run(&args, context),
        Command::Verify(args) => verify::run(&args, context).await,
        Command::VerifyAttestation(args) => verify_attestation::run(&args, context).await,
        Command::Token(args) => token::run(&args, context).await,
        Command::Tree(args) => tree::run(&args, context).await,
        Command::Policy(args) => policy::run(&args, context),
        Command::Lint(args) => lint::run(&args, context).await,
        Command::Explain(args) => explain::run(&args, context).await,
        Command::Preflight(args) => preflight::run(&args, context).await,
        Command::Sbom(args) => sbom::run(&args, context),
        Command::Provenance(args) => provenance::run(&args, context),
        Command::Download(args) => download::run(&args, context).await,
        Command::Triangulate(args) => triangulate::run(&args, context).await,
        Command::Copy(args) => copy::run(&args, context).await,
        Command::Save(args) => save::run(&args, context).await,
        Command::Load(args) => load::run(&args, context).await,
        Command::Clean(args) => clean::run(&args, context).await,
        Command::Render(args) => render::run(&args, context),
        Command::Rotate(args) => rotate::run(&args, context),
        Command::Publish(args) => publish::run(&args, context).await,
        Command::Connect(args) => connect::run(&args, context).await,
        Command::Completions(args) => completions::run(&args, context),
        Command::Man(args) => man::run(&args, context),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_consistent_and_every_command_has_an_example() {
        let command = super::command();
        command.clone().debug_assert();
        for sub in command.get_subcommands() {
            let examples = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(examples.contains("csign "), "{} has no example", sub.get_name());
        }
    }
}
