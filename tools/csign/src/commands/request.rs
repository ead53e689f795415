//! `csign request`: what the builder asks everyone to sign.

use std::path::PathBuf;

use csign_contract::Contract;
use csign_oci::{Digest, Layout};
use csign_sbom::{lock::is_revision, purl::without_credentials};
use csign_trust::{
    ExitStatus,
    exchange::{Request, Source},
};

use super::ContractArgs;
use crate::{
    context::{CommandResult, Context, write},
    failure::Failure,
    git::Git,
    recipe,
};

/// Write request.json: the image, and the exact payload that each party is asked to sign
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  csign request --layout image --source . --out request.json\n  csign request --digest sha256:… --out request.json"
)]
#[command(group = clap::ArgGroup::new("image").required(true))]
pub(crate) struct Args {
    #[command(flatten)]
    contract: ContractArgs,
    /// Layout that csign build wrote
    #[arg(long, value_name = "DIR", group = "image")]
    layout: Option<PathBuf>,
    /// Digest of the image, where there is no layout
    #[arg(long, value_name = "DIGEST", group = "image")]
    digest: Option<Digest>,
    /// Source directory that was built: the request names its commit, lock file and toolchain
    #[arg(long, value_name = "DIR")]
    source: Option<PathBuf>,
    /// Commit that was built, where the source directory is no git repository
    #[arg(long, value_name = "COMMIT")]
    revision: Option<String>,
    /// Where others find the sources, as git+https://… (default: git's origin)
    #[arg(long, value_name = "URI")]
    source_uri: Option<String>,
    /// Accept a source directory that differs from its commit; the request says so
    #[arg(long)]
    allow_dirty: bool,
    /// Where to write the request
    #[arg(long, short, value_name = "FILE", default_value = "request.json")]
    out: PathBuf,
}

pub(crate) fn run(args: &Args, context: &Context) -> CommandResult {
    let contract = context.contract(&args.contract.contract, args.contract.allow_simulated)?;
    let digest = match (&args.layout, args.digest) {
        (Some(layout), _) => Layout::open(layout)?.image()?.0.digest,
        (None, Some(digest)) => digest,
        (None, None) => return Err(Failure::usage("give --layout DIR or --digest DIGEST")),
    };
    let source = source(args, &contract, context)?;
    let request = Request::new(&contract, digest, source);
    write(&args.out, request.to_text()?.as_bytes(), true)?;
    context.print(&request, || {
        format!("{} asks {} parties to sign {}", args.out.display(), request.signatures.len(), request.image())
    })?;
    Ok(ExitStatus::Success)
}

/// What the image was built from. git names the commit; one that is stated beside it must be the same.
fn source(args: &Args, contract: &Contract, context: &Context) -> Result<Source, Failure> {
    if let Some(revision) = args.revision.as_ref().filter(|revision| !is_revision(revision)) {
        return Err(Failure::usage(format_args!("{revision:?} is no whole commit id"))
            .hint("a branch or a tag may move; git rev-parse HEAD shows the commit"));
    }
    let mut source = Source {
        recipe: contract.build.recipe.name().to_owned(),
        revision: args.revision.clone(),
        repository: args.source_uri.as_deref().map(without_credentials),
        ..Source::default()
    };
    let Some(directory) = &args.source else { return Ok(source) };
    let facts = recipe::source_facts(directory).map_err(Failure::usage)?;
    source.lock_file = Some(facts.lock_file);
    source.toolchain = Some(facts.channel);
    // What the commands before this one write into the source directory is not part of it.
    let except = [Some(args.contract.contract.as_path()), args.layout.as_deref(), Some(args.out.as_path())];
    let except: Vec<_> = except.into_iter().flatten().collect();
    let Some(git) = Git::of(directory, &except)? else {
        if source.revision.is_none() {
            context
                .note("warning: no git repository; the request names no revision, so csign rebuild must be told one");
        }
        return Ok(source);
    };
    if let Some(stated) = source.revision.as_ref().filter(|stated| **stated != git.revision) {
        return Err(Failure::rejected(format_args!("--revision is {stated}, but {} is checked out", git.revision)));
    }
    if let Some(what) = git.difference() {
        if !args.allow_dirty {
            return Err(Failure::rejected(format_args!("the sources are not what the commit holds: {what}")).hint(
                "commit them, or list files that do not matter in .gitignore; --allow-dirty goes on and says so",
            ));
        }
        context.note(format_args!("warning: {what}; the request says so, and nobody can rebuild it from the commit"));
        source.modified = true;
    }
    source.revision = Some(git.revision);
    source.repository = source.repository.or(git.origin);
    source.directory = Some(git.directory).filter(|directory| !directory.is_empty());
    Ok(source)
}
