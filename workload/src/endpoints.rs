//! Whom the workload talks to: Google, or under a simulated contract one loopback address. No other file knows a URL.

use std::net::SocketAddr;

use csign_contract::{Contract, SIMULATOR_SUFFIX, SIMULATOR_VARIABLE};

/// The services' addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoints {
    /// The real services.
    Google,
    /// All of them on this loopback address.
    Simulator(SocketAddr),
}

/// Why there is nobody to talk to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// A simulated contract without a simulator.
    #[error("the contract is simulated, and {SIMULATOR_VARIABLE} is not set")]
    NoSimulator,
    /// Packets of a simulated contract must not leave the machine.
    #[error("{SIMULATOR_VARIABLE} is {0:?}, not a loopback socket address such as 127.0.0.1:8080")]
    NotLoopback(String),
    /// A root other than `/` comes from the environment; a real contract must not be steered by it.
    #[error("the contract is not simulated: its root cannot be moved")]
    MovedRoot,
    /// An issuer's document elsewhere than the contract allows.
    #[error("the issuer's address {0:?} is not one that the contract allows")]
    Foreign(String),
}

impl Endpoints {
    /// The services of a contract. `simulator` is looked at only if the contract is simulated.
    ///
    /// # Errors
    /// A simulated contract without a loopback address.
    pub(crate) fn of(contract: &Contract, simulator: Option<&str>) -> Result<Self, EndpointError> {
        if !contract.environment.is_simulated() {
            return Ok(Self::Google);
        }
        let text = simulator.ok_or(EndpointError::NoSimulator)?;
        match text.parse::<SocketAddr>() {
            Ok(address) if address.ip().is_loopback() && address.port() != 0 => Ok(Self::Simulator(address)),
            _ => Err(EndpointError::NotLoopback(text.chars().take(80).collect())),
        }
    }

    /// Where a document of the attestation issuer is fetched: https as it stands, or the simulator's address in place
    /// of a `.simulator.localhost` name.
    ///
    /// # Errors
    /// Another scheme, or a host outside the simulator under a simulated contract.
    pub(crate) fn issuer_document(&self, url: &str) -> Result<String, EndpointError> {
        let foreign = || EndpointError::Foreign(url.chars().take(200).collect());
        match self {
            Self::Google if url.starts_with("https://") => Ok(url.to_owned()),
            Self::Google => Err(foreign()),
            Self::Simulator(address) => {
                let rest = url.strip_prefix("http://").ok_or_else(foreign)?;
                let (host, path) = rest.split_once('/').ok_or_else(foreign)?;
                let named = host.ends_with(SIMULATOR_SUFFIX) && !host.contains(['@', ':', '\\', '?', '#']);
                if named { Ok(format!("http://{address}/{path}")) } else { Err(foreign()) }
            }
        }
    }

    /// Where tokens are exchanged.
    pub(crate) fn sts(&self) -> String {
        match self {
            Self::Google => "https://sts.googleapis.com/v1/token".to_owned(),
            Self::Simulator(address) => format!("http://{address}/v1/token"),
        }
    }

    /// Cloud KMS.
    pub(crate) fn kms(&self) -> String {
        self.service("https://cloudkms.googleapis.com")
    }

    /// Secret Manager.
    pub(crate) fn secret_manager(&self) -> String {
        self.service("https://secretmanager.googleapis.com")
    }

    /// Pub/Sub.
    pub(crate) fn pubsub(&self) -> String {
        self.service("https://pubsub.googleapis.com")
    }

    /// The metadata server, which gives tokens of the machine's own service account.
    pub(crate) fn metadata(&self) -> String {
        self.service("http://metadata.google.internal")
    }

    /// The simulator's address for the registry's client.
    pub(crate) const fn simulator(&self) -> Option<SocketAddr> {
        match self {
            Self::Google => None,
            Self::Simulator(address) => Some(*address),
        }
    }

    fn service(&self, google: &str) -> String {
        match self {
            Self::Google => google.to_owned(),
            Self::Simulator(address) => format!("http://{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issuer_documents_stay_where_the_contract_allows() {
        let simulator = Endpoints::Simulator(([127, 0, 0, 1], 9).into());
        assert_eq!(
            simulator.issuer_document("http://attestation.simulator.localhost/a/b").as_deref(),
            Ok("http://127.0.0.1:9/a/b")
        );
        for bad in [
            "https://attestation.simulator.localhost/a",
            "http://evil.example/a",
            "http://x@attestation.simulator.localhost/a",
            "http://evil.example?.simulator.localhost/a",
            "http://attestation.simulator.localhost",
            "file:///etc/passwd",
        ] {
            assert!(simulator.issuer_document(bad).is_err(), "{bad} was accepted");
        }
        assert!(Endpoints::Google.issuer_document("https://www.googleapis.com/keys").is_ok());
        assert!(Endpoints::Google.issuer_document("http://www.googleapis.com/keys").is_err());
    }
}
