//! `simulator init`: a configuration to start from.

use std::{
    fs::OpenOptions,
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use super::Result;

const EXAMPLE: &str = include_str!("../../simulator.toml");

/// Print a configuration in which every setting is explained
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  simulator init simulator.toml && simulator up --config simulator.toml")]
pub(crate) struct Args {
    /// Write it to this file, which must not exist yet (default: print it)
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    match &args.file {
        None => io::stdout().write_all(EXAMPLE.as_bytes())?,
        Some(path) => {
            let doing = |e: io::Error| format!("writing {}: {e}", path.display());
            let mut file = OpenOptions::new().write(true).create_new(true).open(path).map_err(doing)?;
            file.write_all(EXAMPLE.as_bytes()).map_err(doing)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
