//! The workload's program. It takes no arguments: everything that decides is in the contract.

use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};
use workload::{Log, Setting, run};

#[tokio::main]
async fn main() -> ExitCode {
    let log = Log::standard();
    if rustls_graviola::default_provider().install_default().is_err() {
        log.error("a second TLS provider was installed", &[]);
    }
    run(&Setting::from_environment(), &log, terminated()).await.into()
}

/// SIGTERM, with which the launcher stops a container, or SIGINT.
async fn terminated() {
    match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(mut terminate), Ok(mut interrupt)) => {
            tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        }
        _ => std::future::pending().await,
    }
}
