//! The message loop: pulls, admits, decrypts, counts, acknowledges; in this order, and only after a verified boot.

use std::{
    collections::{BTreeMap, HashMap},
    future::Future,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use csign_contract::{
    envelope::{DataKey, Envelope, MAX_ENVELOPE},
    message::Encryption,
};
use csign_trust::{Boot, Verified};
use serde_json::Value;
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{Instant, timeout},
};

use crate::{
    boot::BootError,
    dead_letter::DeadLetters,
    delivery::{Delivery, Fed, Ticket},
    endpoints::Endpoints,
    kms::Decrypter,
    lane::{Lane, MALFORMED_ENVELOPE, Place, Unopened},
    launcher::Launcher,
    log::Log,
    metrics::{Metrics, Outcome},
    processor,
    progress::Progress,
    pull::{Consumer, Ended, OUTSTANDING_MESSAGES, Streams},
    setting::Setting,
    state::{Recorded, State, StateError},
};

/// After a result that could not be kept, before its message is given back.
const STATE_PAUSE: Duration = Duration::from_secs(1);
/// Bytes of a ciphertext that KMS could have made.
const CIPHERTEXT_LIMIT: usize = 80 << 10;
/// Counts of one message that are printed.
const COUNTS: usize = 100;
/// For finishing what was begun when asked to stop; the launcher kills the container after some more.
const FINISH: Duration = Duration::from_secs(8);
/// For reading the totals, and for giving the state back, before the program ends.
const TOTALS: Duration = Duration::from_secs(2);
/// Between attempts to pull.
const PULL_PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// Processes messages. It can be made only from a verified boot:
///
/// ```no_run
/// # use workload::{Log, MessageLoop, Metrics, Setting};
/// fn start(boot: csign_trust::Verified<csign_trust::Boot>, setting: &Setting, log: &Log, metrics: &Metrics) {
///     drop(MessageLoop::new(boot, setting, log, metrics));
/// }
/// ```
///
/// The same with a boot that nobody verified does not compile:
///
/// ```compile_fail,E0308
/// # use workload::{Log, MessageLoop, Metrics, Setting};
/// fn start(boot: csign_trust::Boot, setting: &Setting, log: &Log, metrics: &Metrics) {
///     drop(MessageLoop::new(boot, setting, log, metrics));
/// }
/// ```
pub struct MessageLoop {
    shared: Arc<Shared>,
    stopping: watch::Sender<bool>,
}

struct Shared {
    boot: Verified<Boot>,
    endpoints: Endpoints,
    lanes: BTreeMap<String, Arc<Lane>>,
    dead_letters: Option<DeadLetters>,
    state: Arc<State>,
    progress: Progress,
    log: Log,
    metrics: Metrics,
}

/// What the loop takes in without Pub/Sub: data, attributes, and an id as Pub/Sub would give it.
pub type Fodder = (Bytes, HashMap<String, String>, String);

/// What happens to a message in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Its effect, or its refusal, is durable: it need not come again.
    Done,
    /// It must come again.
    Again,
    /// It is set aside until its collaborator's key can be used.
    WaitForLane,
    /// It is set aside until it can be published as a dead letter.
    WaitForDeadLetters,
}

/// What is to be done with a delivery.
enum Job {
    Process(Admitted),
    /// Nothing can ever be done with it.
    Refuse {
        collaborator: String,
        code: &'static str,
    },
}

/// A message that the contract admits.
struct Admitted {
    lane: Arc<Lane>,
    message: String,
    encryption: Encryption,
    /// The data key of an envelope, if it is at hand.
    key: Option<Arc<DataKey>>,
    /// Held for a message that needs Cloud KMS.
    place: Option<Place>,
}

impl MessageLoop {
    /// Opens the state that the contract names and prepares one lane per collaborator; nothing is pulled yet.
    ///
    /// # Errors
    /// The state cannot be opened.
    pub async fn new(boot: Verified<Boot>, setting: &Setting, log: &Log, metrics: &Metrics) -> Result<Self, BootError> {
        let state = State::open(&boot.get().contract, setting, metrics).await?;
        Self::with_state(boot, setting, log, metrics, state)
    }

