//! SLSA provenance v1 (https://slsa.dev/spec/v1.0/provenance) of an image that `csign build` made.

use csign_oci::{Digest, Repository};
use serde_json::{Map, Value, json};

use crate::{
    lock::{LockFile, Origin},
    purl,
    timestamp::Timestamp,
};

/// `predicateType`.
pub const SLSA1: &str = "https://slsa.dev/provenance/v1";
/// What the parameters mean: the recipes of `csign build`, which README.md describes.
pub const BUILD_TYPE: &str = "https://csign.dev/build/cargo-image/v1";
/// The builder on somebody's own machine.
pub const LOCAL_BUILDER: &str = "https://csign.dev/builder/local/v1";
/// csign as a step of Cloud Build. Not Google's own builder id: the statement is csign's, not Google's.
pub const CLOUD_BUILDER: &str = "https://csign.dev/builder/cloud-build/v1";

/// A build, as far as it is known.
#[derive(Debug)]
pub struct Build<'a> {
    /// The source tree.
    pub source: Source,
    /// The contract's recipe.
    pub recipe: &'a str,
    /// Package whose program is in the image.
    pub package: &'a str,
    /// Repository that the contract names.
    pub repository: &'a Repository,
    /// Digest of the canonical contract.
    pub contract: Digest,
    /// The compiler.
    pub toolchain: Toolchain<'a>,
    /// The lock file.
    pub lock: &'a LockFile,
    /// URI of who ran the build.
    pub builder_id: &'a str,
    /// Version of csign.
    pub tool_version: &'a str,
    /// The build service's own name of this build.
    pub cloud_build: Option<CloudBuild<'a>>,
    /// When it began, if the caller knows.
    pub started_on: Option<Timestamp>,
    /// When it ended, if the caller knows.
    pub finished_on: Option<Timestamp>,
}

/// Which sources were built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Repository as `git+https://…`, without credentials.
    pub uri: String,
    /// The commit.
    pub revision: String,
    /// Directory in the repository; empty for its root.
    pub directory: String,
    /// Where the revision comes from.
    pub state: SourceState,
}

/// How far the revision says what was built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceState {
    /// git finds the tree as it is in the revision.
    Clean,
    /// The tree differs from the revision.
    Modified,
    /// There is no git: the caller says so.
    Stated,
}

/// The compiler.
#[derive(Clone, Copy, Debug)]
pub struct Toolchain<'a> {
    /// Version.
    pub release: &'a str,
    /// Commit of its sources.
    pub commit: &'a str,
    /// Machine on which it ran.
    pub host: &'a str,
    /// `cargo -V`.
    pub cargo: &'a str,
    /// The target triple.
    pub target: &'a str,
}

/// A run of Google Cloud Build, as its substitutions name it.
#[derive(Clone, Copy, Debug)]
pub struct CloudBuild<'a> {
    /// `BUILD_ID`
    pub build: &'a str,
    /// `PROJECT_ID`
    pub project: &'a str,
    /// `LOCATION`
    pub location: &'a str,
    /// `TRIGGER_NAME`, for builds that a trigger started.
    pub trigger: Option<&'a str>,
}

/// The predicate.
pub fn slsa1(build: &Build<'_>) -> Value {
    let toolchain = &build.toolchain;
    let mut internal = json!({
        "toolchain": {
            "release": toolchain.release,
            "commit": toolchain.commit,
            "host": toolchain.host,
            "cargo": toolchain.cargo,
            "target": toolchain.target,
        },
    });
    let mut metadata = Map::new();
    if let Some(cloud) = &build.cloud_build {
        internal["cloudBuild"] = cloud.parameters();
        metadata.insert("invocationId".to_owned(), cloud.name().into());
    }
    for (name, time) in [("startedOn", build.started_on), ("finishedOn", build.finished_on)] {
        if let Some(time) = time {
            metadata.insert(name.to_owned(), time.to_string().into());
        }
    }
    let mut details = json!({"builder": {"id": build.builder_id, "version": {"csign": build.tool_version}}});
    if !metadata.is_empty() {
        details["metadata"] = Value::Object(metadata);
    }
    json!({
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {
                "source": build.source.parameters(),
                "recipe": build.recipe,
                "package": build.package,
                "repository": build.repository.to_string(),
                "contract": {"digest": {"sha256": build.contract.hex()}},
            },
            "internalParameters": internal,
            "resolvedDependencies": dependencies(build),
        },
        "runDetails": details,
    })
}

/// Everything that the build read: sources, lock file, compiler, and each crate that the lock file pins.
fn dependencies(build: &Build<'_>) -> Vec<Value> {
    let toolchain = &build.toolchain;
    let mut out = vec![
        build.source.dependency(),
        json!({"name": "Cargo.lock", "digest": {"sha256": build.lock.digest.hex()}}),
        json!({
            "name": format!("rust {} {}", toolchain.release, toolchain.host),
            "uri": format!("git+https://github.com/rust-lang/rust@{}", toolchain.commit),
            "digest": {"gitCommit": toolchain.commit},
        }),
    ];
    for package in &build.lock.packages {
        let mut one = json!({"name": format!("{} {}", package.name, package.version)});
        if let Some(purl) = purl::cargo(package) {
            one["uri"] = purl.into();
        }
        match (&package.checksum, &package.origin) {
            // Sources of the tree are covered by its revision.
            (_, Origin::Path) => continue,
            (Some(checksum), _) => one["digest"] = json!({"sha256": checksum.hex()}),
            (None, Origin::Git { revision, .. }) => one["digest"] = json!({"gitCommit": revision}),
            (None, _) => {}
        }
        out.push(one);
    }
    out
}

impl Source {
    fn parameters(&self) -> Value {
        let mut out = json!({"uri": self.uri, "revision": self.revision});
        if !self.directory.is_empty() {
            out["directory"] = self.directory.as_str().into();
        }
        out
    }

    fn dependency(&self) -> Value {
        let mut out = json!({
            "uri": format!("{}@{}", self.uri, self.revision),
            "digest": {"gitCommit": self.revision},
        });
        let remark = match self.state {
            SourceState::Clean => return out,
            SourceState::Modified => "the tree was modified: it is not what this revision holds",
            SourceState::Stated => "stated by the caller: there was no git repository to compare with",
        };
        out["annotations"] = json!({"csign.dev/source": remark});
        out
    }
}

impl CloudBuild<'_> {
    /// The build's resource name as a URL.
    fn name(&self) -> String {
        let Self { build, project, location, .. } = self;
        format!("https://cloudbuild.googleapis.com/v1/projects/{project}/locations/{location}/builds/{build}")
    }

    fn parameters(&self) -> Value {
        let mut out = json!({"buildId": self.build, "projectId": self.project, "location": self.location});
        if let Some(trigger) = self.trigger {
            out["triggerName"] = trigger.into();
        }
        out
    }
}
