//! The files from which an image rule assembles the image around the program.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use csign_contract::{Contract, ContractError, Recipe};
use csign_oci::OciError;

/// The largest contract that is read, in bytes: larger ones are a mistake.
const MAX_CONTRACT: u64 = 1 << 20;

/// Why the parts could not be written.
#[derive(Debug, thiserror::Error)]
pub enum PartsError {
    /// A file could not be read or written.
    #[error("{what} {}: {source}", path.display())]
    Io {
        /// What was being done.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The file is no contract.
    #[error("{} is no contract: {source}", path.display())]
    Contract {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ContractError,
    },
    /// The parties agreed on another way to build.
    #[error("{} asks for the recipe {}: what Bazel builds would have another digest", path.display(), recipe.name())]
    Recipe {
        /// The file.
        path: PathBuf,
        /// The recipe that it names.
        recipe: Recipe,
    },
    /// The file is larger than any contract.
    #[error("{} has more than {MAX_CONTRACT} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The file is neither TOML nor canonical JSON.
    #[error("{} is not UTF-8", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// A layer could not be made.
    #[error(transparent)]
    Layer(#[from] OciError),
    /// A label whose text would become another one in a file of lines.
    #[error("label {0} has a line break or its name has an equals sign")]
    Label(String),
}

/// Reads a contract for Bazel: `collaboration.toml` or the canonical JSON, told apart by the first character.
///
/// # Errors
/// The file cannot be read, is too large, is no contract, or names another recipe.
pub fn read_contract(path: &Path) -> Result<Contract, PartsError> {
    let failed = |source| PartsError::Io { what: "reading", path: path.to_owned(), source };
    if fs::metadata(path).map_err(failed)?.len() > MAX_CONTRACT {
        return Err(PartsError::TooLarge { path: path.to_owned() });
    }
    let bytes = fs::read(path).map_err(failed)?;
    let contract = if bytes.first() == Some(&b'{') {
        Contract::from_canonical(&bytes)
    } else {
        let text = std::str::from_utf8(&bytes).map_err(|_| PartsError::NotText { path: path.to_owned() })?;
        Contract::from_toml(text)
    };
    let contract = contract.map_err(|source| PartsError::Contract { path: path.to_owned(), source })?;
    match contract.build.recipe {
        Recipe::Bazel => Ok(contract),
        recipe => Err(PartsError::Recipe { path: path.to_owned(), recipe }),
    }
}

/// Writes into `directory`, which must exist: `base.tar.gz` and `contract.tar.gz` (layers), `contract.json` (its
/// canonical bytes), `labels.txt`, `environment.txt` (`NAME=VALUE` lines), `entrypoint.txt` (one line each),
/// `ports.txt` (`PORT/tcp`, separated by commas; empty without ports) and `repository.txt`.
///
/// # Errors
/// A file cannot be written, or a label does not fit into a line.
pub fn write(contract: &Contract, directory: &Path) -> Result<(), PartsError> {
    let canonical = contract.canonical();
    let mut labels = Vec::new();
    for (name, value) in contract.labels() {
        let line = format!("{name}={value}");
        if name.contains('=') || line.contains(['\n', '\r']) {
            return Err(PartsError::Label(name));
        }
        labels.push(line);
    }
    let ports: Vec<String> = contract.ports().iter().map(crate::port_name).collect();
    let files: [(&str, Vec<u8>); 8] = [
        ("base.tar.gz", crate::base_layer()?.bytes),
        ("contract.tar.gz", crate::contract_layer(&canonical)?.bytes),
        ("contract.json", canonical),
        ("labels.txt", lines(&labels)),
        ("environment.txt", lines(&crate::environment())),
        ("entrypoint.txt", lines(&crate::entrypoint())),
        // No line break at the end: the image rule splits at commas alone.
        ("ports.txt", ports.join(",").into_bytes()),
        ("repository.txt", contract.image.repository.to_string().into_bytes()),
    ];
    for (name, bytes) in files {
        let path = directory.join(name);
        fs::write(&path, bytes).map_err(|source| PartsError::Io { what: "writing", path, source })?;
    }
    Ok(())
}

fn lines(items: &[String]) -> Vec<u8> {
    items.iter().flat_map(|item| [item.as_str(), "\n"]).collect::<String>().into_bytes()
}
