//! Keys of other providers, reached through a program named after the scheme.

use std::fmt;

use crate::KeysError;

/// A key that the program `sigstore-kms-SCHEME` knows: `SCHEME://RESOURCE`. What the resource means, and whether it
/// can move to another key, is the program's affair.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PluginKey {
    scheme: String,
    resource: String,
}

impl PluginKey {
    /// What follows `://`.
    pub fn resource(&self) -> &str {
        &self.resource
    }

    /// The program's name, to be looked for in the directories of `PATH`.
    pub fn executable(&self) -> String {
        format!("sigstore-kms-{}", self.scheme)
    }

    pub(super) fn parse(scheme: &str, resource: &str, uri: &str) -> Result<Self, KeysError> {
        let error = |why| KeysError::Uri { uri: uri.to_owned(), why };
        // The scheme becomes part of a file name.
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
        let first = scheme.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
        if !first || scheme.len() > 64 || !scheme.chars().all(allowed) {
            return Err(error("the scheme before :// has characters that no key provider's name has"));
        }
        if resource.is_empty() || resource.len() > 4096 || resource.chars().any(char::is_control) {
            return Err(error("what follows :// is empty, too long or not printable"));
        }
        Ok(Self { scheme: scheme.to_owned(), resource: resource.to_owned() })
    }
}

impl fmt::Display for PluginKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.resource)
    }
}
