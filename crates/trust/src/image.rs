//! Who signed an image: evidence from any source, each piece checked on its own, every party counted once.

use std::collections::{BTreeMap, HashMap};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use csign_envelope::{KeyId, simple_signing};
use csign_oci::{Descriptor, Digest, Pinned};
use serde::Serialize;

use crate::{
    Refused, Roster, Verified,
    report::{Verdict, printable},
};

/// Where a signature was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// A layer of the `.sig` tag.
    Registry,
    /// The attestation token's `image_signatures`.
    Token,
}

/// How one party stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub enum PartyStatus {
    /// Signed this very image with the key on the roster.
    Signed {
        /// Where the signature was found.
        source: Source,
    },
    /// Everything was read, and there is no signature under this key.
    Missing,
    /// No signature under this key was found, but not everything could be read.
    Unchecked,
    /// Signed, but another image.
    WrongDigest {
        /// The image that the party did sign.
        signed: Digest,
    },
    /// A signature by this key over something that is no signature payload.
    WrongPayload {
        /// What is wrong with it.
        problem: String,
    },
    /// A payload that names this party's key, whose signature does not verify.
    BadSignature,
}

/// One party and how it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartyRow {
    /// The party's name.
    pub party: String,
    /// Its key's id.
    pub key_id: KeyId,
    /// How it stands.
    #[serde(flatten)]
    pub status: PartyStatus,
}

/// A signature that belongs to nobody on the roster. It changes nothing; anyone can add one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stray {
    /// Digest of its payload.
    pub payload: Digest,
    /// What is known about it.
    pub problem: String,
}

/// Everything that was found out about an image's signatures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImageReport {
    /// The image.
    pub image: Pinned,
    /// How many parties must have signed.
    pub required: usize,
    /// Every party, in the roster's order.
    pub parties: Vec<PartyRow>,
    /// Signatures by keys that are not on the roster.
    pub unknown: Vec<Stray>,
    /// Sources or signatures that could not be read, with the reason.
    pub unchecked: Vec<String>,
}

/// What a layer of `.sig` needs before it is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing: the payload's digest told what its bytes are, or everyone has signed already.
    Nothing,
    /// The payload's bytes: fetch them and call [`ImageCheck::payload`].
    Payload,
}

/// A signature as it stands in the token's `submods.container.image_signatures`.
#[derive(Clone, Copy, Debug)]
pub struct TokenSignature<'a> {
    /// `key_id`
    pub key_id: KeyId,
    /// `signature`, standard base64
    pub signature: &'a str,
    /// `signature_algorithm`
    pub algorithm: &'a str,
}

enum Expected {
    /// The payload with this signer's key in it.
    Annotated(usize),
    /// The payload without annotations: any signer may have signed it.
    Plain,
}

/// Collects evidence about one image for one roster.
///
/// Repository, digest and key determine the bytes of a payload, so most layers are judged by their digest alone; the
/// bytes are needed only where they are not the expected ones.
pub struct ImageCheck<'r> {
    image: Pinned,
    roster: &'r Roster,
    expected: HashMap<Digest, (Expected, Vec<u8>)>,
    statuses: Vec<PartyStatus>,
    unknown: Vec<Stray>,
    unchecked: Vec<String>,
}

impl<'r> ImageCheck<'r> {
    /// Starts a check with no evidence: every party is missing.
    pub fn new(image: &Pinned, roster: &'r Roster) -> Self {
        let payload = |annotations: &BTreeMap<String, String>| {
            simple_signing::payload(&image.repository, &image.digest, annotations)
        };
        let mut expected: HashMap<Digest, (Expected, Vec<u8>)> = roster
            .signers()
            .iter()
            .enumerate()
            .map(|(index, signer)| {
                let bytes = payload(&simple_signing::annotations(&signer.key, &BTreeMap::new()));
                (Digest::of(&bytes), (Expected::Annotated(index), bytes))
            })
            .collect();
        let plain = payload(&BTreeMap::new());
        expected.insert(Digest::of(&plain), (Expected::Plain, plain));
        Self {
            image: image.clone(),
            roster,
            expected,
            statuses: vec![PartyStatus::Missing; roster.signers().len()],
            unknown: Vec::new(),
            unchecked: Vec::new(),
        }
    }

    /// The image that is checked.
    pub const fn image(&self) -> &Pinned {
        &self.image
    }

    /// Have enough parties signed? Further evidence cannot change that.
    pub fn is_complete(&self) -> bool {
        self.statuses.iter().filter(|status| matches!(status, PartyStatus::Signed { .. })).count()
            >= self.roster.required()
    }

    fn everyone_signed(&self) -> bool {
        self.statuses.iter().all(|status| matches!(status, PartyStatus::Signed { .. }))
    }

    /// A layer of the image's `.sig` tag.
    pub fn layer(&mut self, layer: &Descriptor) -> Need {
        if layer.media_type != simple_signing::MEDIA_TYPE {
            self.stray(layer.digest, format!("its media type is {:?}", printable(&layer.media_type, 80)));
            return Need::Nothing;
        }
        let Some(signature) = signature_of(layer) else {
            self.stray(layer.digest, format!("no base64 in the annotation {}", simple_signing::SIGNATURE_ANNOTATION));
            return Need::Nothing;
        };
        let Some((expected, bytes)) = self.expected.get(&layer.digest) else {
            return if self.everyone_signed() { Need::Nothing } else { Need::Payload };
        };
        let signers = self.roster.signers();
        let (claimed, found) = match expected {
            Expected::Annotated(index) => {
                (Some(*index), signers[*index].key.verify(bytes, &signature).then_some(*index))
            }
            Expected::Plain => (None, signers.iter().position(|signer| signer.key.verify(bytes, &signature))),
        };
        match (claimed, found) {
            (_, Some(index)) => self.record(index, PartyStatus::Signed { source: Source::Registry }),
            (Some(index), None) => self.record(index, PartyStatus::BadSignature),
            (None, None) => self.stray(layer.digest, "signed with a key that is not on the roster".to_owned()),
        }
        Need::Nothing
    }

