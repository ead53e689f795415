//! The simulator as a program: `simulator up`, `simulator demo`.

mod demo;

use std::{
    ffi::OsString,
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use simulator::{Config, Simulator, launcher};

/// Confidential Space and the Google APIs on one machine, for tests and demonstrations.
#[derive(Parser)]
#[command(name = "simulator", version, subcommand_required = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve everything on one loopback port until SIGINT or SIGTERM.
    ///
    /// Prints one JSON object with the address, the environment for csign, the issuer's key thumbprints and the tokens.
    /// Example: simulator up --admin user:alice@example.com
    Up(Up),
    Demo(demo::Args),
}

#[derive(clap::Args)]
struct Up {
    /// Configuration in JSON; everything has a default.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print an access token for this member, for instance user:alice@example.com; may be repeated.
    #[arg(long, value_name = "MEMBER")]
    admin: Vec<String>,
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
            Command::Up(up) => run(up).await,
            Command::Demo(args) => demo::run(args).await,
        }
    }) {
        Ok(code) => code,
        Err(error) => fail(&*error),
    }
}

fn fail(error: &dyn std::fmt::Display) -> ExitCode {
    let _ = writeln!(io::stderr(), "error: {error}");
    ExitCode::FAILURE
}

async fn run(up: Up) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let mut config = match up.config {
        Some(path) => {
            let text = std::fs::read_to_string(&path).map_err(|e| format!("reading {}: {e}", path.display()))?;
            serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))?
        }
        None => Config::default(),
    };
    if config.root_helper.is_none() {
        config.root_helper = std::env::current_exe().ok();
    }
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let simulator = Simulator::start(config).await?;
    let mut tokens = serde_json::Map::new();
    for member in up.admin {
        let token = simulator.admin_token(&member)?;
        tokens.insert(member, token.into());
    }
    let description = serde_json::json!({
        "address": simulator.address(),
        "environment": {"CSIGN_SIMULATOR": simulator.address()},
        "issuer": simulator.issuer().name(),
        "issuer_key_thumbprints": simulator.issuer_key_thumbprints(),
        "tokens": tokens,
    });
    writeln!(io::stdout(), "{description:#}")?;
    tokio::select! {
        _ = terminate.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    simulator.shutdown().await;
    Ok(ExitCode::SUCCESS)
}
