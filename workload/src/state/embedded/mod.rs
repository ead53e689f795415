//! The store in a file of the workload's own. Confidential Space keeps a container's files in encrypted memory, so the
//! contract need not name a key for it.

mod migrate;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock, RwLockReadGuard},
};

use redb::{
    Database, ReadTransaction, ReadableDatabase as _, ReadableTable as _, TableDefinition, TableError, WriteTransaction,
};

use super::{
    Described, Recorded,
    codec::{Codec, Head, Key},
    error::{CommitError, StateError},
    plan::{Audit, Effect, Newest, Plan, rows},
};

/// Name → value: `format`, `contract`, `key` (wrapped by KMS) where there is one, and `head`.
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
/// Messages that are in the counts, and refused deliveries.
const SEEN: TableDefinition<'_, &Key, ()> = TableDefinition::new("seen");
/// Words.
const NUMBERS: TableDefinition<'_, &Key, &[u8]> = TableDefinition::new("numbers");

/// The newest format that this program knows. Format 0 had words and ids as they are.
const FORMAT: u64 = 1;
/// Bytes of the file that are kept in memory: redb's own default, 1 GiB, would let memory grow with the messages.
const CACHE: usize = 64 << 20;

/// The file.
#[derive(Debug)]
pub(crate) struct Embedded {
    /// `None` on other storage than a file.
    path: Option<PathBuf>,
    database: RwLock<Slot>,
}

#[derive(Debug)]
enum Slot {
    Open(Database),
    /// After an error, opening it anew failed, too.
    Failed(StateError),
    Closed,
}

impl Embedded {
    /// Opens the file, or makes an empty one.
    pub(crate) fn open(path: &Path) -> Result<Self, StateError> {
        Ok(Self { path: Some(path.to_owned()), database: RwLock::new(Slot::Open(open(path)?)) })
    }

    /// Opens a store on other storage than a file.
    pub(crate) fn on(storage: impl redb::StorageBackend) -> Result<Self, StateError> {
        let database =
            Database::builder().set_cache_size(CACHE).create_with_backend(storage).map_err(StateError::opening)?;
        Ok(Self { path: None, database: RwLock::new(Slot::Open(database)) })
    }

    /// What the state in the file is, if there is one.
    pub(crate) fn describe(&self) -> Result<Option<Described>, StateError> {
        self.reading(|transaction| {
            let meta = match transaction.open_table(META) {
                Ok(meta) => meta,
                Err(TableError::TableDoesNotExist(_)) => return Ok(None),
                Err(error) => return Err(opening(error)),
            };
            let value = |name| -> Result<Option<Vec<u8>>, StateError> {
                Ok(meta.get(name).map_err(opening)?.map(|value| value.value().to_vec()))
            };
            let absent = |name| move || StateError::tampered(format!("its {name} is absent"));
            let format = value("format")?.ok_or_else(absent("format"))?;
            let found = format.as_slice().try_into().map(u64::from_be_bytes);
            let found = found.map_err(|_| StateError::tampered("its format is no number"))?;
            if found > FORMAT {
                return Err(StateError::Newer { found, known: FORMAT });
            }
            let contract = value("contract")?.ok_or_else(absent("contract"))?;
            Ok(Some(Described { contract: String::from_utf8_lossy(&contract).into_owned(), key: value("key")? }))
        })
    }

    /// Makes the state, from a file of format 0 where there is one.
    pub(crate) fn create(&self, codec: &Codec, described: &Described) -> Result<(), StateError> {
        self.writing(|transaction| {
            {
                let head = codec.sealer()?.head(&migrate::from_format_0(&transaction, codec)?)?;
                let mut meta = transaction.open_table(META).map_err(opening)?;
                let mut set = |name, value: &[u8]| meta.insert(name, value).map(|_| ()).map_err(opening);
                set("format", &FORMAT.to_be_bytes())?;
                set("contract", described.contract.as_bytes())?;
                set("head", &head)?;
                if let Some(key) = &described.key {
                    set("key", key)?;
                }
            }
            transaction.commit().map_err(opening)
        })
    }

    /// Is a row of a message or delivery there?
    pub(crate) fn is_known(&self, id: &Key) -> Result<bool, StateError> {
        self.reading(|transaction| {
            Ok(transaction.open_table(SEEN).map_err(reading)?.get(id).map_err(reading)?.is_some())
        })
    }

    /// Writes the effects in one transaction; durable when it returns.
    pub(crate) fn commit(
        &self,
        codec: &Codec,
        newest: &mut Newest,
        effects: &[Effect],
    ) -> Result<Vec<Recorded>, CommitError> {
        if matches!(*self.slot(), Slot::Failed(_)) {
            self.reopen();
        }
        let written = self.writing(|transaction| self::commit(transaction, codec, newest, effects));
        if let Err(StateError::Unavailable { .. }) = &written {
            self.reopen();
        }
        written.map_err(CommitError::Failed)
    }

    pub(crate) fn head(&self, codec: &Codec) -> Result<Head, StateError> {
        self.reading(|transaction| head(&transaction.open_table(META).map_err(reading)?, codec))
    }

