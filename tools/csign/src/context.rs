//! What commands share: the environment (read here and nowhere else), output, files, and the clients made from them.

use std::{
    fs,
    io::{self, IsTerminal as _, Read as _, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
};

use csign_contract::{Contract, Recipe, SIMULATOR_VARIABLE};
use csign_envelope::PublicKey;
use csign_oci::{Pinned, Repository};
use csign_policy::ContractPolicy;
use csign_trust::ExitStatus;
use serde::Serialize;

use crate::{failure::Failure, key_environment::KeyEnvironment, sigstore_environment::SigstoreEnvironment};

/// What a command returns.
pub(crate) type CommandResult = Result<ExitStatus, Failure>;

/// Files that travel between parties are small; a larger one is a mistake or an attack.
const MAX_FILE: u64 = 1 << 20;

/// How results are printed on stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Text,
    /// One JSON document; members are only ever added.
    Json,
}

/// Every environment variable that csign reads itself, in one place. Google's client library reads
/// `GOOGLE_APPLICATION_CREDENTIALS` besides, cargo and rustup their own.
#[derive(Default)]
pub(crate) struct Environment {
    /// `COSIGN_PASSWORD`: password of private keys.
    pub(crate) password: Option<zeroize::Zeroizing<String>>,
    /// `CSIGN_SIMULATOR`: loopback address of the simulator.
    pub(crate) simulator: Option<SocketAddr>,
    /// `GOOGLE_OAUTH_ACCESS_TOKEN`: used instead of application default credentials, and the simulator's token.
    pub(crate) access_token: Option<String>,
    /// `DOCKER_CONFIG`, else `$HOME/.docker`: where registry logins are.
    pub(crate) docker_config: Option<PathBuf>,
    /// `COSIGN_REPOSITORY`: the repository that holds what is attached to images, if not the image's own.
    pub(crate) cosign_repository: Option<Repository>,
    /// `SOURCE_DATE_EPOCH`: the time that is written, instead of the clock's, in seconds since 1970.
    pub(crate) source_date_epoch: Option<u64>,
    /// `HTTPS_PROXY`, else `https_proxy`: the proxy for registries.
    pub(crate) https_proxy: Option<String>,
    /// `NO_PROXY`, else `no_proxy`: registries that are reached without it.
    pub(crate) no_proxy: Option<String>,
    /// `CSIGN_CA_FILE`: PEM certificates that registries may also be signed by.
    pub(crate) ca_file: Option<PathBuf>,
    /// `NO_COLOR`: print no colours, not even on a terminal.
    pub(crate) no_color: bool,
    /// `VAULT_*`, `BAO_*`, `AWS_*` and what else key providers need.
    pub(crate) keys: KeyEnvironment,
    /// `SIGSTORE_*`: services that certificates are verified under.
    pub(crate) sigstore: SigstoreEnvironment,
}

/// What commands share.
pub(crate) struct Context {
    pub(crate) output: Output,
    pub(crate) environment: Environment,
    pub(crate) quiet: bool,
}

impl Environment {
    /// Reads the process's environment.
    pub(crate) fn from_process() -> Result<Self, Failure> {
        let text = |name: &str| match std::env::var(name) {
            Ok(value) if !value.is_empty() => Ok(Some(value)),
            Ok(_) | Err(std::env::VarError::NotPresent) => Ok(None),
            Err(std::env::VarError::NotUnicode(_)) => Err(Failure::usage(format_args!("{name} is not UTF-8"))),
        };
        let simulator = text(SIMULATOR_VARIABLE)?.map(|value| simulator_address(&value)).transpose()?;
        let home =
            std::env::var_os("HOME").filter(|home| !home.is_empty()).map(|home| PathBuf::from(home).join(".docker"));
        Ok(Self {
            password: password()?,
            simulator,
            access_token: text("GOOGLE_OAUTH_ACCESS_TOKEN")?,
            docker_config: std::env::var_os("DOCKER_CONFIG")
                .filter(|path| !path.is_empty())
                .map(PathBuf::from)
                .or(home),
            cosign_repository: text("COSIGN_REPOSITORY")?.map(|value| cosign_repository(&value)).transpose()?,
            source_date_epoch: text("SOURCE_DATE_EPOCH")?.map(|value| source_date_epoch(&value)).transpose()?,
            https_proxy: text("HTTPS_PROXY")?.map_or_else(|| text("https_proxy"), |proxy| Ok(Some(proxy)))?,
            no_proxy: text("NO_PROXY")?.map_or_else(|| text("no_proxy"), |hosts| Ok(Some(hosts)))?,
            ca_file: std::env::var_os("CSIGN_CA_FILE").filter(|path| !path.is_empty()).map(PathBuf::from),
            no_color: std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()),
            keys: KeyEnvironment::from_process()?,
            sigstore: SigstoreEnvironment::from_process(),
        })
    }
}

/// An empty password is a password: cosign users set `COSIGN_PASSWORD=""` for keys without one.
fn password() -> Result<Option<zeroize::Zeroizing<String>>, Failure> {
    match std::env::var("COSIGN_PASSWORD") {
        Ok(password) => Ok(Some(zeroize::Zeroizing::new(password))),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(Failure::usage("COSIGN_PASSWORD is not UTF-8")),
    }
}

fn simulator_address(text: &str) -> Result<SocketAddr, Failure> {
    text.parse().ok().filter(|address: &SocketAddr| address.ip().is_loopback()).ok_or_else(|| {
        Failure::usage(format_args!("{SIMULATOR_VARIABLE} must be a loopback address such as 127.0.0.1:4000"))
            .hint("simulator up prints it")
    })
}

