//! One collaborator's lane: its key, its data keys, how much it may ask at a time, and its messages that must wait. What
//! stops one lane stops no other: its messages leave the window in which the service delivers.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use csign_contract::{
    Contract,
    envelope::{DataKey, Envelope},
    message::{Binding, Encryption},
};
use futures_util::FutureExt as _;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, sleep, sleep_until},
};

use crate::{
    circuit::{Circuit, Load, Severity, jitter},
    data_keys::DataKeys,
    delivery::Ticket,
    kms::{DecryptError, Decrypter, Plaintext},
    log::Log,
    metrics::{LaneState, Metrics},
    parking::Parking,
    workers::{Outcome, Workers},
};

/// Messages of one collaborator that are held for Cloud KMS at a time, with their content.
const PLACES: usize = 2000;
/// The same while its Cloud KMS cannot be used: enough to find out when it can.
const PROBES: usize = 4;
/// Attempts for one message before it is set aside.
const ATTEMPTS: u32 = 5;
/// Longest pause after the first attempt, and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// For how long a message is set aside that could not be decrypted while others could: among few, and among many.
const STUCK: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(60));
/// How many are few: for twice as many the time is twice as long, so that they never ask more often together.
const FEW: usize = 64;

/// One collaborator's key and its traffic.
pub(crate) struct Lane {
    pub(crate) name: String,
    pub(crate) parking: Parking,
    decrypter: Decrypter,
    data_keys: Arc<DataKeys<Unopened>>,
    binding: Arc<Binding>,
    circuit: Circuit,
    workers: Workers,
    places: Arc<Semaphore>,
    log: Log,
    metrics: Metrics,
}