    /// The bytes of a layer for which [`ImageCheck::layer`] asked. They must have the layer's digest.
    pub fn payload(&mut self, layer: &Descriptor, bytes: &[u8]) {
        if Digest::of(bytes) != layer.digest {
            self.unchecked(format!("the payload {} arrived with another digest", layer.digest));
            return;
        }
        let Some(signature) = signature_of(layer) else { return };
        let signer = self.roster.signers().iter().position(|signer| signer.key.verify(bytes, &signature));
        let Some(index) = signer else {
            self.stray(layer.digest, "signed with a key that is not on the roster".to_owned());
            return;
        };
        let status = match simple_signing::Payload::parse(bytes) {
            Err(error) => PartyStatus::WrongPayload { problem: printable(&error.to_string(), 200) },
            Ok(payload) if payload.critical.image.docker_manifest_digest != self.image.digest => {
                PartyStatus::WrongDigest { signed: payload.critical.image.docker_manifest_digest }
            }
            Ok(_) => PartyStatus::Signed { source: Source::Registry },
        };
        self.record(index, status);
    }

    /// A signature from the attestation token. The payload is rebuilt and the signature checked again here: the token
    /// says that somebody signed, the roster says who counts.
    pub fn token_signature(&mut self, found: &TokenSignature<'_>) {
        let Some(index) = self.roster.signers().iter().position(|signer| signer.key.id() == found.key_id) else {
            return;
        };
        let key = &self.roster.signers()[index].key;
        let payload = simple_signing::payload(
            &self.image.repository,
            &self.image.digest,
            &simple_signing::annotations(key, &BTreeMap::new()),
        );
        let verifies = found.algorithm == key.algorithm().name()
            && BASE64_STANDARD.decode(found.signature).is_ok_and(|signature| key.verify(&payload, &signature));
        // A payload with further annotations cannot be rebuilt: then the registry decides, so this is no verdict.
        if verifies {
            self.record(index, PartyStatus::Signed { source: Source::Token });
        }
    }

    /// A source or a payload that could not be read.
    pub fn unchecked(&mut self, reason: impl Into<String>) {
        self.unchecked.push(reason.into());
    }

    /// A party that signed stays signed; otherwise the newest finding stands.
    fn record(&mut self, index: usize, status: PartyStatus) {
        if let Some(slot) = self.statuses.get_mut(index)
            && !matches!(slot, PartyStatus::Signed { .. })
        {
            *slot = status;
        }
    }

    fn stray(&mut self, payload: Digest, problem: String) {
        self.unknown.push(Stray { payload, problem });
    }

    /// What was found out.
    pub fn report(self) -> ImageReport {
        let all_read = self.unchecked.is_empty();
        let known = |status| match status {
            PartyStatus::Missing if !all_read => PartyStatus::Unchecked,
            status => status,
        };
        let rows = self.roster.signers().iter().zip(self.statuses.into_iter().map(known));
        ImageReport {
            required: self.roster.required(),
            parties: rows
                .map(|(signer, status)| PartyRow { party: signer.name.clone(), key_id: signer.key.id(), status })
                .collect(),
            image: self.image,
            unknown: self.unknown,
            unchecked: self.unchecked,
        }
    }
}

fn signature_of(layer: &Descriptor) -> Option<Vec<u8>> {
    BASE64_STANDARD.decode(layer.annotations.get(simple_signing::SIGNATURE_ANNOTATION)?).ok()
}

impl ImageReport {
    /// How many parties signed.
    pub fn signed(&self) -> usize {
        self.parties.iter().filter(|row| matches!(row.status, PartyStatus::Signed { .. })).count()
    }

    /// Enough signatures verify; what could not be read does not matter then. Otherwise something unread means that it
    /// could not be checked.
    pub fn verdict(&self) -> Verdict {
        if self.required > 0 && self.signed() >= self.required {
            Verdict::Verified
        } else if self.unchecked.is_empty() {
            Verdict::Rejected
        } else {
            Verdict::CouldNotCheck
        }
    }

    /// The image, if enough parties signed it.
    ///
    /// # Errors
    /// The report itself, with its verdict.
    pub fn into_verified(self) -> Result<Verified<Pinned>, Box<Refused<Self>>> {
        match self.verdict() {
            Verdict::Verified => Ok(Verified::new(self.image)),
            verdict => Err(Box::new(Refused { verdict, report: self })),
        }
    }
}

impl PartyStatus {
    /// The word in tables.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Signed { .. } => "signed",
            Self::Missing => "MISSING",
            Self::Unchecked => "UNCHECKED",
            Self::WrongDigest { .. } => "WRONG DIGEST",
            Self::WrongPayload { .. } => "WRONG PAYLOAD",
            Self::BadSignature => "BAD SIGNATURE",
        }
    }

    /// What a person should know beside the word.
    pub fn detail(&self) -> String {
        match self {
            Self::Signed { source: Source::Registry } => "signature in the registry".to_owned(),
            Self::Signed { source: Source::Token } => "signature in the attestation token".to_owned(),
            Self::Missing => "no signature under this key".to_owned(),
            Self::Unchecked => "no signature was found, but not everything could be read".to_owned(),
            Self::WrongDigest { signed } => format!("signed {signed} instead"),
            Self::WrongPayload { problem } => problem.clone(),
            Self::BadSignature => "a payload names this key, but the signature does not verify".to_owned(),
        }
    }
}
