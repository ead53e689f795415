//! Image references. A reference is a tag or it is pinned to a digest; signing and verifying take only [`Pinned`].

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize, de};

use crate::digest::{Digest, DigestError};

/// A repository: registry host (with port, if any) and path, for instance `registry.example:5000/team/app`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Repository {
    registry: String,
    path: String,
}

/// A tag of the distribution specification: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(String);

/// A repository and a digest: names exactly one image.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pinned {
    /// Where the image is.
    pub repository: Repository,
    /// Which image it is.
    pub digest: Digest,
}

/// What a person may type for an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// `repo:tag`: whoever can push can move it.
    Tagged(Repository, Tag),
    /// `repo@sha256:…`.
    Pinned(Pinned),
}

/// Why a text is not a reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// No registry host, an empty or malformed path component.
    #[error(
        "{0:?} is not a repository: expected HOST[:PORT]/PATH in lowercase, for instance registry.example/team/app"
    )]
    Repository(String),
    /// The tag breaks the distribution specification's grammar.
    #[error("{0:?} is not a tag: at most 128 of letters, digits, '_', '.', '-', not starting with '.' or '-'")]
    Tag(String),
    /// What follows `@` is no digest.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// A tag where only a digest will do.
    #[error("{0} names a tag, which whoever can push can move; a digest is required (REPOSITORY@sha256:…)")]
    NotPinned(String),
}

impl Repository {
    /// Parses `HOST[:PORT]/PATH`. Docker Hub's short names are not expanded: the host must be written out.
    ///
    /// # Errors
    /// A missing host (its first component needs a `.` or `:`, or must be `localhost`), uppercase, empty components.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        let bad = || ReferenceError::Repository(text.chars().take(120).collect());
        let (registry, path) = text.split_once('/').ok_or_else(bad)?;
        let host_like = registry.contains(['.', ':']) || registry == "localhost";
        let well_formed = path.len() <= 255 && path.split('/').all(is_path_component);
        if host_like && is_host(registry) && well_formed {
            Ok(Self { registry: registry.to_owned(), path: path.to_owned() })
        } else {
            Err(bad())
        }
    }

    /// Host and, where given, port.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The host without its port; IPv6 addresses keep their brackets.
    pub fn host(&self) -> &str {
        match self.registry.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
            _ => &self.registry,
        }
    }

    /// The path inside the registry.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// This repository at `digest`.
    pub fn at(&self, digest: Digest) -> Pinned {
        Pinned { repository: self.clone(), digest }
    }
}

