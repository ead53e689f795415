//! Checks of `[state]`.

use super::{invalid, provider, resource};
use crate::{Contract, ContractError, State};

/// Checks where the counts are kept.
///
/// # Errors
/// A database that an operator could read or stand in for, a name that is none.
pub(super) fn state(contract: &Contract) -> Result<(), ContractError> {
    if let Some(key) = contract.state.key() {
        resource("state.key.kms_key", &key.kms_key, &["projects", "locations", "keyRings", "cryptoKeys"])?;
        provider("state.key.identity_provider", &key.identity_provider)?;
    }
    let State::Postgres { url, ca, password_secret, key } = &contract.state else { return Ok(()) };
    if let Some(secret) = password_secret {
        resource("state.password_secret", secret, &["projects", "secrets", "versions"])?;
    }
    if contract.environment.is_simulated() {
        return if url.is_loopback() {
            Ok(())
        } else {
            Err(invalid(
                "state.url",
                format!("{} is not a loopback address, and environment.kind is \"simulated\"", url.host),
            ))
        };
    }
    if key.is_none() {
        return Err(invalid("state.key", "is missing: without it whoever runs the database reads every word"));
    }
    if ca.is_none() {
        return Err(invalid("state.ca", "is missing: name the certificate authority of the database's server"));
    }
    if password_secret.is_none() {
        return Err(invalid(
            "state.password_secret",
            "is missing: a database that asks for no password lets everyone in",
        ));
    }
    Ok(())
}
