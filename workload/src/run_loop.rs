//! The message loop: pulls, admits, decrypts, counts, acknowledges; in this order, and only after a verified boot.

use std::{collections::BTreeMap, future::Future, pin::Pin, sync::Arc, time::Duration};

use csign_trust::{Boot, Verified};
use google_cloud_pubsub::{
    client::Subscriber,
    model::Message,
    subscriber::{ShutdownBehavior, handler::Handler},
};
use serde_json::Value;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, timeout},
};

use crate::{
    boot::BootError,
    credentials,
    endpoints::Endpoints,
    kms::{DecryptError, causes},
    lane::{Lane, Turn},
    launcher::Launcher,
    log::Log,
    metrics::{Metrics, Outcome},
    processor,
    setting::Setting,
    state::{Recorded, State, StateError},
};

/// Messages that Pub/Sub may leave with the workload at a time.
const OUTSTANDING_MESSAGES: i64 = 256;
/// Their bytes; a KMS ciphertext has at most 64 KiB and some.
const OUTSTANDING_BYTES: i64 = 32 << 20;
/// How long a message may stay with the workload before it is given back.
const LEASE: Duration = Duration::from_secs(600);
/// By how much a lease is extended at a time: what a crash, or a stream that breaks, holds back is free again after it.
const LEASE_STEP: Duration = Duration::from_secs(15);
/// After a result that could not be kept, before its message is given back.
const STATE_PAUSE: Duration = Duration::from_secs(1);
/// Bytes of a ciphertext that KMS could have made.
const CIPHERTEXT_LIMIT: usize = 80 << 10;
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
}

struct Shared {
    boot: Verified<Boot>,
    endpoints: Endpoints,
    lanes: BTreeMap<String, Lane>,
    state: Arc<State>,
    log: Log,
    metrics: Metrics,
}

/// What happens to a message in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Its effect, or its refusal, is durable: it need not come again.
    Done,
    /// It must come again.
    Again,
}

