//! `approval.json`: one party's answer. A signature in the legacy format, the same in bundle form, and a signed
//! statement of what the party rebuilt.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use csign_contract::Contract;
use csign_envelope::{
    KeyId, PublicKey,
    bundle::{Bundle, BundleError},
    dsse::{self, Envelope, EnvelopeError},
    statement::{REPRODUCED_PREDICATE, Reproduced, SIGN_PREDICATE, Statement, StatementError},
};
use csign_oci::{Digest, Pinned, Repository, json};
use serde::{Deserialize, Serialize};

use super::payload;
use crate::Verified;

const KIND: &str = "csign-approval";

/// One party's approval.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Approval {
    kind: String,
    version: u32,
    /// The party's name in the contract.
    pub party: String,
    /// Its key's id.
    pub key_id: KeyId,
    /// Repository of the image.
    pub repository: Repository,
    /// The image.
    pub digest: Digest,
    /// Digest of the canonical contract.
    pub contract: Digest,
    /// The exact text that was signed.
    pub payload: String,
    /// base64 of the signature over the payload.
    pub signature: String,
    /// The signature in bundle form.
    pub bundle: Bundle,
    /// The signed statement of what was rebuilt.
    pub reproduced: Envelope,
}

/// The three signatures of an approval (ASN.1 DER), made by whoever holds the key.
pub struct Signed {
    /// Over [`Approval::payload_to_sign`].
    pub payload: Vec<u8>,
    /// Over the pre-authentication encoding of [`Approval::sign_statement`].
    pub bundle: Vec<u8>,
    /// Over the pre-authentication encoding of [`Approval::reproduced_statement`].
    pub reproduced: Vec<u8>,
}

/// Why an approval is refused.
#[derive(Debug, thiserror::Error)]
pub enum ApprovalError {
    /// Not the expected JSON.
    #[error("parsing the approval: {0}")]
    Json(#[from] serde_json::Error),
    /// Another kind of file or a newer version.
    #[error("this is no approval of version 1 (kind {kind:?}, version {version})")]
    Kind {
        /// What it says it is.
        kind: String,
        /// Its version.
        version: u32,
    },
    /// The contract does not know this party.
    #[error("the approval is by {party} with key {key_id}, which is no party of the contract")]
    UnknownParty {
        /// The name in the approval.
        party: String,
        /// The key id in the approval.
        key_id: KeyId,
    },
    /// For another image, contract or payload.
    #[error("the approval of {party} has {what} {got}, not {want}")]
    Mismatch {
        /// Whose approval.
        party: String,
        /// Which value.
        what: &'static str,
        /// What was wanted.
        want: String,
        /// What the approval says.
        got: String,
    },
    /// The signature over the payload does not verify.
    #[error("the approval of {party} has a signature that does not verify under that party's key")]
    Signature {
        /// Whose approval.
        party: String,
    },
    /// The bundle in it is malformed.
    #[error("the approval of {party}: {source}")]
    Bundle {
        /// Whose approval.
        party: String,
        /// Why.
        source: BundleError,
    },
    /// An envelope in it does not verify.
    #[error("the approval of {party}: {source}")]
    Envelope {
        /// Whose approval.
        party: String,
        /// Why.
        source: EnvelopeError,
    },
    /// A statement in it is about something else.
    #[error("the approval of {party}: {source}")]
    Statement {
        /// Whose approval.
        party: String,
        /// Why.
        source: StatementError,
    },
}

impl Approval {
    /// What to sign for the legacy format.
    pub fn payload_to_sign(image: &Pinned, key: &PublicKey) -> Vec<u8> {
        payload(image, key)
    }

    /// The statement to sign for the bundle.
    ///
    /// # Errors
    /// None in practice.
    pub fn sign_statement(image: &Pinned) -> Result<Vec<u8>, StatementError> {
        Statement::signature(&image.digest, &std::collections::BTreeMap::new()).to_bytes()
    }

    /// The statement to sign about what was rebuilt.
    ///
    /// # Errors
    /// None in practice.
    pub fn reproduced_statement(image: &Pinned, what: &Reproduced) -> Result<Vec<u8>, StatementError> {
        Statement::reproduced(&image.repository.to_string(), &image.digest, what)?.to_bytes()
    }

