//! `csign generate`: the payload that a legacy signature is over, for signing elsewhere.

use std::path::PathBuf;

use csign_envelope::simple_signing;
use csign_oci::Pinned;
use csign_trust::ExitStatus;

use super::{annotation, annotations};
use crate::context::{CommandResult, Context, read_public_key, write_stdout};

/// Print the payload to sign for an image, byte for byte, for signing with another program
///
/// csign attach signature attaches what was signed.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  csign generate registry.example/team/app@sha256:… --key alice.pub > payload.json\n  openssl dgst -sha256 -sign alice.pem payload.json | base64 -w0 > payload.sig\n  csign attach signature registry.example/team/app@sha256:… --payload payload.json --signature payload.sig --key alice.pub"
)]
pub(crate) struct Args {
    /// Image with its digest; a tag is refused
    #[arg(value_name = "IMAGE@DIGEST")]
    image: String,
    /// Public key that will sign: its annotations, which Confidential Space requires, become part of the payload
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Annotation to sign along
    #[arg(long = "annotation", short, visible_alias = "annotations", value_name = "NAME=VALUE", value_parser = annotation)]
    annotation: Vec<(String, String)>,
}

pub(crate) fn run(args: &Args, _: &Context) -> CommandResult {
    let image = Pinned::parse(&args.image)?;
    let mut annotations = annotations(&args.annotation)?;
    if let Some(path) = &args.key {
        annotations = simple_signing::annotations(&read_public_key(path)?, &annotations);
    }
    // No newline: every byte is signed.
    write_stdout(&simple_signing::payload(&image.repository, &image.digest, &annotations))?;
    Ok(ExitStatus::Success)
}
