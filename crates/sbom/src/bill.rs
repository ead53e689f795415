//! The facts that every format of a bill of materials is written from.

use csign_oci::{Digest, Repository};

use crate::{
    contents::Contents,
    error::SbomError,
    lock::{LockFile, Package, Spelling},
    purl,
    timestamp::Timestamp,
};

/// Everything that a bill of materials says.
#[derive(Clone, Debug)]
pub struct Bill {
    /// The image.
    pub image: ImageFacts,
    /// Its layers, base first.
    pub layers: Vec<Contents>,
    /// The crates of its program, where a lock file was given.
    pub crates: Option<Crates>,
    /// When the document was made, or the image.
    pub created: Timestamp,
    /// Version of csign.
    pub tool_version: String,
}

/// The image itself.
#[derive(Clone, Debug)]
pub struct ImageFacts {
    /// Its digest.
    pub digest: Digest,
    /// Where it is stored, if that is known.
    pub repository: Option<Repository>,
    /// Processor in Go's spelling.
    pub architecture: String,
    /// The program that a container runs: its path without leading slash.
    pub program: Option<String>,
}

/// Crates, and how they were found.
#[derive(Clone, Debug)]
pub struct Crates {
    /// What the list means.
    pub scope: Scope,
    /// sha256 of the lock file.
    pub lock_file: Digest,
    /// The crates, sorted as in the lock file; dependencies are places in this list.
    pub list: Vec<Crate>,
}

/// One crate.
#[derive(Clone, Debug)]
pub struct Crate {
    /// What the lock file says of it. Its dependencies are replaced by those that are in the list.
    pub package: Package,
    /// The licence that it declares, if its manifest was read.
    pub license: Option<String>,
}

/// What a list of crates means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everything in the lock file: also what is used only to build or to test, or on other platforms.
    LockFile,
    /// Exactly the crates that are compiled into one program.
    Linked {
        /// The place of the program's package in the list.
        root: usize,
        /// The target triple.
        target: String,
        /// The compiler's version, which is the standard library's too.
        toolchain: String,
    },
}

/// A crate as cargo resolved it for one program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkedCrate {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// The source as the lock file spells it; none for the source tree.
    pub source: Option<Spelling>,
    /// The licence that its manifest declares.
    pub license: Option<String>,
    /// Places in the list of linked crates.
    pub dependencies: Vec<usize>,
}

impl Crates {
    /// All packages of the lock file.
    pub fn of_lock_file(lock: LockFile) -> Self {
        let list = lock.packages.into_iter().map(|package| Crate { package, license: None }).collect();
        Self { scope: Scope::LockFile, lock_file: lock.digest, list }
    }

    /// The crates that cargo compiles into a program, the first of which is the program's own package.
    ///
    /// # Errors
    /// [`SbomError::NotLocked`] if one of them is not in the lock file exactly once.
    pub fn linked(lock: &LockFile, linked: &[LinkedCrate], target: &str, toolchain: &str) -> Result<Self, SbomError> {
        let locked = linked.iter().map(|one| lock.find(&one.name, &one.version, Some(&one.source)));
        let locked = locked.collect::<Result<Vec<usize>, _>>()?;
        // In the lock file's order, whatever cargo's was.
        let mut order: Vec<usize> = (0..linked.len()).collect();
        order.sort_by_key(|at| locked[*at]);
        let mut places = vec![0; linked.len()];
        for (place, at) in order.iter().enumerate() {
            places[*at] = place;
        }
        let absent = || SbomError::NotLocked { package: "a dependency of the program".to_owned(), found: 0 };
        let mut list = Vec::with_capacity(linked.len());
        for at in order {
            let (one, mut package) = (&linked[at], lock.packages[locked[at]].clone());
            let dependencies = one.dependencies.iter().map(|to| places.get(*to).copied().ok_or_else(absent));
            package.dependencies = dependencies.collect::<Result<_, _>>()?;
            package.dependencies.sort_unstable();
            package.dependencies.dedup();
            list.push(Crate { package, license: one.license.clone() });
        }
        let root = places.first().copied().ok_or_else(absent)?;
        let scope = Scope::Linked { root, target: target.to_owned(), toolchain: toolchain.to_owned() };
        Ok(Self { scope, lock_file: lock.digest, list })
    }
}

impl Bill {
    /// The image's name: with its repository where that is known.
    pub fn name(&self) -> String {
        match &self.image.repository {
            Some(repository) => repository.at(self.image.digest).to_string(),
            None => self.image.digest.to_string(),
        }
    }

    /// The image's package URL, where its repository is known.
    pub fn purl(&self) -> Option<String> {
        let image = &self.image;
        image.repository.as_ref().map(|repository| purl::oci(repository, &image.digest, &image.architecture))
    }

    /// The places of the program that a container runs: layer, then file. The last layer that has it counts.
    pub(crate) fn program(&self) -> Option<(usize, usize)> {
        let path = self.image.program.as_deref()?;
        let find = |layer: &Contents| layer.files.iter().rposition(|file| file.path == path);
        self.layers.iter().enumerate().rev().find_map(|(layer, contents)| Some((layer, find(contents)?)))
    }

    /// What the list of crates covers, in words that belong into the document.
    pub(crate) fn coverage(&self) -> String {
        match &self.crates {
            None => "Files of the image only: no lock file was given, so the crates of its program are not listed."
                .to_owned(),
            Some(Crates { scope: Scope::LockFile, lock_file, .. }) => format!(
                "The crates are all packages of the Cargo.lock with {lock_file}: also those used only to build or to test, \
                 and those of other platforms. That the image was built from it is what its builder says; a rebuild shows it."
            ),
            Some(Crates { scope: Scope::Linked { target, toolchain, .. }, lock_file, .. }) => format!(
                "The crates are those that cargo compiles into the program for {target} with Rust {toolchain} by the \
                 Cargo.lock with {lock_file}, and the standard library: build scripts, procedural macros and tests are left \
                 out. That the image was built from it is what its builder says; a rebuild shows it."
            ),
        }
    }
}

/// A UUID (RFC 9562, version 8) that depends on the format and on everything that the document says, so that two
/// different documents never have the same name, and the same document always has.
pub(crate) fn uuid(format: &str, document: &[u8]) -> String {
    let mut bytes = *Digest::of(format!("csign sbom\n{format}\n{}", Digest::of(document))).as_bytes();
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = Digest::from_bytes(bytes).hex();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..32])
}