    /// Puts the party's three signatures together.
    ///
    /// # Errors
    /// None in practice.
    pub fn new(
        contract: &Contract,
        party: &str,
        key: &PublicKey,
        image: &Pinned,
        what: &Reproduced,
        signed: &Signed,
    ) -> Result<Self, StatementError> {
        let sign = Self::sign_statement(image)?;
        let reproduced = Self::reproduced_statement(image, what)?;
        Ok(Self {
            kind: KIND.to_owned(),
            version: 1,
            party: party.to_owned(),
            key_id: key.id(),
            repository: image.repository.clone(),
            digest: image.digest,
            contract: contract.digest(),
            payload: String::from_utf8_lossy(&payload(image, key)).into_owned(),
            signature: BASE64_STANDARD.encode(&signed.payload),
            bundle: Bundle::new(Envelope::new(dsse::IN_TOTO, &sign, &signed.bundle), key),
            reproduced: Envelope::new(dsse::IN_TOTO, &reproduced, &signed.reproduced),
        })
    }

    /// Parses an approval. Nothing in it is checked yet.
    ///
    /// # Errors
    /// Malformed JSON, unknown or duplicate members, another kind or version.
    pub fn parse(bytes: &[u8]) -> Result<Self, ApprovalError> {
        let approval: Self = json::from_slice(bytes)?;
        if approval.kind != KIND || approval.version != 1 {
            return Err(ApprovalError::Kind { kind: approval.kind, version: approval.version });
        }
        Ok(approval)
    }

    /// The file's text.
    ///
    /// # Errors
    /// None in practice.
    pub fn to_text(&self) -> Result<String, ApprovalError> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// The approval, if it is what `contract` asks of that party for `image`.
    ///
    /// The rules: 1. The party and its key are the contract's. 2. Image and contract are ours. 3. The payload is the one that the
    /// party must sign, and the signature verifies. 4. The bundle holds the same signature. 5. The "reproduced"
    /// statement is signed by the party, about this image and this contract.
    ///
    /// # Errors
    /// The first rule that the approval breaks.
    pub fn check(self, contract: &Contract, image: &Pinned) -> Result<Verified<Self>, ApprovalError> {
        let name = || self.party.clone();
        // 1.
        let party =
            contract.parties.iter().find(|party| party.name == self.party && party.public_key.id() == self.key_id);
        let Some(party) = party else {
            return Err(ApprovalError::UnknownParty { party: self.party, key_id: self.key_id });
        };
        let key = &party.public_key;
        // 2.
        let equal = |what, want: String, got: String| {
            if want == got { Ok(()) } else { Err(ApprovalError::Mismatch { party: name(), what, want, got }) }
        };
        equal("contract", contract.digest().to_string(), self.contract.to_string())?;
        equal("image", image.to_string(), self.repository.at(self.digest).to_string())?;
        // 3.
        let payload = payload(image, key);
        equal("payload", String::from_utf8_lossy(&payload).into_owned(), self.payload.clone())?;
        let verifies = BASE64_STANDARD.decode(&self.signature).is_ok_and(|signature| key.verify(&payload, &signature));
        if !verifies {
            return Err(ApprovalError::Signature { party: name() });
        }
        // 4.
        if self.bundle.media_type != csign_envelope::bundle::MEDIA_TYPE {
            let source = BundleError::MediaType(self.bundle.media_type.clone());
            return Err(ApprovalError::Bundle { party: name(), source });
        }
        let envelope = |envelope: &Envelope| {
            envelope.verify(key).map_err(|source| ApprovalError::Envelope { party: name(), source })
        };
        let about = |bytes: &[u8], predicate| {
            Statement::parse_about(bytes, predicate, &image.digest)
                .map_err(|source| ApprovalError::Statement { party: name(), source })
        };
        about(&envelope(&self.bundle.dsse_envelope)?, SIGN_PREDICATE)?;
        // 5.
        let statement = about(&envelope(&self.reproduced)?, REPRODUCED_PREDICATE)?;
        let reproduced: Reproduced = serde_json::from_value(statement.predicate)?;
        equal("statement about contract", contract.digest().to_string(), reproduced.contract.to_string())?;
        Ok(Verified::new(self))
    }

    /// What the party says it rebuilt, for people. Believe it only of a [`Verified`] approval.
    pub fn what_was_rebuilt(&self) -> Option<Reproduced> {
        let payload = BASE64_STANDARD.decode(&self.reproduced.payload).ok()?;
        let statement: Statement = json::from_slice(&payload).ok()?;
        serde_json::from_value(statement.predicate).ok()
    }
}