fn is_host(registry: &str) -> bool {
    let (host, port) = match registry.rsplit_once(':') {
        Some((host, port)) if !host.starts_with('[') || host.ends_with(']') => (host, Some(port)),
        _ => (registry, None),
    };
    let port_ok = port.is_none_or(|p| p.parse::<u16>().is_ok_and(|n| n > 0) && !p.starts_with('+'));
    let host_ok = if let Some(v6) = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        v6.parse::<std::net::Ipv6Addr>().is_ok()
    } else {
        !host.is_empty()
            && host.split('.').all(|label| {
                !label.is_empty()
                    && !label.starts_with('-')
                    && !label.ends_with('-')
                    && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            })
    };
    port_ok && host_ok
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*` of the distribution specification.
fn is_path_component(component: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = component.as_bytes();
    let edges = bytes.first().copied().is_some_and(alphanumeric) && bytes.last().copied().is_some_and(alphanumeric);
    let separators = component
        .split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        .all(|run| matches!(run, "" | "." | "_" | "__") || run.bytes().all(|b| b == b'-'));
    edges && separators
}

impl Tag {
    /// Parses a tag.
    ///
    /// # Errors
    /// A text outside the grammar.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
        let rest = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
        if first && rest && text.len() <= 128 {
            Ok(Self(text.to_owned()))
        } else {
            Err(ReferenceError::Tag(text.chars().take(140).collect()))
        }
    }

    /// The tag `sha256-<hex><suffix>` under which cosign keeps what belongs to the image `digest`.
    /// Suffixes: `.sig`, `.att`, `.sbom`; empty for the OCI 1.1 referrers fallback.
    pub fn for_digest(digest: &Digest, suffix: &str) -> Self {
        Self(format!("sha256-{}{suffix}", digest.hex()))
    }

    /// The tag's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Pinned {
    /// Parses `REPOSITORY@sha256:…`. `REPOSITORY:TAG@sha256:…` is accepted too; the tag is dropped, as the digest decides.
    ///
    /// # Errors
    /// [`ReferenceError::NotPinned`] for a tag; the parse errors otherwise.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        match Reference::parse(text)? {
            Reference::Pinned(pinned) => Ok(pinned),
            Reference::Tagged(..) => Err(ReferenceError::NotPinned(text.to_owned())),
        }
    }
}

impl Reference {
    /// Parses `REPOSITORY`, `REPOSITORY:TAG` or `REPOSITORY@DIGEST`; without tag and digest the tag is `latest`.
    ///
    /// # Errors
    /// A malformed repository, tag or digest.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(Digest::parse(digest)?)),
            None => (text, None),
        };
        let (repository, tag) = match name.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') && repository.contains('/') => {
                (repository, Some(Tag::parse(tag)?))
            }
            _ => (name, None),
        };
        let repository = Repository::parse(repository)?;
        Ok(match (digest, tag) {
            (Some(digest), _) => Self::Pinned(Pinned { repository, digest }),
            (None, Some(tag)) => Self::Tagged(repository, tag),
            (None, None) => Self::Tagged(repository, Tag("latest".to_owned())),
        })
    }

    /// The repository that the reference is in.
    pub fn repository(&self) -> &Repository {
        match self {
            Self::Tagged(repository, _) | Self::Pinned(Pinned { repository, .. }) => repository,
        }
    }
}

macro_rules! text_type {
    ($type:ty, |$value:ident, $f:ident| $write:expr) => {
        impl fmt::Display for $type {
            fn fmt(&self, $f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let $value = self;
                $write
            }
        }
        impl FromStr for $type {
            type Err = ReferenceError;
            fn from_str(text: &str) -> Result<Self, ReferenceError> {
                Self::parse(text)
            }
        }
        impl Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
            }
        }
    };
}

text_type!(Repository, |value, f| write!(f, "{}/{}", value.registry, value.path));
text_type!(Tag, |value, f| f.write_str(&value.0));
text_type!(Pinned, |value, f| write!(f, "{}@{}", value.repository, value.digest));
text_type!(Reference, |value, f| match value {
    Reference::Tagged(repository, tag) => write!(f, "{repository}:{tag}"),
    Reference::Pinned(pinned) => pinned.fmt(f),
});

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_tag_is_not_a_digest() {
        assert!(matches!(Pinned::parse("r.example/a/b:v1"), Err(ReferenceError::NotPinned(_))));
        assert!(matches!(Pinned::parse("r.example/a/b"), Err(ReferenceError::NotPinned(_))));
        let pinned = Pinned::parse(&format!("r.example:5000/a/b:v1@{HEX}")).expect("tag and digest");
        assert_eq!(pinned.to_string(), format!("r.example:5000/a/b@{HEX}"));
    }

    #[test]
    fn ports_are_not_tags() {
        let reference = Reference::parse("127.0.0.1:5000/app").expect("port");
        assert_eq!(reference.repository().registry(), "127.0.0.1:5000");
        assert_eq!(reference.repository().host(), "127.0.0.1");
        assert_eq!(reference.to_string(), "127.0.0.1:5000/app:latest");
        assert_eq!(Repository::parse("[::1]:5000/app").expect("v6").host(), "[::1]");
    }

    #[test]
    fn malformed_repositories_are_refused() {
        for bad in [
            "",
            "app",
            "library/app",
            "r.example/",
            "r.example/A",
            "r.example//a",
            "r.example/a/../b",
            "r.example/a..b",
            "r.example/-a",
            "r.example/a/",
            "r.example:99999/a",
            "r.example:/a",
            "r ex.ample/a",
            "user@r.example/a",
            "r.example/a?b",
            "r.example/a%2fb",
            "http://r.example/a",
        ] {
            assert!(Repository::parse(bad).is_err(), "{bad:?} was accepted");
        }
    }
}
