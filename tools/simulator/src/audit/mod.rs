//! The audit log: every decision of every service, with the clause that decided. Never key material or plaintext.
//!
//! In memory it is bounded: it keeps the newest [`CAPACITY`] entries, or as many as fit into [`MAX_TEXT`] bytes of text.
//! Counts and sequence numbers are never lost, so a reader sees how many entries are gone.

mod filter;
mod log_file;
mod ring;
mod serve;
mod table;

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

pub use self::{
    filter::Filter,
    ring::{CAPACITY, Count, MAX_TEXT},
    table::Table,
};
use self::{log_file::LogFile, ring::Ring};
pub(crate) use serve::routes;

use crate::{Result, clock::Clock};

/// Longest principal, resource or clause that is kept, in bytes; the rest is cut off and marked with `…`.
const MAX_MEMBER: usize = 4096;

/// Bytes of text after which one reading ends, so that no answer becomes as large as the whole log.
const MAX_READ: usize = 1 << 20;

/// One decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Position in the log, from 0.
    pub sequence: u64,
    /// Seconds since the Unix epoch, by the simulator's clock.
    pub time: u64,
    /// `attestation`, `launcher`, `registry`, `sts`, `iam`, `kms`, `pubsub`, `storage`, `secretmanager`, `proxy`, …
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
#[derive(Clone, Debug)]
pub(crate) struct Audit {
    log: Arc<Mutex<Log>>,
    /// The number of entries so far; readers that wait are woken by its changes.
    total: watch::Sender<u64>,
    clock: Clock,
}

#[derive(Debug, Default)]
struct Log {
    ring: Ring,
    file: Option<LogFile>,
}

/// What a service has decided, before it gets its place in the log.
pub(crate) struct Decision<'a> {
    pub(crate) service: &'a str,
    pub(crate) method: &'a str,
    pub(crate) principal: &'a str,
    pub(crate) resource: &'a str,
}

/// Entries from one place of the log on.
#[derive(Debug, Default)]
pub(crate) struct Read {
    /// Matching entries, oldest first.
    pub(crate) entries: Vec<Arc<AuditEntry>>,
    /// Where the next reading starts.
    pub(crate) next: u64,
    /// How many entries, matching or not, were gone before they could be read.
    pub(crate) lost: u64,
}

