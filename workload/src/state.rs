//! What survives a restart: the counts, which messages are in them, and which deliveries were refused and why.
//!
//! One transaction holds a message's counts and its id, and it is durable when it returns: so a message is counted once
//! however often it is delivered. The file stays in the container, which Confidential Space keeps in encrypted memory.

use std::{collections::BTreeMap, io, path::Path};

use redb::{Database, ReadableDatabase as _, ReadableTable as _, ReadableTableMetadata as _, TableDefinition};

/// Word → how often.
const COUNTS: TableDefinition<'_, &str, u64> = TableDefinition::new("counts");
/// `collaborator/message` of every message that is in the counts.
const COUNTED: TableDefinition<'_, &str, ()> = TableDefinition::new("counted");
/// Id that Pub/Sub gave to the message → why it was refused. A refusal says nothing about the sender's id: otherwise
/// whoever may publish could shut out a message by sending rubbish under its id first.
const REFUSED: TableDefinition<'_, &str, &str> = TableDefinition::new("refused");
/// Why → how many, also of those that are no longer in `refused`.
const REFUSALS: TableDefinition<'_, &str, u64> = TableDefinition::new("refusals");

/// Refused deliveries that are kept one by one; further ones are only counted, so that rubbish fills no disk.
const REFUSED_LIMIT: u64 = 100_000;

/// The store.
#[derive(Debug)]
pub struct State {
    database: Database,
}

/// Why the store cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{doing} the state: {why}")]
pub struct StateError {
    doing: &'static str,
    why: String,
}

impl StateError {
    pub(crate) fn interrupted(error: &dyn std::error::Error) -> Self {
        Self { doing: "writing", why: error.to_string() }
    }
}

/// What became of a message.
#[derive(Debug, PartialEq, Eq)]
pub enum Recorded {
    /// Its words are in the counts now; the new count of each.
    Counted(BTreeMap<String, u64>),
    /// They were already: it came again.
    Again,
}

impl State {
    /// Opens the store, or makes it.
    ///
    /// # Errors
    /// A directory that cannot be made or written, a damaged file, another process that has it open.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        let failed = |why: String| StateError { doing: "opening", why: format!("{}: {why}", path.display()) };
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory).map_err(|error: io::Error| failed(error.to_string()))?;
        }
        let database = Database::create(path).map_err(|error| failed(error.to_string()))?;
        Self::with_tables(database).map_err(|error| failed(error.to_string()))
    }

    /// Opens a store on other storage than a file.
    ///
    /// # Errors
    /// The storage fails.
    pub fn on(storage: impl redb::StorageBackend) -> Result<Self, StateError> {
        let opened = Database::builder().create_with_backend(storage).map_err(redb::Error::from);
        opened.and_then(Self::with_tables).map_err(|error| StateError { doing: "opening", why: error.to_string() })
    }

    fn with_tables(database: Database) -> Result<Self, redb::Error> {
        let state = Self { database };
        state.create_tables()?;
        Ok(state)
    }

    fn create_tables(&self) -> Result<(), redb::Error> {
        let transaction = self.database.begin_write()?;
        transaction.open_table(COUNTS)?;
        transaction.open_table(COUNTED)?;
        transaction.open_table(REFUSED)?;
        transaction.open_table(REFUSALS)?;
        Ok(transaction.commit()?)
    }

    /// Is this message in the counts?
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn is_counted(&self, collaborator: &str, message: &str) -> Result<bool, StateError> {
        let read = || -> Result<bool, redb::Error> {
            let table = self.database.begin_read()?.open_table(COUNTED)?;
            Ok(table.get(key(collaborator, message).as_str())?.is_some())
        };
        read().map_err(reading)
    }

    /// Adds a message's words to the counts, unless it is in them. Durable when it returns.
    ///
    /// # Errors
    /// The store cannot be written; then nothing of the message is in it.
    pub fn count(
        &self,
        collaborator: &str,
        message: &str,
        words: &BTreeMap<String, u64>,
    ) -> Result<Recorded, StateError> {
        let write = || -> Result<Recorded, redb::Error> {
            let transaction = self.database.begin_write()?;
            let mut now = BTreeMap::new();
            {
                let mut counted = transaction.open_table(COUNTED)?;
                if counted.insert(key(collaborator, message).as_str(), ())?.is_some() {
                    return Ok(Recorded::Again);
                }
                let mut counts = transaction.open_table(COUNTS)?;
                for (word, times) in words {
                    let before = counts.get(word.as_str())?.map_or(0, |count| count.value());
                    let count = before.saturating_add(*times);
                    counts.insert(word.as_str(), count)?;
                    now.insert(word.clone(), count);
                }
            }
            transaction.commit()?;
            Ok(Recorded::Counted(now))
        };
        write().map_err(writing)
    }

    /// Keeps why a delivery was refused for ever. Durable when it returns.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn refuse(&self, delivery: &str, code: &str) -> Result<(), StateError> {
        let write = || -> Result<(), redb::Error> {
            let transaction = self.database.begin_write()?;
            {
                let mut refused = transaction.open_table(REFUSED)?;
                if refused.get(delivery)?.is_some() {
                    return Ok(());
                }
                if refused.len()? < REFUSED_LIMIT {
                    refused.insert(delivery, code)?;
                }
                let mut refusals = transaction.open_table(REFUSALS)?;
                let before = refusals.get(code)?.map_or(0, |count| count.value());
                refusals.insert(code, before.saturating_add(1))?;
            }
            Ok(transaction.commit()?)
        };
        write().map_err(writing)
    }

    /// All counts. For tests; the workload never prints them as a whole.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn counts(&self) -> Result<BTreeMap<String, u64>, StateError> {
        self.numbers(COUNTS)
    }

    /// How many deliveries were refused, by reason.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn refusals(&self) -> Result<BTreeMap<String, u64>, StateError> {
        self.numbers(REFUSALS)
    }

    /// How many messages are in the counts.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn messages(&self) -> Result<u64, StateError> {
        let read = || -> Result<u64, redb::Error> { Ok(self.database.begin_read()?.open_table(COUNTED)?.len()?) };
        read().map_err(reading)
    }

    fn numbers(&self, table: TableDefinition<'_, &str, u64>) -> Result<BTreeMap<String, u64>, StateError> {
        let read = || -> Result<BTreeMap<String, u64>, redb::Error> {
            let table = self.database.begin_read()?.open_table(table)?;
            let mut numbers = BTreeMap::new();
            for entry in table.iter()? {
                let (name, number) = entry?;
                numbers.insert(name.value().to_owned(), number.value());
            }
            Ok(numbers)
        };
        read().map_err(reading)
    }
}

