//! Ingest: collaborators send data over TLS 1.3, each known by its certificate authority. `GET /connect` proves that the
//! other end of this very connection is the attested workload; `POST /messages/ID` counts a message exactly once.

mod connection;
mod identity;
mod request;

use std::{collections::BTreeMap, io, sync::Arc, time::Duration};

use csign_contract::Contract;
use tokio::sync::Semaphore;

use self::identity::Doors;
pub use self::identity::IdentityError;
use crate::{
    launcher::{Launcher, TokenType},
    listener::{Bounds, Port},
    log::Log,
    metrics::Metrics,
    sink::Sink,
};

/// Handshakes and connections of everyone together.
const BOUNDS: Bounds = Bounds { connections: 256, lifetime: Duration::from_secs(600) };
/// Connections of one collaborator: what one does leaves room for the others.
const CONNECTIONS_OF_ONE: usize = 16;

/// What all connections share.
pub(crate) struct Ingest {
    doors: Doors,
    places: BTreeMap<String, Arc<Semaphore>>,
    audience: String,
    token_type: TokenType,
    launcher: Launcher,
    sink: Sink,
    metrics: Metrics,
    log: Log,
}

/// The ingest port, bound, if the contract has one.
///
/// # Errors
/// The system does not give the port.
pub(crate) async fn bind(contract: &Contract) -> io::Result<Option<Port>> {
    match contract.ingest {
        Some(ingest) => Port::bind("ingest", contract, ingest.port, BOUNDS).await.map(Some),
        None => Ok(None),
    }
}

impl Ingest {
    /// The endpoint of a verified boot, with a key that was made now.
    ///
    /// # Errors
    /// No key, or a `client_ca` that is no certificate.
    pub(crate) fn new(
        contract: &Contract,
        launcher: Launcher,
        sink: Sink,
        metrics: &Metrics,
        log: &Log,
    ) -> Result<Self, IdentityError> {
        let doors = Doors::new(contract)?;
        let places =
            doors.collaborators().map(|name| (name.to_owned(), Arc::new(Semaphore::new(CONNECTIONS_OF_ONE)))).collect();
        let audience = contract.ingest_audience();
        // Clients of a contract with both kinds verify the one whose keys they can compare with the issuer's.
        let token_type = if contract.attestation.token.wants_oidc() { TokenType::Oidc } else { TokenType::Pki };
        Ok(Self { doors, places, audience, token_type, launcher, sink, metrics: metrics.clone(), log: log.clone() })
    }

    /// Serves for ever.
    pub(crate) async fn serve(self, port: Port) {
        let (metrics, log, shared) = (self.metrics.clone(), self.log.clone(), Arc::new(self));
        port.serve(metrics, log, |stream, _, guard| {
            let shared = Arc::clone(&shared);
            async move {
                let _guard = guard;
                connection::serve(&shared, stream).await;
            }
        })
        .await;
    }
}
