//! One delivery of a message: what came, and the duty to answer it.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use google_cloud_pubsub::{model::Message, subscriber::handler::Handler};

/// What came.
pub(crate) struct Delivery {
    pub(crate) data: Bytes,
    pub(crate) attributes: HashMap<String, String>,
    /// Pub/Sub's id of the message: the same in every delivery of it.
    pub(crate) id: String,
    pub(crate) ticket: Ticket,
}

/// The duty to answer. Dropped without an answer, the message comes again.
pub(crate) struct Ticket {
    answer: Option<Answer>,
    load: Arc<Load>,
    bytes: usize,
    parked: bool,
}

enum Answer {
    PubSub(Handler),
    /// From a caller of this library, not from Pub/Sub.
    Fed(Arc<Fed>),
}

/// How messages were answered that did not come from Pub/Sub.
#[derive(Debug, Default)]
pub(crate) struct Fed {
    pub(crate) done: AtomicU64,
    pub(crate) again: AtomicU64,
}

/// Messages of one stream that have no answer yet. The service delivers no more of them than the stream's limits.
#[derive(Debug, Default)]
pub(crate) struct Load {
    messages: AtomicUsize,
    bytes: AtomicUsize,
    parked: AtomicUsize,
}

impl Load {
    pub(crate) fn messages(&self) -> usize {
        self.messages.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How many of the messages are set aside.
    pub(crate) fn parked(&self) -> usize {
        self.parked.load(Ordering::Relaxed)
    }
}

impl Delivery {
    pub(crate) fn new(message: Message, handler: Handler, load: &Arc<Load>) -> Self {
        let Message { data, attributes, message_id, .. } = message;
        Self::with(data, attributes, message_id, Answer::PubSub(handler), load)
    }

    pub(crate) fn fed(
        data: Bytes,
        attributes: HashMap<String, String>,
        id: String,
        fed: &Arc<Fed>,
        load: &Arc<Load>,
    ) -> Self {
        Self::with(data, attributes, id, Answer::Fed(Arc::clone(fed)), load)
    }

    fn with(data: Bytes, attributes: HashMap<String, String>, id: String, answer: Answer, load: &Arc<Load>) -> Self {
        let bytes = data.len();
        load.messages.fetch_add(1, Ordering::Relaxed);
        load.bytes.fetch_add(bytes, Ordering::Relaxed);
        let ticket = Ticket { answer: Some(answer), load: Arc::clone(load), bytes, parked: false };
        Self { data, attributes, id, ticket }
    }
}

impl Ticket {
    /// The message need not come again.
    pub(crate) fn done(mut self) {
        match self.answer.take() {
            Some(Answer::PubSub(handler)) => handler.ack(),
            Some(Answer::Fed(fed)) => {
                fed.done.fetch_add(1, Ordering::Relaxed);
            }
            None => {}
        }
    }

    /// The message is set aside without its content; it stays leased until this is dropped.
    pub(crate) fn parked(mut self) -> Self {
        if !std::mem::replace(&mut self.parked, true) {
            self.load.parked.fetch_add(1, Ordering::Relaxed);
        }
        self
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.load.messages.fetch_sub(1, Ordering::Relaxed);
        self.load.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        if self.parked {
            self.load.parked.fetch_sub(1, Ordering::Relaxed);
        }
        match self.answer.take() {
            Some(Answer::PubSub(handler)) => handler.nack(),
            Some(Answer::Fed(fed)) => {
                fed.again.fetch_add(1, Ordering::Relaxed);
            }
            None => {}
        }
    }
}
