//! Who signed an image: evidence from any source, each piece checked on its own, every party counted once.

use std::collections::{BTreeMap, HashMap};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use csign_envelope::{
    KeyId, simple_signing,
    statement::{SIGN_PREDICATE, Statement, is_same_repository},
};
use csign_oci::{Descriptor, Digest, Pinned};

use crate::{
    Roster,
    certificate::{CERTIFICATE_ANNOTATION, CertificateVerifier},
    image_report::{ImageReport, PartyStatus, Source},
    report::printable,
    tally::Tally,
};

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
    tally: Tally<'r>,
    expected: HashMap<Digest, (Expected, Vec<u8>)>,
    annotations: BTreeMap<String, String>,
}

impl<'r> ImageCheck<'r> {
    /// Starts a check with no evidence: every party is missing.
    pub fn new(image: &Pinned, roster: &'r Roster) -> Self {
        let payload = |annotations: &BTreeMap<String, String>| {
            simple_signing::payload(&image.repository, &image.digest, annotations)
        };
        let mut expected: HashMap<Digest, (Expected, Vec<u8>)> = roster
            .keys()
            .map(|(index, key)| {
                let bytes = payload(&simple_signing::annotations(key, &BTreeMap::new()));
                (Digest::of(&bytes), (Expected::Annotated(index), bytes))
            })
            .collect();
        let plain = payload(&BTreeMap::new());
        expected.insert(Digest::of(&plain), (Expected::Plain, plain));
        Self { tally: Tally::new(image, roster), expected, annotations: BTreeMap::new() }
    }

    /// Counts only signatures that were made over all of these annotations.
    #[must_use]
    pub fn with_annotations(mut self, annotations: BTreeMap<String, String>) -> Self {
        if !annotations.is_empty() {
            // Payloads that are known without being read have no annotations of their own.
            self.expected.clear();
        }
        self.annotations = annotations;
        self
    }

    /// Also counts signatures over the same digest under these names of its repository, for images that were copied.
    #[must_use]
    pub fn signed_as(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.tally.repositories.extend(names);
        self
    }

    /// Lets `verifier` check what was signed with certificates. Without it such signatures belong to nobody.
    #[must_use]
    pub fn with_certificates(mut self, verifier: &'r dyn CertificateVerifier) -> Self {
        self.tally.certificates(verifier);
        self
    }

    /// The image that is checked.
    pub const fn image(&self) -> &Pinned {
        &self.tally.image
    }

    /// Have enough parties signed? Further evidence cannot change that.
    pub fn is_complete(&self) -> bool {
        self.tally.is_complete()
    }

    /// Has every party signed? Further evidence cannot change any row of the report.
    pub fn everyone_signed(&self) -> bool {
        self.tally.everyone_signed()
    }

