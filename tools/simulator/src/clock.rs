//! The simulator's clock: the system's, plus an offset that tests move forward instead of sleeping.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Seconds since the Unix epoch as every simulated service sees them; clones share the offset.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    offset: Arc<AtomicU64>,
}

impl Clock {
    /// The current time in seconds since the Unix epoch.
    pub fn now(&self) -> u64 {
        let system = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        system.as_secs().saturating_add(self.offset.load(Ordering::Relaxed))
    }

    /// Moves the clock forward: tokens issued so far age by `by`.
    pub fn advance(&self, by: Duration) {
        self.offset.fetch_add(by.as_secs(), Ordering::Relaxed);
    }
}
