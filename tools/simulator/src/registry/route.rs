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

impl<'a> Route<'a> {
    /// The route of a path that starts with `/v2`; `None` where there is no such endpoint.
    pub(super) fn parse(path: &'a str) -> Option<Self> {
        let path = match path.strip_prefix("/v2")? {
            "" | "/" => return Some(Self::Base),
            "/token" => return Some(Self::Token),
            path => path.strip_prefix('/')?,
        };
        if let Some(name) = path.strip_suffix("/tags/list") {
            return Some(Self::Tags { name: valid(name)? });
        }
        if let Some((name, id)) = path.rsplit_once("/blobs/uploads") {
            let name = valid(name)?;
            return match id.trim_start_matches('/') {
                "" => Some(Self::Uploads { name }),
                id => Some(Self::Upload { name, id: id.parse().ok()? }),
            };
        }
        let (head, last) = path.rsplit_once('/')?;
        let (name, kind) = head.rsplit_once('/')?;
        let name = valid(name)?;
        match kind {
            "blobs" => Some(Self::Blob { name, digest: Digest::parse(last).ok()? }),
            "manifests" => Some(Self::Manifest { name, reference: last }),
            "referrers" => Some(Self::Referrers { name, digest: Digest::parse(last).ok()? }),
            _ => None,
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

fn valid(name: &str) -> Option<&str> {
    Repository::parse(&format!("localhost/{name}")).ok().map(|_| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_contain_slashes_and_the_endpoints_own_words() {
        let digest = Digest::of(b"");
        let blob = format!("/v2/team/blobs/app/blobs/{digest}");
        assert_eq!(Route::parse(&blob), Some(Route::Blob { name: "team/blobs/app", digest }));
        assert_eq!(Route::parse("/v2/a/b/blobs/uploads/"), Some(Route::Uploads { name: "a/b" }));
        assert_eq!(Route::parse("/v2/a/blobs/uploads/7"), Some(Route::Upload { name: "a", id: 7 }));
        assert_eq!(Route::parse("/v2/a/manifests/v1"), Some(Route::Manifest { name: "a", reference: "v1" }));
        assert_eq!(Route::parse("/v2/a/tags/list"), Some(Route::Tags { name: "a" }));
        assert_eq!(Route::parse("/v2/"), Some(Route::Base));
        for bad in ["/v3/", "/v2/A/tags/list", "/v2/a/../b/tags/list", "/v2/a/blobs/sha256:0", "/v2/manifests/v1"] {
            assert_eq!(Route::parse(bad), None, "{bad}");
        }
    }
}
