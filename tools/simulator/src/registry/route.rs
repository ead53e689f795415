//! Which endpoint of the distribution specification a path names.

use csign_oci::{Digest, Repository};

/// One endpoint, with what its path says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route<'a> {
    Base,
    Token,
    Uploads { name: &'a str },
    Upload { name: &'a str, id: u64 },
    Blob { name: &'a str, digest: Digest },
    Manifest { name: &'a str, reference: &'a str },
    Tags { name: &'a str },
    Referrers { name: &'a str, digest: Digest },
}

/// Why a path is no route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unroutable<'a> {
    /// There is no such endpoint.
    Endpoint,
    /// The repository's name is malformed.
    Name(&'a str),
    /// The digest is malformed, or of an algorithm that the registry does not have.
    Digest(&'a str),
    /// No upload has such an id.
    Upload(&'a str),
}

impl<'a> Route<'a> {
    /// The route of a path that starts with `/v2`.
    pub(super) fn parse(path: &'a str) -> Result<Self, Unroutable<'a>> {
        let path = match path.strip_prefix("/v2").ok_or(Unroutable::Endpoint)? {
            "" | "/" => return Ok(Self::Base),
            "/token" => return Ok(Self::Token),
            path => path.strip_prefix('/').ok_or(Unroutable::Endpoint)?,
        };
        if let Some(name) = path.strip_suffix("/tags/list") {
            return Ok(Self::Tags { name: valid(name)? });
        }
        if let Some((name, id)) = path.rsplit_once("/blobs/uploads") {
            let name = valid(name)?;
            return match id.trim_start_matches('/') {
                "" => Ok(Self::Uploads { name }),
                id => id.parse().map(|id| Self::Upload { name, id }).map_err(|_| Unroutable::Upload(id)),
            };
        }
        let (head, last) = path.rsplit_once('/').ok_or(Unroutable::Endpoint)?;
        let (name, kind) = head.rsplit_once('/').ok_or(Unroutable::Endpoint)?;
        let digest = || Digest::parse(last).map_err(|_| Unroutable::Digest(last));
        match kind {
            "blobs" => Ok(Self::Blob { name: valid(name)?, digest: digest()? }),
            "manifests" if last.contains(':') && Digest::parse(last).is_err() => Err(Unroutable::Digest(last)),
            "manifests" => Ok(Self::Manifest { name: valid(name)?, reference: last }),
            "referrers" => Ok(Self::Referrers { name: valid(name)?, digest: digest()? }),
            _ => Err(Unroutable::Endpoint),
        }
    }

    /// The repository, where the route has one.
    pub(super) fn name(&self) -> Option<&'a str> {
        match self {
            Self::Base | Self::Token => None,
            Self::Uploads { name }
            | Self::Upload { name, .. }
            | Self::Blob { name, .. }
            | Self::Manifest { name, .. }
            | Self::Tags { name }
            | Self::Referrers { name, .. } => Some(name),
        }
    }
}

fn valid(name: &str) -> Result<&str, Unroutable<'_>> {
    match Repository::parse(&format!("localhost/{name}")) {
        Ok(_) => Ok(name),
        Err(_) => Err(Unroutable::Name(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_contain_slashes_and_the_endpoints_own_words() {
        let digest = Digest::of(b"");
        let blob = format!("/v2/team/blobs/app/blobs/{digest}");
        assert_eq!(Route::parse(&blob), Ok(Route::Blob { name: "team/blobs/app", digest }));
        assert_eq!(Route::parse("/v2/a/b/blobs/uploads/"), Ok(Route::Uploads { name: "a/b" }));
        assert_eq!(Route::parse("/v2/a/blobs/uploads/7"), Ok(Route::Upload { name: "a", id: 7 }));
        assert_eq!(Route::parse("/v2/a/manifests/v1"), Ok(Route::Manifest { name: "a", reference: "v1" }));
        assert_eq!(Route::parse("/v2/a/tags/list"), Ok(Route::Tags { name: "a" }));
        assert_eq!(Route::parse("/v2/"), Ok(Route::Base));
        for bad in ["/v3/", "/v2/A/tags/list", "/v2/a/../b/tags/list", "/v2/a/blobs/sha256:0", "/v2/manifests/v1"] {
            assert!(Route::parse(bad).is_err(), "{bad}");
        }
    }
}
