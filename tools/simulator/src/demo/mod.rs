//! `simulator demo`: the whole collaboration on one machine, with the real programs: build, sign, approve, collect,
//! launch, process; then what must be refused. Nothing is stubbed: signatures, tokens, ciphertexts and images are real.

mod command;
mod cosign;
mod ledger;
mod patch;
mod refusals;
mod scene;
mod sources;
mod story;

use std::{path::PathBuf, process::ExitCode};

use ledger::Ledger;
use scene::Scene;

/// What the demo's steps return: an error ends the demo, a step that came out otherwise than it must is only noted.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Play a whole collaboration on this machine and print what came out as a table
///
/// Builds the workload's image, signs, approves, collects, launches and processes messages, then shows what is refused.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  cargo run --release -p simulator -- demo --quick\n\nExit status:\n  0  every step came out as it must\n  1  one did not, and the table says which\n  2  usage: called wrongly"
)]
pub(crate) struct Args {
    /// Leave out collaborator 1's own rebuild, which takes as long as the first build
    #[arg(long)]
    quick: bool,
    /// Keep all files here for a look (default: a directory that is removed)
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// The checkout to build from (default: the one that cargo runs this from, else the current directory)
    #[arg(long, value_name = "DIR")]
    source: Option<PathBuf>,
    /// A csign that is built already (default: cargo builds it)
    #[arg(long, value_name = "FILE")]
    csign: Option<PathBuf>,
}

/// Plays the demo.
pub(crate) async fn run(args: Args) -> Result<ExitCode> {
    let mut ledger = Ledger::default();
    if let Err(error) = play(&args, &mut ledger).await {
        ledger.stop(&error.to_string());
    }
    std::io::Write::write_all(&mut std::io::stdout(), ledger.table().as_bytes())?;
    Ok(if ledger.all_as_expected() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn play(args: &Args, ledger: &mut Ledger) -> Result<()> {
    let scene = Scene::set(args, ledger).await?;
    let image = story::agree(&scene, args.quick, ledger).await?;
    let running = story::launch(&scene, &image, ledger).await?;
    story::count(&scene, &running, ledger).await?;
    refusals::messages(&scene, &running, ledger).await?;
    story::stop(&running, ledger).await?;
    refusals::images(&scene, &image, ledger).await?;
    scene.keep(ledger);
    Ok(())
}
