//! Messages that are set aside: they stay leased, so that they neither come again at once nor go to another workload
//! that could do no better, and their content is dropped, so that they cost some hundred bytes each.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::{delivery::Ticket, pull::LEASE};

/// Messages that one collaborator may have set aside; further ones stay in the window.
const LIMIT: usize = 50_000;
/// Messages that are given back at each look while there are as many: some of the window stays free for others, though no
/// longer all of it.
const FULL: usize = 100;

/// What is set aside.
#[derive(Default)]
pub(crate) struct Parking(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    /// Until there is room, and since when.
    waiting: VecDeque<(Instant, Ticket)>,
    /// Until a time.
    stuck: VecDeque<(Instant, Ticket)>,
}

impl Parking {
    /// Sets a message aside until [`Parking::release`].
    pub(crate) fn wait(&self, ticket: Ticket) {
        self.inner().waiting.push_back((Instant::now(), ticket.parked()));
    }

    /// Sets a message aside until some time has passed. The times of all messages are about the same.
    pub(crate) fn stick(&self, ticket: Ticket, time: Duration) {
        self.inner().stuck.push_back((Instant::now() + time, ticket.parked()));
    }

    /// Gives back up to `count` waiting messages, oldest first: they come again.
    pub(crate) fn release(&self, count: usize) {
        let released: Vec<_> = {
            let mut inner = self.inner();
            let count = count.min(inner.waiting.len());
            inner.waiting.drain(..count).collect()
        };
        drop(released);
    }

    /// Is there no room to set more messages aside?
    pub(crate) fn is_full(&self) -> bool {
        self.len() >= LIMIT
    }

    /// Gives back what was stuck long enough, what the service has taken back already, and where there is no more room
    /// some of the newest: they are those that fill the window of the present stream.
    pub(crate) fn tick(&self, now: Instant) {
        let mut released = Vec::new();
        let mut inner = self.inner();
        while inner.stuck.front().is_some_and(|(until, _)| *until <= now) {
            released.extend(inner.stuck.pop_front());
        }
        while inner.waiting.front().is_some_and(|(since, _)| *since + LEASE <= now) {
            released.extend(inner.waiting.pop_front());
        }
        if inner.waiting.len() + inner.stuck.len() >= LIMIT {
            let keep = inner.waiting.len().saturating_sub(FULL);
            released.extend(inner.waiting.split_off(keep));
        }
        drop(inner);
        drop(released);
    }

    pub(crate) fn clear(&self) {
        let inner = std::mem::take(&mut *self.inner());
        drop(inner);
    }

    pub(crate) fn len(&self) -> usize {
        let inner = self.inner();
        inner.waiting.len() + inner.stuck.len()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
