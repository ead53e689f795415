//! `csign token fetch`: a token from the launcher's socket, inside a Confidential Space machine.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use csign_attestation::Token;
use csign_trust::ExitStatus;
use serde_json::{Value, json};

use super::{inspect::show, parts::Parts};
use crate::{
    context::{CommandResult, Context, write_stdout},
    failure::Failure,
    launcher_socket,
};

/// Get a token from the launcher of a Confidential Space machine
///
/// Without --audience it is the default token, as the launcher keeps it in a file. What the token says is printed; the
/// token itself goes to the file of -o, which only its owner may read, and to stdout only with --show-token.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  csign token fetch --audience https://example.com --nonce 0123456789abcdef -o token\n  csign token fetch --audience https://example.com --type pki --show-token"
)]
pub(super) struct Args {
    /// The launcher's socket
    #[arg(long, value_name = "FILE", default_value = "/run/container_launcher/teeserver.sock")]
    socket: PathBuf,
    /// Whom the token is for, up to 512 bytes
    #[arg(long)]
    audience: Option<String>,
    /// A nonce of 10 to 74 bytes to put into it; up to six times
    #[arg(long, requires = "audience")]
    nonce: Vec<String>,
    /// Kind of token
    #[arg(long = "type", value_enum, default_value_t = Kind::Oidc, requires = "audience")]
    kind: Kind,
    /// For aws-principal-tags: name this signer's key id in the tags, instead of the image's digest; give it once for each
    #[arg(long = "key-id", value_name = "HEX", requires = "audience")]
    key_id: Vec<String>,
    /// Write the token to this file, which must not exist
    #[arg(short = 'o', long = "output-token", value_name = "FILE")]
    file: Option<PathBuf>,
    /// Print the token, a credential, on stdout
    #[arg(long)]
    show_token: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    Oidc,
    Pki,
    LimitedAws,
    AwsPrincipalTags,
}

impl Kind {
    /// The launcher's spelling. It takes any other for OIDC, which is why csign asks for no other.
    const fn name(self) -> &'static str {
        match self {
            Self::Oidc => "OIDC",
            Self::Pki => "PKI",
            Self::LimitedAws => "LIMITED_AWS",
            Self::AwsPrincipalTags => "AWS_PRINCIPALTAGS",
        }
    }
}

pub(super) async fn run(args: &Args, context: &Context) -> CommandResult {
    let body = args.body()?;
    let token = launcher_socket::token(&args.socket, body.as_ref()).await?;
    let parts = Parts::of(&token).map_err(|_| Failure::could_not_check("the launcher's answer is not a token"))?;
    if let Some(path) = &args.file {
        write_private(path, &token)?;
        context.note(format_args!("{} holds the token, a credential until it expires", path.display()));
    }
    if args.show_token {
        write_stdout(format!("{}\n", token.expose()).as_bytes())?;
    } else {
        show(&parts, context)?;
    }
    Ok(ExitStatus::Success)
}

impl Args {
    /// The body of `POST /v1/token`; `None` asks for the default token. What the service would refuse is refused here,
    /// before anybody is asked.
    fn body(&self) -> Result<Option<Value>, Failure> {
        let Some(audience) = &self.audience else { return Ok(None) };
        if audience.is_empty() || audience.len() > 512 {
            return Err(Failure::usage("an audience has 1 to 512 bytes"));
        }
        if self.nonce.len() > 6 || self.nonce.iter().any(|nonce| !(10..=74).contains(&nonce.len())) {
            return Err(Failure::usage("a token takes up to six nonces of 10 to 74 bytes"));
        }
        let mut body = json!({"audience": audience, "token_type": self.kind.name()});
        if !self.nonce.is_empty() {
            body["nonces"] = json!(self.nonce);
        }
        if !self.key_id.is_empty() {
            if self.kind != Kind::AwsPrincipalTags {
                return Err(Failure::usage("--key-id belongs to --type aws-principal-tags"));
            }
            let signatures = json!({"container_image_signatures": {"key_ids": self.key_id}});
            body["aws_principal_tag_options"] = json!({"allowed_principal_tags": signatures});
        }
        Ok(Some(body))
    }
}

/// Writes the token for its owner alone, whole or not at all.
fn write_private(path: &Path, token: &Token) -> Result<(), Failure> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = |error: std::io::Error| Failure::writing(path, &error);
    // Such a file has mode 0600 from the start.
    let mut file = tempfile::NamedTempFile::new_in(directory).map_err(failed)?;
    file.write_all(token.expose().as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => {
            Err(Failure::usage(format_args!("{} exists already", path.display()))
                .hint("give another name, or remove it first"))
        }
        Err(error) => Err(failed(error.error)),
    }
}
