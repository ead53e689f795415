//! `simulator up`: everything on one loopback port, until a signal.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use serde_json::json;
use simulator::Simulator;
use tokio::signal::unix::{SignalKind, signal};

use super::{
    ConfigArgs, Readers, Result,
    environment::{Clients, Environment},
    write,
};

/// Serve everything on one loopback port until SIGINT or SIGTERM
///
/// When it listens, prints its address and the environment for clients. What it prints contains access tokens of the
/// simulator, which are worth nothing elsewhere.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  simulator up --admin user:alice@example.com\n  simulator up --config simulator.toml --env-file simulator.env &\n  . ./simulator.env\n  simulator up --gcloud --env-file simulator.env &"
)]
pub(crate) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    /// Port to listen on (default: the configuration's, else one that the system picks)
    #[arg(long)]
    port: Option<u16>,
    /// Print an access token for this member, for instance user:alice@example.com; may be repeated
    #[arg(long, value_name = "MEMBER")]
    admin: Vec<String>,
    /// How clients find the simulator
    #[arg(long, value_enum, default_value_t = Clients::Tls)]
    clients: Clients,
    /// Put a `gcloud` first in the environment's PATH that works on the simulated cloud (see `simulator gcloud`)
    #[arg(long)]
    gcloud: bool,
    /// Print one JSON object, or only the environment as a shell reads it
    #[arg(long, value_enum, default_value_t = Output::Json)]
    output: Output,
    /// Also write the environment to this file, as a shell reads it; it appears when the simulator is ready
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
    /// Directory for the files that the environment names (default: one that is removed at the end)
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    Json,
    Env,
}

pub(crate) async fn run(args: Args) -> Result<ExitCode> {
    let mut terminate = signal(SignalKind::terminate())?;
    let change = |config: &mut simulator::Config| {
        if let Some(port) = args.port {
            config.port = port;
        }
    };
    let (simulator, config) = args.config.start(change).await?;
    let temporary = tempfile::Builder::new().prefix("simulator-").tempdir()?;
    let directory = match &args.directory {
        Some(directory) => {
            std::fs::create_dir_all(directory).map_err(|e| format!("creating {}: {e}", directory.display()))?;
            std::path::absolute(directory)?
        }
        None => temporary.path().to_owned(),
    };
    let mut environment = Environment::prepare(args.clients, &simulator, &config, &directory)?;
    if args.gcloud {
        environment.add_gcloud(&directory)?;
    }
    let text = match args.output {
        Output::Json => format!("{:#}\n", describe(&args, &simulator, &environment)?),
        Output::Env => environment.shell(),
    };
    io::stdout().write_all(text.as_bytes())?;
    io::stdout().flush()?;
    if let Some(path) = &args.env_file {
        write(path, environment.shell(), Readers::Owner)?;
    }
    tokio::select! {
        _ = terminate.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    let lost = simulator.audit_file_error();
    simulator.shutdown().await;
    match lost {
        Some(lost) => Err(format!("the audit log is incomplete: {lost}").into()),
        None => Ok(ExitCode::SUCCESS),
    }
}

fn describe(args: &Args, simulator: &Simulator, environment: &Environment) -> Result<serde_json::Value> {
    let mut tokens = serde_json::Map::new();
    for member in &args.admin {
        tokens.insert(member.clone(), simulator.admin_token(member)?.into());
    }
    Ok(json!({
        "address": simulator.address(),
        "page": format!("{}/simulator/", simulator.endpoint()),
        "environment": environment.json(),
        "issuer": simulator.issuer().name(),
        "issuer_key_thumbprints": simulator.issuer_key_thumbprints(),
        "ca": simulator.ca_pem(),
        "tokens": tokens,
    }))
}
