//! One collaborator's lane: so many messages at a time, and a pause after a failure, so that one collaborator's outage
//! neither stops the others nor becomes a storm of requests.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use csign_contract::Collaborator;
use tokio::{
    sync::{Semaphore, SemaphorePermit, watch},
    time::{Instant, sleep, sleep_until},
};

use crate::{endpoints::Endpoints, kms::Decrypter, launcher::Launcher};

/// Messages of one collaborator that are decrypted at a time.
const AT_A_TIME: usize = 8;
/// Messages of one collaborator that may wait for their turn, those at work included.
const PLACES: usize = 32;
/// How long a message without a place is held before it is given back.
const NO_PLACE: Duration = Duration::from_secs(1);
/// After the first failure, and at most.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// One collaborator's key and its traffic.
pub(crate) struct Lane {
    pub(crate) decrypter: Decrypter,
    places: Semaphore,
    workers: Semaphore,
    pause: Mutex<Pause>,
}

#[derive(Default)]
struct Pause {
    until: Option<Instant>,
    failures: u32,
}

/// May a message be decrypted now?
pub(crate) enum Turn<'a> {
    /// Yes, for as long as this is held.
    Go([SemaphorePermit<'a>; 2]),
    /// No; give it back.
    Later,
}

impl Lane {
    pub(crate) fn new(collaborator: &Collaborator, endpoints: Endpoints, launcher: &Launcher) -> Self {
        Self {
            decrypter: Decrypter::new(collaborator, endpoints, launcher),
            places: Semaphore::new(PLACES),
            workers: Semaphore::new(AT_A_TIME),
            pause: Mutex::default(),
        }
    }

    /// Waits for a turn, and for the end of a pause; not beyond `stopped`.
    pub(crate) async fn turn(&self, mut stopped: watch::Receiver<bool>) -> Turn<'_> {
        tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => Turn::Later,
            turn = self.wait() => turn,
        }
    }

    async fn wait(&self) -> Turn<'_> {
        let Ok(place) = self.places.try_acquire() else {
            sleep(NO_PLACE).await;
            return Turn::Later;
        };
        let Ok(worker) = self.workers.acquire().await else { return Turn::Later };
        let until = self.pause().until;
        if let Some(until) = until {
            sleep_until(until).await;
        }
        Turn::Go([place, worker])
    }

    /// A request was answered: the pause is over.
    pub(crate) fn works(&self) {
        *self.pause() = Pause::default();
    }

    /// A request failed: the next ones wait, longer each time. Requests that were under way together count as one.
    pub(crate) fn fails(&self) -> Duration {
        let now = Instant::now();
        let mut pause = self.pause();
        match pause.until {
            Some(until) if until > now => until - now,
            _ => {
                let length = (PAUSE.0 * 2_u32.saturating_pow(pause.failures.min(16))).min(PAUSE.1);
                *pause = Pause { until: Some(now + length), failures: pause.failures.saturating_add(1) };
                length
            }
        }
    }

    fn pause(&self) -> std::sync::MutexGuard<'_, Pause> {
        self.pause.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
