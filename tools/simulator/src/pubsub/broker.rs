//! The broker's state: what waits, what is leased to whom and until when. Pure; the time comes from the caller.

use std::collections::{BTreeMap, HashMap, VecDeque};

use bytes::Bytes;
use tokio::time::{Duration, Instant};

use crate::{
    config::Subscription as Setting,
    respond::{ApiError, Code},
};

/// Longest lease that a client may ask for.
const MAX_LEASE: Duration = Duration::from_secs(600);

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
    /// Passed on; order is not kept.
    pub ordering_key: String,
}

impl Published {
    fn size(&self) -> u64 {
        let attributes: usize = self.attributes.iter().map(|(name, value)| name.len() + value.len()).sum();
        (self.data.len() + attributes) as u64
    }
}

/// One delivery of a message, waiting for its acknowledgement.
#[derive(Clone, Debug)]
pub(super) struct Delivery {
    pub(super) ack_id: String,
    pub(super) message: Published,
    /// Deliveries so far with this one; 0 without a dead-letter policy, as the API says.
    pub(super) attempt: u32,
}

/// Who takes messages and how many it can hold; 0 is no limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Consumer {
    pub(super) id: u64,
    pub(super) max_messages: u64,
    pub(super) max_bytes: u64,
    pub(super) lease: Option<Duration>,
}

#[derive(Debug, Default)]
pub(super) struct Broker {
    topics: BTreeMap<String, Vec<String>>,
    subscriptions: BTreeMap<String, Subscription>,
    next_id: u64,
}

#[derive(Debug)]
struct Subscription {
    setting: Setting,
    waiting: VecDeque<Waiting>,
    leased: HashMap<String, Lease>,
}

#[derive(Debug)]
struct Waiting {
    message: Published,
    deliveries: u32,
}

#[derive(Debug)]
struct Lease {
    waiting: Waiting,
    consumer: u64,
    until: Instant,
}

impl Broker {
    pub(super) fn create_topic(&mut self, name: &str) -> Result<(), ApiError> {
        if !is_name(name, "topics") {
            return Err(ApiError::new(Code::InvalidArgument, format!("Invalid resource name given (name={name}).")));
        }
        if self.topics.contains_key(name) {
            return Err(ApiError::new(
                Code::AlreadyExists,
                format!("Resource already exists in the project (resource={name})."),
            ));
        }
        self.topics.insert(name.to_owned(), Vec::new());
        Ok(())
    }

    pub(super) fn create_subscription(&mut self, setting: Setting) -> Result<(), ApiError> {
        let name = setting.name.clone();
        if !is_name(&name, "subscriptions") {
            return Err(ApiError::new(Code::InvalidArgument, format!("Invalid resource name given (name={name}).")));
        }
        if self.subscriptions.contains_key(&name) {
            return Err(ApiError::new(
                Code::AlreadyExists,
                format!("Resource already exists in the project (resource={name})."),
            ));
        }
        if !(1..=600).contains(&setting.ack_deadline_seconds) {
            return Err(ApiError::new(Code::InvalidArgument, "The ack deadline must be 1 to 600 seconds."));
        }
        if let Some(dead) = &setting.dead_letter {
            self.topic(&dead.topic)?;
        }
        self.topic(&setting.topic)?.push(name.clone());
        self.subscriptions.insert(name, Subscription { setting, waiting: VecDeque::new(), leased: HashMap::new() });
        Ok(())
    }

    pub(super) fn has_topic(&self, name: &str) -> Result<(), ApiError> {
        if self.topics.contains_key(name) { Ok(()) } else { Err(not_found(name)) }
    }

    pub(super) fn setting(&self, name: &str) -> Result<&Setting, ApiError> {
        self.subscriptions.get(name).map(|s| &s.setting).ok_or_else(|| not_found(name))
    }

