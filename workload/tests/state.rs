//! The embedded store under load, after crashes, and from older formats.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use csign_contract::Contract;
use redb::{StorageBackend, TableDefinition, backends::InMemoryBackend};
use support::{contract_toml, words};
use tempfile::TempDir;
use workload::{Recorded, State, StateError};

fn contract() -> Contract {
    Contract::from_toml(&contract_toml(&["pin".to_owned()])).unwrap()
}

/// Storage that counts how often it is made durable, and can be made to fail.
#[derive(Debug, Default)]
struct Disk {
    inner: InMemoryBackend,
    syncs: Arc<AtomicU64>,
    full: Arc<AtomicBool>,
}

impl Disk {
    fn check(&self) -> io::Result<()> {
        if self.full.load(Ordering::SeqCst) { Err(io::Error::other("no space left on device")) } else { Ok(()) }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check()?;
        self.inner.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.check()?;
        self.syncs.fetch_add(1, Ordering::SeqCst);
        self.inner.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check()?;
        self.inner.write(offset, data)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_that_wait_together_share_a_transaction_and_each_counts_once() {
    const MESSAGES: u64 = 2000;
    let disk = Disk::default();
    let syncs = Arc::clone(&disk.syncs);
    let state = Arc::new(State::on(&contract(), disk).await.unwrap());
    let before = syncs.load(Ordering::SeqCst);
    // Every message comes from three deliveries at once.
    let tasks: Vec<_> = (0..MESSAGES * 3)
        .map(|number| {
            let state = Arc::clone(&state);
            tokio::spawn(async move {
                let id = format!("m{}", number % MESSAGES);
                state.count("c1", &id, &words(&[("the", 1), (&format!("w{}", number % 7), 2)])).await.unwrap()
            })
        })
        .collect();
    let mut counted = 0;
    for task in tasks {
        counted += u64::from(matches!(task.await.unwrap(), Recorded::Counted(_)));
    }
    assert_eq!(counted, MESSAGES);
    let counts = state.counts().await.unwrap();
    assert_eq!(counts["the"], MESSAGES);
    assert_eq!(counts.values().sum::<u64>(), MESSAGES * 3);
    let syncs = syncs.load(Ordering::SeqCst) - before;
    assert!(syncs < MESSAGES / 10, "{syncs} times durable for {MESSAGES} messages");
}

#[tokio::test]
async fn a_full_disk_is_an_error_and_never_a_count() {
    let disk = Disk::default();
    let full = Arc::clone(&disk.full);
    let state = State::on(&contract(), disk).await.unwrap();
    state.count("c1", "m1", &words(&[("a", 1)])).await.unwrap();
    full.store(true, Ordering::SeqCst);
    let error = state.count("c1", "m2", &words(&[("a", 1)])).await.unwrap_err();
    assert!(matches!(error, StateError::Unavailable { .. }), "{error}");
    assert_eq!(state.failure(), Some(error));
    assert!(!state.is_counted("c1", "m2").await.unwrap_or(false), "it is there though it was not durable");
}

#[tokio::test]
async fn a_file_of_format_0_is_brought_forward_and_still_knows_its_messages() {
    const COUNTS: TableDefinition<'_, &str, u64> = TableDefinition::new("counts");
    const COUNTED: TableDefinition<'_, &str, ()> = TableDefinition::new("counted");
    const REFUSED: TableDefinition<'_, &str, &str> = TableDefinition::new("refused");
    const REFUSALS: TableDefinition<'_, &str, u64> = TableDefinition::new("refusals");
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("state.redb");
    let old = redb::Database::create(&path).unwrap();
    let transaction = old.begin_write().unwrap();
    transaction.open_table(COUNTS).unwrap().insert("alice", 3).unwrap();
    transaction.open_table(COUNTED).unwrap().insert("c1/m1", ()).unwrap();
    transaction.open_table(REFUSED).unwrap().insert("17", "undecryptable").unwrap();
    transaction.open_table(REFUSALS).unwrap().insert("undecryptable", 5).unwrap();
    transaction.commit().unwrap();
    drop(old);
    for _ in 0..2 {
        let state = State::in_file(&contract(), &path).await.unwrap();
        assert!(state.is_counted("c1", "m1").await.unwrap());
        assert_eq!(state.count("c1", "m1", &words(&[("alice", 1)])).await.unwrap(), Recorded::Again);
        state.refuse("17", "undecryptable").await.unwrap();
        assert_eq!(state.counts().await.unwrap(), words(&[("alice", 3)]));
        assert_eq!(state.refusals().await.unwrap(), words(&[("undecryptable", 5)]));
        state.close().await;
    }
}

#[tokio::test]
async fn a_file_of_another_contract_or_of_a_newer_workload_is_refused() {
    const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("state.redb");
    State::in_file(&contract(), &path).await.unwrap().close().await;
    let other = Contract::from_toml(&contract_toml(&["another pin".to_owned()])).unwrap();
    let error = State::in_file(&other, &path).await.unwrap_err();
    let digest = contract().digest().to_string();
    assert!(matches!(&error, StateError::AnotherContract { found, .. } if *found == digest), "{error}");
    assert!(error.to_string().contains(&digest), "{error}");
    let file = redb::Database::create(&path).unwrap();
    let transaction = file.begin_write().unwrap();
    transaction.open_table(META).unwrap().insert("format", 2_u64.to_be_bytes().as_slice()).unwrap();
    transaction.commit().unwrap();
    drop(file);
    let error = State::in_file(&contract(), &path).await.unwrap_err();
    assert_eq!(error, StateError::Newer { found: 2, known: 1 });
}