impl Audit {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { log: Arc::default(), total: watch::Sender::new(0), clock }
    }

    /// From now on every entry is also appended to this file as a line of JSON, before the call returns.
    pub(crate) fn write_to(&self, path: &Path) -> Result<()> {
        self.log().file = Some(LogFile::open(path)?);
        Ok(())
    }

    pub(crate) fn allow(&self, decision: Decision<'_>, clause: impl Into<String>) {
        self.record(decision, true, clause.into());
    }

    pub(crate) fn deny(&self, decision: Decision<'_>, clause: impl Into<String>) {
        self.record(decision, false, clause.into());
    }

    /// Every entry that is still kept.
    pub(crate) fn entries(&self) -> Vec<AuditEntry> {
        self.log().ring.from(0).map(|entry| (**entry).clone()).collect()
    }

    /// Decisions so far by service and method; these are complete, whatever the ring has dropped.
    pub(crate) fn counts(&self) -> Vec<Count> {
        self.log().ring.counts()
    }

    /// How many decisions there have been.
    pub(crate) fn total(&self) -> u64 {
        *self.total.borrow()
    }

    /// Why the file lacks entries, if it does.
    pub(crate) fn file_error(&self) -> Option<String> {
        self.log().file.as_ref().and_then(LogFile::error)
    }

    /// At most `limit` matching entries with a sequence number of at least `from`, and at most some [`MAX_READ`] bytes.
    pub(crate) fn read(&self, from: u64, filter: &Filter, limit: usize) -> Read {
        let log = self.log();
        let first = log.ring.first();
        let mut read = Read { next: from.max(first), lost: first.saturating_sub(from), entries: Vec::new() };
        let mut text = 0;
        for entry in log.ring.from(from) {
            if read.entries.len() == limit || text > MAX_READ {
                break;
            }
            read.next = entry.sequence + 1;
            if filter.admits(entry) {
                text += ring::text_of(entry);
                read.entries.push(Arc::clone(entry));
            }
        }
        read
    }

    /// Follows the number of entries.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.total.subscribe()
    }

    fn record(&self, decision: Decision<'_>, allowed: bool, clause: String) {
        let mut log = self.log();
        let entry = Arc::new(AuditEntry {
            sequence: log.ring.next(),
            time: self.clock.now(),
            service: bounded(decision.service),
            method: bounded(decision.method),
            principal: bounded(decision.principal),
            resource: bounded(decision.resource),
            allowed,
            clause: bounded(&clause),
        });
        if let Some(file) = &mut log.file {
            file.append(&entry);
        }
        log.ring.push(entry);
        let total = log.ring.next();
        // Under the lock, so that the number never goes back.
        self.total.send_replace(total);
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bounded(text: &str) -> String {
    if text.len() <= MAX_MEMBER {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(MAX_MEMBER);
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision<'a>(service: &'a str, principal: &'a str) -> Decision<'a> {
        Decision { service, method: "decrypt", principal, resource: "keys/a" }
    }

    #[test]
    fn what_is_longer_than_the_bound_is_cut_and_marked() {
        let audit = Audit::new(Clock::default());
        audit.deny(decision("kms", &"ß".repeat(MAX_MEMBER)), "no");
        let entry = audit.entries().pop().expect("an entry");
        assert!(entry.principal.len() <= MAX_MEMBER + '…'.len_utf8() && entry.principal.ends_with('…'));
    }

    #[test]
    fn reading_goes_on_where_it_stopped_and_says_what_was_lost() {
        let audit = Audit::new(Clock::default());
        for number in 0..CAPACITY + 10 {
            audit.allow(decision(if number % 2 == 0 { "kms" } else { "sts" }, "x"), "yes");
        }
        let filter = Filter { services: vec!["kms".to_owned()], ..Filter::default() };
        let first = audit.read(0, &filter, 3);
        assert_eq!((first.lost, first.entries.len(), first.entries[0].sequence), (10, 3, 10));
        let second = audit.read(first.next, &filter, 3);
        assert_eq!((second.lost, second.entries[0].sequence), (0, 16));
        let end = audit.total();
        assert_eq!(end, CAPACITY as u64 + 10);
        let last = audit.read(end, &filter, 3);
        assert_eq!((last.entries.len(), last.next, last.lost), (0, end, 0));
        assert_eq!(audit.counts().iter().map(|count| count.allowed).sum::<u64>(), end);
    }

    #[test]
    fn one_reading_of_long_entries_ends_early_and_the_next_one_goes_on() {
        let audit = Audit::new(Clock::default());
        for _ in 0..1000 {
            audit.deny(decision("kms", &"p".repeat(MAX_MEMBER)), "no");
        }
        let (mut next, mut seen, mut readings) = (0, 0, 0);
        while next < audit.total() {
            let read = audit.read(next, &Filter::default(), usize::MAX);
            assert!(read.entries.len() <= MAX_READ / MAX_MEMBER + 1);
            (next, seen, readings) = (read.next, seen + read.entries.len(), readings + 1);
        }
        assert_eq!(seen, 1000);
        assert!(readings > 3);
    }

    #[test]
    fn every_line_of_the_file_is_an_entry_and_a_second_run_appends() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("audit.jsonl");
        for _ in 0..2 {
            let audit = Audit::new(Clock::default());
            audit.write_to(&path).expect("opens");
            audit.allow(decision("kms", "a\nb"), "yes");
            audit.deny(decision("kms", "c"), "no");
            assert_eq!(audit.file_error(), None);
        }
        let text = std::fs::read_to_string(&path).expect("reads");
        let entries: Vec<AuditEntry> = text.lines().map(|line| serde_json::from_str(line).expect("an entry")).collect();
        assert_eq!(entries.len(), 4);
        assert_eq!((entries[0].principal.as_str(), entries[3].allowed), ("a\nb", false));
    }

    #[test]
    fn a_file_that_takes_no_more_is_reported_and_the_log_goes_on() {
        let audit = Audit::new(Clock::default());
        audit.write_to(Path::new("/dev/full")).expect("opens");
        audit.allow(decision("kms", "a"), "yes");
        audit.allow(decision("kms", "b"), "yes");
        assert!(audit.file_error().is_some_and(|error| error.contains("/dev/full")));
        assert_eq!(audit.entries().len(), 2);
        assert!(audit.write_to(Path::new("/nonexistent/audit")).is_err());
    }
}
