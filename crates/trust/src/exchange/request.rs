//! `request.json`: what the builder asks the others to sign. It is read by people, so it is plain and short; nothing in
//! it is believed: every value is computed again from the contract and compared.

use csign_contract::Contract;
use csign_envelope::KeyId;
use csign_oci::{Digest, Pinned, Repository, json};
use serde::{Deserialize, Serialize};

use super::payload;

const KIND: &str = "csign-request";

/// The builder's request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    kind: String,
    version: u32,
    /// Repository of the image.
    pub repository: Repository,
    /// The image.
    pub digest: Digest,
    /// Digest of the canonical contract.
    pub contract: Digest,
    /// What the image was built from.
    pub source: Source,
    /// What each party is asked to sign, in the contract's order.
    pub signatures: Vec<RequestedSignature>,
}

/// What the image was built from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Source {
    /// The recipe of the contract.
    pub recipe: String,
    /// Revision, as version control names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Where others find it: `git+https://…`, without credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The workspace's directory in the repository, with slashes; absent for its root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
    /// Were there changes that the revision does not have? Then hardly anyone will come to the same digest.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub modified: bool,
    /// sha256 of the lock file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock_file: Option<Digest>,
    /// The compiler's version line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toolchain: Option<String>,
}

/// What one party is asked to sign.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestedSignature {
    /// The party's name in the contract.
    pub party: String,
    /// Its key's id.
    pub key_id: KeyId,
    /// The exact text to sign.
    pub payload: String,
}

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// Not the expected JSON.
    #[error("parsing the request: {0}")]
    Json(#[from] serde_json::Error),
    /// Another kind of file or a newer version.
    #[error("this is no request of version 1 (kind {kind:?}, version {version})")]
    Kind {
        /// What it says it is.
        kind: String,
        /// Its version.
        version: u32,
    },
    /// The request does not fit the contract.
    #[error("the request's {what} is {got}, but by your contract it is {want}")]
    Mismatch {
        /// Which value.
        what: &'static str,
        /// What the contract gives.
        want: String,
        /// What the request says.
        got: String,
    },
}

impl Request {
    /// The request for everyone in `contract` to sign `digest`.
    pub fn new(contract: &Contract, digest: Digest, mut source: Source) -> Self {
        source.recipe = contract.build.recipe.name().to_owned();
        let image = contract.image.repository.at(digest);
        Self {
            kind: KIND.to_owned(),
            version: 1,
            repository: contract.image.repository.clone(),
            digest,
            contract: contract.digest(),
            source,
            signatures: requested(contract, &image),
        }
    }

    /// Parses a request.
    ///
    /// # Errors
    /// Malformed JSON, unknown or duplicate members, another kind or version.
    pub fn parse(bytes: &[u8]) -> Result<Self, RequestError> {
        let request: Self = json::from_slice(bytes)?;
        if request.kind != KIND || request.version != 1 {
            return Err(RequestError::Kind { kind: request.kind, version: request.version });
        }
        Ok(request)
    }

    /// The file's text.
    ///
    /// # Errors
    /// None in practice.
    pub fn to_text(&self) -> Result<String, RequestError> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// The image that the request is about.
    pub fn image(&self) -> Pinned {
        self.repository.at(self.digest)
    }

    /// Computes the request again from `contract` and compares.
    ///
    /// # Errors
    /// The first value that differs.
    pub fn check(&self, contract: &Contract) -> Result<Pinned, RequestError> {
        let equal = |what, want: String, got: String| {
            if want == got { Ok(()) } else { Err(RequestError::Mismatch { what, want, got }) }
        };
        equal("contract", contract.digest().to_string(), self.contract.to_string())?;
        equal("repository", contract.image.repository.to_string(), self.repository.to_string())?;
        equal("recipe", contract.build.recipe.name().to_owned(), self.source.recipe.clone())?;
        let image = self.image();
        let names =
            |list: &[RequestedSignature]| list.iter().map(|one| one.party.clone()).collect::<Vec<_>>().join(", ");
        let want = requested(contract, &image);
        equal("list of parties", names(&want), names(&self.signatures))?;
        for (want, got) in want.into_iter().zip(&self.signatures) {
            equal("key id", want.key_id.to_string(), got.key_id.to_string())?;
            equal("payload", want.payload, got.payload.clone())?;
        }
        Ok(image)
    }
}

fn requested(contract: &Contract, image: &Pinned) -> Vec<RequestedSignature> {
    let parties = contract.parties.iter();
    parties
        .map(|party| RequestedSignature {
            party: party.name.clone(),
            key_id: party.public_key.id(),
            payload: String::from_utf8_lossy(&payload(image, &party.public_key)).into_owned(),
        })
        .collect()
}
