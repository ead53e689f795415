//! `csign rebuild`: the image of a request, from its sources, by a party that will answer for it.

use std::path::{Path, PathBuf};

use csign_diff::{Limits, Report, Style};
use csign_oci::{Digest, Layout, Pinned};
use csign_trust::{
    ExitStatus,
    exchange::{RebuildRecord, Request},
    report::printable,
};
use serde_json::json;

use super::{ContractArgs, diff::compare};
use crate::{
    context::{CommandResult, Context, read, write},
    failure::Failure,
    rebuild::{Interrupt, Order, Origin, Rebuilt, Work},
};

/// Lines of a comparison that are printed; csign diff prints more.
const LINES: usize = 60;

/// Rebuild a request's image from its commit, without a network, and compare digests
///
/// The commit is checked out into a fresh directory, what it needs is fetched, and the contract's recipe runs in a network
/// namespace of its own. The same digest: the layout and a record for csign approve are written. Another digest: exit status
/// 1, and what differs with the likely causes. docs/rebuild.md says what this isolates and what not.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  csign rebuild request.json --from https://git.example/team/app.git\n  csign rebuild request.json --from ../app --out rebuilt --record rebuild.json\n  csign rebuild request.json --from app.bundle --against builder.tar --diff difference.html"
)]
pub(crate) struct Args {
    /// The builder's request
    #[arg(value_name = "REQUEST")]
    request: PathBuf,
    #[command(flatten)]
    contract: ContractArgs,
    /// Where the commit is: https://…, ssh://…, git://…, a clone on this machine, a file by git bundle,
    /// or an archive by git archive
    #[arg(long, value_name = "URL|DIR")]
    from: Option<String>,
    /// Commit to build, for a request that names none; the approval then says that it is yours
    #[arg(long, value_name = "COMMIT")]
    revision: Option<String>,
    /// Fetch submodules, each at the commit that the revision pins
    #[arg(long)]
    submodules: bool,
    /// Package whose binary becomes the image's program
    #[arg(long, value_name = "NAME", default_value = "workload")]
    package: String,
    /// Layout directory to write
    #[arg(long, short, value_name = "DIR", default_value = "rebuilt")]
    out: PathBuf,
    /// Where to write the record that csign approve takes
    #[arg(long, value_name = "FILE", default_value = "rebuild.json")]
    record: PathBuf,
    /// Directory to work in; a fresh one inside is used (default: where temporary files are)
    #[arg(long, value_name = "DIR")]
    work: Option<PathBuf>,
    /// Keep the directory with sources and build results
    #[arg(long)]
    keep: bool,
    /// Number of parallel jobs (default: what cargo or Bazel chooses)
    #[arg(long, short, value_name = "N")]
    jobs: Option<usize>,
    /// Cargo's home directory, as it is (default: a fresh one; downloads of yours are taken over if their checksums fit)
    #[arg(long, value_name = "DIR")]
    cargo_home: Option<PathBuf>,
    /// Fetch nothing: the commit is on this machine, and cargo has all crates already
    #[arg(long)]
    offline: bool,
    /// Bazel to run, for contracts with the recipe bazel (default: the one in PATH)
    #[arg(long, value_name = "FILE")]
    bazel: Option<PathBuf>,
    /// What to compare with if the digest differs: the builder's layout, archive or image (default: the request's image in
    /// its registry)
    #[arg(long, value_name = "LAYOUT|REFERENCE")]
    against: Option<String>,
    /// Where to write the whole comparison if the digest differs: a page (FILE.html), or JSON
    #[arg(long, value_name = "FILE")]
    diff: Option<PathBuf>,
}