    /// A layer of the image's `.sig` tag.
    pub fn layer(&mut self, layer: &Descriptor) -> Need {
        if layer.media_type != simple_signing::MEDIA_TYPE {
            self.tally.stray(layer.digest, format!("its media type is {:?}", printable(&layer.media_type, 80)));
            return Need::Nothing;
        }
        let Some(signature) = signature_of(layer) else {
            let problem = format!("no base64 in the annotation {}", simple_signing::SIGNATURE_ANNOTATION);
            self.tally.stray(layer.digest, problem);
            return Need::Nothing;
        };
        let Some((expected, bytes)) = self.expected.get(&layer.digest) else {
            return if self.everyone_signed() { Need::Nothing } else { Need::Payload };
        };
        let found = match expected {
            // The payload names its key: by any other it is a forgery.
            Expected::Annotated(index) => {
                let key = self.tally.roster.signers().get(*index).and_then(|signer| signer.key());
                key.is_some_and(|key| key.verify(bytes, &signature)).then_some(*index)
            }
            Expected::Plain => self.tally.signer_of(bytes, &signature),
        };
        match (expected, found) {
            (_, Some(index)) => self.tally.record(index, PartyStatus::Signed { source: Source::Registry }),
            (Expected::Annotated(index), None) => self.tally.record(*index, PartyStatus::BadSignature),
            (Expected::Plain, None) => {
                let bytes = bytes.clone();
                self.by_certificate_or_stranger(layer, &bytes, &signature);
            }
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
        match self.tally.signer_of(bytes, &signature) {
            Some(index) => self.judge_payload(index, bytes),
            None => self.by_certificate_or_stranger(layer, bytes, &signature),
        }
    }

    fn by_certificate_or_stranger(&mut self, layer: &Descriptor, bytes: &[u8], signature: &[u8]) {
        if !layer.annotations.contains_key(CERTIFICATE_ANNOTATION) {
            return self.tally.stray(layer.digest, "signed with a key that is not on the roster");
        }
        let check = |verifier: &dyn CertificateVerifier| verifier.layer(bytes, Some(signature), &layer.annotations);
        if let Some(found) = self.tally.certified(layer.digest, check) {
            self.judge_payload(found.signer, &found.payload);
        }
    }

    /// What a simple-signing payload says that the signer did sign.
    fn judge_payload(&mut self, index: usize, bytes: &[u8]) {
        let status = match simple_signing::Payload::parse(bytes) {
            Err(error) => PartyStatus::WrongPayload { problem: printable(&error.to_string(), 200) },
            Ok(payload) => {
                let signed = payload.critical.image.docker_manifest_digest;
                let name = &payload.critical.identity.docker_reference;
                if signed != self.tally.image.digest {
                    PartyStatus::WrongDigest { signed: signed.to_string() }
                } else if !self.tally.repositories.iter().any(|known| is_same_repository(name, known)) {
                    PartyStatus::WrongRepository { signed: printable(name, 200) }
                } else {
                    self.judge_annotations(payload.optional.unwrap_or_default(), Source::Registry)
                }
            }
        };
        self.tally.record(index, status);
    }

    fn judge_annotations(&self, signed: BTreeMap<String, serde_json::Value>, source: Source) -> PartyStatus {
        for (name, want) in &self.annotations {
            match signed.get(name) {
                Some(got) if got.as_str() == Some(want) => {}
                Some(got) => {
                    let got = printable(&got.to_string(), 80);
                    return PartyStatus::WrongPayload { problem: format!("annotation {name} is {got}, not {want:?}") };
                }
                None => return PartyStatus::WrongPayload { problem: format!("no annotation {name}") },
            }
        }
        PartyStatus::Signed { source }
    }

    /// A sigstore bundle from a referrer of the image. The steps: 1. Somebody on the roster signed it. 2. It is a
    /// signature: its predicate says so, and an attestation of the same party is none. 3. It is about this image in this
    /// repository. 4. It has the annotations that were asked for.
    pub fn bundle(&mut self, bytes: &[u8]) {
        // 1.
        let Some(found) = self.tally.bundle(bytes) else { return };
        let status = match Statement::parse(&found.payload) {
            Err(error) => PartyStatus::WrongPayload { problem: printable(&error.to_string(), 200) },
            // 2.
            Ok(statement) if statement.predicate_type != SIGN_PREDICATE => return,
            Ok(statement) => match statement.require_subject(&self.tally.image.digest, &self.tally.repositories) {
                // 3.
                Err(error) => PartyStatus::of_statement_error(error),
                // 4.
                Ok(()) => {
                    let hex = self.tally.image.digest.hex();
                    let about =
                        |subject: &csign_envelope::statement::Subject| subject.digest.get("sha256") == Some(&hex);
                    let subject = statement.subject.into_iter().find(about);
                    let annotations = subject.and_then(|subject| subject.annotations).unwrap_or_default();
                    self.judge_annotations(annotations, Source::Bundle)
                }
            },
        };
        self.tally.record(found.signer, status);
    }

    /// A signature from the attestation token. The payload is rebuilt and the signature checked again here: the token
    /// says that somebody signed, the roster says who counts.
    pub fn token_signature(&mut self, found: &TokenSignature<'_>) {
        let Some((index, key)) = self.tally.roster.keys().find(|(_, key)| key.id() == found.key_id) else { return };
        let image = &self.tally.image;
        let annotations = simple_signing::annotations(key, &BTreeMap::new());
        let payload = simple_signing::payload(&image.repository, &image.digest, &annotations);
        let verifies = found.algorithm == key.algorithm().name()
            && BASE64_STANDARD.decode(found.signature).is_ok_and(|signature| key.verify(&payload, &signature));
        // A payload with further annotations cannot be rebuilt: then the registry decides, so this is no verdict.
        if verifies && self.annotations.is_empty() {
            self.tally.record(index, PartyStatus::Signed { source: Source::Token });
        }
    }

    /// A source or a payload that could not be read.
    pub fn unchecked(&mut self, reason: impl Into<String>) {
        self.tally.unchecked(reason);
    }

    /// What was found out.
    pub fn report(self) -> ImageReport {
        self.tally.report()
    }
}

fn signature_of(layer: &Descriptor) -> Option<Vec<u8>> {
    BASE64_STANDARD.decode(layer.annotations.get(simple_signing::SIGNATURE_ANNOTATION)?).ok()
}
