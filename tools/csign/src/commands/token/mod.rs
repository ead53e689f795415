//! `csign token`: attestation tokens of Confidential Space: get one, look into one, verify one, compare two.

mod diff;
mod fetch;
mod inspect;
pub(crate) mod parts;
mod verify;

use clap::Subcommand;

use crate::context::{CommandResult, Context};

/// Get, look into, verify and compare attestation tokens
///
/// A token is a credential while it lives: no command prints one unless --show-token asks for it.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  csign token fetch --audience https://example.com -o token\n  csign token inspect token\n  csign token verify token --audience https://example.com --contract collaboration.toml\n  csign token diff before after"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    Fetch(fetch::Args),
    Inspect(inspect::Args),
    Verify(Box<verify::Args>),
    Diff(diff::Args),
}

pub(crate) async fn run(args: &Args, context: &Context) -> CommandResult {
    match &args.action {
        Action::Fetch(args) => fetch::run(args, context).await,
        Action::Inspect(args) => inspect::run(args, context),
        Action::Verify(args) => verify::run(args, context).await,
        Action::Diff(args) => diff::run(args, context),
    }
}