    /// The same with a state that was opened elsewhere.
    ///
    /// # Errors
    /// None for a boot that was verified under this setting.
    pub fn with_state(
        boot: Verified<Boot>,
        setting: &Setting,
        log: &Log,
        metrics: &Metrics,
        state: State,
    ) -> Result<Self, BootError> {
        let contract = &boot.get().contract;
        let endpoints = Endpoints::of(contract, setting.simulator.as_deref())?;
        let launcher = Launcher::new(setting);
        let binding = Arc::new(contract.binding());
        let lanes = contract
            .collaborators()
            .map(|(party, collaborator)| {
                let decrypter = Decrypter::new(&party.name, collaborator, endpoints, &launcher, metrics);
                let lane = Lane::new(&party.name, decrypter, contract, &binding, log, metrics);
                (party.name.clone(), Arc::new(lane))
            })
            .collect();
        let messages = &contract.messages;
        let dead_letters = messages.dead_letter.as_ref();
        let dead_letters = dead_letters.map(|topic| DeadLetters::new(topic, &messages.subscription, endpoints, log));
        let (progress, log, state, metrics) = (Progress::new(log), log.clone(), Arc::new(state), metrics.clone());
        let shared = Shared { boot, endpoints, lanes, dead_letters, state, progress, log, metrics };
        Ok(Self { shared: Arc::new(shared), stopping: watch::Sender::new(false) })
    }

    /// Processes messages until `stop`; then finishes what was begun, and gives the rest back. A subscription that cannot
    /// be pulled is tried again, with pauses.
    pub async fn run(self, mut stop: Pin<&mut impl Future<Output = ()>>) {
        let log = self.shared.log.clone();
        let subscription = self.shared.boot.get().contract.messages.subscription.clone();
        let (mut tasks, mut pause) = (JoinSet::new(), PULL_PAUSE.0);
        let mut closing = JoinSet::new();
        loop {
            let began = Instant::now();
            let why = match Streams::connect(&self.shared.endpoints, &subscription).await {
                Ok(mut streams) => {
                    log.info("pulling", &[("subscription", subscription.as_str().into())]);
                    self.shared.metrics.pulling(true);
                    let ended = streams.pull(&self, &mut tasks, stop.as_mut()).await;
                    self.shared.metrics.pulling(false);
                    closing.spawn(streams.finish());
                    while closing.try_join_next().is_some() {}
                    match ended {
                        Ended::Stopped => break,
                        Ended::Broken(why) => why,
                    }
                }
                Err(why) => why,
            };
            if began.elapsed() > PULL_PAUSE.1 {
                pause = PULL_PAUSE.0;
            }
            log.error("pulling stopped", &[("reason", why.into()), ("retry_seconds", pause.as_secs().into())]);
            // What is set aside would only grow old: it comes again when pulling works.
            self.shared.give_back();
            tokio::select! {
                () = stop.as_mut() => break,
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(PULL_PAUSE.1);
        }
        // Whoever waits gives its message back; whoever decrypts finishes.
        let _ = self.stopping.send(true);
        self.shared.give_back();
        let finish = async {
            while tasks.join_next().await.is_some() {}
            self.shared.give_back();
            while closing.join_next().await.is_some() {}
        };
        if timeout(FINISH, finish).await.is_err() {
            log.error("not everything was finished in time; the rest will be delivered again", &[]);
        }
        self.shared.progress.write(Instant::now());
        self.shared.log_totals().await;
        // Nobody waits for what it still writes.
        let _ = timeout(TOTALS, self.shared.state.close()).await;
    }

    /// The state that it writes to.
    pub fn state(&self) -> Arc<State> {
        Arc::clone(&self.shared.state)
    }

    /// Processes messages that come from the caller instead of Pub/Sub, as many at a time as Pub/Sub would leave with the
    /// workload. How many need not come again, and how many would.
    pub async fn feed(&self, messages: impl IntoIterator<Item = Fodder>) -> (u64, u64) {
        let (fed, load) = (Arc::new(Fed::default()), Arc::default());
        let window = Arc::new(Semaphore::new(OUTSTANDING_MESSAGES));
        let mut tasks = JoinSet::new();
        for (number, (data, attributes, id)) in messages.into_iter().enumerate() {
            let Ok(room) = Arc::clone(&window).acquire_owned().await else { break };
            if let Some(processing) = self.processing(Delivery::fed(data, attributes, id, &fed, &load)) {
                tasks.spawn(async move {
                    processing.await;
                    drop(room);
                });
            }
            while tasks.try_join_next().is_some() {}
            if number.is_multiple_of(OUTSTANDING_MESSAGES) {
                self.tick(Instant::now());
            }
        }
        while tasks.join_next().await.is_some() {}
        self.shared.give_back();
        (fed.done.load(Ordering::Relaxed), fed.again.load(Ordering::Relaxed))
    }

    /// What is to be done with a delivery, unless it must wait: then it is set aside.
    fn processing(&self, delivery: Delivery) -> Option<impl Future<Output = ()> + Send + 'static> {
        let shared = &self.shared;
        let job = match shared.admit(&delivery) {
            Job::Process(mut admitted) => {
                if admitted.key.is_none() {
                    match admitted.lane.enter() {
                        Some(place) => admitted.place = Some(place),
                        None => {
                            admitted.lane.parking.wait(delivery.ticket);
                            return None;
                        }
                    }
                }
                Job::Process(admitted)
            }
            job @ Job::Refuse { .. } => match &shared.dead_letters {
                Some(dead_letters) if dead_letters.is_stopped() => {
                    dead_letters.later(delivery.ticket);
                    return None;
                }
                _ => job,
            },
        };
        Some(Arc::clone(shared).handle(delivery, job, self.stopping.subscribe()))
    }
}

