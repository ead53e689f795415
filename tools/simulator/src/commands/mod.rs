//! The program's commands; each is one file with its arguments and what it does.

pub(crate) mod audit;
pub(crate) mod environment;
pub(crate) mod gcloud;
pub(crate) mod init;
pub(crate) mod man;
mod request;
pub(crate) mod run;
pub(crate) mod up;

use std::{
    fs::{self, Permissions},
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use simulator::{Config, Error, Simulator, config::Tls};
use tempfile::NamedTempFile;

/// What a command returns: an error becomes one line on stderr.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// A file or an argument that makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(String);

/// The variable with the control token, which `simulator up` prints.
const CONTROL: &str = "SIMULATOR_CONTROL";

/// Where the two commands that start a simulator find its configuration.
#[derive(Debug, clap::Args)]
pub(crate) struct ConfigArgs {
    /// Configuration in TOML; everything has a default (see `simulator init`)
    #[arg(long, value_name = "FILE")]
    config: Option<std::path::PathBuf>,
    /// Append every decision to this file, as a line of JSON
    #[arg(long, value_name = "FILE")]
    audit_log: Option<std::path::PathBuf>,
}

impl ConfigArgs {
    /// Starts what the configuration and these changes to it say; errors name the file and, where possible, the line.
    async fn start(&self, change: impl FnOnce(&mut Config)) -> Result<(Simulator, Config)> {
        let text = match &self.config {
            Some(path) => fs::read_to_string(path).map_err(|e| format!("reading {}: {e}", path.display()))?,
            None => String::new(),
        };
        let file = self.config.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
        let wrong = |error: Error| Usage(if file.is_empty() { error.to_string() } else { format!("{file}: {error}") });
        let mut config = Config::from_toml(&text).map_err(wrong)?;
        if config.root_helper.is_none() {
            config.root_helper = std::env::current_exe().ok();
        }
        if let Some(path) = &self.audit_log {
            config.audit_log = Some(path.clone());
        }
        config.tls.get_or_insert_with(Tls::default);
        change(&mut config);
        let started = Simulator::start(config.clone()).await;
        match started {
            Ok(simulator) => Ok((simulator, config)),
            Err(error @ Error::Io { .. }) => Err(error.into()),
            Err(error) => Err(wrong(Config::locate(&text, error)).into()),
        }
    }
}

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Readers {
    Owner,
    Everyone,
    /// Everyone, who may execute it too.
    Users,
}

/// Writes a file under another name and renames it: no reader sees half of it.
fn write(path: &Path, content: impl AsRef<[u8]>, readers: Readers) -> Result<()> {
    let doing = |e: std::io::Error| format!("writing {}: {e}", path.display());
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // A temporary file is readable by its owner alone.
    let mut file = NamedTempFile::new_in(directory).map_err(doing)?;
    let mode = match readers {
        Readers::Owner => None,
        Readers::Everyone => Some(0o644),
        Readers::Users => Some(0o755),
    };
    if let Some(mode) = mode {
        file.as_file().set_permissions(Permissions::from_mode(mode)).map_err(doing)?;
    }
    file.write_all(content.as_ref()).map_err(doing)?;
    file.persist(path).map_err(|e| doing(e.error))?;
    Ok(())
}
