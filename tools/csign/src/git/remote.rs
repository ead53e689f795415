//! Where a revision is fetched from: a place on the network, or a repository on this machine.

use std::{
    fs,
    path::{Component, Path, PathBuf},
};

use csign_sbom::purl::without_credentials;

use crate::failure::Failure;

/// A place to fetch from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Remote {
    /// `https://`, `ssh://` or `git://`; never with a password in it.
    Network(String),
    /// A repository with or without work tree, or a file that `git bundle` wrote.
    Local(PathBuf),
}

impl Remote {
    /// Reads what a person gave. Other protocols, and helpers such as `ext::`, which run programs, are refused.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        if text.contains("://") {
            return network(text);
        }
        if let Ok(path) = fs::canonicalize(text) {
            return Ok(Self::Local(path));
        }
        match text.split_once(':') {
            Some((host, path)) if !host.contains('/') && !path.starts_with(':') => {
                network(&format!("ssh://{host}/{}", path.trim_start_matches('/')))
            }
            _ => Err(Failure::usage(format_args!("{text:?} is neither a repository on this machine nor a URL"))
                .hint("--from takes https://…, ssh://…, git://…, a directory or a bundle file")),
        }
    }

    /// The remote of a submodule, whose URL the commit names: another place on the network, or one beside this one.
    pub(super) fn submodule(&self, url: &str) -> Result<Self, Failure> {
        if !url.starts_with("./") && !url.starts_with("../") {
            return if url.contains("://") {
                network(url)
            } else {
                Err(refused(url, "a commit may not name a place on this machine"))
            };
        }
        match self {
            Self::Network(base) => {
                let (scheme, rest) = base.split_once("://").ok_or_else(|| refused(url, "it has no base"))?;
                let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
                let path = beside(path, url).ok_or_else(|| refused(url, "it leads out of its host"))?;
                network(&format!("{scheme}://{host}/{path}"))
            }
            Self::Local(base) => {
                let base = base.to_str().ok_or_else(|| refused(url, "this machine's path is no UTF-8"))?;
                let path = beside(base.trim_start_matches('/'), url).ok_or_else(|| refused(url, "it leads nowhere"))?;
                let path = Path::new("/").join(path);
                let path = fs::canonicalize(&path).map_err(|error| Failure::reading(&path, &error))?;
                Ok(Self::Local(path))
            }
        }
    }

    /// What a record says: no credentials, no path of this machine.
    pub(crate) fn described(&self) -> String {
        match self {
            Self::Network(url) => format!("git+{}", without_credentials(url)),
            Self::Local(_) => "a repository on this machine".to_owned(),
        }
    }

    /// The protocols that git may use for it.
    pub(super) const fn protocols(&self) -> &'static str {
        match self {
            Self::Network(_) => "https:ssh:git",
            Self::Local(_) => "file",
        }
    }

    /// The argument for git, which starts with no dash.
    pub(super) fn argument(&self) -> Result<&str, Failure> {
        match self {
            Self::Network(url) => Ok(url),
            Self::Local(path) => {
                path.to_str().ok_or_else(|| Failure::usage(format_args!("the path {} is not UTF-8", path.display())))
            }
        }
    }
}

fn network(text: &str) -> Result<Remote, Failure> {
    // Requests name places as package URLs and SPDX do.
    let url = text.strip_prefix("git+").unwrap_or(text);
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    if !["https", "ssh", "git"].contains(&scheme) {
        return Err(refused(text, "only https, ssh and git are fetched from"));
    }
    if !rest.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(refused(text, "it has spaces or odd characters"));
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    if host.is_empty() || host.starts_with('-') || user.starts_with('-') {
        return Err(refused(text, "it names no host"));
    }
    if user.contains(':') || (scheme != "ssh" && !user.is_empty()) {
        return Err(refused(text, "credentials do not belong into a URL")
            .hint("fetch it with your own git, then give that clone with --from DIR"));
    }
    Ok(Remote::Network(url.to_owned()))
}

/// `url` relative to `base`, both with slashes; none if it climbs out.
fn beside(base: &str, url: &str) -> Option<String> {
    let mut parts: Vec<&str> = base.split('/').filter(|part| !part.is_empty()).collect();
    for component in Path::new(url).components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                parts.pop()?;
            }
            Component::Normal(part) => parts.push(part.to_str()?),
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(parts.join("/"))
}

fn refused(url: &str, why: &str) -> Failure {
    let url: String = without_credentials(url).chars().take(200).collect();
    Failure::usage(format_args!("{url:?} is not fetched from: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_places_that_run_no_program_are_fetched_from() {
        let network = |url: &str| Remote::Network(url.to_owned());
        for (text, url) in [
            ("https://git.example/a/b.git", "https://git.example/a/b.git"),
            ("git+https://git.example/a", "https://git.example/a"),
            ("ssh://git@git.example:2222/a", "ssh://git@git.example:2222/a"),
            ("git@git.example:a/b.git", "ssh://git@git.example/a/b.git"),
            ("git://git.example/a", "git://git.example/a"),
        ] {
            assert_eq!(Remote::parse(text).unwrap(), network(url), "{text}");
        }
        for bad in [
            "ext::sh -c evil",
            "ext::https://x",
            "file:///tmp",
            "http://git.example/a",
            "https://me:token@git.example/a",
            "https://token@git.example/a",
            "ssh://-oProxyCommand=evil/a",
            "ssh://-x@host/a",
            "-oProxyCommand=evil:a",
            "--upload-pack=evil",
            "https:///a",
            "https://git.example/a b",
            "no/such/place",
        ] {
            let refused = Remote::parse(bad).unwrap_err();
            assert!(!refused.text().contains("token"), "{}", refused.text());
        }
    }

    #[test]
    fn a_submodule_is_beside_its_parent_or_on_the_network() {
        let parent = Remote::parse("https://git.example/team/a.git").unwrap();
        let of = |url: &str| parent.submodule(url).map(|remote| remote.described()).ok();
        assert_eq!(of("../b.git").as_deref(), Some("git+https://git.example/team/b.git"));
        assert_eq!(of("ssh://other.example/b").as_deref(), Some("git+ssh://other.example/b"));
        for bad in ["/etc", "ext::sh -c evil", "../../../b", "file:///b", "b", "-b", "git.example:b"] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
}
