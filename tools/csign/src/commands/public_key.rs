//! `csign public-key`: the public half of a private key, as other parties need it.

use std::{fs, path::PathBuf};

use csign_trust::ExitStatus;
use serde_json::json;

use super::KeyArgs;
use crate::context::{CommandResult, Context, write};

/// Print the public key of a private key or a KMS key
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  csign public-key --key alice.key > alice.pub\n  csign public-key --key gcpkms://projects/p/locations/global/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1 --outfile builder.pub"
)]
pub(crate) struct Args {
    #[command(flatten)]
    key: KeyArgs,
    /// Write the PEM to this file instead of stdout
    #[arg(long, value_name = "FILE")]
    outfile: Option<PathBuf>,
}

pub(crate) async fn run(args: &Args, context: &Context) -> CommandResult {
    let signer = context.signer(&args.key).await?;
    let key = signer.public_key();
    let pem = key.pem();
    if let Some(path) = &args.outfile {
        // The same key again is no conflict; another one is never overwritten.
        if !fs::read(path).is_ok_and(|found| found == pem.as_bytes()) {
            write(path, pem.as_bytes(), false)?;
        }
        context.note(format_args!("public key written to {}", path.display()));
    }
    let data = json!({"keyId": key.id(), "algorithm": key.algorithm(), "pem": pem, "bundleHint": key.bundle_hint()});
    context.print(&data, || if args.outfile.is_some() { String::new() } else { pem.clone() })?;
    Ok(ExitStatus::Success)
}
