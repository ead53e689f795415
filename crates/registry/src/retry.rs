//! Trying again after faults that pass, with growing random pauses, bounded in number and in time.

use std::{future::Future, time::Duration};

use tokio::time::Instant;

use crate::error::{Error, Result};

/// How often and how long a request is tried again after 429, 500, 502, 503, 504 or a broken connection.
#[derive(Clone, Debug)]
pub struct RetryPolicy {
    /// Tries in all, at least one.
    pub tries: u32,
    /// The pause after the first try; it doubles each time. The real pause is between half of it and all of it.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
    /// No further try begins when so much time has passed since the first; a longer `Retry-After` ends the tries.
    pub total: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            tries: 5,
            first_pause: Duration::from_millis(200),
            longest_pause: Duration::from_secs(10),
            total: Duration::from_secs(60),
        }
    }
}

impl RetryPolicy {
    /// Runs `attempt` until it succeeds, fails for good, or tries or time run out.
    pub(crate) async fn run<T, F: Future<Output = Result<T>>>(&self, mut attempt: impl FnMut() -> F) -> Result<T> {
        let start = Instant::now();
        let mut tried = 0;
        loop {
            let error = match attempt().await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            tried += 1;
            let Some(pause) = self.pause(&error, tried, start.elapsed()) else { return Err(error) };
            tracing::debug!(%error, ?pause, "trying again");
            tokio::time::sleep(pause).await;
        }
    }

    /// The pause before the next try; `None` to give up.
    fn pause(&self, error: &Error, tried: u32, elapsed: Duration) -> Option<Duration> {
        if !error.is_transient() || tried >= self.tries {
            return None;
        }
        let doubled = self.first_pause.saturating_mul(1 << (tried - 1).min(16)).min(self.longest_pause);
        let pause = error.retry_after().unwrap_or_else(|| jitter(doubled));
        (elapsed + pause < self.total).then_some(pause)
    }
}

/// A random duration between half of `most` and `most`, so that clients which failed together do not return together.
pub(crate) fn jitter(most: Duration) -> Duration {
    // Without randomness the pause is merely the longest one.
    let share = getrandom::u32().map_or(1.0, |r| 0.5 + 0.5 * f64::from(r) / f64::from(u32::MAX));
    most.mul_f64(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy(retry_after: Option<u64>) -> Error {
        let retry_after = retry_after.map(Duration::from_secs);
        Error::TooManyRequests { doing: "x".into(), host: "h".into(), retry_after }
    }

    #[test]
    fn pauses_grow_obey_the_server_and_end() {
        let policy = RetryPolicy::default();
        let pause = |error: &Error, tried, elapsed| policy.pause(error, tried, Duration::from_secs(elapsed));
        let first = pause(&busy(None), 1, 0).expect("a pause");
        assert!(first >= policy.first_pause / 2 && first <= policy.first_pause);
        assert!(pause(&busy(None), 4, 0).expect("a pause") >= policy.first_pause * 4);
        assert_eq!(pause(&busy(Some(7)), 1, 0), Some(Duration::from_secs(7)));
        assert_eq!(pause(&busy(Some(3600)), 1, 0), None, "waits longer than allowed");
        assert_eq!(pause(&busy(None), 5, 0), None, "tries more often than allowed");
        assert_eq!(pause(&busy(None), 1, 60), None, "tries for longer than allowed");
        assert_eq!(pause(&Error::NotFound { doing: "x".into(), message: "y".into() }, 1, 0), None);
    }
}