/// Neither a collaborator's name nor a message's id can have a `/`.
fn key(collaborator: &str, message: &str) -> String {
    format!("{collaborator}/{message}")
}

fn reading(error: redb::Error) -> StateError {
    StateError { doing: "reading", why: error.to_string() }
}

fn writing(error: redb::Error) -> StateError {
    StateError { doing: "writing", why: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(pairs: &[(&str, u64)]) -> BTreeMap<String, u64> {
        pairs.iter().map(|(word, count)| ((*word).to_owned(), *count)).collect()
    }

    #[test]
    fn a_message_counts_once_across_restarts() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("a/b/state.redb");
        let state = State::open(&path).expect("new");
        let first = state.count("c1", "m1", &words(&[("alice", 2), ("bob", 1)])).expect("writes");
        assert_eq!(first, Recorded::Counted(words(&[("alice", 2), ("bob", 1)])));
        drop(state);
        let state = State::open(&path).expect("again");
        assert!(state.is_counted("c1", "m1").expect("reads"));
        assert!(!state.is_counted("c2", "m1").expect("reads"));
        assert_eq!(state.count("c1", "m1", &words(&[("alice", 2)])).expect("writes"), Recorded::Again);
        let second = state.count("c2", "m1", &words(&[("alice", 1)])).expect("writes");
        assert_eq!(second, Recorded::Counted(words(&[("alice", 3)])));
        assert_eq!(state.counts().expect("reads"), words(&[("alice", 3), ("bob", 1)]));
        assert_eq!(state.messages().expect("reads"), 2);
    }

    #[test]
    fn a_refusal_is_kept_once_and_shuts_out_no_message() {
        let directory = tempfile::tempdir().expect("directory");
        let state = State::open(&directory.path().join("state.redb")).expect("new");
        for delivery in ["17", "17", "18"] {
            state.refuse(delivery, "undecryptable").expect("writes");
        }
        assert_eq!(state.refusals().expect("reads"), words(&[("undecryptable", 2)]));
        assert!(matches!(state.count("c1", "17", &words(&[("a", 1)])).expect("writes"), Recorded::Counted(_)));
    }
}
