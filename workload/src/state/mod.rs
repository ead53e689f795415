//! What survives a restart: the counts, which messages are in them, and how many deliveries were refused and why.
//!
//! One transaction holds the effects of messages and their ids: so a message is counted once however often it is
//! delivered, whoever is killed, and however many workloads share the store.

mod codec;
mod embedded;
mod error;
mod key;
mod open;
mod password;
mod plan;
mod postgres;
mod store;
mod sum;
mod writer;

use std::{
    collections::BTreeMap,
    fmt,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use csign_contract::Contract;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};

pub use self::error::StateError;
use self::{
    codec::Codec,
    embedded::Embedded,
    plan::Effect,
    store::{ReadSide, Store},
    writer::Job,
};
use crate::{metrics::Metrics, setting::Setting};

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// Its words are in the counts now; the new count of each.
    Counted(BTreeMap<String, u64>),
    /// They were already: it came again.
    Again,
}

/// What a store says about the state in it.
struct Described {
    /// The digest of the contract that it is for.
    contract: String,
    /// Its key as KMS wrapped it, where it has one.
    key: Option<Vec<u8>>,
}

/// The store. Writes that wait at the same time share a transaction.
pub struct State {
    codec: Arc<Codec>,
    read: ReadSide,
    /// `None` when it was closed.
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    health: watch::Receiver<Option<StateError>>,
}

impl State {
    /// Opens the store that the contract names, or makes it.
    ///
    /// # Errors
    /// See [`StateError`].
    pub async fn open(contract: &Contract, setting: &Setting, metrics: &Metrics) -> Result<Self, StateError> {
        let (store, codec) = open::store(contract, setting).await?;
        Ok(Self::start(store, codec, metrics))
    }

    /// Opens an embedded store without a key, wherever it is.
    ///
    /// # Errors
    /// A directory that cannot be made or written, a damaged file, another process that has it open, another contract.
    pub async fn in_file(contract: &Contract, path: &Path) -> Result<Self, StateError> {
        let (store, codec) = open::begin(contract, Store::Embedded(Embedded::open(path)?), None).await?;
        Ok(Self::start(store, codec, &Metrics::new(contract)))
    }

    /// The same on other storage than a file.
    ///
    /// # Errors
    /// The storage fails.
    pub async fn on(contract: &Contract, storage: impl redb::StorageBackend) -> Result<Self, StateError> {
        let (store, codec) = open::begin(contract, Store::Embedded(Embedded::on(storage)?), None).await?;
        Ok(Self::start(store, codec, &Metrics::new(contract)))
    }

    fn start(store: Store, codec: Codec, metrics: &Metrics) -> Self {
        let codec = Arc::new(codec);
        let (write, read) = store.split(&codec);
        let (jobs, waiting) = mpsc::channel(writer::WAITING);
        let (broken, health) = watch::channel(None);
        let writer = tokio::spawn(writer::write(waiting, write, broken, metrics.clone()));
        Self { codec, read, jobs: Mutex::new(Some(jobs)), writer: Mutex::new(Some(writer)), health }
    }

    /// Is this message in the counts?
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn is_counted(&self, collaborator: &str, message: &str) -> Result<bool, StateError> {
        self.read.is_known(self.codec.message(collaborator, message)).await
    }

    /// Adds a message's words to the counts, unless it is in them. Durable when it returns.
    ///
    /// # Errors
    /// The store cannot be written, or its answer was lost; what came of it, the message's next delivery finds out.
    pub async fn count(
        &self,
        collaborator: &str,
        message: &str,
        words: &BTreeMap<String, u64>,
    ) -> Result<Recorded, StateError> {
        self.write(Effect::count(&self.codec, collaborator, message, words)).await
    }

