//! The platforms of an index (OCI image specification 1.1, image-index.md).

use std::{fmt, str::FromStr};

use csign_oci::{Descriptor, Index, OciError, json};
use serde_json::Value as Json;

use crate::{error::DiffError, limits::Limits, source::Source};

/// How deep an index may lie in others.
const DEPTH: usize = 3;

/// A platform as Docker writes it: `linux/amd64`, `linux/arm/v7`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    os: String,
    architecture: String,
    variant: Option<String>,
}

impl FromStr for Platform {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('/').collect();
        let (os, architecture, variant) = match parts.as_slice() {
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some((*variant).to_owned())),
            _ => {
                return Err(
                    "a platform is OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT, for instance linux/amd64".to_owned()
                );
            }
        };
        if parts.iter().any(|part| part.is_empty()) {
            return Err("no part of a platform may be empty".to_owned());
        }
        Ok(Self { os: (*os).to_owned(), architecture: (*architecture).to_owned(), variant })
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.iter().try_for_each(|variant| write!(f, "/{variant}"))
    }
}

impl Platform {
    /// What a `platform` member, or a configuration, says.
    fn of(json: &Json) -> Option<Self> {
        let member = |name: &str| json.get(name).and_then(Json::as_str).map(str::to_owned);
        Some(Self { os: member("os")?, architecture: member("architecture")?, variant: member("variant") })
    }

    /// Whoever names no variant takes any.
    fn accepts(&self, other: &Self) -> bool {
        let variant = self.variant.is_none() || self.variant == other.variant;
        self.os == other.os && self.architecture == other.architecture && variant
    }

    /// Is this the platform of the image with this configuration?
    pub(super) fn check(&self, config: &[u8], name: &str) -> Result<(), DiffError> {
        let found = json::value_from_slice(config).ok().and_then(|json| Self::of(&json));
        match found {
            Some(found) if self.accepts(&found) => Ok(()),
            Some(found) => Err(DiffError::Platform(format!("{name} is for {found}, not for {self}"))),
            None => Err(DiffError::Platform(format!("{name} does not say which platform it is for"))),
        }
    }
}

/// The manifests of an index and of those within it, each under a name of its own.
pub(super) struct Platforms(Vec<(String, Option<Platform>, Descriptor)>);

impl Platforms {
    pub(super) fn of(source: &dyn Source, index: Index, limits: &Limits) -> Result<Self, DiffError> {
        let mut all = Self(Vec::new());
        all.add(source, index, limits, 0)?;
        Ok(all)
    }

    fn add(&mut self, source: &dyn Source, index: Index, limits: &Limits, depth: usize) -> Result<(), DiffError> {
        for descriptor in index.manifests {
            if self.0.len() == limits.platforms {
                let (what, limit) = (source.name().to_owned(), limits.platforms as u64);
                return Err(DiffError::Limit { what, limit, unit: "platforms" });
            }
            if descriptor.media_type.contains("image.index") || descriptor.media_type.contains("manifest.list") {
                let what = "an index within the index".to_owned();
                if depth == DEPTH {
                    return Err(DiffError::Limit { what, limit: DEPTH as u64, unit: "levels" });
                }
                let bytes = source.document(&descriptor)?;
                let inner = json::from_slice(&bytes).map_err(|error| DiffError::Oci {
                    name: source.name().to_owned(),
                    source: OciError::Json { what, source: error },
                })?;
                self.add(source, inner, limits, depth + 1)?;
                continue;
            }
            let platform = descriptor.extra.get("platform").and_then(Platform::of);
            let base = platform.as_ref().map_or_else(|| "unknown".to_owned(), Platform::to_string);
            let taken = self.0.iter().filter(|(_, other, _)| *other == platform).count();
            let name = if taken == 0 { base } else { format!("{base}#{}", taken + 1) };
            self.0.push((name, platform, descriptor));
        }
        Ok(())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Descriptor)> {
        self.0.iter().map(|(name, _, descriptor)| (name.as_str(), descriptor))
    }

    pub(super) fn get(&self, name: &str) -> Option<&Descriptor> {
        self.iter().find(|(other, _)| *other == name).map(|(_, descriptor)| descriptor)
    }

    /// The one image for this platform.
    pub(super) fn find(&self, wanted: &Platform, name: &str) -> Result<&Descriptor, DiffError> {
        let mut fitting = self.0.iter().filter(|(_, platform, _)| platform.as_ref().is_some_and(|p| wanted.accepts(p)));
        match (fitting.next(), fitting.next()) {
            (Some((_, _, descriptor)), None) => Ok(descriptor),
            (Some(_), Some(_)) => {
                Err(DiffError::Platform(format!("{name} has several images for {wanted}: {}", self.names())))
            }
            _ => Err(DiffError::Platform(format!("{name} has no image for {wanted}, only for {}", self.names()))),
        }
    }

    /// The one image that runs anywhere; statements about images are stored as `unknown/unknown`.
    pub(super) fn only(&self, name: &str) -> Result<&Descriptor, DiffError> {
        let unknown = |platform: &Platform| platform.os == "unknown" && platform.architecture == "unknown";
        let mut images = self.0.iter().filter(|(_, platform, _)| !platform.as_ref().is_some_and(unknown));
        match (images.next(), images.next()) {
            (Some((_, _, descriptor)), None) => Ok(descriptor),
            _ => Err(DiffError::Platform(format!(
                "{name} is an index of several platforms ({}), the other is one image",
                self.names()
            ))),
        }
    }

    fn names(&self) -> String {
        self.0.iter().take(10).map(|(name, _, _)| name.as_str()).collect::<Vec<_>>().join(", ")
    }
}
