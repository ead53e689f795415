//! `csign import-key-pair`: an unencrypted key of another tool becomes an encrypted one in cosign's format.

use std::path::PathBuf;

use csign_keys::{PrivateKey, signer::read_key_file};

use super::generate_key_pair::Target;
use crate::context::{CommandResult, Context};

/// Encrypt an unencrypted private key (PEM; PKCS#8, PKCS#1 or SEC1) with a password
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  csign import-key-pair --key openssl.pem --output-key-prefix alice\n\nP-256, P-384, Ed25519 and RSA keys can be imported; Confidential Space reads signatures of P-256 and RSA keys only.\nThe unencrypted file is left as it is: remove it once the new one works."
)]
pub(crate) struct Args {
    /// File with the unencrypted private key
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    #[command(flatten)]
    target: Target,
}

pub(crate) fn run(args: &Args, context: &Context) -> CommandResult {
    args.target.store(context, || PrivateKey::from_unencrypted_pem(&read_key_file(&args.key)?))
}