    /// Puts a message into every subscription of the topic; its id.
    pub(super) fn publish(&mut self, topic: &str, mut message: Published) -> Result<String, ApiError> {
        self.next_id += 1;
        let id = self.next_id.to_string();
        message.message_id.clone_from(&id);
        for name in self.topic(topic)?.clone() {
            if let Some(subscription) = self.subscriptions.get_mut(&name) {
                subscription.waiting.push_back(Waiting { message: message.clone(), deliveries: 0 });
            }
        }
        Ok(id)
    }

    /// Leases what `consumer` has room for, oldest first. A message that is larger than the byte limit alone is
    /// delivered when the consumer holds nothing else.
    pub(super) fn pull(&mut self, name: &str, consumer: Consumer, now: Instant) -> Result<Vec<Delivery>, ApiError> {
        self.expire(name, now)?;
        let mut next_id = self.next_id;
        let subscription = self.subscription(name)?;
        let lease = consumer
            .lease
            .unwrap_or(Duration::from_secs(subscription.setting.ack_deadline_seconds.into()))
            .min(MAX_LEASE);
        let held = || subscription.leased.values().filter(|lease| lease.consumer == consumer.id);
        let (mut count, mut bytes) = (held().count() as u64, held().map(|l| l.waiting.message.size()).sum::<u64>());
        let mut deliveries = Vec::new();
        while let Some(first) = subscription.waiting.front() {
            let size = first.message.size();
            let full = consumer.max_messages > 0 && count >= consumer.max_messages
                || consumer.max_bytes > 0 && count > 0 && bytes + size > consumer.max_bytes;
            if full {
                break;
            }
            let Some(mut waiting) = subscription.waiting.pop_front() else { break };
            waiting.deliveries += 1;
            next_id += 1;
            let ack_id = format!("ack-{next_id}");
            deliveries.push(Delivery {
                ack_id: ack_id.clone(),
                message: waiting.message.clone(),
                attempt: if subscription.setting.dead_letter.is_some() { waiting.deliveries } else { 0 },
            });
            subscription.leased.insert(ack_id, Lease { waiting, consumer: consumer.id, until: now + lease });
            count += 1;
            bytes += size;
        }
        self.next_id = next_id;
        Ok(deliveries)
    }

    /// Forgets acknowledged messages. Unknown ids are ids whose lease expired: the message comes again. The number of
    /// messages that are gone for good.
    pub(super) fn acknowledge(&mut self, name: &str, ack_ids: &[String], now: Instant) -> Result<usize, ApiError> {
        self.expire(name, now)?;
        let subscription = self.subscription(name)?;
        Ok(ack_ids.iter().filter(|id| subscription.leased.remove(*id).is_some()).count())
    }

    /// Changes leases; 0 seconds is a refusal ("nack"): the message is free at once.
    pub(super) fn modify(
        &mut self,
        name: &str,
        ack_ids: &[String],
        seconds: i32,
        now: Instant,
    ) -> Result<(), ApiError> {
        let lease = u64::try_from(seconds).map(Duration::from_secs).ok().filter(|lease| *lease <= MAX_LEASE);
        let lease = lease.ok_or_else(|| {
            ApiError::new(
                Code::InvalidArgument,
                format!("Invalid ack deadline given ({seconds}); it must be 0 to 600."),
            )
        })?;
        self.expire(name, now)?;
        let subscription = self.subscription(name)?;
        for id in ack_ids {
            if let Some(leased) = subscription.leased.get_mut(id) {
                leased.until = now + lease;
            }
        }
        self.expire(name, now)
    }

    /// When the next lease of this subscription ends.
    pub(super) fn next_expiry(&self, name: &str) -> Option<Instant> {
        self.subscriptions.get(name)?.leased.values().map(|lease| lease.until).min()
    }

    /// Waiting and leased messages of a subscription.
    pub(super) fn backlog(&self, name: &str) -> Result<(usize, usize), ApiError> {
        let subscription = self.subscriptions.get(name).ok_or_else(|| not_found(name))?;
        Ok((subscription.waiting.len(), subscription.leased.len()))
    }

