//! The workload: verifies itself at boot, then processes the collaborators' messages.
//!
//! [`run`] is the whole program. The message loop can be made only from a `Verified<Boot>`, and that only from a boot in
//! which every check passed.

mod boot;
mod circuit;
mod credentials;
mod data_keys;
mod dead_letter;
mod delivery;
mod endpoints;
mod health;
mod ingest;
mod issuer;
mod kms;
mod lane;
mod launcher;
mod listener;
mod log;
mod metrics;
mod parking;
mod processing;
mod processor;
mod progress;
mod pull;
mod registry;
mod report;
mod run_loop;
mod setting;
mod sink;
mod state;
mod workers;

use std::{future::Future, pin::Pin, sync::Arc, time::Instant};

use csign_contract::Contract;
use csign_trust::ExitStatus;

use crate::{ingest::Ingest, launcher::Launcher, listener::Port, sink::Sink};

pub use boot::{BootError, boot};
pub use endpoints::EndpointError;
pub use ingest::IdentityError;
pub use issuer::IssuerError;
pub use launcher::LauncherError;
pub use log::Log;
pub use metrics::{Call, LaneState, Metrics, Outcome};
pub use run_loop::{Fodder, MessageLoop};
pub use setting::Setting;
pub use state::{Recorded, State, StateError};

/// Boots, then processes messages until `stop`. What it did goes to `log`; a boot that fails is reported in one table.
///
/// Exit status: 0 stopped when asked to; 1 the boot was refused, or the state was tampered with; 2 the contract or its
/// environment makes no sense; 3 something needed for the boot could not be read.
pub async fn run(setting: &Setting, log: &Log, stop: impl Future<Output = ()>) -> ExitStatus {
    let started = Instant::now();
    let mut stop = std::pin::pin!(stop);
    let contract = match boot::read_contract(setting) {
        Ok(contract) => contract,
        Err(error) => return report::refused(log, &error),
    };
    log.label("contract", &contract.digest().to_string());
    let metrics = Metrics::new(&contract);
    let port = match health::bind(&contract).await {
        Ok(port) => port,
        Err(source) => return report::refused(log, &BootError::Listen { port: "health", source }),
    };
    let work = work(setting, log, &contract, &metrics, started, stop.as_mut());
    let Some(port) = port else { return work.await };
    tokio::select! {
        status = work => status,
        () = health::serve(port, metrics.clone(), log.clone()) => ExitStatus::CouldNotCheck,
    }
}

async fn work(
    setting: &Setting,
    log: &Log,
    contract: &Contract,
    metrics: &Metrics,
    started: Instant,
    mut stop: Pin<&mut impl Future<Output = ()>>,
) -> ExitStatus {
    let booted = tokio::select! {
        () = stop.as_mut() => return ExitStatus::Success,
        booted = boot::boot_under(contract, setting, log) => booted,
    };
    let verified = match booted {
        Ok(verified) => verified,
        Err(error) => return report::refused(log, &error),
    };
    let image = verified.get().image.to_string();
    log.label("image", &image);
    metrics.booted(&image, started.elapsed());
    report::verified(log, verified.get(), started.elapsed());
    let message_loop = match MessageLoop::new(verified, setting, log, metrics).await {
        Ok(message_loop) => message_loop,
        Err(error) => return report::refused(log, &error),
    };
    let state = message_loop.state();
    let sink = Sink::new(Arc::clone(&state), metrics.clone());
    let serving = match endpoint(contract, setting, sink, metrics, log).await {
        Ok(serving) => serving,
        Err(error) => return report::refused(log, &error),
    };
    let stop = async {
        tokio::select! { () = stop => {}, _ = state.ended() => {} }
    };
    let stop = std::pin::pin!(stop);
    let work = message_loop.run(stop);
    match serving {
        None => work.await,
        Some((ingest, port)) => {
            // What a client sent and the stop cut off was not confirmed to it: it sends again under the same id.
            tokio::select! { () = work => {}, () = ingest.serve(port) => {} }
        }
    }
    match state.failure().filter(StateError::is_final) {
        Some(error) => report::state_ended(log, &error),
        None => ExitStatus::Success,
    }
}

/// The ingest endpoint and its port, where the contract has one.
async fn endpoint(
    contract: &Contract,
    setting: &Setting,
    sink: Sink,
    metrics: &Metrics,
    log: &Log,
) -> Result<Option<(Ingest, Port)>, BootError> {
    let port = ingest::bind(contract).await.map_err(|source| BootError::Listen { port: "ingest", source })?;
    let Some(port) = port else { return Ok(None) };
    let ingest = Ingest::new(contract, Launcher::new(setting), sink, metrics, log)?;
    Ok(Some((ingest, port)))
}
