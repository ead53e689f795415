//! The broker's state: topics, subscriptions, and what goes from one to the other. Pure; the time comes from the caller.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use tokio::time::{Duration, Instant};

use super::{
    limits,
    queue::{Consumer, Delivery, Exhausted, Queue},
};
use crate::{
    config::Subscription as Setting,
    respond::{ApiError, Code, Timestamp},
};

/// What a subscription's topic is called once it was deleted.
const DELETED_TOPIC: &str = "_deleted-topic_";
/// Bytes of messages that all subscriptions may hold together; beyond it nothing is taken.
const BACKLOG_LIMIT: u64 = 1 << 30;

/// A published message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The payload.
    pub data: Bytes,
    /// Attributes, sorted by name.
    pub attributes: BTreeMap<String, String>,
    /// Given by the broker.
    pub message_id: String,
    /// Seconds since the Unix epoch.
    pub publish_time: u64,
    /// Subscriptions with message ordering deliver messages with the same key in the order of publishing.
    pub ordering_key: String,
}

impl Published {
    pub(super) fn size(&self) -> usize {
        let attributes: usize = self.attributes.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.data.len() + attributes + self.ordering_key.len()
    }
}

/// A message that went to a dead-letter topic.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Forwarded {
    pub(super) topic: String,
    pub(super) subscription: String,
    pub(super) deliveries: u32,
}

#[derive(Debug, Default)]
pub(super) struct Broker {
    topics: BTreeMap<String, BTreeSet<String>>,
    subscriptions: BTreeMap<String, Queue>,
    next_id: u64,
    forwarded: Vec<Forwarded>,
}

impl Broker {
    pub(super) fn create_topic(&mut self, name: &str) -> Result<(), ApiError> {
        limits::name(name, "topics")?;
        if self.topics.contains_key(name) {
            return Err(exists(name));
        }
        self.topics.insert(name.to_owned(), BTreeSet::new());
        Ok(())
    }

    /// Deletes a topic. Its subscriptions keep what they have and get nothing more.
    pub(super) fn delete_topic(&mut self, name: &str) -> Result<(), ApiError> {
        for subscription in self.topics.remove(name).ok_or_else(|| not_found(name))? {
            if let Some(queue) = self.subscriptions.get_mut(&subscription) {
                DELETED_TOPIC.clone_into(&mut queue.setting.topic);
            }
        }
        Ok(())
    }

    pub(super) fn create_subscription(&mut self, setting: Setting) -> Result<(), ApiError> {
        let name = setting.name.clone();
        limits::name(&name, "subscriptions")?;
        if self.subscriptions.contains_key(&name) {
            return Err(exists(&name));
        }
        let filter = limits::subscription(&setting)?;
        if let Some(dead) = &setting.dead_letter {
            self.topic(&dead.topic)?;
        }
        self.topic(&setting.topic)?.insert(name.clone());
        self.subscriptions.insert(name, Queue::new(setting, filter));
        Ok(())
    }

    /// Changes what may change while a subscription exists.
    pub(super) fn update_subscription(&mut self, changed: Setting) -> Result<(), ApiError> {
        let setting = self.setting(&changed.name)?;
        let fixed = |s: &Setting| (s.topic.clone(), s.filter.clone(), s.enable_message_ordering);
        if fixed(setting) != fixed(&changed) {
            let message = "The topic, the filter and enable_message_ordering cannot be updated.";
            return Err(limits::invalid(message.to_owned()));
        }
        limits::subscription(&changed)?;
        if let Some(dead) = &changed.dead_letter {
            self.has_topic(&dead.topic)?;
        }
        let name = changed.name.clone();
        self.subscription(&name)?.setting = changed;
        Ok(())
    }

    pub(super) fn delete_subscription(&mut self, name: &str) -> Result<(), ApiError> {
        let queue = self.subscriptions.remove(name).ok_or_else(|| not_found(name))?;
        if let Some(subscriptions) = self.topics.get_mut(&queue.setting.topic) {
            subscriptions.remove(name);
        }
        Ok(())
    }

    pub(super) fn has_topic(&self, name: &str) -> Result<(), ApiError> {
        if self.topics.contains_key(name) { Ok(()) } else { Err(not_found(name)) }
    }

    /// Names of the topics of `projects/P`, sorted.
    pub(super) fn topics(&self, project: &str) -> Vec<String> {
        self.topics.keys().filter(|name| is_below(name, project)).cloned().collect()
    }

    /// Names of the subscriptions of a topic, sorted.
    pub(super) fn subscriptions_of(&self, topic: &str) -> Result<Vec<String>, ApiError> {
        let names = self.topics.get(topic).ok_or_else(|| not_found(topic))?;
        Ok(names.iter().cloned().collect())
    }

    /// The subscriptions of `projects/P`, sorted by name.
    pub(super) fn settings(&self, project: &str) -> Vec<&Setting> {
        let all = self.subscriptions.iter().filter(|(name, _)| is_below(name, project));
        all.map(|(_, queue)| &queue.setting).collect()
    }

    pub(super) fn setting(&self, name: &str) -> Result<&Setting, ApiError> {
        self.subscriptions.get(name).map(|queue| &queue.setting).ok_or_else(|| not_found(name))
    }

    /// Puts messages into every subscription of the topic, all or none; their ids.
    pub(super) fn publish(
        &mut self,
        topic: &str,
        messages: Vec<Published>,
        now: Instant,
    ) -> Result<Vec<String>, ApiError> {
        self.has_topic(topic)?;
        limits::publish(&messages)?;
        if self.subscriptions.values().map(Queue::bytes).sum::<u64>() > BACKLOG_LIMIT {
            let message = format!("The simulator holds more than {BACKLOG_LIMIT} bytes of unacknowledged messages.");
            return Err(ApiError::new(Code::ResourceExhausted, message));
        }
        Ok(messages.into_iter().map(|message| self.enqueue(topic, message, now)).collect())
    }

