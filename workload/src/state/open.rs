//! Opening: from the contract to a store that is this contract's, whose key is known and whose rows are whole.

use csign_contract::{Contract, State as Table};
use csign_trust::report::printable;

use super::{
    Described, codec::Codec, embedded::Embedded, error::StateError, key::Wrapping, password, postgres::Link,
    store::Store,
};
use crate::{endpoints::Endpoints, launcher::Launcher, setting::Setting};

/// How often a state is made before giving up: another workload may make it first, and remove it never.
const ATTEMPTS: usize = 3;

/// Opens the store that the contract names:
///
/// 1. Reach it, with the password that Secret Manager holds. 2. If there is no state in it, make one, with a new key that
///    KMS wraps where the contract names one. Of two workloads that do this at once, one succeeds. 3. Read back what is
///    there; it must be this contract's. 4. Unwrap its key. 5. Hold its rows against its head.
pub(super) async fn store(contract: &Contract, setting: &Setting) -> Result<(Store, Codec), StateError> {
    let endpoints = Endpoints::of(contract, setting.simulator.as_deref());
    let endpoints = endpoints.map_err(|error| StateError::Contract(error.to_string()))?;
    // 1.
    let store = match &contract.state {
        Table::Embedded { .. } => Store::Embedded(Embedded::open(&setting.state())?),
        Table::Postgres { url, ca, password_secret, .. } => {
            let password = match password_secret {
                Some(version) => Some(password::read(&endpoints, version).await?),
                None => None,
            };
            Store::Postgres(Box::new(Link::new(url, ca.as_ref(), password)?))
        }
    };
    let wrapping = match contract.state.key() {
        Some(table) => Some(Wrapping::new(contract, table, &endpoints, &Launcher::new(setting)).await?),
        None => None,
    };
    begin(contract, store, wrapping).await
}

/// From 2. on.
pub(super) async fn begin(
    contract: &Contract,
    mut store: Store,
    wrapping: Option<Wrapping<'_>>,
) -> Result<(Store, Codec), StateError> {
    let want = contract.digest().to_string();
    for _ in 0..ATTEMPTS {
        // 3.
        if let Some(Described { contract: found, key }) = store.describe().await? {
            if found != want {
                return Err(StateError::AnotherContract { found: printable(&found, 100), want });
            }
            // 4.
            let codec = codec(contract, wrapping.as_ref(), key.as_deref()).await?;
            // 5.
            store.check(&codec).await?;
            return Ok((store, codec));
        }
        // 2.
        let key = match &wrapping {
            Some(wrapping) => Some(wrapping.make().await?),
            None => None,
        };
        let codec = codec(contract, wrapping.as_ref(), key.as_deref()).await?;
        store.create(&codec, &Described { contract: want.clone(), key }).await?;
    }
    Err(StateError::opening("it was made and is not there"))
}

async fn codec(
    contract: &Contract,
    wrapping: Option<&Wrapping<'_>>,
    wrapped: Option<&[u8]>,
) -> Result<Codec, StateError> {
    match (wrapping, wrapped) {
        (Some(wrapping), Some(wrapped)) => Codec::new(contract, Some(&wrapping.unwrap(wrapped).await?)),
        (None, None) => Codec::new(contract, None),
        (Some(_), None) => Err(StateError::tampered("its key is absent, and the contract names one")),
        (None, Some(_)) => Err(StateError::tampered("it has a key, and the contract names none")),
    }
}