impl Consumer for MessageLoop {
    fn begin(&self, delivery: Delivery, tasks: &mut JoinSet<()>) {
        self.shared.metrics.delivered();
        if let Some(processing) = self.processing(delivery) {
            tasks.spawn(processing);
        }
    }

    fn tick(&self, now: Instant) {
        self.shared.progress.tick(now);
        self.shared.lanes.values().for_each(|lane| lane.tick(now));
        if let Some(dead_letters) = &self.shared.dead_letters {
            dead_letters.tick(now);
        }
    }

    fn may_set_aside_more(&self) -> bool {
        let dead_letters = self.shared.dead_letters.as_ref();
        let full = dead_letters.is_some_and(|dead_letters| dead_letters.parking.is_full());
        !full && !self.shared.lanes.values().any(|lane| lane.parking.is_full())
    }
}

impl Shared {
    /// Gives back everything that is set aside.
    fn give_back(&self) {
        self.lanes.values().for_each(|lane| lane.parking.clear());
        if let Some(dead_letters) = &self.dead_letters {
            dead_letters.parking.clear();
        }
    }

    /// Holds a message against the contract; its content is still to be proven, by decryption.
    fn admit(&self, delivery: &Delivery) -> Job {
        let contract = &self.boot.get().contract;
        let refuse = |collaborator: &str, code| Job::Refuse { collaborator: collaborator.to_owned(), code };
        let attributes = delivery.attributes.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let admitted = match contract.admit(attributes) {
            Ok(admitted) => admitted,
            Err(refusal) => return refuse("", refusal.code()),
        };
        let name = admitted.party.name.as_str();
        let Some(lane) = self.lanes.get(name) else { return refuse("", "unknown-collaborator") };
        let limit = match admitted.encryption {
            Encryption::Direct => CIPHERTEXT_LIMIT,
            Encryption::Envelope => MAX_ENVELOPE,
        };
        if delivery.data.is_empty() || delivery.data.len() > limit {
            return refuse(name, "no-ciphertext");
        }
        let key = match admitted.encryption {
            Encryption::Direct => None,
            Encryption::Envelope => match Envelope::parse(&delivery.data) {
                Ok(envelope) => {
                    let key = lane.kept_key(envelope.wrapped_key);
                    self.metrics.data_key(name, key.is_some());
                    key
                }
                Err(_) => return refuse(name, MALFORMED_ENVELOPE),
            },
        };
        let (lane, message, encryption) = (Arc::clone(lane), admitted.message, admitted.encryption);
        Job::Process(Admitted { lane, message, encryption, key, place: None })
    }

    /// Acknowledges a message only when nothing of it can be lost any more.
    async fn handle(self: Arc<Self>, delivery: Delivery, job: Job, mut stopped: watch::Receiver<bool>) {
        let (lane, collaborator, result) = match job {
            Job::Process(admitted) => {
                let lane = Arc::clone(&admitted.lane);
                let result = self.process(&delivery, admitted, stopped.clone()).await;
                (Some(Arc::clone(&lane)), lane.name.clone(), result)
            }
            Job::Refuse { collaborator, code } => {
                let result = self.refuse(&delivery, &collaborator, code).await;
                (None, collaborator, result)
            }
        };
        let fate = match result {
            Ok(fate) => fate,
            Err(error) => {
                if self.progress.has_line("not_kept") {
                    self.log.error("keeping a result failed", &[("reason", error.to_string().into())]);
                }
                let _ = timeout(STATE_PAUSE, stopped.wait_for(|stopped| *stopped)).await;
                Fate::Again
            }
        };
        if fate != Fate::Done {
            self.metrics.message(&collaborator, Outcome::Again);
        }
        let ticket: Ticket = delivery.ticket;
        match (fate, lane) {
            (Fate::Done, _) => ticket.done(),
            (Fate::WaitForLane, Some(lane)) => lane.later(ticket),
            (Fate::WaitForDeadLetters, _) => {
                if let Some(dead_letters) = &self.dead_letters {
                    dead_letters.later(ticket);
                }
            }
            (Fate::Again | Fate::WaitForLane, _) => drop(ticket),
        }
    }

