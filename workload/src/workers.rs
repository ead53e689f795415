//! How many requests one collaborator's key service gets at a time: more while it answers, fewer when it is overloaded.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::Instant,
};

/// At first, and at most. Cloud KMS's usual quota is 1000 requests a second: at 20 ms that is 20 at a time, at 100 ms 100.
const REQUESTS: (usize, usize) = (8, 128);
/// Failures within this time are one sign of overload.
const REACTION: Duration = Duration::from_secs(1);

pub(crate) struct Workers {
    turns: Semaphore,
    limit: Mutex<Limit>,
}

struct Limit {
    requests: usize,
    /// Turns that are to be withdrawn when they come back.
    debt: usize,
    /// Answers since the limit last grew.
    answers: usize,
    /// Never overloaded so far: grow quickly.
    quick: bool,
    reduced: Option<Instant>,
}

/// How a request went, for the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Answered,
    Overloaded,
    /// Says nothing about the load.
    Other,
}

impl Default for Workers {
    fn default() -> Self {
        let limit = Limit { requests: REQUESTS.0, debt: 0, answers: 0, quick: true, reduced: None };
        Self { turns: Semaphore::new(REQUESTS.0), limit: Mutex::new(limit) }
    }
}

impl Workers {
    /// Waits for a turn.
    pub(crate) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.turns.acquire().await.ok()
    }

    /// Ends a turn.
    pub(crate) fn done(&self, turn: SemaphorePermit<'_>, outcome: Outcome, now: Instant) {
        let mut limit = self.limit.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Outcome::Answered if self.turns.available_permits() == 0 && limit.requests < REQUESTS.1 => {
                limit.answers += 1;
                if limit.quick || limit.answers >= limit.requests {
                    limit.answers = 0;
                    limit.requests += 1;
                    match limit.debt.checked_sub(1) {
                        Some(debt) => limit.debt = debt,
                        None => self.turns.add_permits(1),
                    }
                }
            }
            Outcome::Overloaded if limit.reduced.is_none_or(|last| now >= last + REACTION) => {
                let half = (limit.requests / 2).max(1);
                limit.debt += limit.requests - half;
                limit.requests = half;
                limit.quick = false;
                limit.reduced = Some(now);
            }
            _ => {}
        }
        if limit.debt > 0 {
            limit.debt -= 1;
            turn.forget();
        }
    }

    #[cfg(test)]
    fn requests(&self) -> usize {
        self.limit.lock().unwrap_or_else(PoisonError::into_inner).requests
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn requests_at_a_time_grow_with_answers_and_are_halved_by_overload() {
        let workers = Workers::default();
        let now = Instant::now();
        let all = async |workers: &Workers, outcome| {
            let mut turns = Vec::new();
            for _ in 0..workers.requests() {
                turns.push(workers.turns.acquire().await.unwrap());
            }
            assert_eq!(workers.turns.available_permits(), 0, "no more than the limit");
            turns.into_iter().for_each(|turn| workers.done(turn, outcome, now));
        };
        for _ in 0..200 {
            all(&workers, Outcome::Answered).await;
        }
        assert!(workers.requests() > REQUESTS.0 && workers.requests() <= REQUESTS.1);
        let before = workers.requests();
        all(&workers, Outcome::Overloaded).await;
        assert_eq!(workers.requests(), before / 2, "failures together count once");
        all(&workers, Outcome::Other).await;
        assert_eq!(workers.requests(), before / 2);
    }
}
