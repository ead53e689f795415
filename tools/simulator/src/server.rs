//! Serves a router on a TCP or unix socket, HTTP/1.1 and h2c alike, until it is dropped: connections end with it.
//! On TCP, with a gate, also TLS and a proxy's `CONNECT`.

use std::io;

use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, UnixListener},
    task::{JoinHandle, JoinSet},
};

use crate::tls::{Gate, Start};

/// A running server. Dropping it closes the listener and every connection.
#[derive(Debug)]
pub(crate) struct Server {
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) fn tcp(listener: TcpListener, router: Router, gate: Option<Gate>) -> Self {
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                match next(&mut connections, listener.accept()).await {
                    Some(Ok((stream, _))) => {
                        // Small replies must not wait for the peer's delayed acknowledgement.
                        let _ = stream.set_nodelay(true);
                        connections.spawn(dispatch(stream, router.clone(), gate.clone()));
                    }
                    Some(Err(_)) => pause().await,
                    None => {}
                }
            }
        });
        Self { task }
    }

    pub(crate) fn unix(listener: UnixListener, router: Router) -> Self {
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                match next(&mut connections, listener.accept()).await {
                    Some(Ok((stream, _))) => {
                        connections.spawn(connection(stream, router.clone()));
                    }
                    Some(Err(_)) => pause().await,
                    None => {}
                }
            }
        });
        Self { task }
    }

    /// Closes everything and waits until it is closed.
    pub(crate) async fn stop(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The next connection; `None` when a finished one was reaped instead.
async fn next<T>(connections: &mut JoinSet<()>, accept: impl Future<Output = io::Result<T>>) -> Option<io::Result<T>> {
    tokio::select! {
        accepted = accept => Some(accepted),
        Some(_) = connections.join_next() => None,
    }
}

/// Accepting fails when file descriptors run out; trying again at once would only burn the processor.
async fn pause() {
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
}

async fn dispatch(stream: TcpStream, router: Router, gate: Option<Gate>) {
    let Some(gate) = gate else { return connection(stream, router).await };
    match Start::of(&stream).await {
        Ok(Start::Tls) => gate.tls(stream).await,
        Ok(Start::Connect) => gate.connect(stream).await,
        Ok(Start::Http) => connection(stream, router).await,
        // It closed before it said anything.
        Err(_) => {}
    }
}

pub(crate) async fn connection<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S, router: Router) {
    let service = TowerToHyperService::new(router);
    // A broken connection is the peer's affair; each request's outcome is in the audit log.
    let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}