pub(crate) async fn run(args: &Args, context: &Context) -> CommandResult {
    let contract = context.contract(&args.contract.contract, args.contract.allow_simulated)?;
    let request_file = read(&args.request)?;
    let request = Request::parse(&request_file)?;
    let image = request.check(&contract)?;
    let origin = Origin::parse(args.from.as_deref().ok_or_else(|| no_place(&request))?)?;
    if args.offline && !origin.is_local() {
        return Err(Failure::usage("--offline needs --from DIR: a repository on this machine"));
    }
    if request.source.modified {
        context.note("warning: the builder's sources differed from their commit; hardly the same digest will come out");
    }
    // cargo runs in another directory than this one.
    let cargo_home = args.cargo_home.as_deref().map(std::path::absolute).transpose().map_err(Failure::usage)?;
    let started = context.timestamp()?;
    let interrupt = Interrupt::watch()?;
    let work = Work::new(args.work.as_deref(), args.keep)?;
    if let Some(directory) = work.kept() {
        context.note(format_args!("working in {}, which is kept", directory.display()));
    }
    let order = Order {
        contract: &contract,
        request: &request,
        request_file: &request_file,
        origin: &origin,
        revision: args.revision.as_deref(),
        submodules: args.submodules,
        package: &args.package,
        cargo_home: cargo_home.as_deref(),
        network: !args.offline,
        jobs: args.jobs,
        bazel: args.bazel.as_deref(),
    };
    let rebuilt = order.rebuild(&work, &interrupt, context)?;
    copy(&rebuilt, &args.out)?;
    drop(work);
    interrupt.nothing_left();
    if rebuilt.digest != image.digest {
        return differs(args, &image, rebuilt.digest, context).await;
    }
    let times = [started, context.timestamp()?];
    let record = RebuildRecord::new(&image, rebuilt.reproduced, rebuilt.environment, times);
    // Nothing is stated that approve would refuse.
    record.check(&contract, &request, &request_file)?;
    write(&args.record, record.to_text()?.as_bytes(), true)?;
    let data = json!({"same": true, "image": image, "layout": args.out, "record": args.record, "rebuild": record});
    context.print(&data, || {
        format!("the same digest: {image}\nsign it with csign approve --rebuilt {}", args.record.display())
    })?;
    Ok(ExitStatus::Success)
}

/// The builder may name a place, but whoever rebuilds decides what is fetched from where.
fn no_place(request: &Request) -> Failure {
    let failure = Failure::usage("--from says where the sources are");
    match &request.source.repository {
        Some(place) => failure.hint(format_args!("the request says: {}", printable(place, 200))),
        None => failure.hint("ask the builder; the request does not say"),
    }
}

/// The layout where the caller wants it, whole or not at all.
fn copy(rebuilt: &Rebuilt, to: &Path) -> Result<(), Failure> {
    let layout = Layout::open(&rebuilt.layout)?;
    let (descriptor, manifest) = layout.image()?;
    let copy = Layout::create(to)?;
    for blob in manifest.layers.iter().chain([&manifest.config, &descriptor]) {
        copy.add_blob(&blob.media_type, &layout.blob(blob)?)?;
    }
    copy.finish(vec![descriptor])?;
    Ok(())
}

/// Says what differs, as far as the builder's image can be had: what `csign diff` says.
async fn differs(args: &Args, image: &Pinned, ours: Digest, context: &Context) -> CommandResult {
    let out = args.out.display();
    if args.record.exists() {
        context.note(format_args!("warning: {} is of an earlier rebuild", args.record.display()));
    }
    let against = args.against.clone().unwrap_or_else(|| image.to_string());
    let compared = compare(&against, &out.to_string(), Limits::default(), None, context).await;
    let report = match compared {
        // The builder's image is the one that was asked about, or it explains nothing.
        Ok(report) if report.a.digest == image.digest.to_string() => Some(report),
        Ok(report) => {
            context.note(format_args!("{against} has the digest {}: it is not the builder's image", report.a.digest));
            None
        }
        Err(why) => {
            context.note(format_args!("what differs could not be found out: {}", why.text().trim_end()));
            None
        }
    };
    if let (Some(report), Some(path)) = (&report, &args.diff) {
        write(path, &written(report, path)?, true)?;
    }
    let data = json!({"same": false, "image": image, "digest": ours, "layout": args.out, "difference": report});
    context.print(&data, || match &report {
        Some(report) => csign_diff::text(report, &Style { color: false, lines: LINES }),
        None => String::new(),
    })?;
    Err(Failure::rejected(format_args!("your rebuild has the digest {ours}, the request asks for {}", image.digest))
        .hint(format_args!(
            "do not approve; your image is in {out}: csign diff {against} {out} shows all that differs"
        )))
}

/// The comparison for the file `path`: as a page if it is called so, else as JSON.
fn written(report: &Report, path: &Path) -> Result<Vec<u8>, Failure> {
    let mut out = Vec::new();
    if path.extension().is_some_and(|extension| extension == "html") {
        csign_diff::html(report, &mut out).map_err(|error| Failure::writing(path, &error))?;
    } else {
        serde_json::to_writer_pretty(&mut out, report).map_err(Failure::could_not_check)?;
        out.push(b'\n');
    }
    Ok(out)
}
