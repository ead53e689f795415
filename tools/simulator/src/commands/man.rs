//! `simulator man`: man pages.

use std::{
    fs,
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use super::{Readers, Result, Usage, write};

/// Write a man page for each command: simulator.1, simulator-up.1, …
///
/// Pages of the same names are replaced. With SOURCE_DATE_EPOCH they carry that date, otherwise none, so the same
/// simulator writes the same bytes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  simulator man --out ~/.local/share/man/man1 && man simulator-up")]
pub(crate) struct Args {
    /// Directory for the pages, made if it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let date = match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) if !text.is_empty() => {
            let wrong = || Usage(format!("SOURCE_DATE_EPOCH is {text:?}, not a number of seconds since 1970"));
            let seconds = text.parse().ok().filter(|seconds| *seconds <= LAST).ok_or_else(wrong)?;
            Some(csign_manual::date(seconds))
        }
        Ok(_) | Err(std::env::VarError::NotPresent) => None,
        Err(std::env::VarError::NotUnicode(_)) => return Err(Usage("SOURCE_DATE_EPOCH is not UTF-8".to_owned()).into()),
    };
    fs::create_dir_all(&args.out).map_err(|error| format!("creating {}: {error}", args.out.display()))?;
    let pages = crate::manual::manual();
    for page in &pages {
        write(&args.out.join(format!("{}.1", page.name())), page.man(date.as_deref()), Readers::Everyone)?;
    }
    writeln!(io::stdout(), "{} pages in {}", pages.len(), args.out.display())?;
    Ok(ExitCode::SUCCESS)
}

/// The end of the year 9999.
const LAST: u64 = 253_402_300_799;
