//! What a manifest or an index refers to, of any kind of artifact.

use std::collections::BTreeMap;

use csign_envelope::{
    bundle::{MEDIA_TYPE_PREFIX, PREDICATE_ANNOTATION},
    statement::SIGN_PREDICATE,
};
use csign_oci::{
    Descriptor, json,
    manifest::{DOCKER_MANIFEST, DOCKER_MANIFEST_LIST, IMAGE_INDEX, IMAGE_MANIFEST},
};
use serde::{Deserialize, Serialize};

use crate::records::Family;

/// What cosign wrote in its experimental OCI 1.1 mode.
const COSIGN_ARTIFACT: &str = "application/vnd.dev.cosign.artifact.";

/// What an attachment says it is. It decides what is shown, copied or deleted, never what is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Signatures: the tag `.sig`, csign's records, bundles with cosign's sign predicate.
    Signature,
    /// Attestations: the tag `.att`, bundles with another predicate.
    Attestation,
    /// Bills of materials: the tag `.sbom`, referrers of an SPDX, CycloneDX or Syft type.
    Sbom,
    /// Any other referrer.
    Referrer,
}

/// What a manifest or index refers to.
#[derive(Clone, Debug, PartialEq)]
pub struct Contents {
    /// Configuration and layers of a manifest.
    pub blobs: Vec<Descriptor>,
    /// Manifests of an index.
    pub manifests: Vec<Descriptor>,
    /// What it is attached to.
    pub subject: Option<Descriptor>,
    /// What kind of artifact it says it is.
    pub artifact_type: Option<String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    #[serde(default)]
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Option<Vec<Descriptor>>,
    #[serde(default)]
    manifests: Option<Vec<Descriptor>>,
    #[serde(default)]
    subject: Option<Descriptor>,
    #[serde(default)]
    artifact_type: Option<String>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

impl Contents {
    /// Parses a manifest or index of type `media_type`. One that could be read as both is refused.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(media_type: &str, bytes: &[u8]) -> Result<Self, String> {
        let document: Document = json::from_slice(bytes).map_err(|error| format!("a malformed manifest: {error}"))?;
        let (blobs, manifests) = match (media_type, document.config, document.layers, document.manifests) {
            (IMAGE_MANIFEST | DOCKER_MANIFEST, Some(config), Some(layers), None) => {
                (std::iter::once(config).chain(layers).collect(), Vec::new())
            }
            (IMAGE_INDEX | DOCKER_MANIFEST_LIST, None, None, Some(manifests)) => (Vec::new(), manifests),
            (IMAGE_MANIFEST | DOCKER_MANIFEST | IMAGE_INDEX | DOCKER_MANIFEST_LIST, ..) => {
                return Err(format!("a document that is not what its type {media_type} says"));
            }
            _ => return Err(format!("{media_type:?}, neither an image manifest nor an index")),
        };
        let config_type = blobs.first().and_then(|config: &Descriptor| config.artifact_type().map(str::to_owned));
        Ok(Self {
            blobs,
            manifests,
            subject: document.subject,
            artifact_type: document.artifact_type.or(config_type),
            annotations: document.annotations.unwrap_or_default(),
        })
    }

    /// What kind of referrer this says it is.
    pub fn kind(&self) -> Kind {
        let layer = self.layers().first().map(|layer| layer.media_type.as_str());
        for kind in [self.artifact_type.as_deref(), layer].into_iter().flatten() {
            if kind == Family::Signatures.artifact_type() {
                return Kind::Signature;
            }
            if kind == Family::Attestations.artifact_type() {
                return Kind::Attestation;
            }
            if kind.starts_with(MEDIA_TYPE_PREFIX) {
                let signs = self.predicate_type() == Some(SIGN_PREDICATE);
                return if signs { Kind::Signature } else { Kind::Attestation };
            }
            match kind.strip_prefix(COSIGN_ARTIFACT).and_then(|rest| rest.split('.').next()) {
                Some("sig") => return Kind::Signature,
                Some("att") => return Kind::Attestation,
                Some("sbom") => return Kind::Sbom,
                _ => {}
            }
            if ["spdx", "cyclonedx", "syft"].iter().any(|name| kind.to_ascii_lowercase().contains(name)) {
                return Kind::Sbom;
            }
        }
        Kind::Referrer
    }

    /// The predicate type that a bundle's manifest claims. Anyone can write it.
    pub fn predicate_type(&self) -> Option<&str> {
        self.annotations.get(PREDICATE_ANNOTATION).map(String::as_str)
    }

    /// The layers of a manifest.
    pub fn layers(&self) -> &[Descriptor] {
        self.blobs.get(1..).unwrap_or_default()
    }

    /// The layer with the sigstore bundle.
    pub fn bundle(&self) -> Option<&Descriptor> {
        self.layers().iter().find(|layer| layer.media_type.starts_with(MEDIA_TYPE_PREFIX))
    }
}

#[cfg(test)]
mod tests {
    use csign_oci::Manifest;

    use super::*;

    fn parse(manifest: &Manifest) -> Contents {
        Contents::parse(IMAGE_MANIFEST, &manifest.to_bytes().expect("json")).expect("parses")
    }

    #[test]
    fn a_document_that_is_both_a_manifest_and_an_index_is_refused() {
        let config = serde_json::to_string(&Descriptor::empty()).expect("json");
        let both = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[],"manifests":[]}}"#);
        let index = r#"{"schemaVersion":2,"manifests":[]}"#;
        for (kind, bytes) in [(IMAGE_MANIFEST, both.as_str()), (IMAGE_INDEX, &both), (IMAGE_MANIFEST, index)] {
            assert!(Contents::parse(kind, bytes.as_bytes()).is_err(), "{kind} {bytes}");
        }
        assert!(Contents::parse(IMAGE_INDEX, index.as_bytes()).is_ok());
        assert!(Contents::parse("text/html", index.as_bytes()).is_err());
        let twice = r#"{"manifests":[],"manifests":[]}"#;
        assert!(Contents::parse(IMAGE_INDEX, twice.as_bytes()).is_err());
    }

    #[test]
    fn kinds_are_what_cosign_and_others_write() {
        let bundle = "application/vnd.dev.sigstore.bundle.v0.3+json";
        let mut manifest = Manifest::new(Descriptor::empty(), vec![Descriptor::of(bundle, b"{}")]);
        assert_eq!(parse(&manifest).kind(), Kind::Attestation);
        manifest.annotations.insert(PREDICATE_ANNOTATION.to_owned(), SIGN_PREDICATE.to_owned());
        assert_eq!(parse(&manifest).kind(), Kind::Signature);
        for (artifact_type, kind) in [
            (Family::Signatures.artifact_type(), Kind::Signature),
            (Family::Attestations.artifact_type(), Kind::Attestation),
            ("application/vnd.dev.cosign.artifact.sig.v1+json", Kind::Signature),
            ("application/vnd.dev.cosign.artifact.att.v1+json", Kind::Attestation),
            ("application/vnd.cyclonedx+json", Kind::Sbom),
            ("text/x", Kind::Referrer),
        ] {
            let mut manifest = Manifest::new(Descriptor::empty(), Vec::new());
            manifest.artifact_type = Some(artifact_type.to_owned());
            assert_eq!(parse(&manifest).kind(), kind, "{artifact_type}");
        }
    }
}
