//! The image under the tag `sha256-<hex>.sig`: manifest and configuration, byte for byte as cosign writes them.
//!
//! One layer is one signature. Layers of any origin, their order and unknown members survive a rewrite.

use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use csign_oci::{
    Descriptor, Digest, Manifest, json,
    manifest::{DOCKER_MANIFEST, IMAGE_CONFIG, IMAGE_MANIFEST},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::simple_signing::{MEDIA_TYPE, SIGNATURE_ANNOTATION, go_escape};

/// Confidential Space refuses an image with more signatures than this.
pub const MAX_SIGNATURES: usize = 300;

/// Go's zero time, which cosign writes for all times.
const ZERO_TIME: &str = "0001-01-01T00:00:00Z";

/// A `.sig` image in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct SigImage {
    manifest: Manifest,
    config: Config,
    /// The configuration is another one than csign would write for these layers, and was not read yet.
    foreign_config: bool,
}

/// What is pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedSigImage {
    /// The manifest's media type.
    pub media_type: String,
    /// The manifest.
    pub manifest: Vec<u8>,
    /// The configuration, a blob that must be pushed before the manifest.
    pub config: Vec<u8>,
    /// The configuration's media type.
    pub config_media_type: String,
}

/// Why bytes are not a `.sig` image.
#[derive(Debug, thiserror::Error)]
pub enum SigImageError {
    /// Not an image manifest, for instance an index.
    #[error("what the signature tag holds is not an image manifest: {0}")]
    Manifest(#[source] serde_json::Error),
    /// A manifest of a type that cosign does not write there.
    #[error("what the signature tag holds has the media type {0:?}, not that of an image manifest")]
    MediaType(String),
    /// The configuration is not JSON of the expected shape.
    #[error("the configuration of the image under the signature tag is malformed: {0}")]
    Config(#[source] serde_json::Error),
}

/// The members that cosign writes, in its order; others follow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Config {
    architecture: String,
    created: String,
    #[serde(default)]
    history: Vec<Value>,
    os: String,
    rootfs: RootFs,
    #[serde(default)]
    config: Map<String, Value>,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct RootFs {
    #[serde(rename = "type")]
    kind: String,
    diff_ids: Vec<Digest>,
}

impl Config {
    fn new() -> Self {
        Self {
            architecture: String::new(),
            created: ZERO_TIME.to_owned(),
            history: Vec::new(),
            os: String::new(),
            rootfs: RootFs { kind: "layers".to_owned(), diff_ids: Vec::new() },
            config: Map::new(),
            extra: Map::new(),
        }
    }

    /// A layer of signatures is not compressed, so its `diff_id` is its digest.
    fn append(&mut self, layer: &Digest) {
        self.history.push(serde_json::json!({"created": ZERO_TIME}));
        self.rootfs.diff_ids.push(*layer);
    }

    fn of(layers: &[Descriptor]) -> Self {
        let mut config = Self::new();
        layers.iter().for_each(|layer| config.append(&layer.digest));
        config
    }

    fn encode(&self) -> serde_json::Result<Vec<u8>> {
        Ok(go_escape(&serde_json::to_string(self)?).into_bytes())
    }
}

/// The layer for a signature (ASN.1 DER) over `payload`. `annotations` are added beside the signature's own.
pub fn signature_layer(payload: &[u8], signature: &[u8], annotations: &BTreeMap<String, String>) -> Descriptor {
    let mut layer = Descriptor::of(MEDIA_TYPE, payload);
    layer.annotations = annotations.clone();
    layer.annotations.insert(SIGNATURE_ANNOTATION.to_owned(), BASE64_STANDARD.encode(signature));
    layer
}

/// The signature (ASN.1 DER) that a layer carries; `None` if it is no signature layer or the base64 is malformed.
pub fn layer_signature(layer: &Descriptor) -> Option<Vec<u8>> {
    let text = layer.annotations.get(SIGNATURE_ANNOTATION)?;
    (layer.media_type == MEDIA_TYPE).then(|| BASE64_STANDARD.decode(text).ok()).flatten()
}

impl SigImage {
    /// An image without signatures.
    pub fn empty() -> Self {
        let mut config = Descriptor::of(IMAGE_CONFIG, b"");
        config.size = 0;
        Self { manifest: Manifest::new(config, Vec::new()), config: Config::new(), foreign_config: false }
    }

    /// Reads a manifest. If [`SigImage::foreign_config`] then names a configuration, hand its bytes to
    /// [`SigImage::set_config`], so that appending keeps what it says.
    ///
    /// # Errors
    /// Anything but an image manifest.
    pub fn parse(manifest: &[u8]) -> Result<Self, SigImageError> {
        let manifest: Manifest = json::from_slice(manifest).map_err(SigImageError::Manifest)?;
        if let Some(other) = manifest.media_type.as_deref().filter(|t| ![IMAGE_MANIFEST, DOCKER_MANIFEST].contains(t)) {
            return Err(SigImageError::MediaType(other.chars().take(120).collect()));
        }
        let config = Config::of(&manifest.layers);
        let bytes = config.encode().map_err(SigImageError::Config)?;
        let foreign_config = manifest.config.digest != Digest::of(bytes);
        Ok(Self { manifest, config, foreign_config })
    }

    /// The configuration to fetch, if it is not the one that these layers determine.
    pub fn foreign_config(&self) -> Option<&Descriptor> {
        self.foreign_config.then_some(&self.manifest.config)
    }

    /// Takes over the configuration that [`SigImage::foreign_config`] named.
    ///
    /// # Errors
    /// Malformed bytes.
    pub fn set_config(&mut self, bytes: &[u8]) -> Result<(), SigImageError> {
        self.config = json::from_slice(bytes).map_err(SigImageError::Config)?;
        self.foreign_config = false;
        Ok(())
    }

    /// The layers, oldest first.
    pub fn layers(&self) -> &[Descriptor] {
        &self.manifest.layers
    }

    /// Appends a layer.
    pub fn append(&mut self, layer: Descriptor) {
        self.config.append(&layer.digest);
        self.manifest.layers.push(layer);
    }

    /// The bytes to push.
    ///
    /// # Errors
    /// None in practice; serialization of these types does not fail.
    pub fn encode(&self) -> Result<EncodedSigImage, SigImageError> {
        let config = self.config.encode().map_err(SigImageError::Config)?;
        let mut manifest = self.manifest.clone();
        manifest.config.size = config.len() as u64;
        manifest.config.digest = Digest::of(&config);
        let text = serde_json::to_string(&manifest).map_err(SigImageError::Manifest)?;
        Ok(EncodedSigImage {
            media_type: manifest.media_type.unwrap_or_else(|| IMAGE_MANIFEST.to_owned()),
            manifest: go_escape(&text).into_bytes(),
            config,
            config_media_type: manifest.config.media_type,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(payloads: &[&[u8]]) -> SigImage {
        let mut image = SigImage::empty();
        payloads.iter().for_each(|p| image.append(signature_layer(p, b"signature", &BTreeMap::new())));
        image
    }

    #[test]
    fn one_signature_is_byte_for_byte_cosigns() {
        let encoded = image(&[b"payload"]).encode().expect("encodes");
        let diff_id = "239f59ed55e737c77147cf55ad0c1b030b6d7ee748a7426952f9b852d5a935e5";
        assert_eq!(
            String::from_utf8(encoded.config.clone()).expect("utf-8"),
            format!(
                r#"{{"architecture":"","created":"0001-01-01T00:00:00Z","history":[{{"created":"0001-01-01T00:00:00Z"}}],"os":"","rootfs":{{"type":"layers","diff_ids":["sha256:{diff_id}"]}},"config":{{}}}}"#
            )
        );
        assert_eq!(encoded.config.len(), 233);
        let config = Digest::of(&encoded.config);
        assert_eq!(
            String::from_utf8(encoded.manifest).expect("utf-8"),
            format!(
                r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","size":233,"digest":"{config}"}},"layers":[{{"mediaType":"application/vnd.dev.cosign.simplesigning.v1+json","size":7,"digest":"sha256:{diff_id}","annotations":{{"dev.cosignproject.cosign/signature":"c2lnbmF0dXJl"}}}}]}}"#
            )
        );
    }

    #[test]
    fn a_further_signature_appends_one_history_entry_and_one_diff_id() {
        let config: Value =
            serde_json::from_slice(&image(&[b"a", b"b"]).encode().expect("encodes").config).expect("json");
        assert_eq!(config["history"].as_array().map(Vec::len), Some(2));
        assert_eq!(config["rootfs"]["diff_ids"][1], Digest::of(b"b").to_string());
    }

    #[test]
    fn appending_to_a_parsed_image_equals_writing_all_at_once() {
        let first = image(&[b"a"]).encode().expect("encodes");
        let mut parsed = SigImage::parse(&first.manifest).expect("parses");
        assert_eq!(parsed.foreign_config(), None);
        parsed.append(signature_layer(b"b", b"signature", &BTreeMap::new()));
        assert_eq!(parsed.encode().expect("encodes"), image(&[b"a", b"b"]).encode().expect("encodes"));
    }

    #[test]
    fn what_others_wrote_survives() {
        let config = br#"{"architecture":"x","created":"2024-01-01T00:00:00Z","history":[],"os":"","rootfs":{"type":"layers","diff_ids":[]},"config":{"Labels":{"a":"b"}},"variant":"v"}"#;
        let text = format!(
            r#"{{"schemaVersion":2,"mediaType":"{DOCKER_MANIFEST}","config":{{"mediaType":"x/config","size":{},"digest":"{}"}},"layers":[{{"mediaType":"x/y","size":1,"digest":"{}","urls":["u"]}}],"annotations":{{"k":"<v>"}}}}"#,
            config.len(),
            Digest::of(config),
            Digest::of(b"z"),
        );
        let mut image = SigImage::parse(text.as_bytes()).expect("parses");
        assert_eq!(image.foreign_config().map(|d| d.digest), Some(Digest::of(config)));
        image.set_config(config).expect("config");
        image.append(signature_layer(b"p", b"s", &BTreeMap::new()));
        let encoded = image.encode().expect("encodes");
        assert_eq!((encoded.media_type.as_str(), encoded.config_media_type.as_str()), (DOCKER_MANIFEST, "x/config"));
        let manifest = String::from_utf8(encoded.manifest).expect("utf-8");
        assert!(manifest.contains(r#""urls":["u"]"#) && manifest.contains(r#"{"k":"\u003cv\u003e"}"#), "{manifest}");
        let written: Value = serde_json::from_slice(&encoded.config).expect("json");
        assert_eq!((&written["variant"], &written["config"]["Labels"]["a"]), (&"v".into(), &"b".into()));
        assert_eq!(written["created"], "2024-01-01T00:00:00Z");
    }

    #[test]
    fn an_index_or_an_ambiguous_manifest_is_refused() {
        let good = String::from_utf8(image(&[b"a"]).encode().expect("encodes").manifest).expect("utf-8");
        let index =
            format!(r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[]}}"#, csign_oci::manifest::IMAGE_INDEX);
        let twice = good.replace(r#""layers":["#, r#""layers":[],"layers":["#);
        let other = good.replace(IMAGE_MANIFEST, "application/x");
        for bad in [index, twice, other, String::new()] {
            assert!(SigImage::parse(bad.as_bytes()).is_err(), "{bad} was accepted");
        }
    }

    #[test]
    fn a_layer_gives_back_its_signature() {
        let layer = signature_layer(b"p", b"\x30\x00", &BTreeMap::from([("k".into(), "v".into())]));
        assert_eq!(layer_signature(&layer).as_deref(), Some(&b"\x30\x00"[..]));
        assert_eq!(layer.annotations["k"], "v");
        let mut broken = layer.clone();
        broken.annotations.insert(SIGNATURE_ANNOTATION.into(), "MAA=\n".into());
        assert_eq!(layer_signature(&broken), None);
        broken = layer;
        broken.media_type = "x/y".into();
        assert_eq!(layer_signature(&broken), None);
    }
}
