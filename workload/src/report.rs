//! How a boot ends: one table for people, one line for the log, one exit status.

use std::time::Duration;

use csign_trust::{Boot, ExitStatus, Verdict};

use crate::{boot::BootError, log::Log, state::StateError};

/// Reports why the workload does not start.
pub(crate) fn refused(log: &Log, error: &BootError) -> ExitStatus {
    let status = error.status();
    let word = match status {
        ExitStatus::Success | ExitStatus::Rejected => "rejected",
        ExitStatus::Usage => "wrong contract or environment",
        ExitStatus::CouldNotCheck => "could not check",
    };
    match error {
        BootError::Refused(refused) => log.say(&refused.report.table()),
        error => log.say(&format!("{error}\n")),
    }
    log.say(&format!("the workload does not start: {word}\nhint: {}\n", error.hint()));
    let reason = match error {
        BootError::Refused(refused) => missing(refused),
        error => error.to_string(),
    };
    log.error("boot refused", &[("verdict", word.into()), ("reason", reason.into())]);
    status
}

/// The checks that did not pass, on one line.
fn missing(refused: &csign_trust::Refused<csign_trust::BootReport>) -> String {
    let table = refused.report.table();
    let rows = table.lines().skip(1).filter(|row| !row.starts_with("ok"));
    let words: Vec<String> = rows.map(|row| row.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    debug_assert!(refused.verdict == Verdict::Verified || !words.is_empty());
    words.join("; ")
}

/// Says what was verified, and in how many milliseconds since the program started.
pub(crate) fn verified(log: &Log, boot: &Boot, took: Duration) {
    log.info(
        "boot verified",
        &[
            ("milliseconds", u64::try_from(took.as_millis()).unwrap_or(u64::MAX).into()),
            ("image", boot.image.to_string().into()),
            ("contract", boot.contract.digest().to_string().into()),
            ("parties", boot.contract.parties.len().into()),
        ],
    );
}

/// Says why the workload stopped though nobody asked it to.
pub(crate) fn state_ended(log: &Log, error: &StateError) -> ExitStatus {
    log.say(&format!("the workload stops: {error}\nhint: {}\n", error.hint()));
    log.error("the state cannot be used any more", &[("reason", error.to_string().into())]);
    error.status()
}
