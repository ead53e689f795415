//! Image configuration and the assembly of layers into an image (OCI image specification 1.1, config.md).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    digest::Digest,
    error::OciError,
    layer::Layer,
    manifest::{Descriptor, IMAGE_CONFIG, IMAGE_MANIFEST, Manifest},
};

/// The creation time of every image that csign builds.
pub const EPOCH: &str = "1970-01-01T00:00:00Z";

/// What a container of the image runs. Unknown members are kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ContainerConfig {
    /// `UID:GID` or a name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// Variables as `NAME=VALUE`, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub env: Vec<String>,
    /// The program and its fixed arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub entrypoint: Vec<String>,
    /// Arguments that a launcher may replace.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub cmd: Vec<String>,
    /// Directory in which the program starts; empty means `/`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// Labels, sorted by key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_as_default")]
    pub labels: BTreeMap<String, String>,
    /// Everything else (`ExposedPorts`, `Volumes`, `StopSignal`, …).
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Docker writes `null` for what is absent.
fn null_as_default<'de, D: serde::Deserializer<'de>, T: Default + Deserialize<'de>>(d: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(d).map(Option::unwrap_or_default)
}

/// The layers before compression.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Digests of the uncompressed archives, base first.
    pub diff_ids: Vec<Digest>,
}

/// How one layer came to be.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// RFC 3339 time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// The command, or a word on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// An image configuration. Unknown members are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// RFC 3339 time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Processor in Go's spelling, for instance `amd64`.
    pub architecture: String,
    /// Operating system in Go's spelling, for instance `linux`.
    pub os: String,
    /// What a container runs.
    #[serde(default, deserialize_with = "null_as_default")]
    pub config: ContainerConfig,
    /// The layers.
    pub rootfs: RootFs,
    /// Where the layers came from.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub history: Vec<History>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl ImageConfig {
    /// Parses a configuration's bytes.
    ///
    /// # Errors
    /// JSON that is no image configuration.
    pub fn parse(bytes: &[u8]) -> Result<Self, OciError> {
        serde_json::from_slice(bytes).map_err(OciError::json("the image configuration"))
    }
}

/// A complete image in memory.
#[derive(Clone, Debug)]
pub struct Image {
    /// Describes `manifest`; its digest is the image's.
    pub descriptor: Descriptor,
    /// The manifest's bytes.
    pub manifest: Vec<u8>,
    /// Configuration and layers with their descriptors, in the order of the manifest.
    pub blobs: Vec<(Descriptor, Vec<u8>)>,
}

/// Assembles an image for linux/amd64 with the time [`EPOCH`]. `layers` pairs each layer with a word on its origin.
///
/// # Errors
/// None in practice; serialization of these types does not fail.
pub fn assemble(config: ContainerConfig, layers: Vec<(Layer, &str)>) -> Result<Image, OciError> {
    let history = |origin: &str| History {
        created: Some(EPOCH.to_owned()),
        created_by: Some(origin.to_owned()),
        extra: Map::new(),
    };
    let config = ImageConfig {
        created: Some(EPOCH.to_owned()),
        architecture: "amd64".to_owned(),
        os: "linux".to_owned(),
        config,
        rootfs: RootFs { kind: "layers".to_owned(), diff_ids: layers.iter().map(|(layer, _)| layer.diff_id).collect() },
        history: layers.iter().map(|(_, origin)| history(origin)).collect(),
        extra: Map::new(),
    };
    let config = serde_json::to_vec(&config).map_err(OciError::json("the image configuration"))?;
    let mut blobs = vec![(Descriptor::of(IMAGE_CONFIG, &config), config)];
    blobs.extend(layers.into_iter().map(|(layer, _)| (layer.descriptor(), layer.bytes)));
    let described = |(descriptor, _): &(Descriptor, Vec<u8>)| descriptor.clone();
    let manifest = Manifest::new(described(&blobs[0]), blobs[1..].iter().map(described).collect());
    let manifest = manifest.to_bytes().map_err(OciError::json("the manifest"))?;
    Ok(Image { descriptor: Descriptor::of(IMAGE_MANIFEST, &manifest), manifest, blobs })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::{Access, LayerBuilder};

    fn sample() -> Image {
        let mut layer = LayerBuilder::new();
        layer.file("workload", Access::root(0o755), "#!").unwrap();
        let config = ContainerConfig {
            user: "65532:65532".to_owned(),
            env: vec!["A=1".to_owned()],
            entrypoint: vec!["/workload".to_owned()],
            labels: [("b", "2"), ("a", "1")].map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
            ..ContainerConfig::default()
        };
        assemble(config, vec![(layer.build().unwrap(), "test")]).unwrap()
    }

    #[test]
    fn image_bytes_are_pinned() {
        let image = sample();
        let config = String::from_utf8(image.blobs[0].1.clone()).unwrap();
        assert_eq!(
            config,
            "{\"created\":\"1970-01-01T00:00:00Z\",\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{\"User\":\
             \"65532:65532\",\"Env\":[\"A=1\"],\"Entrypoint\":[\"/workload\"],\"Labels\":{\"a\":\"1\",\"b\":\"2\"}},\
             \"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:f4e62934f1d738211b6a375d396c15f0cdeea02d1310a9e4df1acdbcbd178ac5\"]},\"history\":[{\"created\":\
             \"1970-01-01T00:00:00Z\",\"created_by\":\"test\"}]}"
        );
        assert_eq!(
            image.descriptor.digest.to_string(),
            "sha256:9047f7e6de50c52277461f2ec2aff1ac8bd2db5040fc273236c4b25ca4846b1f"
        );
    }

    #[test]
    fn null_members_of_other_builders_are_read() {
        let text = r#"{"architecture":"amd64","os":"linux","config":{"Env":null,"Cmd":["sh"],"Labels":null,"Volumes":{"/d":{}}},"rootfs":{"type":"layers","diff_ids":[]}}"#;
        let config = ImageConfig::parse(text.as_bytes()).unwrap();
        assert_eq!(config.config.cmd, ["sh"]);
        assert!(config.config.labels.is_empty() && config.config.extra.contains_key("Volumes"));
    }
}
