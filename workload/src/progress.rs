//! What the log says about messages: the first of every second one by one, the others as sums, once a second. A line per
//! message costs more than the message.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::Value;
use tokio::time::Instant;

use crate::log::Log;

/// Messages of one second that get a line of their own.
const LINES: u32 = 20;
const SECOND: Duration = Duration::from_secs(1);

pub(crate) struct Progress {
    log: Log,
    second: Mutex<Second>,
}

struct Second {
    began: Instant,
    lines: u32,
    /// What happened without a line: event, then how often.
    sums: BTreeMap<&'static str, u64>,
}

impl Progress {
    pub(crate) fn new(log: &Log) -> Self {
        let second = Second { began: Instant::now(), lines: 0, sums: BTreeMap::new() };
        Self { log: log.clone(), second: Mutex::new(second) }
    }

    /// Notes an event. Does it get a line?
    pub(crate) fn has_line(&self, event: &'static str) -> bool {
        let mut second = self.second();
        if second.lines < LINES {
            second.lines += 1;
            return true;
        }
        *second.sums.entry(event).or_default() += 1;
        false
    }

    /// Writes the sums of the second that is over, if one is and anything had no line.
    pub(crate) fn tick(&self, now: Instant) {
        if now.duration_since(self.second().began) >= SECOND {
            self.write(now);
        }
    }

    /// Writes what is not written yet.
    pub(crate) fn write(&self, now: Instant) {
        let sums = {
            let mut second = self.second();
            second.began = now;
            second.lines = 0;
            std::mem::take(&mut second.sums)
        };
        if !sums.is_empty() {
            let sums: Vec<(&str, Value)> = sums.into_iter().map(|(event, sum)| (event, sum.into())).collect();
            self.log.info("further messages", &sums);
        }
    }

    fn second(&self) -> MutexGuard<'_, Second> {
        self.second.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