    /// Leases what `consumer` has room for, oldest first.
    pub(super) fn pull(&mut self, name: &str, consumer: Consumer, now: Instant) -> Result<Vec<Delivery>, ApiError> {
        self.wake(name, now)?;
        let mut next_id = self.next_id;
        let deliveries = self.subscription(name)?.pull(consumer, &mut next_id, now);
        self.next_id = next_id;
        Ok(deliveries)
    }

    /// Forgets acknowledged messages. Returns the ids whose lease had ended: those messages come again.
    pub(super) fn acknowledge(
        &mut self,
        name: &str,
        ack_ids: &[String],
        now: Instant,
    ) -> Result<Vec<String>, ApiError> {
        limits::ack_ids(ack_ids)?;
        self.wake(name, now)?;
        let queue = self.subscription(name)?;
        Ok(ack_ids.iter().filter(|id| !queue.acknowledge(id)).cloned().collect())
    }

    /// Changes leases; 0 seconds is a refusal ("nack"): the message is free at once. Returns the ids whose lease had
    /// ended.
    pub(super) fn modify(
        &mut self,
        name: &str,
        ack_ids: &[String],
        seconds: i32,
        now: Instant,
    ) -> Result<Vec<String>, ApiError> {
        let until = now + Duration::from_secs(limits::deadline(seconds)?);
        limits::ack_ids(ack_ids)?;
        self.wake(name, now)?;
        let queue = self.subscription(name)?;
        let ended = ack_ids.iter().filter(|id| !queue.extend(id, until)).cloned().collect();
        self.wake(name, now)?;
        Ok(ended)
    }

    /// When a lease or a rest of this subscription ends next.
    pub(super) fn next_wake(&self, name: &str) -> Option<Instant> {
        self.subscriptions.get(name)?.next_wake()
    }

    /// Waiting and leased messages of a subscription.
    pub(super) fn backlog(&self, name: &str) -> Result<(usize, usize), ApiError> {
        self.subscriptions.get(name).map(Queue::backlog).ok_or_else(|| not_found(name))
    }

    /// What waits or rests in a subscription, oldest first.
    pub(super) fn waiting(&self, name: &str) -> Result<Vec<Published>, ApiError> {
        self.subscriptions.get(name).map(Queue::waiting).ok_or_else(|| not_found(name))
    }

    /// What went to dead-letter topics since the last call.
    pub(super) fn take_forwarded(&mut self) -> Vec<Forwarded> {
        std::mem::take(&mut self.forwarded)
    }

    /// Frees messages whose lease or rest has ended; those delivered too often go to the dead letters. Where the topic
    /// for these is gone they stay.
    fn wake(&mut self, name: &str, now: Instant) -> Result<(), ApiError> {
        let queue = self.subscriptions.get_mut(name).ok_or_else(|| not_found(name))?;
        let dead = queue.setting.dead_letter.as_ref().map(|dead| dead.topic.clone());
        let exists = dead.as_ref().is_some_and(|topic| self.topics.contains_key(topic));
        for exhausted in queue.wake(now, exists) {
            let Some(dead) = &dead else { continue };
            let forwarded =
                Forwarded { topic: dead.clone(), subscription: name.to_owned(), deliveries: exhausted.deliveries };
            self.enqueue(dead, letter(exhausted, name), now);
            self.forwarded.push(forwarded);
        }
        Ok(())
    }

    fn enqueue(&mut self, topic: &str, mut message: Published, now: Instant) -> String {
        self.next_id += 1;
        let (number, id) = (self.next_id, self.next_id.to_string());
        message.message_id.clone_from(&id);
        let message = Arc::new(message);
        for name in self.topics.get(topic).into_iter().flatten() {
            if let Some(queue) = self.subscriptions.get_mut(name) {
                queue.push(number, &message, now);
            }
        }
        id
    }

    fn topic(&mut self, name: &str) -> Result<&mut BTreeSet<String>, ApiError> {
        self.topics.get_mut(name).ok_or_else(|| not_found(name))
    }

    fn subscription(&mut self, name: &str) -> Result<&mut Queue, ApiError> {
        self.subscriptions.get_mut(name).ok_or_else(|| not_found(name))
    }
}

/// What a dead-letter topic gets: the message, and where it came from.
fn letter(exhausted: Exhausted, subscription: &str) -> Published {
    let mut message = Arc::unwrap_or_clone(exhausted.message);
    let project = subscription.split('/').nth(1).unwrap_or_default();
    let published = Timestamp::of(message.publish_time).text();
    for (name, value) in [
        ("CloudPubSubDeadLetterSourceDeliveryCount", exhausted.deliveries.to_string()),
        ("CloudPubSubDeadLetterSourceSubscription", last(subscription).to_owned()),
        ("CloudPubSubDeadLetterSourceSubscriptionProject", project.to_owned()),
        ("CloudPubSubDeadLetterSourceTopicPublishTime", published),
    ] {
        message.attributes.insert(name.to_owned(), value);
    }
    message
}

fn is_below(name: &str, project: &str) -> bool {
    name.strip_prefix(project).is_some_and(|rest| rest.starts_with('/'))
}

fn exists(name: &str) -> ApiError {
    ApiError::new(Code::AlreadyExists, format!("Resource already exists in the project (resource={}).", last(name)))
}

fn not_found(name: &str) -> ApiError {
    ApiError::new(Code::NotFound, format!("Resource not found (resource={}).", last(name)))
}

fn last(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

#[cfg(test)]
mod tests;
