//! Where a message's effect goes, whichever way it came: its words into the counts, once.

use std::sync::Arc;

use crate::{
    metrics::{Metrics, Outcome},
    processor,
    state::{Recorded, State, StateError},
};

/// Counts messages that need no decryption. Clones share the state.
#[derive(Clone)]
pub(crate) struct Sink {
    state: Arc<State>,
    metrics: Metrics,
}

/// What became of a message.
pub(crate) enum Taken {
    /// Its words are in the counts, durably.
    Counted {
        /// How many words it has.
        words: u64,
    },
    /// They were before.
    Before,
}

/// Why a message has no effect.
pub(crate) enum SinkError {
    /// It can never have one; the code says why.
    Poison(&'static str),
    /// It could not be kept; it may be sent again.
    State(StateError),
}

impl Sink {
    pub(crate) fn new(state: Arc<State>, metrics: Metrics) -> Self {
        Self { state, metrics }
    }

    /// Counts the words of `plaintext` under this collaborator and id, unless they are counted already.
    pub(crate) async fn count(&self, collaborator: &str, id: &str, plaintext: &[u8]) -> Result<Taken, SinkError> {
        let words = processor::words_of(plaintext).map_err(|code| {
            self.metrics.message(collaborator, Outcome::Refused);
            SinkError::Poison(code)
        })?;
        let total = words.total();
        let recorded = self.state.count(collaborator, id, &words.0).await.map_err(SinkError::State)?;
        let counted = matches!(recorded, Recorded::Counted(_));
        self.metrics.message(collaborator, if counted { Outcome::Counted } else { Outcome::Duplicate });
        Ok(if counted { Taken::Counted { words: total } } else { Taken::Before })
    }
}