    /// Decides the fate of a message that the contract admits:
    ///
    /// 1. It is not in the counts already.
    /// 2. Its collaborator's key, or a data key under it, opens it.
    /// 3. It is text.
    /// 4. Its words go into the counts.
    ///
    /// A message that can never pass is refused for good; one that may pass later is set aside or comes again.
    async fn process(
        &self,
        delivery: &Delivery,
        admitted: Admitted,
        stopped: watch::Receiver<bool>,
    ) -> Result<Fate, StateError> {
        let Admitted { lane, message, encryption, key, place } = admitted;
        // 1. A message with a key at hand is opened sooner than looked up.
        if key.is_none() && self.state.is_counted(&lane.name, &message).await? {
            self.log_again(&lane.name, &message);
            return Ok(Fate::Done);
        }
        // 2.
        let opened = match encryption {
            Encryption::Direct => lane.open_direct(&message, &delivery.data, stopped).await,
            Encryption::Envelope => lane.open_envelope(&message, &delivery.data, key, stopped).await,
        };
        drop(place);
        let plaintext = match opened {
            Ok(plaintext) => plaintext,
            Err(Unopened::Poison(code)) => return self.refuse(delivery, &lane.name, code).await,
            Err(Unopened::Later) => return Ok(Fate::WaitForLane),
            Err(Unopened::Stopped) => return Ok(Fate::Again),
        };
        // 3.
        let words = match processor::words(&plaintext) {
            Ok(words) => words,
            Err(code) => return self.refuse(delivery, &lane.name, code).await,
        };
        drop(plaintext);
        // 4.
        let total = words.total();
        match self.state.count(&lane.name, &message, &words.0).await? {
            Recorded::Counted(counts) => self.log_counts(&lane.name, &message, total, counts),
            Recorded::Again => self.log_again(&lane.name, &message),
        }
        Ok(Fate::Done)
    }

    /// Refuses a message for good: published as a dead letter where there is a topic for it, and durable; then it may be
    /// acknowledged.
    async fn refuse(&self, delivery: &Delivery, collaborator: &str, code: &'static str) -> Result<Fate, StateError> {
        if let Some(dead_letters) = &self.dead_letters
            && !dead_letters.publish(delivery, code).await
        {
            return Ok(Fate::WaitForDeadLetters);
        }
        self.state.refuse(&delivery.id, code).await?;
        let outcome = if self.dead_letters.is_some() { Outcome::DeadLetter } else { Outcome::Refused };
        self.metrics.message(collaborator, outcome);
        if self.progress.has_line("refused") {
            self.log.error(
                "message refused",
                &[
                    ("delivery", delivery.id.as_str().into()),
                    ("collaborator", collaborator.into()),
                    ("code", code.into()),
                ],
            );
        }
        Ok(Fate::Done)
    }

    fn log_again(&self, collaborator: &str, message: &str) {
        self.metrics.message(collaborator, Outcome::Duplicate);
        if self.progress.has_line("already_counted") {
            self.log.info("already counted", &[("collaborator", collaborator.into()), ("message", message.into())]);
        }
    }

    /// The new counts; the words themselves only where the contract lets them be printed. Without words the counts are
    /// sorted, so that their order says nothing either.
    fn log_counts(&self, collaborator: &str, message: &str, total: u64, counts: BTreeMap<String, u64>) {
        self.metrics.message(collaborator, Outcome::Counted);
        if !self.progress.has_line("counted") {
            return;
        }
        let counts: Value = if self.boot.get().contract.messages.print_words {
            counts.into_iter().take(COUNTS).collect()
        } else {
            let mut numbers: Vec<u64> = counts.into_values().collect();
            numbers.sort_unstable_by(|a, b| b.cmp(a));
            numbers.truncate(COUNTS);
            numbers.into()
        };
        self.log.info(
            "word counts",
            &[
                ("collaborator", collaborator.into()),
                ("message", message.into()),
                ("words", total.into()),
                ("counts", counts),
            ],
        );
    }

    /// What the state holds at the end; a database that does not answer keeps nobody.
    async fn log_totals(&self) {
        let totals = async { Ok::<_, StateError>((self.state.messages().await?, self.state.refusals().await?)) };
        let Ok(Ok((messages, refusals))) = timeout(TOTALS, totals).await else {
            self.log.info("stopped", &[]);
            return;
        };
        let refusals: Value = refusals.into_iter().collect();
        self.log.info("stopped", &[("messages", messages.into()), ("refused", refusals)]);
    }
}