/// A message's right to be held until Cloud KMS has a turn for it.
pub(crate) struct Place(#[expect(dead_code, reason = "it is held, not read")] OwnedSemaphorePermit);

/// Why a message was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unopened {
    /// It can never be: the reason's code.
    Poison(&'static str),
    /// It may be later.
    Later,
    /// The workload stops.
    Stopped,
}

impl Lane {
    pub(crate) fn new(
        name: &str,
        decrypter: Decrypter,
        contract: &Contract,
        binding: &Arc<Binding>,
        log: &Log,
        metrics: &Metrics,
    ) -> Self {
        Self {
            name: name.to_owned(),
            parking: Parking::default(),
            decrypter,
            data_keys: Arc::new(DataKeys::new(contract.messages.data_key_lifetime())),
            binding: Arc::clone(binding),
            circuit: Circuit::default(),
            workers: Workers::default(),
            places: Arc::new(Semaphore::new(PLACES)),
            log: log.clone(),
            metrics: metrics.clone(),
        }
    }

    /// A place for a message that needs Cloud KMS, if there is one.
    pub(crate) fn enter(&self) -> Option<Place> {
        if self.held() >= self.limit(Instant::now()) {
            return None;
        }
        Arc::clone(&self.places).try_acquire_owned().ok().map(Place)
    }

    /// A data key that opens this envelope without Cloud KMS.
    pub(crate) fn kept_key(&self, wrapped: &[u8]) -> Option<Arc<DataKey>> {
        self.data_keys.kept(wrapped, Instant::now())
    }

    /// Sets a message aside that could not be opened now.
    pub(crate) fn later(&self, ticket: Ticket) {
        match self.circuit.load(Instant::now()) {
            Load::All => {
                let doublings = (self.parking.len() / FEW).checked_ilog2().unwrap_or(0);
                self.parking.stick(ticket, jitter(STUCK.0, STUCK.1, doublings));
            }
            Load::Probe | Load::Nothing => self.parking.wait(ticket),
        }
    }

    /// Gives back what there is room for now, and forgets keys whose time is over.
    pub(crate) fn tick(&self, now: Instant) {
        self.data_keys.expire(now);
        self.parking.tick(now);
        if self.circuit.load(now) != Load::Nothing {
            self.parking.release(self.limit(now).saturating_sub(self.held()));
        }
    }

    /// Opens a directly encrypted message.
    pub(crate) async fn open_direct(
        &self,
        message: &str,
        data: &Bytes,
        stopped: watch::Receiver<bool>,
    ) -> Result<Plaintext, Unopened> {
        let additional_data = self.binding.message(Encryption::Direct, &self.name, message);
        self.decrypt(data, &additional_data, stopped).await
    }

    /// Opens an envelope, with a `key` that is at hand or one that Cloud KMS unwraps.
    pub(crate) async fn open_envelope(
        self: &Arc<Self>,
        message: &str,
        data: &Bytes,
        key: Option<Arc<DataKey>>,
        stopped: watch::Receiver<bool>,
    ) -> Result<Plaintext, Unopened> {
        let Ok(envelope) = Envelope::parse(data) else { return Err(Unopened::Poison(MALFORMED_ENVELOPE)) };
        let key = match key {
            Some(key) => key,
            None => {
                let (lane, wrapped) = (Arc::clone(self), data.slice_ref(envelope.wrapped_key));
                self.data_keys.get(envelope.wrapped_key, move || lane.unwrap(wrapped, stopped).boxed()).await?
            }
        };
        let additional_data = self.binding.message(Encryption::Envelope, &self.name, message);
        let opened = key.open(&envelope, &additional_data);
        opened.map(Plaintext::Opened).map_err(|_| Unopened::Poison("not-authentic"))
    }

    async fn unwrap(self: Arc<Self>, wrapped: Bytes, stopped: watch::Receiver<bool>) -> Result<DataKey, Unopened> {
        let key = self.decrypt(&wrapped, &self.binding.data_key(&self.name), stopped).await?;
        DataKey::new(key.expose()).map_err(|_| Unopened::Poison("no-data-key"))
    }

    async fn decrypt(
        &self,
        ciphertext: &Bytes,
        additional_data: &[u8],
        mut stopped: watch::Receiver<bool>,
    ) -> Result<Plaintext, Unopened> {
        for attempt in 0..ATTEMPTS {
            let (turn, pass) = tokio::select! {
                biased;
                _ = stopped.wait_for(|stopped| *stopped) => return Err(Unopened::Stopped),
                turn = self.turn() => turn?,
            };
            let answer = self.decrypter.decrypt(ciphertext, additional_data).await;
            let now = Instant::now();
            let outcome = answer.as_ref().err().map_or(Outcome::Answered, DecryptError::outcome);
            self.workers.done(turn, outcome, now);
            let error = match answer {
                Ok(plaintext) => {
                    self.works(pass.succeeded());
                    return Ok(plaintext);
                }
                Err(error @ DecryptError::Undecryptable) => {
                    self.works(pass.succeeded());
                    return Err(Unopened::Poison(error.code()));
                }
                Err(error) => error,
            };
            let pause = pass.failed(error.severity(), error.wait(), now);
            let gives_up = !error.is_transient() || attempt + 1 == ATTEMPTS || self.is_crowded(now);
            if pause.is_some() {
                self.metrics.lane(&self.name, error.lane_state());
            }
            if pause.is_some() || (gives_up && error.severity() == Severity::Possible) {
                self.log_failure(&error, pause);
            }
            if gives_up {
                break;
            }
            self.metrics.retry(&self.name);
            let wait = jitter(RETRY.0, RETRY.1, attempt).max(error.wait().unwrap_or_default().min(RETRY.1));
            tokio::select! {
                biased;
                _ = stopped.wait_for(|stopped| *stopped) => return Err(Unopened::Stopped),
                () = sleep(wait) => {}
            }
        }
        Err(Unopened::Later)
    }

    /// Waits for a turn, and for the end of a pause, unless too many wait for that already.
    async fn turn(&self) -> Result<(tokio::sync::SemaphorePermit<'_>, crate::circuit::Pass<'_>), Unopened> {
        let turn = self.workers.turn().await.ok_or(Unopened::Stopped)?;
        loop {
            let now = Instant::now();
            match self.circuit.pass(now) {
                Ok(pass) => return Ok((turn, pass)),
                Err(_) if self.is_crowded(now) => return Err(Unopened::Later),
                Err(until) => sleep_until(until).await,
            }
        }
    }

    fn held(&self) -> usize {
        PLACES.saturating_sub(self.places.available_permits())
    }

    fn limit(&self, now: Instant) -> usize {
        if self.circuit.load(now) == Load::All { PLACES } else { PROBES }
    }

    fn is_crowded(&self, now: Instant) -> bool {
        self.held() > self.limit(now)
    }

    fn works(&self, again: bool) {
        if again {
            self.metrics.lane(&self.name, LaneState::Works);
            let waiting = self.parking.len();
            self.log.info(
                "decryption works again",
                &[("collaborator", self.name.as_str().into()), ("waiting", waiting.into())],
            );
        }
    }

    fn log_failure(&self, error: &DecryptError, pause: Option<Duration>) {
        self.log.error(
            "decryption failed; the message will be delivered again",
            &[
                ("collaborator", self.name.as_str().into()),
                ("code", error.code().into()),
                ("reason", error.to_string().into()),
                ("hint", error.hint().into()),
                (
                    "pause_milliseconds",
                    pause.map_or(0, |pause| u64::try_from(pause.as_millis()).unwrap_or(u64::MAX)).into(),
                ),
                ("waiting", self.parking.len().into()),
            ],
        );
    }
}

/// Code of an envelope that cannot be taken apart.
pub(crate) const MALFORMED_ENVELOPE: &str = "malformed-envelope";
