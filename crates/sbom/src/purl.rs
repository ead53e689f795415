//! Package URLs (purl-spec, "A purl is a URL composed of seven components") for crates and images.

use std::fmt::Write as _;

use csign_oci::{Digest, Repository};

use crate::lock::{Origin, Package};

/// The package URL of a crate. A crate that is part of the source tree has none: `pkg:cargo/NAME` would be whatever
/// crates.io has under that name.
pub fn cargo(package: &Package) -> Option<String> {
    let qualifier = match &package.origin {
        Origin::Path => return None,
        Origin::CratesIo => String::new(),
        Origin::Registry(index) => format!("?repository_url={}", encode(index)),
        Origin::Git { .. } => format!("?vcs_url={}", encode(&package.origin.location()?)),
    };
    Some(format!("pkg:cargo/{}@{}{qualifier}", encode(&package.name), encode(&package.version)))
}

/// The package URL of an image in a registry.
pub fn oci(repository: &Repository, digest: &Digest, architecture: &str) -> String {
    let repository = repository.to_string();
    let name = repository.rsplit('/').next().unwrap_or_default();
    let (arch, url) = (encode(architecture), encode(&repository));
    format!("pkg:oci/{}@{}?arch={arch}&repository_url={url}", encode(name), encode(&digest.to_string()))
}

/// Percent-encodes all but the letters, digits and marks that a component may have. `/` and `:` stay readable: they are
/// allowed in the places where this is used.
pub(crate) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' | b':' | b'/' => {
                out.push(char::from(byte));
            }
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

/// A URL without user and password, which documents for others must not have.
pub fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_lose_their_credentials() {
        for (with, without) in [
            ("https://me:secret@git.example/a@b", "https://git.example/a@b"),
            ("ssh://git@git.example:22/a", "ssh://git.example:22/a"),
            ("https://a@b@git.example", "https://git.example"),
            ("https://git.example?x=@y", "https://git.example?x=@y"),
            ("nothing", "nothing"),
        ] {
            assert_eq!(without_credentials(with), without);
        }
    }

    #[test]
    fn components_are_encoded_once() {
        assert_eq!(encode("1.0.0+a b%2B"), "1.0.0%2Ba%20b%252B");
        assert_eq!(encode("a&b=c#d?e@f\n"), "a%26b%3Dc%23d%3Fe%40f%0A");
    }
}
