//! The newest entries, bounded in number and bytes, and counts of all that there ever were.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use serde::Serialize;

use super::AuditEntry;

/// Entries that are kept in memory.
pub const CAPACITY: usize = 100_000;
/// Bytes of text that are kept in memory.
pub const MAX_TEXT: usize = 32 << 20;

/// How often one service decided on one method.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Count {
    /// As in [`AuditEntry::service`].
    pub service: String,
    /// As in [`AuditEntry::method`].
    pub method: String,
    /// How often it allowed.
    pub allowed: u64,
    /// How often it denied.
    pub denied: u64,
}

#[derive(Debug, Default)]
pub(super) struct Ring {
    entries: VecDeque<Arc<AuditEntry>>,
    text: usize,
    /// The sequence number of the next entry.
    next: u64,
    counts: BTreeMap<(String, String), (u64, u64)>,
}

impl Ring {
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// The oldest sequence number that is kept; [`Ring::next`] if nothing is.
    pub(super) fn first(&self) -> u64 {
        self.entries.front().map_or(self.next, |entry| entry.sequence)
    }

    /// Entries from the sequence number `from` on, oldest first.
    pub(super) fn from(&self, from: u64) -> impl Iterator<Item = &Arc<AuditEntry>> {
        let skip = usize::try_from(from.saturating_sub(self.first())).unwrap_or(usize::MAX);
        self.entries.range(skip.min(self.entries.len())..)
    }

    /// Takes the entry whose sequence number is [`Ring::next`].
    pub(super) fn push(&mut self, entry: Arc<AuditEntry>) {
        let count = self.counts.entry((entry.service.clone(), entry.method.clone())).or_default();
        if entry.allowed {
            count.0 += 1;
        } else {
            count.1 += 1;
        }
        self.text += text_of(&entry);
        self.next += 1;
        self.entries.push_back(entry);
        while self.entries.len() > CAPACITY || self.text > MAX_TEXT {
            let Some(oldest) = self.entries.pop_front() else { break };
            self.text -= text_of(&oldest);
        }
    }

    pub(super) fn counts(&self) -> Vec<Count> {
        let count = |((service, method), (allowed, denied)): (&(String, String), &(u64, u64))| Count {
            service: service.clone(),
            method: method.clone(),
            allowed: *allowed,
            denied: *denied,
        };
        self.counts.iter().map(count).collect()
    }
}

pub(super) fn text_of(entry: &AuditEntry) -> usize {
    let AuditEntry { service, method, principal, resource, clause, .. } = entry;
    [service, method, principal, resource, clause].iter().map(|text| text.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_entries_push_old_ones_out_before_the_number_does() {
        let mut ring = Ring::default();
        let clause = "x".repeat(MAX_TEXT / 4);
        for sequence in 0..6 {
            let text = |text: &str| text.to_owned();
            ring.push(Arc::new(AuditEntry {
                sequence,
                time: 0,
                service: text("kms"),
                method: text("decrypt"),
                principal: text("p"),
                resource: text("r"),
                allowed: false,
                clause: clause.clone(),
            }));
        }
        assert_eq!((ring.first(), ring.next()), (3, 6));
        assert_eq!(ring.from(0).map(|entry| entry.sequence).collect::<Vec<_>>(), [3, 4, 5]);
        assert_eq!(ring.from(5).count(), 1);
        assert_eq!(ring.from(u64::MAX).count(), 0);
        assert_eq!(ring.counts()[0].denied, 6);
    }
}
