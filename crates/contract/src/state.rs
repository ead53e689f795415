//! Where the workload keeps the counts: a file of its own, or a PostgreSQL that several workloads share.

use std::{fmt, net::IpAddr};

use serde::{Deserialize, Serialize, de};

use crate::{Certificate, Contract};

/// `[state]`. Absent: a file in the container, which Confidential Space keeps in encrypted memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum State {
    /// A file in the container: for one workload, and gone with its machine.
    Embedded {
        /// Encrypts it all the same.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<StateKey>,
    },
    /// A PostgreSQL database (13 or newer), for any number of workloads of this contract.
    Postgres {
        /// `postgresql://USER@HOST:PORT/DATABASE`, without a password. The user owns the schema `csign` in
        /// it, or may make it.
        url: DatabaseUrl,
        /// The certificate authority of the server (PEM, one certificate): TLS with this authority only, and the
        /// server's certificate must name the host. Absent: no TLS, on a loopback address only.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ca: Option<Certificate>,
        /// `projects/P/secrets/S/versions/V`: the user's password, read with the machine's account.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        password_secret: Option<String>,
        /// Encrypts every word, count and id before it reaches the database.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<StateKey>,
    },
}

/// `[state.key]`: the key in Cloud KMS that wraps the state's own key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateKey {
    /// `projects/P/locations/L/keyRings/R/cryptoKeys/K`. Only the attested workload may encrypt and decrypt with it, and
    /// its project is not the operator's.
    pub kms_key: String,
    /// `//iam.googleapis.com/projects/N/locations/global/workloadIdentityPools/P/providers/X`: where the workload's
    /// token is exchanged for access to it.
    pub identity_provider: String,
}

/// `postgresql://USER@HOST:PORT/DATABASE`. No password and no options can stand in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseUrl {
    /// The database's user.
    pub user: String,
    /// A DNS name or an IP address, without brackets.
    pub host: String,
    /// The TCP port; 5432 where the URL names none.
    pub port: u16,
    /// The database's name.
    pub database: String,
}

const FORM: &str = "a database is named postgresql://USER@HOST:PORT/DATABASE, without a password and without options";
const PORT: u16 = 5432;

impl DatabaseUrl {
    /// Parses a URL.
    ///
    /// # Errors
    /// Another scheme, a password, options, or characters that would need escaping.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let rest = text.strip_prefix("postgresql://").or_else(|| text.strip_prefix("postgres://")).ok_or(FORM)?;
        let (user, rest) = rest.split_once('@').ok_or(FORM)?;
        let (address, database) = rest.split_once('/').ok_or(FORM)?;
        let (host, port) = match address.strip_prefix('[') {
            Some(rest) => rest.split_once(']').ok_or(FORM)?,
            None => address.split_at(address.find(':').unwrap_or(address.len())),
        };
        let port = match port {
            "" => PORT,
            port => port
                .strip_prefix(':')
                .filter(|port| port.bytes().all(|b| b.is_ascii_digit()))
                .and_then(|port| port.parse().ok())
                .filter(|port| *port != 0)
                .ok_or(FORM)?,
        };
        let plain = |text: &str| {
            (1..=63).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        };
        let host_ok = if address.starts_with('[') {
            host.parse::<std::net::Ipv6Addr>().is_ok()
        } else {
            (1..=253).contains(&host.len())
                && host.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b))
        };
        if !plain(user) || !plain(database) || !host_ok {
            return Err(FORM);
        }
        Ok(Self { user: user.to_owned(), host: host.to_owned(), port, database: database.to_owned() })
    }

    /// Is the host this machine for sure?
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user, host, port, database } = self;
        if host.contains(':') {
            write!(f, "postgresql://{user}@[{host}]:{port}/{database}")
        } else {
            write!(f, "postgresql://{user}@{host}:{port}/{database}")
        }
    }
}

impl Serialize for DatabaseUrl {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DatabaseUrl {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl Default for State {
    fn default() -> Self {
        Self::Embedded { key: None }
    }
}

impl State {
    /// The key that encrypts it, if one does.
    pub const fn key(&self) -> Option<&StateKey> {
        match self {
            Self::Embedded { key } | Self::Postgres { key, .. } => key.as_ref(),
        }
    }

    pub(crate) fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

impl Contract {
    /// The additional authenticated data that binds the state's wrapped key to this contract.
    pub fn state_key_additional_data(&self) -> Vec<u8> {
        format!("csign.state.v1\n{}", self.digest()).into_bytes()
    }
}