    /// Frees messages whose lease has ended, in their first order; those delivered too often go to the dead letters.
    fn expire(&mut self, name: &str, now: Instant) -> Result<(), ApiError> {
        let subscription = self.subscription(name)?;
        let mut ended: Vec<Lease> =
            subscription.leased.extract_if(|_, lease| lease.until <= now).map(|(_, lease)| lease).collect();
        ended.sort_by_key(|lease| lease.waiting.message.message_id.parse::<u64>().unwrap_or(u64::MAX));
        let dead = subscription.setting.dead_letter.clone();
        let exhausted =
            |waiting: &Waiting| dead.as_ref().is_some_and(|d| waiting.deliveries >= d.max_delivery_attempts);
        let (dropped, again): (Vec<Waiting>, Vec<Waiting>) =
            ended.into_iter().map(|lease| lease.waiting).partition(exhausted);
        for waiting in again.into_iter().rev() {
            subscription.waiting.push_front(waiting);
        }
        if let Some(dead) = &dead {
            for waiting in dropped {
                self.publish(&dead.topic, waiting.message)?;
            }
        }
        Ok(())
    }

    fn topic(&mut self, name: &str) -> Result<&mut Vec<String>, ApiError> {
        self.topics.get_mut(name).ok_or_else(|| not_found(name))
    }

    fn subscription(&mut self, name: &str) -> Result<&mut Subscription, ApiError> {
        self.subscriptions.get_mut(name).ok_or_else(|| not_found(name))
    }
}

fn not_found(name: &str) -> ApiError {
    ApiError::new(Code::NotFound, format!("Resource not found (resource={name})."))
}

