//! `csign generate-key-pair`: an encrypted private key in cosign's format, and its public key.

use std::{
    ffi::OsString,
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
};

use csign_keys::{KeyType, KeysError, Password, PrivateKey, TransitClient, TransitKey, cosign_pem};
use csign_trust::ExitStatus;
use serde_json::json;
use tempfile::NamedTempFile;

use crate::{
    clients::prompt,
    context::{CommandResult, Context, write},
    failure::Failure,
};

/// Make a key pair: an encrypted private key and its public key
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  csign generate-key-pair --output-key-prefix alice\n  COSIGN_PASSWORD=… csign generate-key-pair\n  csign generate-key-pair --kms openbao://release\n\nThe files are PREFIX.key, in the format that cosign reads, and PREFIX.pub. Existing files are never overwritten.\nConfidential Space reads signatures of P-256 and RSA keys only."
)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(super) target: Target,
    /// Type of the new key: p256, p384, ed25519, rsa-2048, rsa-3072 or rsa-4096
    #[arg(long = "type", value_name = "TYPE", default_value = "p256", value_parser = key_type)]
    kind: KeyType,
    /// Create the key in a transit secrets engine (hashivault://NAME or openbao://NAME); only PREFIX.pub is written
    #[arg(long, value_name = "KEY", value_parser = transit_key, conflicts_with = "password_file")]
    kms: Option<TransitKey>,
}

/// Where a new key pair goes and what protects it.
#[derive(clap::Args)]
pub(super) struct Target {
    /// The files are PREFIX.key and PREFIX.pub
    #[arg(long, value_name = "PREFIX", default_value = "cosign")]
    output_key_prefix: PathBuf,
    /// File that holds the password (else COSIGN_PASSWORD, else a prompt)
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

fn key_type(text: &str) -> Result<KeyType, String> {
    text.parse().map_err(|error: KeysError| error.to_string())
}

fn transit_key(text: &str) -> Result<TransitKey, String> {
    text.parse().map_err(|error: KeysError| error.to_string())
}

pub(crate) async fn run(args: &Args, context: &Context) -> CommandResult {
    if !args.kind.is_read_by_confidential_space() {
        context.note(format_args!("note: Confidential Space does not read signatures of {} keys", args.kind.name()));
    }
    match &args.kms {
        Some(key) => create(args, key, context).await,
        None => args.target.store(context, || PrivateKey::generate_type(args.kind)),
    }
}

/// Has the provider make the key; its private half never leaves it.
async fn create(args: &Args, key: &TransitKey, context: &Context) -> CommandResult {
    let public = args.target.with(".pub");
    if fs::symlink_metadata(&public).is_ok() {
        return Err(exists(&public));
    }
    let client = TransitClient::connect(key, &context.environment.keys.transit()?)?;
    let (version, public_key) = client.create(key, args.kind).await?;
    // The key exists now: whatever happens to the file, its name must be known.
    context.note(format_args!("created {version}"));
    write(&public, public_key.pem().as_bytes(), false)?;
    let (id, algorithm) = (public_key.id(), public_key.algorithm());
    let data = json!({"privateKey": version.to_string(), "publicKey": public, "keyId": id, "algorithm": algorithm});
    context.print(&data, || format!("private key  {version}\npublic key   {}\nkey id       {id}", public.display()))?;
    Ok(ExitStatus::Success)
}

impl Target {
    /// Asks for the password, gets the key, and writes both files or neither.
    pub(super) fn store(
        &self,
        context: &Context,
        key: impl FnOnce() -> Result<PrivateKey, KeysError>,
    ) -> CommandResult {
        let (private, public) = (self.with(".key"), self.with(".pub"));
        // Before anyone types a password; the writes below check once more, without a gap.
        for path in [&private, &public] {
            if fs::symlink_metadata(path).is_ok() {
                return Err(exists(path));
            }
        }
        let key = key()?;
        let password = self.new_password(context)?;
        if password.is_empty() {
            context.note("warning: the password is empty: whoever reads the private key's file can sign with it");
        }
        let sealed = cosign_pem::encrypt(&key, &password)?;
        write_pair((&private, sealed.as_bytes()), (&public, key.public_key().pem().as_bytes()))?;
        let (id, algorithm) = (key.public_key().id(), key.public_key().algorithm());
        let data = json!({"privateKey": private, "publicKey": public, "keyId": id, "algorithm": algorithm});
        context.print(&data, || {
            format!("private key  {}\npublic key   {}\nkey id       {id}", private.display(), public.display())
        })?;
        Ok(ExitStatus::Success)
    }

    fn with(&self, suffix: &str) -> PathBuf {
        let mut name = OsString::from(&self.output_key_prefix);
        name.push(suffix);
        name.into()
    }

    /// The password that a new key gets; typed twice where it is typed.
    fn new_password(&self, context: &Context) -> Result<Password, Failure> {
        if self.password_file.is_some() || context.environment.password.is_some() {
            return Ok(context.password(self.password_file.as_deref())?);
        }
        let password = prompt("Password for the new private key: ")?;
        if !prompt("The same again: ")?.matches(&password) {
            return Err(Failure::usage("the two passwords differ").hint("nothing was written; try again"));
        }
        Ok(password)
    }
}

/// Writes both files beside their names, then renames them: the private key first, readable by its owner alone. If the
/// second cannot be renamed, the first is taken back, since nobody has its public half.
fn write_pair(private: (&Path, &[u8]), public: (&Path, &[u8])) -> Result<(), Failure> {
    let staged_private = stage(private.0, private.1, 0o600)?;
    let staged_public = stage(public.0, public.1, 0o644)?;
    staged_private.persist_noclobber(private.0).map_err(|error| failed(private.0, &error.error))?;
    staged_public.persist_noclobber(public.0).map(|_| ()).map_err(|error| {
        let _ = fs::remove_file(private.0);
        failed(public.0, &error.error)
    })
}

fn stage(path: &Path, bytes: &[u8], mode: u32) -> Result<NamedTempFile, Failure> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let stage = || -> io::Result<NamedTempFile> {
        let mut file = NamedTempFile::new_in(directory)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            file.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
        }
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        Ok(file)
    };
    stage().map_err(|error| failed(path, &error))
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::AlreadyExists => exists(path),
        io::ErrorKind::NotFound => Failure::usage(format_args!("writing {}: no such directory", path.display())),
        _ => Failure::writing(path, error),
    }
}

fn exists(path: &Path) -> Failure {
    Failure::usage(format_args!("{} exists already; a key is never overwritten", path.display()))
        .hint("give another --output-key-prefix, or move the file away")
}
