//! `rebuild.json`: what `csign rebuild` notes for the party that ran it. `approve` signs the statement in it, after the
//! checks here: a record of another request, contract or image, or one that contradicts itself, is refused.

use std::collections::BTreeMap;

use csign_contract::Contract;
use csign_envelope::statement::{Rebuild, Reproduced, RevisionFrom};
use csign_oci::{Digest, Pinned, Repository, json};
use serde::{Deserialize, Serialize};

use super::Request;

const KIND: &str = "csign-rebuild";

/// The variables that a build saw: with their value where the recipe sets it, without where the machine does.
pub type Variables = BTreeMap<String, Option<String>>;

/// The record of one rebuild that came to the request's digest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RebuildRecord {
    kind: String,
    version: u32,
    /// Repository of the image.
    pub repository: Repository,
    /// The digest that came out.
    pub digest: Digest,
    /// What the party can now state.
    pub reproduced: Reproduced,
    /// The variables that the build saw.
    pub environment: Variables,
    /// When it began, RFC 3339: for people.
    pub started: String,
    /// When it ended.
    pub finished: String,
}

/// Why a record is refused.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Not the expected JSON.
    #[error("parsing the record of the rebuild: {0}")]
    Json(#[from] serde_json::Error),
    /// Another kind of file or a newer version.
    #[error("this is no record of a rebuild of version 1 (kind {kind:?}, version {version})")]
    Kind {
        /// What it says it is.
        kind: String,
        /// Its version.
        version: u32,
    },
    /// The record does not fit the request or the contract.
    #[error("the record's {what} is {got}, not {want}")]
    Mismatch {
        /// Which value.
        what: &'static str,
        /// What was wanted.
        want: String,
        /// What the record says.
        got: String,
    },
    /// It does not say how the image was rebuilt.
    #[error("the record does not say how the image was rebuilt")]
    NotRebuilt,
}

impl RebuildRecord {
    /// The record of a rebuild of `image` between two times.
    pub fn new(
        image: &Pinned,
        reproduced: Reproduced,
        environment: Variables,
        [started, finished]: [String; 2],
    ) -> Self {
        Self {
            kind: KIND.to_owned(),
            version: 1,
            repository: image.repository.clone(),
            digest: image.digest,
            reproduced,
            environment,
            started,
            finished,
        }
    }

    /// Parses a record. Nothing in it is checked yet.
    ///
    /// # Errors
    /// Malformed JSON, unknown or duplicate members, another kind or version.
    pub fn parse(bytes: &[u8]) -> Result<Self, RecordError> {
        let record: Self = json::from_slice(bytes)?;
        if record.kind != KIND || record.version != 1 {
            return Err(RecordError::Kind { kind: record.kind, version: record.version });
        }
        Ok(record)
    }

    /// The file's text.
    ///
    /// # Errors
    /// None in practice.
    pub fn to_text(&self) -> Result<String, RecordError> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// The image that came out.
    pub fn image(&self) -> Pinned {
        self.repository.at(self.digest)
    }

    /// What the party can state, if the record is about this very request (the file's bytes, and what they say, which
    /// [`Request::check`] has accepted under `contract`).
    ///
    /// # Errors
    /// The first value that differs.
    pub fn check(
        &self,
        contract: &Contract,
        request: &Request,
        request_file: &[u8],
    ) -> Result<Reproduced, RecordError> {
        let equal = |what, want: String, got: String| {
            if want == got { Ok(()) } else { Err(RecordError::Mismatch { what, want, got }) }
        };
        let said = &self.reproduced;
        let rebuild = said.rebuild.as_ref().filter(|_| said.rebuilt).ok_or(RecordError::NotRebuilt)?;
        equal("request", Digest::of(request_file).to_string(), rebuild.request.to_string())?;
        equal("image", request.image().to_string(), self.image().to_string())?;
        equal("contract", contract.digest().to_string(), said.contract.to_string())?;
        equal("recipe", contract.build.recipe.name().to_owned(), said.recipe.clone())?;
        let revision = said.source_revision.clone().unwrap_or_else(|| "none".to_owned());
        match &request.source.revision {
            Some(want) => {
                equal("source revision", want.clone(), revision)?;
                equal("origin of the revision", "request".to_owned(), from(rebuild).to_owned())?;
            }
            None => equal("origin of the revision", "party".to_owned(), from(rebuild).to_owned())?,
        }
        if let Some(want) = request.source.lock_file {
            let got = said.lock_file.map_or_else(|| "none".to_owned(), |digest| digest.to_string());
            equal("lock file", want.to_string(), got)?;
        }
        equal("environment", rebuild.environment.to_string(), environment_digest(&self.environment)?.to_string())?;
        Ok(said.clone())
    }
}

/// sha256 of the variables as compact JSON, sorted by name.
///
/// # Errors
/// None in practice.
pub fn environment_digest(environment: &Variables) -> Result<Digest, RecordError> {
    Ok(Digest::of(serde_json::to_vec(environment)?))
}

const fn from(rebuild: &Rebuild) -> &'static str {
    match rebuild.revision_from {
        RevisionFrom::Request => "request",
        RevisionFrom::Party => "party",
    }
}