fn cosign_repository(text: &str) -> Result<Repository, Failure> {
    Repository::parse(text).map_err(|error| Failure::usage(format_args!("COSIGN_REPOSITORY: {error}")))
}

/// Up to the year 9999, which is what RFC 3339 can write.
fn source_date_epoch(text: &str) -> Result<u64, Failure> {
    text.parse().ok().filter(|seconds| *seconds <= 253_402_300_799).ok_or_else(|| {
        Failure::usage(format_args!("SOURCE_DATE_EPOCH is {text:?}, not a number of seconds since 1970"))
    })
}

impl Context {
    /// The clock's time, in seconds since 1970: for decisions.
    pub(crate) fn now(&self) -> i64 {
        time::OffsetDateTime::now_utc().unix_timestamp()
    }

    /// The time that is written down, RFC 3339: `SOURCE_DATE_EPOCH`, else the clock's.
    pub(crate) fn timestamp(&self) -> Result<String, Failure> {
        let stated = self.environment.source_date_epoch.and_then(|seconds| i64::try_from(seconds).ok());
        let seconds = stated.unwrap_or_else(|| self.now());
        time::OffsetDateTime::from_unix_timestamp(seconds)
            .ok()
            .and_then(|time| time.format(&time::format_description::well_known::Rfc3339).ok())
            .ok_or_else(|| Failure::could_not_check("the clock shows no time that can be written down"))
    }

    /// Where what is attached to `image` is: beside it, or in `COSIGN_REPOSITORY`.
    pub(crate) fn attachments_of(&self, image: &Pinned) -> Pinned {
        match &self.environment.cosign_repository {
            Some(repository) => repository.at(image.digest),
            None => image.clone(),
        }
    }

    /// Prints the result: `text` for people, `data` as JSON.
    pub(crate) fn print(&self, data: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), Failure> {
        let mut out = match self.output {
            Output::Text => text(),
            Output::Json => serde_json::to_string_pretty(data).map_err(Failure::could_not_check)?,
        };
        if !out.is_empty() && !out.ends_with('\n') {
            out.push('\n');
        }
        write_stdout(out.as_bytes())
    }

    /// Tells a person something on stderr.
    pub(crate) fn note(&self, text: impl std::fmt::Display) {
        if !self.quiet {
            let _ = writeln!(io::stderr(), "{text}");
        }
    }

    /// Is a person watching, so that progress makes sense?
    pub(crate) fn is_interactive(&self) -> bool {
        !self.quiet && io::stderr().is_terminal()
    }

    /// Reads `collaboration.toml`, or a contract in canonical JSON. A simulated one is refused unless `allow_simulated`.
    pub(crate) fn contract(&self, path: &Path, allow_simulated: bool) -> Result<Contract, Failure> {
        let text = read_text(path)?;
        let contract = if text.trim_start().starts_with('{') {
            Contract::from_canonical(text.as_bytes())?
        } else {
            Contract::from_toml(&text)?
        };
        if contract.environment.is_simulated() && !allow_simulated {
            return Err(Failure::rejected(format_args!(
                "{} is a simulated contract: what it verifies is protected by no hardware",
                path.display()
            ))
            .hint("--allow-simulated accepts it, for tests and demonstrations"));
        }
        // A policy that does not parse would refuse every boot.
        ContractPolicy::of_contract(&contract, 0)?;
        if contract.build.recipe == Recipe::CargoGnuStatic {
            self.note("warning: the recipe cargo-gnu-static depends on the C library of the distribution that builds");
        }
        Ok(contract)
    }
}

/// Writes `bytes` to stdout. A reader that went away is no error.
pub(crate) fn write_stdout(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::could_not_check(format_args!("writing to stdout: {error}")))
        }
        _ => Ok(()),
    }
}

/// Reads a small text file; `-` is stdin.
pub(crate) fn read_text(path: &Path) -> Result<String, Failure> {
    String::from_utf8(read(path)?).map_err(|_| Failure::usage(format_args!("{} is not UTF-8 text", path.display())))
}

/// Reads a small file; `-` is stdin.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    read_up_to(path, MAX_FILE)
}

/// Reads a file of at most `limit` bytes; `-` is stdin.
pub(crate) fn read_up_to(path: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let result = if path == Path::new("-") {
        io::stdin().lock().take(limit + 1).read_to_end(&mut bytes)
    } else {
        fs::File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes))
    };
    result.map_err(|error| Failure::reading(path, &error))?;
    if bytes.len() as u64 > limit {
        let mib = limit >> 20;
        return Err(Failure::usage(format_args!("{} is larger than {mib} MiB, which no such file is", path.display())));
    }
    Ok(bytes)
}

/// Reads a public key file.
pub(crate) fn read_public_key(path: &Path) -> Result<PublicKey, Failure> {
    PublicKey::from_pem(&read_text(path)?).map_err(|error| Failure::usage(format_args!("{}: {error}", path.display())))
}

/// Writes a file whole or not at all: to a temporary name beside it, then renamed. `replace` allows an existing file.
pub(crate) fn write(path: &Path, bytes: &[u8], replace: bool) -> Result<(), Failure> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => Failure::usage(format_args!("{} exists already", path.display()))
            .hint("give another name, or remove it first"),
        _ => Failure::writing(path, &error),
    };
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(directory).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o644)).map_err(failed)?;
    }
    let kept = if replace { file.persist(path) } else { file.persist_noclobber(path) };
    kept.map(|_| ()).map_err(|error| failed(error.error))
}
