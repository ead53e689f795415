//! `Cargo.lock` of the versions 3 and 4. Every dependency must be exactly one of the packages: what cannot be told apart
//! is refused, not guessed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use csign_oci::Digest;
use serde::Deserialize;

use crate::{error::SbomError, purl::without_credentials};

/// Largest lock file that is read, in bytes: some forty times a large one.
pub const MAX_BYTES: usize = 16 << 20;
/// Most packages of a lock file: stops files that cost more to write out than they are worth.
const MAX_PACKAGES: usize = 20_000;
/// Most dependencies of all packages together.
const MAX_DEPENDENCIES: usize = 400_000;
/// Longest name or version, in bytes.
const MAX_NAME: usize = 256;
/// Longest source, in bytes.
const MAX_SOURCE: usize = 2048;
const CRATES_IO: [&str; 2] =
    ["registry+https://github.com/rust-lang/crates.io-index", "sparse+https://index.crates.io/"];

/// A parsed lock file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockFile {
    /// sha256 of the file.
    pub digest: Digest,
    /// Its packages, sorted by name, version, source; each once.
    pub packages: Vec<Package>,
}

/// One package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Letters, digits, `-` and `_`.
    pub name: String,
    /// Version as cargo writes it.
    pub version: String,
    source: Option<Spelling>,
    /// Where it comes from.
    pub origin: Origin,
    /// sha256 of the `.crate` file.
    pub checksum: Option<Digest>,
    /// Places in [`LockFile::packages`], ascending.
    pub dependencies: Vec<usize>,
}

/// A source as the lock file spells it, for comparison alone: it may hold credentials.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spelling(String);

impl Spelling {
    /// The text as the lock file or `cargo metadata` has it.
    pub const fn new(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Spelling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_credentials(&self.0))
    }
}

/// Where a package comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The source tree itself.
    Path,
    /// crates.io.
    CratesIo,
    /// Another registry: the URL of its index.
    Registry(String),
    /// A git repository.
    Git {
        /// The repository.
        url: String,
        /// The commit.
        revision: String,
    },
}

#[derive(Deserialize)]
struct RawFile {
    version: Option<i64>,
    #[serde(default)]
    package: Vec<RawPackage>,
}

#[derive(Deserialize)]
struct RawPackage {
    name: String,
    version: String,
    source: Option<String>,
    checksum: Option<String>,
    #[serde(default)]
    dependencies: Vec<String>,
}

impl LockFile {
    /// Parses a lock file.
    ///
    /// # Errors
    /// Anything that cargo would not write: see [`SbomError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, SbomError> {
        if bytes.len() > MAX_BYTES {
            return Err(SbomError::LockTooLarge { what: "bytes", limit: MAX_BYTES });
        }
        let text = std::str::from_utf8(bytes).map_err(|_| SbomError::Lock("it is not UTF-8".to_owned()))?;
        let raw: RawFile = toml::from_str(text).map_err(|error| SbomError::Lock(error.message().to_owned()))?;
        match raw.version {
            Some(3 | 4) => {}
            other => return Err(SbomError::LockVersion(other.unwrap_or(1))),
        }
        if raw.package.len() > MAX_PACKAGES {
            return Err(SbomError::LockTooLarge { what: "packages", limit: MAX_PACKAGES });
        }
        if raw.package.iter().map(|package| package.dependencies.len()).sum::<usize>() > MAX_DEPENDENCIES {
            return Err(SbomError::LockTooLarge { what: "dependencies", limit: MAX_DEPENDENCIES });
        }
        let mut packages = raw.package.into_iter().map(Package::read).collect::<Result<Vec<_>, _>>()?;
        packages.sort_by(|(a, _), (b, _)| a.key().cmp(&b.key()));
        if let Some([(twice, _), _]) = packages.array_windows().find(|[(a, _), (b, _)]| a.key() == b.key()) {
            return Err(twice.odd("is there twice"));
        }
        let (mut packages, dependencies): (Vec<Package>, Vec<Vec<String>>) = packages.into_iter().unzip();
        let resolved = resolve(&packages, &dependencies)?;
        for (package, dependencies) in packages.iter_mut().zip(resolved) {
            package.dependencies = dependencies;
        }
        Ok(Self { digest: Digest::of(bytes), packages })
    }

    /// The place of the package that cargo calls `name` `version`, from `source` where cargo says so.
    ///
    /// # Errors
    /// [`SbomError::NotLocked`] if none or several fit.
    pub fn find(&self, name: &str, version: &str, source: Option<&Option<Spelling>>) -> Result<usize, SbomError> {
        let fits = |package: &Package| {
            package.name == name && package.version == version && source.is_none_or(|source| package.source == *source)
        };
        // Sorted by name: neighbours are the only candidates.
        let start = self.packages.partition_point(|package| package.name.as_str() < name);
        let namesakes = (start..self.packages.len()).take_while(|at| self.packages[*at].name == name);
        let found: Vec<usize> = namesakes.filter(|at| fits(&self.packages[*at])).collect();
        match found.as_slice() {
            [one] => Ok(*one),
            other => Err(SbomError::NotLocked { package: format!("{name} {version}"), found: other.len() }),
        }
    }
}