enum Ended {
    Stopped,
    Broken(String),
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
        let lanes = contract
            .collaborators()
            .map(|(party, collaborator)| (party.name.clone(), Lane::new(collaborator, endpoints, &launcher)))
            .collect();
        let state = Arc::new(state);
        let (log, metrics) = (log.clone(), metrics.clone());
        Ok(Self { shared: Arc::new(Shared { boot, endpoints, lanes, state, log, metrics }) })
    }

    /// Processes messages until `stop`; then finishes what was begun. A subscription that cannot be pulled is tried
    /// again, with pauses.
    pub async fn run(self, mut stop: Pin<&mut impl Future<Output = ()>>) {
        let log = self.shared.log.clone();
        let mut pause = PULL_PAUSE.0;
        loop {
            let began = Instant::now();
            let Ended::Broken(why) = self.pull(stop.as_mut()).await else { break };
            if began.elapsed() > PULL_PAUSE.1 {
                pause = PULL_PAUSE.0;
            }
            log.error("pulling stopped", &[("reason", why.into()), ("retry_seconds", pause.as_secs().into())]);
            tokio::select! {
                () = stop.as_mut() => break,
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(PULL_PAUSE.1);
        }
        self.shared.log_totals().await;
        // Nobody waits for what it still writes.
        let _ = timeout(TOTALS, self.shared.state.close()).await;
    }

    /// The state that it writes to.
    pub fn state(&self) -> Arc<State> {
        Arc::clone(&self.shared.state)
    }

    /// One streaming pull, until it breaks or `stop`.
    async fn pull(&self, mut stop: Pin<&mut impl Future<Output = ()>>) -> Ended {
        let subscriber = match self.shared.subscriber().await {
            Ok(subscriber) => subscriber,
            Err(why) => return Ended::Broken(why),
        };
        let subscription = &self.shared.boot.get().contract.messages.subscription;
        let mut stream = subscriber
            .subscribe(subscription)
            .set_max_outstanding_messages(OUTSTANDING_MESSAGES)
            .set_max_outstanding_bytes(OUTSTANDING_BYTES)
            .set_max_lease(LEASE)
            .set_max_lease_extension(LEASE_STEP)
            .set_shutdown_behavior(ShutdownBehavior::WaitForProcessing)
            .build();
        let shutdown = stream.shutdown_token();
        let (stopping, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        self.shared.metrics.pulling(true);
        self.shared.log.info("pulling", &[("subscription", subscription.as_str().into())]);
        let ended = loop {
            let next = tokio::select! {
                biased;
                () = stop.as_mut() => break Ended::Stopped,
                next = stream.next() => next,
            };
            match next {
                Some(Ok((message, handler))) => {
                    self.shared.metrics.delivered();
                    tasks.spawn(Arc::clone(&self.shared).handle(message, handler, stopped.clone()));
                }
                Some(Err(error)) => break Ended::Broken(causes(&error)),
                None => break Ended::Broken("Pub/Sub closed the stream".to_owned()),
            }
            while tasks.try_join_next().is_some() {}
        };
        self.shared.metrics.pulling(false);
        // Closed first, or what is given back now would be delivered to this very stream again.
        drop(stream);
        // Whoever waits gives its message back; whoever decrypts finishes.
        let _ = stopping.send(true);
        let finish = async {
            while tasks.join_next().await.is_some() {}
            shutdown.shutdown().await;
        };
        if timeout(FINISH, finish).await.is_err() {
            self.shared.log.error("not everything was finished in time; the rest will be delivered again", &[]);
        }
        ended
    }
}

impl Shared {
    async fn subscriber(&self) -> Result<Subscriber, String> {
        let credentials = credentials::machine(&self.endpoints).map_err(|error| causes(&error))?;
        Subscriber::builder()
            .with_endpoint(self.endpoints.pubsub())
            .with_credentials(credentials)
            .with_grpc_subchannel_count(1)
            .build()
            .await
            .map_err(|error| causes(&error))
    }

    /// Acknowledges a message only when nothing of it can be lost any more.
    async fn handle(self: Arc<Self>, message: Message, handler: Handler, mut stopped: watch::Receiver<bool>) {
        let fate = match self.process(&message, stopped.clone()).await {
            Ok(fate) => fate,
            Err(error) => {
                self.log.error("keeping a result failed", &[("reason", error.to_string().into())]);
                let _ = timeout(STATE_PAUSE, stopped.wait_for(|stopped| *stopped)).await;
                Fate::Again
            }
        };
        match fate {
            Fate::Done => handler.ack(),
            Fate::Again => handler.nack(),
        }
    }

    /// Decides a message's fate:
    ///
    /// 1. The contract admits it.
    /// 2. It is not in the counts already.
    /// 3. Its collaborator's lane is free.
    /// 4. KMS decrypts it.
    /// 5. It is text.
    /// 6. Its words go into the counts.
    ///
    /// A message that can never pass is refused for good; one that may pass later comes again.
    async fn process(&self, message: &Message, stopped: watch::Receiver<bool>) -> Result<Fate, StateError> {
        // 1.
        let contract = &self.boot.get().contract;
        let attributes = message.attributes.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let admitted = match contract.admit(attributes) {
            Ok(admitted) => admitted,
            Err(refusal) => return self.refuse(message, "", refusal.code()).await,
        };
        let (collaborator, id) = (admitted.party.name.as_str(), admitted.message.as_str());
        if message.data.is_empty() || message.data.len() > CIPHERTEXT_LIMIT {
            return self.refuse(message, collaborator, "no-ciphertext").await;
        }
        // 2.
        if self.state.is_counted(collaborator, id).await? {
            self.log.info("already counted", &[("collaborator", collaborator.into()), ("message", id.into())]);
            return Ok(Fate::Done);
        }
        // 3.
        let Some(lane) = self.lanes.get(collaborator) else {
            return self.refuse(message, "", "unknown-collaborator").await;
        };
        let turn = match lane.turn(stopped).await {
            Turn::Go(turn) => turn,
            Turn::Later => return Ok(Fate::Again),
        };
        // 4.
        let plaintext = match lane.decrypter.decrypt(&message.data, &admitted.additional_data).await {
            Ok(plaintext) => plaintext,
            Err(error @ DecryptError::Undecryptable) => {
                lane.works();
                return self.refuse(message, collaborator, error.code()).await;
            }
            Err(error) => {
                let pause = lane.fails();
                self.log.error(
                    "decryption failed; the message will be delivered again",
                    &[
                        ("collaborator", collaborator.into()),
                        ("code", error.code().into()),
                        ("reason", error.to_string().into()),
                        ("pause_seconds", pause.as_secs().into()),
                    ],
                );
                return Ok(Fate::Again);
            }
        };
        lane.works();
        drop(turn);
        // 5.
        let words = match processor::words(&plaintext) {
            Ok(words) => words,
            Err(code) => return self.refuse(message, collaborator, code).await,
        };
        // 6.
        let total = words.total();
        let recorded = self.state.count(collaborator, id, &words.0).await?;
        self.log_counts(collaborator, id, total, recorded);
        Ok(Fate::Done)
    }

    /// Refuses a message for good: durable, then it may be acknowledged.
    async fn refuse(&self, message: &Message, collaborator: &str, code: &'static str) -> Result<Fate, StateError> {
        self.state.refuse(&message.message_id, code).await?;
        self.metrics.message(collaborator, Outcome::Refused);
        self.log.error(
            "message refused",
            &[
                ("delivery", message.message_id.as_str().into()),
                ("collaborator", collaborator.into()),
                ("code", code.into()),
            ],
        );
        Ok(Fate::Done)
    }

    /// The new counts; the words themselves only where the contract lets them be printed. Without words the counts are
    /// sorted, so that their order says nothing either.
    fn log_counts(&self, collaborator: &str, id: &str, total: u64, recorded: Recorded) {
        let counted = matches!(recorded, Recorded::Counted(_));
        self.metrics.message(collaborator, if counted { Outcome::Counted } else { Outcome::Duplicate });
        let Recorded::Counted(counts) = recorded else {
            self.log.info("already counted", &[("collaborator", collaborator.into()), ("message", id.into())]);
            return;
        };
        let counts: Value = if self.boot.get().contract.messages.print_words {
            counts.into_iter().collect()
        } else {
            let mut numbers: Vec<u64> = counts.into_values().collect();
            numbers.sort_unstable_by(|a, b| b.cmp(a));
            numbers.into()
        };
        self.log.info(
            "word counts",
            &[
                ("collaborator", collaborator.into()),
                ("message", id.into()),
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
