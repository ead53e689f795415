//! The two stores as the rest of the state sees them.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::Mutex;

use super::{
    Described, Recorded,
    codec::{Codec, Head, Key},
    embedded::Embedded,
    error::{CommitError, StateError},
    plan::{Effect, Newest},
    postgres::{Link, Postgres, Reader},
};

/// A store that was reached and not yet looked at.
pub(super) enum Store {
    Embedded(Embedded),
    Postgres(Box<Link>),
}

impl Store {
    /// What the state in it is, if there is one.
    pub(super) async fn describe(&mut self) -> Result<Option<Described>, StateError> {
        match self {
            Self::Embedded(file) => file.describe(),
            Self::Postgres(link) => link.describe().await,
        }
    }

    /// Makes the state, unless another workload has made one meanwhile.
    pub(super) async fn create(&mut self, codec: &Codec, described: &Described) -> Result<(), StateError> {
        match self {
            Self::Embedded(file) => file.create(codec, described),
            Self::Postgres(link) => link.create(codec, described).await,
        }
    }

    /// Opens the head, and where values are sealed holds every row against it.
    pub(super) async fn check(&mut self, codec: &Codec) -> Result<(), StateError> {
        match self {
            Self::Embedded(file) if codec.is_sealed() => file.audit(codec, false).map(|_| ()),
            Self::Embedded(file) => file.head(codec).map(|_| ()),
            Self::Postgres(link) if codec.is_sealed() => link.audit(codec, false).await.map(|_| ()),
            Self::Postgres(link) => link.head(codec).await.map(|_| ()),
        }
    }

    /// The side that writes and the one that reads. Needs a runtime.
    pub(super) fn split(self, codec: &Arc<Codec>) -> (WriteSide, ReadSide) {
        let codec = Arc::clone(codec);
        match self {
            Self::Embedded(file) => {
                let file = Arc::new(file);
                let read = ReadSide::Embedded(Arc::clone(&file));
                (WriteSide::Embedded { file, codec, newest: Newest::default() }, read)
            }
            Self::Postgres(link) => {
                let read = ReadSide::Postgres { reader: Reader::new(link.again()), link: Mutex::new(link.again()) };
                (WriteSide::Postgres(Box::new(Postgres::new(*link, codec))), read)
            }
        }
    }
}

/// Where transactions go.
pub(super) enum WriteSide {
    Embedded { file: Arc<Embedded>, codec: Arc<Codec>, newest: Newest },
    Postgres(Box<Postgres>),
}

type Written = (Vec<Effect>, Result<Vec<Recorded>, CommitError>);

impl WriteSide {
    /// Writes the effects in one transaction, and gives them back with what became of them.
    pub(super) async fn commit(&mut self, effects: Vec<Effect>) -> Written {
        match self {
            Self::Embedded { file, codec, newest } => {
                let (file, codec, mut seen) = (Arc::clone(file), Arc::clone(codec), std::mem::take(newest));
                let write = move || {
                    let written = file.commit(&codec, &mut seen, &effects);
                    (effects, written, seen)
                };
                // Off the threads that serve the network.
                match tokio::task::spawn_blocking(write).await {
                    Ok((effects, written, seen)) => {
                        *newest = seen;
                        (effects, written)
                    }
                    Err(error) => (Vec::new(), Err(CommitError::Failed(StateError::writing(error)))),
                }
            }
            Self::Postgres(database) => {
                let written = database.commit(&effects).await;
                (effects, written)
            }
        }
    }

    pub(super) fn close(self) {
        if let Self::Embedded { file, .. } = self {
            file.close();
        }
    }
}

/// Where questions go.
pub(super) enum ReadSide {
    Embedded(Arc<Embedded>),
    Postgres { reader: Reader, link: Mutex<Link> },
}

impl ReadSide {
    /// Is a row of a message or delivery there?
    pub(super) async fn is_known(&self, id: Key) -> Result<bool, StateError> {
        match self {
            Self::Embedded(file) => file.is_known(&id),
            Self::Postgres { reader, .. } => reader.is_known(id).await,
        }
    }

    pub(super) async fn head(&self, codec: &Codec) -> Result<Head, StateError> {
        match self {
            Self::Embedded(file) => file.head(codec),
            Self::Postgres { link, .. } => link.lock().await.head(codec).await,
        }
    }

    /// The counts, every row held against the head.
    pub(super) async fn counts(&self, codec: &Codec) -> Result<BTreeMap<String, u64>, StateError> {
        match self {
            Self::Embedded(file) => file.audit(codec, true),
            Self::Postgres { link, .. } => link.lock().await.audit(codec, true).await,
        }
    }
}
