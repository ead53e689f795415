//! `csign provenance`: how an image was built, as the predicate that `attest` signs.

use std::path::PathBuf;

use csign_oci::Pinned;
use csign_trust::ExitStatus;
use serde_json::json;

use crate::{
    context::{CommandResult, Context, write, write_stdout},
    failure::Failure,
    provenance::{AutoArgs, auto},
};

/// Write SLSA v1 provenance of an image that csign build made (the predicate alone, for attest --predicate)
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  csign provenance us-docker.pkg.dev/p/r/app@sha256:… --layout image --source . --out provenance.json\n  csign provenance us-docker.pkg.dev/p/r/app@sha256:… --layout image --builder cloud-build --source-uri git+https://git.example/app --revision COMMIT"
)]
pub(crate) struct Args {
    /// The image, with its digest
    #[arg(value_name = "IMAGE@DIGEST")]
    image: String,
    #[command(flatten)]
    auto: AutoArgs,
    /// Where to write it (default: stdout)
    #[arg(long, short, value_name = "FILE", help_heading = "Options")]
    out: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, context: &Context) -> CommandResult {
    let image = Pinned::parse(&args.image)?;
    let predicate = auto(&args.auto, &image, context)?;
    let mut text = serde_json::to_string_pretty(&predicate).map_err(Failure::could_not_check)?;
    text.push('\n');
    let Some(out) = &args.out else {
        write_stdout(text.as_bytes())?;
        return Ok(ExitStatus::Success);
    };
    write(out, text.as_bytes(), true)?;
    context.print(&json!({"image": image, "predicate": out}), || {
        format!("{} says how {image} was built", out.display())
    })?;
    Ok(ExitStatus::Success)
}
