//! `csign diff`: what differs in two images, and why.

use std::{
    io::IsTerminal as _,
    path::{Path, PathBuf},
};

use csign_diff::{DiffError, Limits, Options, Platform, Report, Source, Style};
use csign_oci::Reference;
use csign_trust::ExitStatus;

use crate::{
    context::{CommandResult, Context, Output, write},
    failure::Failure,
    progress,
    registry_source::RegistrySource,
};

/// Show what differs in two images, down to the bytes, and the likely cause
///
/// An image is an OCI layout directory, an archive of one, a docker save archive (gzip'ed or not), or a reference. Layers
/// of one digest are not looked at; every other one is held against its digest before anything is concluded.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  csign diff expected image\n  csign diff registry.example/team/app@sha256:… image\n  csign diff --platform linux/amd64 app-v1.tar app-v2.tar.gz\n  csign diff expected image --output json\n  csign diff expected image --html difference.html\n\nExit status:\n  0  the same digest\n  1  different\n  2  called wrongly\n  3  could not compare"
)]
pub(crate) struct Args {
    /// Expected image
    #[arg(value_name = "A")]
    a: String,
    /// Image that was found
    #[arg(value_name = "B")]
    b: String,
    /// Write a page with a side-by-side view, too; it needs nothing but a browser
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Compare only this platform of an index of several
    #[arg(long, value_name = "OS/ARCHITECTURE")]
    platform: Option<Platform>,
    /// Most bytes of one layer after decompression
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().unpacked)]
    max_unpacked: u64,
    /// Most bytes of temporary files for one layer, on each side
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().spool)]
    max_temporary: u64,
    /// Most entries of one layer
    #[arg(long, value_name = "COUNT", default_value_t = Limits::default().entries)]
    max_entries: u64,
    /// Most layers of one image
    #[arg(long, value_name = "COUNT", default_value_t = Limits::default().layers)]
    max_layers: usize,
    /// Most bytes of memory that a zstd frame may ask for
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().zstd_window)]
    max_window: u64,
    /// Most files of one layer that are listed
    #[arg(long, value_name = "COUNT", default_value_t = Limits::default().children)]
    max_differences: usize,
    /// Most lines of the tree that are printed as text
    #[arg(long, value_name = "COUNT", default_value_t = 1000)]
    max_lines: usize,
}

pub(crate) async fn run(args: &Args, context: &Context) -> CommandResult {
    let limits = Limits {
        unpacked: args.max_unpacked,
        spool: args.max_temporary,
        entries: args.max_entries,
        layers: args.max_layers,
        zstd_window: args.max_window,
        children: args.max_differences,
        ..Limits::default()
    };
    let report = compare(&args.a, &args.b, limits, args.platform.clone(), context).await?;
    if let Some(path) = &args.html {
        let mut page = Vec::new();
        csign_diff::html(&report, &mut page).map_err(|error| Failure::writing(path, &error))?;
        write(path, &page, true)?;
    }
    let color = context.output == Output::Text && !context.environment.no_color && std::io::stdout().is_terminal();
    context.print(&report, || csign_diff::text(&report, &Style { color, lines: args.max_lines }))?;
    Ok(match (report.identical, report.incomplete.is_empty()) {
        (true, _) => ExitStatus::Success,
        (false, true) => ExitStatus::Rejected,
        (false, false) => ExitStatus::CouldNotCheck,
    })
}

/// Compares two images as a person names them.
pub(crate) async fn compare(
    a: &str,
    b: &str,
    limits: Limits,
    platform: Option<Platform>,
    context: &Context,
) -> Result<Report, Failure> {
    let (a, b) = (open(a, &limits, context).await?, open(b, &limits, context).await?);
    let bar = progress::bar(context, "comparing", 0);
    let advance = bar.advance_after_a_second();
    // A thread of its own: sources in a registry are asked from there, and this one answers.
    let compared = tokio::task::spawn_blocking(move || {
        let options = Options { limits, platform: platform.as_ref(), progress: &advance };
        csign_diff::compare(&*a, &*b, &options)
    });
    let compared = compared.await.map_err(|_| Failure::could_not_check("the comparison was interrupted"))?;
    bar.finish();
    Ok(compared?)
}

/// What is a path is no reference: a directory or file of that name wins.
async fn open(name: &str, limits: &Limits, context: &Context) -> Result<Box<dyn Source>, Failure> {
    let stated = ["oci:", "oci-archive:", "docker-archive:"].iter().find_map(|prefix| name.strip_prefix(prefix));
    let path = Path::new(stated.unwrap_or(name));
    if stated.is_some() || path.exists() || name.starts_with(['.', '/']) {
        return Ok(csign_diff::open(name, path, limits)?);
    }
    let reference: Reference = Reference::parse(name).map_err(|error| {
        Failure::usage(format_args!("{name:?} is neither a file nor a directory nor a reference: {error}"))
            .hint("csign diff takes layout directories, archives and registry.example/name:tag or @sha256:…")
    })?;
    let client = context.registry()?;
    let image = context.resolve(&client, &reference).await?;
    Ok(Box::new(RegistrySource::open(client, image, *limits).await?))
}

impl From<DiffError> for Failure {
    fn from(error: DiffError) -> Self {
        let failure = if error.is_usage() { Self::usage(&error) } else { Self::could_not_check(&error) };
        failure.hint(error.hint())
    }
}
