//! The workload: verifies itself at boot, then processes the collaborators' messages.
//!
//! [`run`] is the whole program. The message loop can be made only from a `Verified<Boot>`, and that only from a boot in
//! which every check passed.

mod boot;
mod credentials;
mod endpoints;
mod issuer;
mod kms;
mod lane;
mod launcher;
mod log;
mod processor;
mod registry;
mod report;
mod run_loop;
mod setting;
mod state;

use std::{future::Future, time::Instant};

use csign_trust::ExitStatus;

pub use boot::{BootError, boot};
pub use endpoints::EndpointError;
pub use issuer::IssuerError;
pub use launcher::LauncherError;
pub use log::Log;
pub use run_loop::MessageLoop;
pub use setting::Setting;
pub use state::{State, StateError};

/// Boots, then processes messages until `stop`. What it did goes to `log`; a boot that fails is reported in one table.
///
/// Exit status: 0 stopped when asked to; 1 the boot was refused; 2 the contract or its environment makes no sense; 3
/// something needed for the boot could not be read.
pub async fn run(setting: &Setting, log: &Log, stop: impl Future<Output = ()>) -> ExitStatus {
    let started = Instant::now();
    let mut stop = std::pin::pin!(stop);
    let booted = tokio::select! {
        () = &mut stop => return ExitStatus::Success,
        booted = boot(setting, log) => booted,
    };
    let verified = match booted {
        Ok(verified) => verified,
        Err(error) => return report::refused(log, &error),
    };
    report::verified(log, verified.get(), started.elapsed());
    let message_loop = match MessageLoop::new(verified, setting, log) {
        Ok(message_loop) => message_loop,
        Err(error) => return report::refused(log, &error),
    };
    message_loop.run(stop).await;
    ExitStatus::Success
}