impl Package {
    /// Checks one package; its dependencies are still texts.
    fn read(raw: RawPackage) -> Result<(Self, Vec<String>), SbomError> {
        let odd = |why| SbomError::Package { package: raw.name.chars().take(80).collect(), why };
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if raw.name.is_empty() || raw.name.len() > MAX_NAME || !raw.name.chars().all(is_name) {
            return Err(odd("has a name that no crate can have"));
        }
        let is_version = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+');
        if raw.version.is_empty() || raw.version.len() > MAX_NAME || !raw.version.chars().all(is_version) {
            return Err(odd("has a version that no crate can have"));
        }
        let origin = match &raw.source {
            None => Origin::Path,
            Some(source) => Origin::parse(source).ok_or_else(|| odd("has a source that is not understood"))?,
        };
        let checksum = raw.checksum.as_ref().map(|hex| Digest::parse(&format!("sha256:{hex}"))).transpose();
        let checksum = checksum.map_err(|_| odd("has a checksum that is no sha256"))?;
        let (name, version, source) = (raw.name, raw.version, raw.source.map(Spelling));
        Ok((Self { name, version, source, origin, checksum, dependencies: Vec::new() }, raw.dependencies))
    }

    fn key(&self) -> (&str, &str, Option<&Spelling>) {
        (&self.name, &self.version, self.source.as_ref())
    }

    fn odd(&self, why: &'static str) -> SbomError {
        SbomError::Package { package: format!("{} {}", self.name, self.version), why }
    }

    /// A name for this package that no other one in its lock file has, without credentials.
    pub fn reference(&self) -> String {
        let (name, version) = (&self.name, &self.version);
        match &self.origin {
            Origin::CratesIo => format!("crate:{name}@{version}"),
            Origin::Path => format!("crate:{name}@{version}#path"),
            // Two sources may differ in what is not shown, as in a branch of the same commit.
            _ => {
                let source = Digest::of(self.source.as_ref().map_or("", |source| &source.0)).hex();
                format!("crate:{name}@{version}#{source}")
            }
        }
    }
}

impl Origin {
    fn parse(source: &str) -> Option<Self> {
        if source.len() > MAX_SOURCE || !source.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        if CRATES_IO.contains(&source) {
            return Some(Self::CratesIo);
        }
        let (kind, url) = source.split_once('+')?;
        if !url.contains("://") {
            return None;
        }
        match kind {
            "registry" => Some(Self::Registry(without_credentials(url))),
            "sparse" => Some(Self::Registry(format!("sparse+{}", without_credentials(url)))),
            "git" => {
                let (place, revision) = url.rsplit_once('#')?;
                let place = place.split('?').next().unwrap_or_default();
                is_revision(revision)
                    .then(|| Self::Git { url: without_credentials(place), revision: revision.to_owned() })
            }
            _ => None,
        }
    }

    /// Where a git repository's commit is, as SPDX and SLSA write it.
    pub fn location(&self) -> Option<String> {
        match self {
            Self::Git { url, revision } => Some(format!("git+{url}@{revision}")),
            _ => None,
        }
    }
}

/// Is this a whole commit id of git (SHA-1 or SHA-256)?
pub fn is_revision(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Finds the package that each dependency means: `name`, `name version` or `name version (source)`, as short as cargo
/// could make it.
fn resolve(packages: &[Package], dependencies: &[Vec<String>]) -> Result<Vec<Vec<usize>>, SbomError> {
    let mut by_name: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, package) in packages.iter().enumerate() {
        by_name.entry(&package.name).or_default().push(at);
    }
    let one = |dependency: &str| -> Vec<usize> {
        let mut words = dependency.splitn(3, ' ');
        let (name, version, source) = (words.next().unwrap_or_default(), words.next(), words.next());
        let source = source.map(|text| text.trim_start_matches('(').trim_end_matches(')'));
        let fits = |package: &Package| {
            version.is_none_or(|version| package.version == version)
                && source.is_none_or(|source| {
                    // Of a git source, a dependency names everything but the commit.
                    let own = package.source.as_ref().map(|own| own.0.as_str());
                    own == Some(source)
                        || own.and_then(|own| own.rsplit_once('#')).is_some_and(|(own, _)| own == source)
                })
        };
        by_name.get(name).into_iter().flatten().copied().filter(|at| fits(&packages[*at])).collect()
    };
    let mut out = Vec::with_capacity(packages.len());
    for (package, texts) in packages.iter().zip(dependencies) {
        let mut found = BTreeSet::new();
        for text in texts {
            match one(text).as_slice() {
                [at] => found.insert(*at),
                other => {
                    // Without the source, which may hold credentials.
                    let dependency = text.split('(').next().unwrap_or_default().trim().chars().take(80).collect();
                    let package = format!("{} {}", package.name, package.version);
                    return Err(SbomError::Dependency { package, dependency, found: other.len() });
                }
            };
        }
        out.push(found.into_iter().collect());
    }
    Ok(out)
}
