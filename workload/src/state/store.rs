//! The two stores as the writer sees them.

use std::sync::Arc;

use super::{
    Recorded,
    codec::Codec,
    embedded::Embedded,
    error::{CommitError, StateError},
    plan::{Effect, Newest},
};

/// Where transactions go.
pub(super) enum Store {
    Embedded { file: Arc<Embedded>, codec: Arc<Codec>, newest: Newest },
}

type Written = (Vec<Effect>, Result<Vec<Recorded>, CommitError>);

impl Store {
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
        }
    }

    pub(super) async fn close(&mut self) {
        match self {
            Self::Embedded { file, .. } => file.close(),
        }
    }
}
