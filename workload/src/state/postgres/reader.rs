//! Questions to the database that wait together are asked together: is this message in the counts?

use std::{collections::HashSet, time::Duration};

use tokio::sync::{mpsc, oneshot};

use super::{Link, Session, Trouble, key, reading, slices};
use crate::state::{codec::Key, error::StateError};

/// Questions in one statement.
const TOGETHER: usize = 1024;
/// Questions that may wait; further ones make their callers wait.
const WAITING: usize = 4096;
/// For one answer; who asks can do so again.
const PATIENCE: Duration = Duration::from_secs(10);

struct Question {
    id: Key,
    answer: oneshot::Sender<Result<bool, StateError>>,
}

/// Asks over a connection of its own, so that questions do not wait for transactions.
#[derive(Debug)]
pub(crate) struct Reader {
    questions: mpsc::Sender<Question>,
}

impl Reader {
    pub(crate) fn new(link: Link) -> Self {
        let (questions, asked) = mpsc::channel(WAITING);
        tokio::spawn(answer(asked, link));
        Self { questions }
    }

    /// Is a row of a message or delivery there?
    pub(crate) async fn is_known(&self, id: Key) -> Result<bool, StateError> {
        let (answer, answered) = oneshot::channel();
        self.questions.send(Question { id, answer }).await.map_err(|_| StateError::Closed)?;
        answered.await.map_err(|_| StateError::Closed)?
    }
}

async fn answer(mut asked: mpsc::Receiver<Question>, mut link: Link) {
    let mut questions = Vec::new();
    while asked.recv_many(&mut questions, TOGETHER).await > 0 {
        let ids: Vec<Key> = questions.iter().map(|question| question.id).collect();
        let ids = &ids;
        let known = link.persist(PATIENCE, PATIENCE, |session| async move { known(&session, ids).await }).await;
        let known = known.map_err(StateError::from);
        for Question { id, answer } in questions.drain(..) {
            // Nobody may wait any more.
            let _ = answer.send(known.as_ref().map(|known| known.contains(&id)).map_err(StateError::clone));
        }
    }
}

async fn known(session: &Session, ids: &[Key]) -> Result<HashSet<Key>, Trouble> {
    let rows = session.client.query(&session.seen, &[&slices(ids)]).await.map_err(reading)?;
    rows.iter().map(key).collect()
}
