//! A listener for strangers: so many connections at a time, each for so long, requests small or refused.

use std::{future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use csign_contract::Contract;
use http_body_util::Full;
use hyper::{Response, StatusCode, body::Bytes, header};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    log::Log,
    metrics::{ConnectionGuard, Metrics},
};

/// Bounds of one port.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Connections at a time; others wait unaccepted. Stops a flood from taking all memory and file descriptors.
    pub(crate) connections: usize,
    /// How long a connection may live, whatever it does. Stops who opens connections and then says nothing, or very
    /// slowly.
    pub(crate) lifetime: Duration,
}

/// Bytes of a request's head.
pub(crate) const HEAD_LIMIT: usize = 16 << 10;
/// From the connection, or the last answer, to the end of a request's head.
pub(crate) const HEAD_TIME: Duration = Duration::from_secs(5);
/// After an error of `accept`, which is usually one of too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A bound port that does not accept yet.
pub(crate) struct Port {
    name: &'static str,
    listener: TcpListener,
    bounds: Bounds,
}

impl Port {
    /// Binds `port` on every interface; under a simulated contract on loopback only.
    ///
    /// # Errors
    /// The system does not give the port.
    pub(crate) async fn bind(name: &'static str, contract: &Contract, port: u16, bounds: Bounds) -> io::Result<Self> {
        let host = if contract.environment.is_simulated() { [127, 0, 0, 1] } else { [0, 0, 0, 0] };
        let listener = TcpListener::bind(SocketAddr::from((host, port))).await?;
        Ok(Self { name, listener, bounds })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Accepts connections for ever. Dropping the future ends them all.
    pub(crate) async fn serve<F>(
        self,
        metrics: Metrics,
        log: Log,
        connection: impl Fn(TcpStream, SocketAddr, ConnectionGuard) -> F,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        if let Ok(address) = self.address() {
            log.info("listening", &[("port", self.name.into()), ("address", address.to_string().into())]);
        }
        let places = Arc::new(Semaphore::new(self.bounds.connections));
        let mut tasks = JoinSet::new();
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let (stream, peer) = match self.listener.accept().await {
                Ok(accepted) => accepted,
                Err(_) => {
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let work = connection(stream, peer, metrics.connection(self.name));
            let lifetime = self.bounds.lifetime;
            tasks.spawn(async move {
                let _place = place;
                let _ = timeout(lifetime, work).await;
            });
            while tasks.try_join_next().is_some() {}
        }
    }
}

/// An answer in one piece that nobody keeps.
pub(crate) fn answer(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}
