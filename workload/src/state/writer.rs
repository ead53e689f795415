//! Group commit: whoever has something to write waits here, and everything that waits goes into one transaction. While
//! it is being written the next one gathers, so a transaction is as large as the store is slow.

use std::time::Instant;

use tokio::sync::{mpsc, oneshot, watch};

use super::{
    Recorded,
    error::{CommitError, StateError},
    plan::Effect,
    store::WriteSide,
};
use crate::metrics::Metrics;

/// Effects in one transaction.
const EFFECTS: usize = 2048;
/// Bytes of words in one transaction, about.
const BYTES: usize = 4 << 20;
/// Effects that may wait; further ones make their callers wait.
pub(super) const WAITING: usize = 4096;

/// One effect, and who waits for it.
pub(super) struct Job {
    pub(super) effect: Effect,
    pub(super) answer: oneshot::Sender<Result<Recorded, StateError>>,
}

type Answer = oneshot::Sender<Result<Recorded, StateError>>;

/// Writes until nobody can ask for more. After a final error everything is refused with it. `health` is the last
/// transaction's error.
pub(super) async fn write(
    mut jobs: mpsc::Receiver<Job>,
    mut store: WriteSide,
    health: watch::Sender<Option<StateError>>,
    metrics: Metrics,
) {
    while let Some(first) = jobs.recv().await {
        // Whoever can run now may have something to write, too.
        tokio::task::yield_now().await;
        let (effects, answers) = gather(first, &mut jobs);
        let broken = health.borrow().clone().filter(StateError::is_final);
        match broken {
            Some(error) => refuse(answers, &error),
            None => settle(&mut store, effects, answers, &health, &metrics).await,
        }
    }
    store.close();
}

fn gather(first: Job, jobs: &mut mpsc::Receiver<Job>) -> (Vec<Effect>, Vec<Answer>) {
    let mut size = first.effect.size();
    let (mut effects, mut answers) = (vec![first.effect], vec![first.answer]);
    while effects.len() < EFFECTS && size < BYTES {
        let Ok(job) = jobs.try_recv() else { break };
        size += job.effect.size();
        effects.push(job.effect);
        answers.push(job.answer);
    }
    (effects, answers)
}

/// Writes a batch; where something in it cannot be written, in halves, so that it fails alone.
async fn settle(
    store: &mut WriteSide,
    effects: Vec<Effect>,
    answers: Vec<Answer>,
    health: &watch::Sender<Option<StateError>>,
    metrics: &Metrics,
) {
    let mut batches = vec![(effects, answers)];
    while let Some((effects, mut answers)) = batches.pop() {
        let began = Instant::now();
        let (mut effects, written) = store.commit(effects).await;
        match written {
            Ok(outcomes) => {
                metrics.committed(outcomes.len(), began.elapsed());
                health.send_if_modified(|last| last.take().is_some());
                for (answer, outcome) in answers.into_iter().zip(outcomes) {
                    // Nobody may wait any more; it is written all the same.
                    let _ = answer.send(Ok(outcome));
                }
            }
            Err(CommitError::Refused(_)) if effects.len() > 1 => {
                let half = effects.len() / 2;
                let (later, later_answers) = (effects.split_off(half), answers.split_off(half));
                batches.push((later, later_answers));
                batches.push((effects, answers));
            }
            Err(CommitError::Refused(error)) => refuse(answers, &error),
            Err(CommitError::Failed(error)) => {
                metrics.commit_failed();
                refuse(answers, &error);
                for (_, answers) in batches.drain(..) {
                    refuse(answers, &error);
                }
                let _ = health.send_replace(Some(error));
            }
        }
    }
}

fn refuse(answers: Vec<Answer>, error: &StateError) {
    for answer in answers {
        let _ = answer.send(Err(error.clone()));
    }
}