    /// Holds every row against the head; with `keep`, returns the counts.
    pub(crate) fn audit(&self, codec: &Codec, keep: bool) -> Result<BTreeMap<String, u64>, StateError> {
        self.reading(|transaction| {
            let mut audit = Audit::new(codec, keep);
            for entry in transaction.open_table(SEEN).map_err(reading)?.iter().map_err(reading)? {
                audit.seen(entry.map_err(reading)?.0.value());
            }
            for entry in transaction.open_table(NUMBERS).map_err(reading)?.iter().map_err(reading)? {
                let (key, value) = entry.map_err(reading)?;
                audit.number(key.value(), value.value())?;
            }
            audit.finish(&head(&transaction.open_table(META).map_err(reading)?, codec)?)
        })
    }

    /// Gives the file back; whatever comes later is refused.
    pub(crate) fn close(&self) {
        *self.database.write().unwrap_or_else(PoisonError::into_inner) = Slot::Closed;
    }

    /// After an error of the disk the library refuses everything until the file is opened anew.
    fn reopen(&self) {
        let Some(path) = &self.path else { return };
        let mut slot = self.database.write().unwrap_or_else(PoisonError::into_inner);
        if matches!(*slot, Slot::Closed) {
            return;
        }
        // The old one first lets go of the file.
        *slot = Slot::Closed;
        *slot = open(path).map_or_else(Slot::Failed, Slot::Open);
    }

    fn slot(&self) -> RwLockReadGuard<'_, Slot> {
        self.database.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn reading<T>(&self, read: impl FnOnce(&ReadTransaction) -> Result<T, StateError>) -> Result<T, StateError> {
        let slot = self.slot();
        read(&slot.database()?.begin_read().map_err(reading)?)
    }

    fn writing<T>(&self, write: impl FnOnce(WriteTransaction) -> Result<T, StateError>) -> Result<T, StateError> {
        let slot = self.slot();
        write(slot.database()?.begin_write().map_err(writing)?)
    }
}

impl Slot {
    fn database(&self) -> Result<&Database, StateError> {
        match self {
            Self::Open(database) => Ok(database),
            Self::Failed(error) => Err(error.clone()),
            Self::Closed => Err(StateError::Closed),
        }
    }
}

fn open(path: &Path) -> Result<Database, StateError> {
    let failed = |why: String| StateError::opening(format!("{}: {why}", path.display()));
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).map_err(|error| failed(error.to_string()))?;
    }
    Database::builder().set_cache_size(CACHE).create(path).map_err(|error| failed(error.to_string()))
}

fn commit(
    transaction: WriteTransaction,
    codec: &Codec,
    newest: &mut Newest,
    effects: &[Effect],
) -> Result<Vec<Recorded>, StateError> {
    let plan = {
        let mut meta = transaction.open_table(META).map_err(writing)?;
        let mut seen = transaction.open_table(SEEN).map_err(writing)?;
        let mut numbers = transaction.open_table(NUMBERS).map_err(writing)?;
        let head = head(&meta, codec)?;
        newest.accept(&head)?;
        let (ids, words) = rows(effects);
        let mut known = HashSet::new();
        for id in ids {
            if seen.get(&id).map_err(writing)?.is_some() {
                known.insert(id);
            }
        }
        let mut values = HashMap::new();
        for word in words {
            if let Some(value) = numbers.get(&word).map_err(writing)? {
                values.insert(word, value.value().to_vec());
            }
        }
        let plan = Plan::of(codec, head, effects, &known, values)?;
        for id in &plan.seen {
            seen.insert(id, ()).map_err(writing)?;
        }
        for (word, value) in &plan.numbers {
            numbers.insert(word, value.as_slice()).map_err(writing)?;
        }
        if let Some((_, sealed)) = &plan.head {
            meta.insert("head", sealed.as_slice()).map_err(writing)?;
        }
        plan
    };
    if let Some((head, _)) = &plan.head {
        transaction.commit().map_err(writing)?;
        newest.accept(head)?;
    }
    Ok(plan.outcomes)
}

fn head(meta: &impl redb::ReadableTable<&'static str, &'static [u8]>, codec: &Codec) -> Result<Head, StateError> {
    let head = meta.get("head").map_err(reading)?.ok_or(StateError::tampered("its head is absent"))?;
    codec.open_head(head.value())
}

fn opening(error: impl Into<redb::Error>) -> StateError {
    StateError::opening(error.into())
}

fn reading(error: impl Into<redb::Error>) -> StateError {
    StateError::reading(error.into())
}

fn writing(error: impl Into<redb::Error>) -> StateError {
    StateError::writing(error.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::tests::contract;

    #[test]
    fn a_file_that_could_not_be_opened_again_is_tried_with_every_write() {
        let directory = tempfile::tempdir().expect("directory");
        let file = Embedded::open(&directory.path().join("state.redb")).expect("new");
        let codec = Codec::new(&contract(), None).expect("derives");
        file.create(&codec, &Described { contract: "c".to_owned(), key: None }).expect("writes");
        *file.database.write().expect("not poisoned") = Slot::Failed(StateError::opening("no space left on device"));
        assert!(file.is_known(&[0; 32]).is_err());
        let effect = Effect::refuse(&codec, "17", "undecryptable");
        let written = file.commit(&codec, &mut Newest::default(), &[effect]);
        assert!(matches!(written.as_deref(), Ok([Recorded::Counted(_)])), "{written:?}");
        file.close();
        assert_eq!(file.is_known(&[0; 32]), Err(StateError::Closed));
        file.reopen();
        assert_eq!(file.is_known(&[0; 32]), Err(StateError::Closed), "what was closed came back");
    }
}
