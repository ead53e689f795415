//! csign-keyless behind the command line of the public sigstore conformance suite; see README.md.
#![allow(clippy::print_stderr, reason = "this is a program")]

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use clap::{Args, Parser};
use csign_envelope::PublicKey;
use csign_keyless::{Artifact, IdentityPolicy, KeylessError, PUBLIC_GOOD_AS_OF, Pattern, TrustedRoot, Verifier};
use csign_oci::Digest;

/// The protocol's commands (docs/cli_protocol.md of the suite).
#[derive(Parser)]
enum Command {
    /// Verify a bundle.
    VerifyBundle(VerifyBundle),
    /// Not supported.
    #[command(disable_help_flag = true)]
    SignBundle {
        /// Ignored.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

#[derive(Args)]
struct VerifyBundle {
    #[arg(long, requires = "trusted_root")]
    staging: bool,
    #[arg(long)]
    bundle: PathBuf,
    #[arg(long, requires = "certificate_oidc_issuer", required_unless_present = "key")]
    certificate_identity: Option<String>,
    #[arg(long, requires = "certificate_identity")]
    certificate_oidc_issuer: Option<String>,
    #[arg(long, conflicts_with = "certificate_identity")]
    key: Option<PathBuf>,
    #[arg(long)]
    trusted_root: Option<PathBuf>,
    file_or_digest: String,
}

fn main() -> ExitCode {
    let outcome = match Command::try_parse() {
        Ok(Command::VerifyBundle(args)) => verify(&args),
        Ok(Command::SignBundle { .. }) => Err("sign-bundle is unsupported: csign makes no keyless signatures".into()),
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            if let Some(hint) = error.downcast_ref::<KeylessError>().and_then(KeylessError::hint) {
                eprintln!("hint: {hint}");
            }
            ExitCode::FAILURE
        }
    }
}

fn verify(args: &VerifyBundle) -> Result<(), Box<dyn Error>> {
    let root = if let Some(path) = &args.trusted_root {
        TrustedRoot::parse(&read(path)?)?
    } else {
        eprintln!("no --trusted-root: trusting the public services as of {PUBLIC_GOOD_AS_OF}");
        TrustedRoot::public_good()?
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let verifier = Verifier::new(&root, i64::try_from(now)?)?;
    let bundle = read(&args.bundle)?;

    let digest = Digest::parse(&args.file_or_digest).ok().filter(|_| !Path::new(&args.file_or_digest).exists());
    let bytes = if digest.is_some() { Vec::new() } else { read(Path::new(&args.file_or_digest))? };
    let artifact = digest.as_ref().map_or(Artifact::Bytes(&bytes), Artifact::Digest);

    match (&args.key, &args.certificate_identity, &args.certificate_oidc_issuer) {
        (Some(key), ..) => {
            verifier.verify_bundle_with_key(
                &bundle,
                artifact,
                &PublicKey::from_pem(&String::from_utf8(read(key)?)?)?,
            )?;
        }
        (None, Some(identity), Some(issuer)) => {
            let policy = IdentityPolicy { identity: Pattern::exact(identity)?, issuer: Pattern::exact(issuer)? };
            let certified = verifier.verify_bundle(&bundle, artifact)?;
            policy.check(&certified.identity)?;
        }
        _ => return Err("neither a key nor an identity".into()),
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("reading {}: {error}", path.display()))
}
