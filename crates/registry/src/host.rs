//! Which host may be spoken to, and how: https always, http only on the loopback interface. Where a registry may send
//! csign also depends on the addresses of both: see [`crate::address`].

use std::net::IpAddr;

use csign_oci::Repository;
use reqwest::Url;

use crate::error::{Error, Result};

/// Names under which the simulator's services are found.
const SIMULATOR: &str = "simulator.localhost";

/// Whether `host` (IPv6 with or without brackets) never leaves this machine: 127.0.0.0/8, `::1`, and by RFC 6761
/// `localhost` and all names under it, which this crate resolves itself.
pub(crate) fn is_loopback(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()) || is_under(bare, "localhost")
}

/// Whether `host` is a name that the simulator serves.
pub(crate) fn is_simulator(host: &str) -> bool {
    is_under(host, SIMULATOR)
}

fn is_under(host: &str, name: &str) -> bool {
    let host = host.to_ascii_lowercase();
    host == name || host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'))
}

/// Whether `a` and `b` are the same scheme, host and port.
pub(crate) fn same_origin(a: &Url, b: &Url) -> bool {
    a.scheme() == b.scheme() && a.host_str() == b.host_str() && a.port_or_known_default() == b.port_or_known_default()
}

/// Host and port of `url` for messages: never its query, which may be a credential.
pub(crate) fn name(url: &Url) -> String {
    match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.to_owned(),
        (None, _) => url.scheme().to_owned(),
    }
}

/// Refuses to go from `from` to `to` unless `to` is https, or both are http on the loopback interface.
pub(crate) fn check_step(doing: &str, from: &Url, to: &Url) -> Result<()> {
    let refuse = |why| {
        let to = format!("{}://{}", to.scheme(), name(to));
        Err(Error::Insecure { doing: doing.to_owned(), from: name(from), to, why })
    };
    if !to.username().is_empty() || to.password().is_some() {
        return refuse("whose address carries credentials");
    }
    match to.scheme() {
        "https" => Ok(()),
        "http" if from.scheme() == "https" => refuse("which is not encrypted"),
        "http" if to.host_str().is_some_and(is_loopback) => Ok(()),
        "http" => refuse("which is not encrypted and not on the loopback interface"),
        _ => refuse("which is neither https nor http"),
    }
}

/// The address of `path` in the registry of `repository`.
pub(crate) fn url(repository: &Repository, path: &str) -> Result<Url> {
    let registry = match repository.registry() {
        // Docker Hub's references name a host other than its registry.
        "docker.io" | "index.docker.io" => "registry-1.docker.io",
        registry => registry,
    };
    if is_simulator(repository.host()) && repository.host() != registry {
        return Err(Error::Setup(format!("{registry}: names of the simulator have no port")));
    }
    let scheme = if is_loopback(repository.host()) { "http" } else { "https" };
    let text = format!("{scheme}://{registry}/v2/{}/{path}", repository.path());
    Url::parse(&text).map_err(|e| Error::Setup(format!("{registry} is not a host name: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scheme(repository: &str) -> String {
        url(&Repository::parse(repository).expect("repository"), "tags/list").expect("url").scheme().to_owned()
    }

    #[test]
    fn only_loopback_is_spoken_to_without_tls() {
        for loopback in
            ["127.0.0.1:5000/a", "127.9.9.9/a", "[::1]:5000/a", "localhost/a", "registry.simulator.localhost/a"]
        {
            assert_eq!(scheme(loopback), "http", "{loopback}");
        }
        for remote in
            ["r.example/a", "localhost.example/a", "127.0.0.1.example/a", "evillocalhost.x/a", "[::2]/a", "10.0.0.1/a"]
        {
            assert_eq!(scheme(remote), "https", "{remote}");
        }
    }

    #[test]
    fn steps_to_plain_http_are_refused() {
        let step =
            |from: &str, to: &str| check_step("x", &from.parse().expect("url"), &to.parse().expect("url")).is_ok();
        assert!(step("https://r.example", "https://other.example"));
        assert!(step("http://127.0.0.1:1", "http://127.0.0.1:2"));
        assert!(step("http://127.0.0.1:1", "https://r.example"));
        assert!(!step("https://r.example", "http://r.example"));
        assert!(!step("https://r.example", "http://127.0.0.1"));
        assert!(!step("http://127.0.0.1", "http://r.example"));
        assert!(!step("http://127.0.0.1", "http://127.0.0.1.example"));
        assert!(!step("https://r.example", "https://u:p@r.example"));
        assert!(!step("https://r.example", "file:///etc/passwd"));
    }

    #[test]
    fn docker_hub_is_found_at_its_registry() {
        let hub = url(&Repository::parse("index.docker.io/library/x").expect("repository"), "tags/list").expect("url");
        assert_eq!(hub.as_str(), "https://registry-1.docker.io/v2/library/x/tags/list");
    }
}
