//! The names that the simulator answers for over TLS.

/// Exact names, and `*.` for one label.
pub(super) const NAMES: [&str; 15] = [
    "cloudkms.googleapis.com",
    "cloudresourcemanager.googleapis.com",
    "confidentialcomputing.googleapis.com",
    "iam.googleapis.com",
    "iamcredentials.googleapis.com",
    "oauth2.googleapis.com",
    "pubsub.googleapis.com",
    "secretmanager.googleapis.com",
    "storage.googleapis.com",
    "sts.googleapis.com",
    "www.googleapis.com",
    "*.pkg.dev",
    "*.simulator.localhost",
    "localhost",
    "metadata.google.internal",
];

/// The trees that the certificate authority is confined to, so that it can vouch for nothing else wherever somebody has
/// put it among the trusted ones.
pub(super) const TREES: [&str; 4] = ["googleapis.com", "pkg.dev", "localhost", "metadata.google.internal"];

/// Whether the simulator answers for this host name, given without a port.
pub(super) fn serves(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    NAMES.iter().any(|served| match served.strip_prefix('*') {
        Some(parent) => name.strip_suffix(parent).is_some_and(|label| !label.is_empty() && !label.contains('.')),
        None => name == *served,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_listed_names_are_answered_for() {
        for name in ["sts.googleapis.com", "STS.googleapis.com", "us-docker.pkg.dev", "registry.simulator.localhost"] {
            assert!(serves(name), "{name}");
        }
        for name in [
            "",
            "googleapis.com",
            "example.com",
            "sts.googleapis.com.example.com",
            "xsts.googleapis.com",
            "a.b.pkg.dev",
            ".pkg.dev",
            "pkg.dev",
            "sts.googleapis.com.",
            "accounts.google.com",
            "127.0.0.1",
        ] {
            assert!(!serves(name), "{name}");
        }
    }

    #[test]
    fn every_name_is_inside_the_authoritys_trees() {
        for name in NAMES {
            let name = name.trim_start_matches("*.");
            let inside = |tree: &&str| name == *tree || name.ends_with(&format!(".{tree}"));
            assert!(TREES.iter().any(inside), "{name}");
        }
    }
}
