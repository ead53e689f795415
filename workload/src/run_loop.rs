//! The message loop: pulls, admits, decrypts, counts, acknowledges; in this order, and only after a verified boot.

use std::{
    collections::HashMap,
    future::Future,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use csign_trust::{Boot, Verified};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{Instant, timeout},
};

use crate::{
    boot::BootError,
    dead_letter::DeadLetters,
    delivery::{Delivery, Fed},
    endpoints::Endpoints,
    kms::Decrypter,
    lane::Lane,
    launcher::Launcher,
    log::Log,
    metrics::Metrics,
    processing::{Job, Shared, TOTALS},
    progress::Progress,
    pull::{Consumer, Ended, OUTSTANDING_MESSAGES, Streams},
    setting::Setting,
    state::State,
};

/// For finishing what was begun when asked to stop; the launcher kills the container after some more.
const FINISH: Duration = Duration::from_secs(8);
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

/// What the loop takes in without Pub/Sub: data, attributes, and an id as Pub/Sub would give it.
pub type Fodder = (Bytes, HashMap<String, String>, String);

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
