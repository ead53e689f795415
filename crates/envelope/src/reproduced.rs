//! The predicate "reproduced": what a party states about its own build of the image.

use std::collections::BTreeMap;

use csign_oci::Digest;
use serde::{Deserialize, Serialize};

/// What a party states that rebuilt the image: sources, recipe and tools, and the digest that came out (the subject).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Reproduced {
    /// Canonical digest of the contract.
    pub contract: Digest,
    /// The recipe that was run.
    pub recipe: String,
    /// Source revision that was built, as version control names it; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_revision: Option<String>,
    /// sha256 of the lock file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock_file: Option<Digest>,
    /// `rustc -vV`, first line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toolchain: Option<String>,
    /// Did this party rebuild the image itself, or does it rely on the request?
    pub rebuilt: bool,
    /// How `csign rebuild` did it; absent where the party rebuilt by other means, or not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rebuild: Option<Rebuild>,
}

/// The facts of one run of `csign rebuild`. Nothing in it names a path or a secret of the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rebuild {
    /// sha256 of the request's file.
    pub request: Digest,
    /// Who named the revision.
    pub revision_from: RevisionFrom,
    /// Where the revision was fetched from: `git+https://…` without credentials, or `a repository on this machine`.
    pub sources: String,
    /// Commit of each submodule by its path; only those that the tree pins are ever fetched.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub submodules: BTreeMap<String, String>,
    /// `rustc -vV`, all lines, where the recipe runs the compiler itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rustc: Option<String>,
    /// `cargo -V`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cargo: Option<String>,
    /// `bazel --version`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bazel: Option<String>,
    /// What linked the program, where the recipe chose it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linker: Option<Tool>,
    /// sha256 of the variables that the build saw, as the rebuild's record lists them.
    pub environment: Digest,
    /// What kept the build from the network.
    pub network: String,
}

/// Who named the revision that was rebuilt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RevisionFrom {
    /// The builder's request.
    Request,
    /// The party itself: the request names none.
    Party,
}

/// A program that took part in a build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tool {
    /// Its name, for instance `rust-lld`.
    pub name: String,
    /// The first line that it prints about its version.
    pub version: String,
    /// sha256 of the file.
    pub digest: Digest,
}