/// `projects/P/<kind>/ID`.
fn is_name(name: &str, kind: &str) -> bool {
    let parts: Vec<&str> = name.split('/').collect();
    matches!(parts[..], ["projects", project, k, id] if k == kind && !project.is_empty() && (3..=255).contains(&id.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DeadLetter;

    const TOPIC: &str = "projects/p/topics/messages";
    const DEAD: &str = "projects/p/topics/dead";
    const NAME: &str = "projects/p/subscriptions/workload";
    const ALL: Consumer = Consumer { id: 1, max_messages: 0, max_bytes: 0, lease: None };

    fn broker(dead_letter: Option<DeadLetter>) -> Broker {
        let mut broker = Broker::default();
        broker.create_topic(TOPIC).expect("topic");
        broker.create_topic(DEAD).expect("dead letters");
        let setting = Setting { name: NAME.to_owned(), topic: TOPIC.to_owned(), ack_deadline_seconds: 10, dead_letter };
        broker.create_subscription(setting).expect("subscription");
        broker
    }

    fn publish(broker: &mut Broker, text: &str) {
        let message = Published {
            data: Bytes::copy_from_slice(text.as_bytes()),
            attributes: BTreeMap::new(),
            message_id: String::new(),
            publish_time: 0,
            ordering_key: String::new(),
        };
        broker.publish(TOPIC, message).expect("publishes");
    }

    fn texts(deliveries: &[Delivery]) -> Vec<&str> {
        deliveries.iter().map(|d| std::str::from_utf8(&d.message.data).expect("text")).collect()
    }

    fn ids(deliveries: &[Delivery]) -> Vec<String> {
        deliveries.iter().map(|d| d.ack_id.clone()).collect()
    }

    #[test]
    fn an_acknowledged_message_never_comes_again() {
        let (mut broker, now) = (broker(None), Instant::now());
        publish(&mut broker, "a");
        let first = broker.pull(NAME, ALL, now).expect("pulls");
        assert_eq!(texts(&first), ["a"]);
        assert_eq!(broker.acknowledge(NAME, &ids(&first), now).expect("acks"), 1);
        assert!(broker.pull(NAME, ALL, now + Duration::from_secs(3600)).expect("pulls").is_empty());
    }

    #[test]
    fn a_message_comes_again_when_its_deadline_has_passed_and_not_before() {
        let (mut broker, now) = (broker(None), Instant::now());
        publish(&mut broker, "a");
        let first = broker.pull(NAME, ALL, now).expect("pulls");
        assert!(broker.pull(NAME, ALL, now + Duration::from_millis(9999)).expect("pulls").is_empty());
        let later = now + Duration::from_secs(10);
        let second = broker.pull(NAME, ALL, later).expect("pulls");
        assert_eq!(texts(&second), ["a"]);
        assert_ne!(ids(&first), ids(&second));
        assert_eq!(
            broker.acknowledge(NAME, &ids(&first), later).expect("late ack"),
            0,
            "a late ack acknowledges nothing"
        );
        assert_eq!(broker.acknowledge(NAME, &ids(&second), later).expect("acks"), 1);
    }

    #[test]
    fn a_refused_message_comes_again_at_once_and_an_extended_one_later() {
        let (mut broker, now) = (broker(None), Instant::now());
        for text in ["a", "b"] {
            publish(&mut broker, text);
        }
        let first = broker.pull(NAME, ALL, now).expect("pulls");
        broker.modify(NAME, &ids(&first[..1]), 0, now).expect("nack");
        broker.modify(NAME, &ids(&first[1..]), 60, now).expect("extends");
        assert_eq!(texts(&broker.pull(NAME, ALL, now).expect("pulls")), ["a"]);
        assert_eq!(broker.next_expiry(NAME), Some(now + Duration::from_secs(10)));
        assert_eq!(texts(&broker.pull(NAME, ALL, now + Duration::from_secs(59)).expect("pulls")), ["a"]);
        assert!(broker.modify(NAME, &ids(&first), 601, now).is_err());
        assert!(broker.modify(NAME, &ids(&first), -1, now).is_err());
    }

    #[test]
    fn a_consumer_never_holds_more_than_its_limits() {
        let (mut broker, now) = (broker(None), Instant::now());
        for text in ["aaaa", "bbbb", "cccc", "dddddddddddd"] {
            publish(&mut broker, text);
        }
        let two = Consumer { max_messages: 2, ..ALL };
        let first = broker.pull(NAME, two, now).expect("pulls");
        assert_eq!(texts(&first), ["aaaa", "bbbb"]);
        assert!(broker.pull(NAME, two, now).expect("full").is_empty());
        broker.acknowledge(NAME, &ids(&first[..1]), now).expect("acks");
        assert_eq!(texts(&broker.pull(NAME, two, now).expect("one more")), ["cccc"]);
        let small = Consumer { id: 2, max_bytes: 8, ..ALL };
        assert_eq!(texts(&broker.pull(NAME, small, now).expect("oversized, alone")), ["dddddddddddd"]);
    }

    #[test]
    fn a_message_delivered_too_often_goes_to_the_dead_letters_once() {
        let policy = DeadLetter { topic: DEAD.to_owned(), max_delivery_attempts: 2 };
        let (mut broker, now) = (broker(Some(policy)), Instant::now());
        let dead = "projects/p/subscriptions/dead";
        let setting =
            Setting { name: dead.to_owned(), topic: DEAD.to_owned(), ack_deadline_seconds: 10, dead_letter: None };
        broker.create_subscription(setting).expect("subscription");
        publish(&mut broker, "poison");
        for attempt in 1..=2 {
            let got = broker.pull(NAME, ALL, now).expect("pulls");
            assert_eq!(got[0].attempt, attempt);
            broker.modify(NAME, &ids(&got), 0, now).expect("nack");
        }
        assert!(broker.pull(NAME, ALL, now).expect("pulls").is_empty());
        assert_eq!(texts(&broker.pull(dead, ALL, now).expect("pulls")), ["poison"]);
        assert_eq!(broker.backlog(NAME).expect("backlog"), (0, 0));
    }
}