    /// Keeps that a delivery was refused for ever, and why. Durable when it returns.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn refuse(&self, delivery: &str, code: &str) -> Result<(), StateError> {
        self.write(Effect::refuse(&self.codec, delivery, code)).await.map(|_| ())
    }

    async fn write(&self, effect: Effect) -> Result<Recorded, StateError> {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or(StateError::Closed)?;
        let (answer, answered) = oneshot::channel();
        jobs.send(Job { effect, answer }).await.map_err(|_| StateError::Closed)?;
        drop(jobs);
        answered.await.map_err(|_| StateError::Closed)?
    }

    /// All counts, every row held against the head. For tests; the workload never prints them as a whole.
    ///
    /// # Errors
    /// The store cannot be read, or was tampered with.
    pub async fn counts(&self) -> Result<BTreeMap<String, u64>, StateError> {
        self.read.counts(&self.codec).await
    }

    /// How many deliveries were refused, by reason.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn refusals(&self) -> Result<BTreeMap<String, u64>, StateError> {
        Ok(self.read.head(&self.codec).await?.refusals)
    }

    /// How many messages are in the counts.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn messages(&self) -> Result<u64, StateError> {
        Ok(self.read.head(&self.codec).await?.messages)
    }

    /// Why the last transaction was not written, if it was not.
    pub fn failure(&self) -> Option<StateError> {
        self.health.borrow().clone()
    }

    /// Returns when the store can never be used again, with the reason.
    pub async fn ended(&self) -> StateError {
        let mut health = self.health.clone();
        loop {
            let last = health.borrow_and_update().clone();
            if let Some(error) = last.filter(StateError::is_final) {
                return error;
            }
            if health.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// Writes what waits, then gives the store back. Whatever comes later is refused.
    pub async fn close(&self) {
        drop(self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take());
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            let _ = writer.await;
        }
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("codec", &self.codec).finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A contract for tests of the state: only its digest matters.
    pub(crate) fn contract() -> Contract {
        named("state")
    }

    pub(crate) fn named(name: &str) -> Contract {
        let key = p256::ecdsa::SigningKey::from_slice(&[7; 32]).expect("a key");
        let pem = csign_envelope::PublicKey::new(*key.verifying_key()).expect("a key").pem().to_string();
        Contract::from_toml(&format!(
            r#"
version = 1
name = "{name}"
image.repository = "registry.simulator.localhost/team/workload"
build.recipe = "cargo-musl"
environment = {{ kind = "simulated", issuer = "http://attestation.simulator.localhost", issuer_keys = ["x"] }}
operator = {{ project_id = "operator", service_account = "vm@operator.iam.gserviceaccount.com" }}
platform.hardware = ["GCP_INTEL_TDX"]
messages = {{ topic = "projects/operator/topics/m", subscription = "projects/operator/subscriptions/m" }}
[[party]]
name = "builder"
public_key = """
{pem}"""
"#
        ))
        .expect("a contract")
    }

    fn words(pairs: &[(&str, u64)]) -> BTreeMap<String, u64> {
        pairs.iter().map(|(word, count)| ((*word).to_owned(), *count)).collect()
    }

    #[tokio::test]
    async fn a_message_counts_once_across_restarts() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("a/b/state.redb");
        let state = State::in_file(&contract(), &path).await.expect("new");
        let first = state.count("c1", "m1", &words(&[("alice", 2), ("bob", 1)])).await.expect("writes");
        assert_eq!(first, Recorded::Counted(words(&[("alice", 2), ("bob", 1)])));
        state.close().await;
        assert_eq!(state.count("c1", "m1", &words(&[("alice", 2)])).await, Err(StateError::Closed));
        let state = State::in_file(&contract(), &path).await.expect("again");
        assert!(state.is_counted("c1", "m1").await.expect("reads"));
        assert!(!state.is_counted("c2", "m1").await.expect("reads"));
        assert_eq!(state.count("c1", "m1", &words(&[("alice", 2)])).await.expect("writes"), Recorded::Again);
        let second = state.count("c2", "m1", &words(&[("alice", 1)])).await.expect("writes");
        assert_eq!(second, Recorded::Counted(words(&[("alice", 3)])));
        assert_eq!(state.counts().await.expect("reads"), words(&[("alice", 3), ("bob", 1)]));
        assert_eq!(state.messages().await.expect("reads"), 2);
    }

    #[tokio::test]
    async fn a_refusal_is_kept_once_and_shuts_out_no_message() {
        let directory = tempfile::tempdir().expect("directory");
        let state = State::in_file(&contract(), &directory.path().join("state.redb")).await.expect("new");
        for delivery in ["17", "17", "18"] {
            state.refuse(delivery, "undecryptable").await.expect("writes");
        }
        assert_eq!(state.refusals().await.expect("reads"), words(&[("undecryptable", 2)]));
        assert!(matches!(state.count("c1", "17", &words(&[("a", 1)])).await.expect("writes"), Recorded::Counted(_)));
    }
}
