//! `csign man`: man pages.

use std::{fs, path::PathBuf};

use csign_trust::ExitStatus;
use serde::Serialize;

use crate::{
    context::{CommandResult, Context, write},
    failure::Failure,
};

/// Write a man page for each command: csign.1, csign-sign.1, …
///
/// Pages of the same names are replaced. With SOURCE_DATE_EPOCH they carry that date, otherwise none, so the same csign
/// writes the same bytes.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  csign man --out ~/.local/share/man/man1 && man csign-verify")]
pub(crate) struct Args {
    /// Directory for the pages, made if it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

#[derive(Serialize)]
struct Written {
    pages: Vec<PathBuf>,
}

pub(crate) fn run(args: &Args, context: &Context) -> CommandResult {
    let date = context.environment.source_date_epoch.map(csign_manual::date);
    fs::create_dir_all(&args.out).map_err(|error| Failure::writing(&args.out, &error))?;
    let mut pages = Vec::new();
    for page in crate::manual() {
        let path = args.out.join(format!("{}.1", page.name()));
        write(&path, page.man(date.as_deref()).as_bytes(), true)?;
        pages.push(path);
    }
    let written = Written { pages };
    context.print(&written, || format!("{} pages in {}", written.pages.len(), args.out.display()))?;
    Ok(ExitStatus::Success)
}
