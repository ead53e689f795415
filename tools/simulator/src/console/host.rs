//! Which `Host` names this machine.

/// Whether `host`, with or without a port, is the loopback interface by address or by a name under `.localhost`
/// (RFC 6761), which no resolver may send elsewhere.
pub(crate) fn is_loopback_host(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, rest)) => (address, rest.strip_prefix(':')),
            None => return false,
        },
        None => host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port))),
    };
    if port.is_some_and(|port| port.parse::<u16>().is_err()) {
        return false;
    }
    let name = name.to_ascii_lowercase();
    name == "localhost"
        || name.strip_suffix(".localhost").is_some_and(|label| !label.is_empty())
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_cannot_be_rebound_are_of_this_machine() {
        for host in ["127.0.0.1:80", "127.0.0.1", "[::1]:1", "localhost:8", "registry.simulator.LOCALHOST:9"] {
            assert!(is_loopback_host(host), "{host}");
        }
        for host in [
            "",
            "example.com",
            "127.0.0.1.example.com",
            "localhost.example.com:80",
            ".localhost",
            "10.0.0.1",
            "[::1",
            "127.0.0.1:x",
            "127.0.0.1:1:2",
            "storage.googleapis.com",
            "notlocalhost",
        ] {
            assert!(!is_loopback_host(host), "{host}");
        }
    }
}
