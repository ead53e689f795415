//! `csign rotate`: from one image to the next, for all parties.

use std::{fs, path::PathBuf};

use csign_oci::Digest;
use csign_render::{Change, Files, Role, Rotation, Target};
use csign_trust::ExitStatus;

use super::{ContractArgs, render};
use crate::{
    context::{CommandResult, Context},
    failure::Failure,
};

/// Plan the change to another image: admit both, deploy, remove the old one; with checks and the way back
///
/// Writes ROTATE.md, which says who does what in which order, and everyone's scripts for each phase. Nothing is read from
/// the network, and nothing is changed before someone runs a script.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  csign rotate --from sha256:… --to sha256:… --settings deployment.toml --role collaborator=collaborator-1 --out rotation
  csign rotate --from sha256:… --to sha256:…
  csign rotate --revoke sha256:… --to sha256:… --settings deployment.toml --role operator --out rotation")]
pub(crate) struct Args {
    /// The image that runs
    #[arg(long, value_name = "DIGEST", required_unless_present = "revoke")]
    from: Option<Digest>,
    /// The image that is to run
    #[arg(long, value_name = "DIGEST", required_unless_present = "revoke")]
    to: Option<Digest>,
    /// Instead of --from: shut this image out at once, whatever stops by that; without --to nothing is admitted any more
    #[arg(long, value_name = "DIGEST", conflicts_with = "from")]
    revoke: Option<Digest>,
    /// The contract in the image that is to run, if it is another one
    #[arg(long, value_name = "FILE")]
    to_contract: Option<PathBuf>,
    /// What this party decides alone, as for csign render
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// Whose part is written: builder, operator or collaborator=NAME; may be repeated. Default: everyone's, with the same
    /// settings
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<Role>,
    /// What for
    #[arg(long, value_enum, value_delimiter = ',', default_value = "gcloud", value_name = "TARGETS")]
    targets: Vec<What>,
    /// Directory for the files, made if it is not there. Without it ROTATE.md goes to stdout and nothing is written
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Replace files that differ
    #[arg(long)]
    force: bool,
    /// Let the old image be removed without asking the audit log whether the new one works
    #[arg(long)]
    without_proof: bool,
    #[command(flatten)]
    contract: ContractArgs,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum What {
    /// Scripts of what changes
    Gcloud,
    /// Whole configurations, one for each phase
    Terraform,
    /// The role in HashiCorp Vault or OpenBao
    Vault,
    /// The role in AWS
    Aws,
    /// The service perimeter
    VpcSc,
}

pub(crate) fn run(args: &Args, context: &Context) -> CommandResult {
    let settings = render::settings(args.settings.as_deref())?;
    let before = context.contract(&args.contract.contract, args.contract.allow_simulated)?;
    let other =
        args.to_contract.as_ref().map(|path| context.contract(path, args.contract.allow_simulated)).transpose()?;
    let missing = || Failure::usage("neither --from nor --revoke names the image that runs");
    let targets: Vec<Target> = args.targets.iter().map(|what| what.target()).collect();
    let change = Change {
        before: &before,
        after: other.as_ref().unwrap_or(&before),
        settings: &settings,
        from: args.from.or(args.revoke).ok_or_else(missing)?,
        to: args.to,
        revoke: args.revoke.is_some(),
        roles: &args.roles,
        targets: &targets,
        needs_proof: !args.without_proof,
    };
    let Rotation { plan, files } = csign_render::rotate(change)?;
    let Some(out) = &args.out else {
        context.print(&plan, || files.get("ROTATE.md").map(|file| file.text.clone()).unwrap_or_default())?;
        return Ok(ExitStatus::Success);
    };
    // All or nothing: a directory with files of two rotations would mislead.
    if !args.force {
        untouched(&files, out)?;
    }
    for (name, file) in &files {
        let path = out.join(name);
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).map_err(|error| Failure::writing(directory, &error))?;
        }
        render::write(&path, file, args.force)?;
    }
    context.print(&plan, || {
        files.keys().map(|name| out.join(name).display().to_string()).collect::<Vec<_>>().join("\n")
    })?;
    Ok(ExitStatus::Success)
}

/// Is everything in the directory, as far as it is there, what is written now?
fn untouched(files: &Files, out: &std::path::Path) -> Result<(), Failure> {
    for (name, file) in files {
        let path = out.join(name);
        if fs::read(&path).is_ok_and(|old| old != file.text.as_bytes()) {
            return Err(Failure::usage(format_args!("{} exists already and differs", path.display()))
                .hint("nothing was written; choose another --out, or --force"));
        }
    }
    Ok(())
}

impl What {
    const fn target(self) -> Target {
        match self {
            Self::Gcloud => Target::Gcloud,
            Self::Terraform => Target::Terraform,
            Self::Vault => Target::Vault,
            Self::Aws => Target::Aws,
            Self::VpcSc => Target::VpcSc,
        }
    }
}
