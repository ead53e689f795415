//! `csign render`: from the contract to one party's configuration.

use std::{
    fs,
    path::{Path, PathBuf},
};

use csign_oci::Digest;
use csign_render::{File, Files, Input, RenderError, Role, Settings, Target};
use csign_trust::ExitStatus;
use serde_json::json;

use super::ContractArgs;
use crate::{
    context::{self, CommandResult, Context},
    failure::Failure,
};

/// Write one party's configuration, as the contract asks for it
///
/// Everything is computed from the contract and the settings, and written; nothing is sent anywhere. docs/render.md says
/// what each target makes and which roles have it.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  csign render settings > deployment.toml
  csign render gcloud --role collaborator=collaborator-1 --digest sha256:… --out deploy
  deploy/collaborator-collaborator-1.sh --check")]
pub(crate) struct Args {
    /// What to write; settings is a commented deployment.toml to fill in
    #[arg(value_enum)]
    target: What,
    /// Whose configuration: builder, operator or collaborator=NAME
    #[arg(long, value_name = "ROLE")]
    role: Option<Role>,
    /// File with what this party decides alone (csign render settings writes one); not needed where every default fits
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// An image that it is about; collaborators may admit several
    #[arg(long = "digest", value_name = "DIGEST")]
    digests: Vec<Digest>,
    /// Directory for the files, made if it is not there; - is stdout, for targets with one file
    #[arg(long, value_name = "DIR", default_value = "-")]
    out: PathBuf,
    /// Replace files that differ
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    contract: ContractArgs,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum What {
    /// A shell script that makes, checks and removes everything with gcloud
    Gcloud,
    /// The same as a configuration for Terraform, in JSON
    Terraform,
    /// JWT method, role and policy of HashiCorp Vault or OpenBao
    Vault,
    /// OIDC provider, role, key and bucket policies of AWS
    Aws,
    /// A service perimeter that only the operator's project enters
    VpcSc,
    /// External-account files for Google's client libraries
    Credentials,
    /// A commented deployment.toml
    Settings,
}

pub(crate) fn run(args: &Args, context: &Context) -> CommandResult {
    let target = match args.target {
        What::Gcloud => Target::Gcloud,
        What::Terraform => Target::Terraform,
        What::Vault => Target::Vault,
        What::Aws => Target::Aws,
        What::VpcSc => Target::VpcSc,
        What::Credentials => Target::Credentials,
        What::Settings => {
            let file = File { text: Settings::template().to_owned(), executable: false };
            return deliver(&Files::from([("deployment.toml".to_owned(), file)]), args, context);
        }
    };
    let role = args.role.as_ref().ok_or_else(|| {
        Failure::usage("no role is given").hint("--role builder, --role operator or --role collaborator=NAME")
    })?;
    let settings = settings(args.settings.as_deref())?;
    let contract = context.contract(&args.contract.contract, args.contract.allow_simulated)?;
    let input = Input { contract: &contract, settings: &settings, digests: &args.digests };
    deliver(&csign_render::render(target, role, input)?, args, context)
}

/// What a party decides alone: the file's, or every default.
pub(super) fn settings(path: Option<&Path>) -> Result<Settings, Failure> {
    match path {
        Some(path) => Settings::from_toml(&context::read_text(path)?).map_err(|e| Failure::from(e).in_file(path)),
        None => Ok(Settings::default()),
    }
}

/// Writes the files where they are wanted.
fn deliver(files: &Files, args: &Args, context: &Context) -> CommandResult {
    if args.out != Path::new("-") {
        fs::create_dir_all(&args.out).map_err(|error| Failure::writing(&args.out, &error))?;
        for (name, file) in files {
            write(&args.out.join(name), file, args.force)?;
        }
        let names: Vec<String> = files.keys().map(|name| args.out.join(name).display().to_string()).collect();
        context.print(&json!({"files": names}), || names.join("\n"))?;
        return Ok(ExitStatus::Success);
    }
    let texts: serde_json::Map<String, serde_json::Value> =
        files.iter().map(|(name, file)| (name.clone(), json!(file.text))).collect();
    let mut only = files.values();
    match (only.next(), only.next(), context.output) {
        (Some(file), None, _) => context.print(&json!({"files": texts}), || file.text.clone())?,
        (_, _, context::Output::Json) => context.print(&json!({"files": texts}), String::new)?,
        _ => {
            let names: Vec<&str> = files.keys().map(String::as_str).collect();
            return Err(Failure::usage(format_args!("there are several files: {}", names.join(", ")))
                .hint("--out DIR writes them; --output json prints all of them as one document"));
        }
    }
    Ok(ExitStatus::Success)
}

/// Writes a file, unless it has this content already.
pub(super) fn write(path: &Path, file: &File, replace: bool) -> Result<(), Failure> {
    if fs::read(path).is_ok_and(|old| old == file.text.as_bytes()) {
        return Ok(());
    }
    context::write(path, file.text.as_bytes(), replace)?;
    #[cfg(unix)]
    if file.executable {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(|error| Failure::writing(path, &error))?;
    }
    Ok(())
}

impl From<RenderError> for Failure {
    fn from(error: RenderError) -> Self {
        Self::usage(&error).hint(error.hint())
    }
}
