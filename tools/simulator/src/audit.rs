//! The audit log: every decision of every service, with the clause that decided. Never key material or plaintext.

use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::clock::Clock;

/// One decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Position in the log, from 0.
    pub sequence: u64,
    /// Seconds since the Unix epoch, by the simulator's clock.
    pub time: u64,
    /// `attestation`, `launcher`, `sts`, `kms`, `pubsub` or `iam`.
    pub service: String,
    /// What was asked for, for instance `decrypt`.
    pub method: String,
    /// Who asked: a member of the form that IAM bindings use, or an instance's name.
    pub principal: String,
    /// What it was asked of.
    pub resource: String,
    /// The verdict.
    pub allowed: bool,
    /// What decided: the binding that admitted, or the clause that denied.
    pub clause: String,
}

/// The log; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Audit {
    entries: Arc<Mutex<Vec<AuditEntry>>>,
    clock: Clock,
}

/// What a service has decided, before it gets its place in the log.
pub(crate) struct Decision<'a> {
    pub(crate) service: &'a str,
    pub(crate) method: &'a str,
    pub(crate) principal: &'a str,
    pub(crate) resource: &'a str,
}

impl Audit {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { entries: Arc::default(), clock }
    }

    pub(crate) fn allow(&self, decision: Decision<'_>, clause: impl Into<String>) {
        self.record(decision, true, clause.into());
    }

    pub(crate) fn deny(&self, decision: Decision<'_>, clause: impl Into<String>) {
        self.record(decision, false, clause.into());
    }

    pub(crate) fn entries(&self) -> Vec<AuditEntry> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn record(&self, decision: Decision<'_>, allowed: bool, clause: String) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let sequence = entries.len() as u64;
        entries.push(AuditEntry {
            sequence,
            time: self.clock.now(),
            service: decision.service.to_owned(),
            method: decision.method.to_owned(),
            principal: decision.principal.to_owned(),
            resource: decision.resource.to_owned(),
            allowed,
            clause,
        });
    }
}
