//! What is done with one message: admitted, opened, counted; or refused, or set aside. Nothing is acknowledged before its
//! effect is durable.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use csign_contract::{
    envelope::{DataKey, Envelope, MAX_ENVELOPE},
    message::Encryption,
};
use csign_trust::{Boot, Verified};
use serde_json::Value;
use tokio::{sync::watch, time::timeout};

use crate::{
    dead_letter::DeadLetters,
    delivery::Delivery,
    endpoints::Endpoints,
    lane::{Lane, MALFORMED_ENVELOPE, Place, Unopened},
    log::Log,
    metrics::{Metrics, Outcome},
    processor,
    progress::Progress,
    state::{Recorded, State, StateError},
};

/// Bytes of a ciphertext that KMS could have made.
const CIPHERTEXT_LIMIT: usize = 80 << 10;
/// Counts of one message that are printed.
const COUNTS: usize = 100;
/// After a result that could not be kept, before its message is given back.
const STATE_PAUSE: Duration = Duration::from_secs(1);
/// For reading the totals, and for giving the state back, before the program ends.
pub(crate) const TOTALS: Duration = Duration::from_secs(2);

/// What all messages share.
pub(crate) struct Shared {
    pub(crate) boot: Verified<Boot>,
    pub(crate) endpoints: Endpoints,
    pub(crate) lanes: BTreeMap<String, Arc<Lane>>,
    pub(crate) dead_letters: Option<DeadLetters>,
    pub(crate) state: Arc<State>,
    pub(crate) progress: Progress,
    pub(crate) log: Log,
    pub(crate) metrics: Metrics,
}

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
pub(crate) enum Job {
    Process(Admitted),
    /// Nothing can ever be done with it.
    Refuse {
        collaborator: String,
        code: &'static str,
    },
}

/// A message that the contract admits.
pub(crate) struct Admitted {
    pub(crate) lane: Arc<Lane>,
    message: String,
    encryption: Encryption,
    /// The data key of an envelope, if it is at hand.
    pub(crate) key: Option<Arc<DataKey>>,
    /// Held for a message that needs Cloud KMS.
    pub(crate) place: Option<Place>,
}

impl Shared {
    /// Gives back everything that is set aside.
    pub(crate) fn give_back(&self) {
        self.lanes.values().for_each(|lane| lane.parking.clear());
        if let Some(dead_letters) = &self.dead_letters {
            dead_letters.parking.clear();
        }
    }

    /// Holds a message against the contract; its content is still to be proven, by decryption.
    pub(crate) fn admit(&self, delivery: &Delivery) -> Job {
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
    pub(crate) async fn handle(self: Arc<Self>, delivery: Delivery, job: Job, mut stopped: watch::Receiver<bool>) {
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
        let ticket = delivery.ticket;
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
    pub(crate) async fn log_totals(&self) {
        let totals = async { Ok::<_, StateError>((self.state.messages().await?, self.state.refusals().await?)) };
        let Ok(Ok((messages, refusals))) = timeout(TOTALS, totals).await else {
            self.log.info("stopped", &[]);
            return;
        };
        let refusals: Value = refusals.into_iter().collect();
        self.log.info("stopped", &[("messages", messages.into()), ("refused", refusals)]);
    }
}
