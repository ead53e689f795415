//! Keys of the transit secrets engine of HashiCorp Vault and OpenBao.

use std::{fmt, str::FromStr};

use super::version;
use crate::KeysError;

/// Whose server it is: the settings have other names, the protocol is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TransitFlavor {
    /// HashiCorp Vault, `hashivault://`.
    HashiVault,
    /// OpenBao, `openbao://`.
    OpenBao,
}

impl TransitFlavor {
    /// The scheme of its references.
    pub const fn scheme(self) -> &'static str {
        match self {
            Self::HashiVault => "hashivault",
            Self::OpenBao => "openbao",
        }
    }

    /// Its command line program.
    pub(crate) const fn program(self) -> &'static str {
        match self {
            Self::HashiVault => "vault",
            Self::OpenBao => "bao",
        }
    }
}

/// A key without a version: what is created, never what signs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TransitKey {
    flavor: TransitFlavor,
    name: String,
}

impl TransitKey {
    /// Whose server has the key.
    pub fn flavor(&self) -> TransitFlavor {
        self.flavor
    }

    /// The key's name in its secrets engine.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first version of this key, which a new key has.
    pub fn first_version(&self) -> TransitKeyVersion {
        TransitKeyVersion { key: self.clone(), version: 1 }
    }

    fn parse(flavor: TransitFlavor, name: &str, uri: &str) -> Result<Self, KeysError> {
        let inner = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        let outer = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
        // The name becomes a segment of a path.
        if name.len() > 100 || !name.chars().all(inner) || !outer(name.chars().next()) || !outer(name.chars().last()) {
            let why = "the key's name has letters, digits, '_', '-' and '.', and begins and ends with no '-' or '.'";
            return Err(KeysError::Uri { uri: uri.to_owned(), why });
        }
        Ok(Self { flavor, name: name.to_owned() })
    }
}

impl FromStr for TransitKey {
    type Err = KeysError;

    /// Parses `hashivault://NAME` or `openbao://NAME`.
    ///
    /// # Errors
    /// Anything else, also a key version.
    fn from_str(text: &str) -> Result<Self, KeysError> {
        let flavors = [TransitFlavor::HashiVault, TransitFlavor::OpenBao];
        let found = flavors
            .into_iter()
            .find_map(|flavor| Some((flavor, text.strip_prefix(flavor.scheme())?.strip_prefix("://")?)));
        let Some((flavor, name)) = found else {
            let why = "only hashivault://NAME and openbao://NAME can be created by csign";
            return Err(KeysError::Uri { uri: text.to_owned(), why });
        };
        Self::parse(flavor, name, text)
    }
}

impl fmt::Display for TransitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.flavor.scheme(), self.name)
    }
}

/// A version of a key: `hashivault://NAME/versions/N`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TransitKeyVersion {
    key: TransitKey,
    version: u32,
}

impl TransitKeyVersion {
    /// The key.
    pub fn key(&self) -> &TransitKey {
        &self.key
    }

    /// Its version, from 1 on.
    pub fn version(&self) -> u32 {
        self.version
    }

    pub(super) fn parse(flavor: TransitFlavor, resource: &str, uri: &str) -> Result<Self, KeysError> {
        let Some((name, rest)) = resource.split_once('/') else {
            let key = TransitKey::parse(flavor, resource, uri)?;
            let (program, name) = (flavor.program(), key.name());
            let example = format!("{uri}/versions/1; {program} read transit/keys/{name} shows the versions");
            return Err(KeysError::Unpinned { uri: uri.to_owned(), example });
        };
        let number = rest.strip_prefix("versions/").and_then(version);
        let why = "what follows the key must be versions/N, with a number from 1 on";
        let version = number.ok_or_else(|| KeysError::Uri { uri: uri.to_owned(), why })?;
        Ok(Self { key: TransitKey::parse(flavor, name, uri)?, version })
    }
}

impl fmt::Display for TransitKeyVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/versions/{}", self.key, self.version)
    }
}
