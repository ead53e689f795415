//! Publisher and subscriber: what is asked, whether it is allowed, what the broker answers.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until, timeout},
};

use super::{
    broker::{Broker, Published},
    convert::{self, describe, received},
    failure, limits, messages as pb,
    queue::{Consumer, Delivery},
};
use crate::{
    Error, Result,
    audit::{Audit, Decision},
    clock::Clock,
    config::Subscription as Setting,
    iam::{Call, Iam},
    respond::ApiError,
};

pub(super) const CONSUME: &str = "pubsub.subscriptions.consume";
/// How long a unary pull waits for a first message.
const PULL_PATIENCE: Duration = Duration::from_secs(10);
/// Entries of one page of a listing, if the caller asks for no smaller one.
const PAGE: usize = 1000;

static NEXT_CONSUMER: AtomicU64 = AtomicU64::new(1);

pub(super) fn next_consumer() -> u64 {
    NEXT_CONSUMER.fetch_add(1, Ordering::Relaxed)
}

pub(super) type Answer<T> = Result<T, tonic::Status>;

/// Pub/Sub; clones share topics and subscriptions.
#[derive(Clone, Debug)]
pub struct PubSub {
    broker: Arc<Mutex<Broker>>,
    /// Wakes streams when something was published, freed or acknowledged.
    pub(super) changed: Arc<Notify>,
    /// Every change ends all open streams.
    pub(super) generation: watch::Sender<u64>,
    iam: Iam,
    audit: Audit,
    clock: Clock,
}

impl PubSub {
    pub(crate) fn new(iam: Iam, audit: Audit, clock: Clock) -> Self {
        let (generation, _) = watch::channel(0);
        Self { broker: Arc::default(), changed: Arc::default(), generation, iam, audit, clock }
    }

    /// Creates `projects/P/topics/T`.
    ///
    /// # Errors
    /// A malformed name, or one that exists.
    pub fn create_topic(&self, name: &str) -> Result<()> {
        self.broker().create_topic(name).map_err(resource)
    }

    /// Creates a subscription.
    ///
    /// # Errors
    /// A malformed name, one that exists, a topic that does not, or a setting out of bounds.
    pub fn create_subscription(&self, setting: &Setting) -> Result<()> {
        self.broker().create_subscription(setting.clone()).map_err(resource)
    }

    /// Publishes without asking IAM; the message id.
    ///
    /// # Errors
    /// There is no such topic, or the message is none that the service takes.
    pub fn publish<'a>(
        &self,
        topic: &str,
        data: impl Into<bytes::Bytes>,
        attributes: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<String> {
        let message = Published {
            data: data.into(),
            attributes: attributes.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
            message_id: String::new(),
            publish_time: self.clock.now(),
            ordering_key: String::new(),
        };
        let ids = self.broker().publish(topic, vec![message], Instant::now()).map_err(resource)?;
        self.changed.notify_waiters();
        Ok(ids.into_iter().next().unwrap_or_default())
    }

    /// How many messages of a subscription wait, and how many are delivered but not acknowledged.
    ///
    /// # Errors
    /// There is no such subscription.
    pub fn backlog(&self, subscription: &str) -> Result<(usize, usize)> {
        self.broker().backlog(subscription).map_err(resource)
    }

    /// The messages of a subscription that wait or rest, oldest first; they stay.
    ///
    /// # Errors
    /// There is no such subscription.
    pub fn waiting(&self, subscription: &str) -> Result<Vec<Published>> {
        self.broker().waiting(subscription).map_err(resource)
    }

    /// The setting of a subscription, if there is one.
    pub fn subscription(&self, name: &str) -> Option<Setting> {
        self.broker().setting(name).ok().cloned()
    }

    /// Names of the topics of `projects/P`, sorted.
    pub fn topics(&self, project: &str) -> Vec<String> {
        self.broker().topics(project)
    }

    /// The subscriptions of `projects/P`, sorted by name.
    pub fn subscriptions(&self, project: &str) -> Vec<Setting> {
        self.broker().settings(project).into_iter().cloned().collect()
    }

    /// Changes what may change while a subscription exists.
    ///
    /// # Errors
    /// There is no such subscription, or a setting that is out of bounds or fixed.
    pub fn change_subscription(&self, setting: Setting) -> Result<()> {
        self.broker().update_subscription(setting).map_err(resource)?;
        self.changed.notify_waiters();
        Ok(())
    }

    /// Deletes a topic; its subscriptions keep what they have.
    ///
    /// # Errors
    /// There is no such topic.
    pub fn remove_topic(&self, name: &str) -> Result<()> {
        self.broker().delete_topic(name).map_err(resource)
    }

    /// Deletes a subscription with its messages.
    ///
    /// # Errors
    /// There is no such subscription.
    pub fn remove_subscription(&self, name: &str) -> Result<()> {
        self.broker().delete_subscription(name).map_err(resource)?;
        self.changed.notify_waiters();
        Ok(())
    }

    /// Takes up to `limit` messages that wait, for as long as the subscription's deadline says, or for good.
    ///
    /// # Errors
    /// There is no such subscription.
    pub fn take_messages(&self, name: &str, limit: u64, acknowledge: bool) -> Result<Vec<(String, Published)>> {
        let consumer = Consumer { id: next_consumer(), max_messages: limit, max_bytes: 0, lease: None };
        let (deliveries, _) = self.take(name, consumer).map_err(resource)?;
        let ids: Vec<String> = deliveries.iter().map(|delivery| delivery.ack_id.clone()).collect();
        if acknowledge && !ids.is_empty() {
            self.broker().acknowledge(name, &ids, Instant::now()).map_err(resource)?;
            self.changed.notify_waiters();
        }
        Ok(deliveries
            .into_iter()
            .map(|delivery| (delivery.ack_id.clone(), Published::clone(&delivery.message)))
            .collect())
    }

    /// Ends all open streaming pulls with `UNAVAILABLE`, as the real service does now and then.
    pub fn close_streams(&self) {
        self.generation.send_modify(|generation| *generation += 1);
    }

    pub(super) fn broker(&self) -> MutexGuard<'_, Broker> {
        self.broker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks IAM, does the work, writes the outcome to the log.
    pub(super) fn allowed<T>(
        &self,
        method: &str,
        token: Option<&str>,
        permission: &str,
        resource: &str,
        work: impl FnOnce() -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        self.iam.perform(Call { service: "pubsub", method, token, permission, resource }, work)
    }

    /// The same for acknowledgements and deadlines: who may pull may do these, so only a refusal is worth a line.
    fn expected<T>(
        &self,
        method: &str,
        token: Option<&str>,
        subscription: &str,
        work: impl FnOnce() -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let admitted = self.iam.authorize("pubsub", method, token, CONSUME, subscription)?;
        work().inspect_err(|error| {
            let principal = admitted.identity.to_string();
            let decision = Decision { service: "pubsub", method, principal: &principal, resource: subscription };
            self.audit.deny(decision, error.message.clone());
        })
    }

    /// Takes messages for a consumer, and logs what went to dead-letter topics meanwhile. The second value says when
    /// something will be free again.
    pub(super) fn take(&self, name: &str, consumer: Consumer) -> Result<(Vec<Delivery>, Option<Instant>), ApiError> {
        let (deliveries, wake, forwarded) = {
            let mut broker = self.broker();
            let deliveries = broker.pull(name, consumer, Instant::now())?;
            (deliveries, broker.next_wake(name), broker.take_forwarded())
        };
        for letter in &forwarded {
            let decision = Decision {
                service: "pubsub",
                method: "forward",
                principal: &letter.subscription,
                resource: &letter.topic,
            };
            self.audit.allow(decision, format!("dead-letter policy: {} deliveries", letter.deliveries));
        }
        if !forwarded.is_empty() {
            self.changed.notify_waiters();
        }
        Ok((deliveries, wake))
    }

    pub(super) fn publish_all(&self, token: Option<&str>, request: pb::PublishRequest) -> Answer<pb::PublishResponse> {
        let answer = self.allowed("publish", token, "pubsub.topics.publish", &request.topic, || {
            let now = self.clock.now();
            let messages = request.messages.into_iter().map(|message| convert::published(message, now)).collect();
            let message_ids = self.broker().publish(&request.topic, messages, Instant::now())?;
            Ok(pb::PublishResponse { message_ids })
        });
        self.changed.notify_waiters();
        answer.map_err(ApiError::into_status)
    }

    pub(super) fn create_topic_call(&self, token: Option<&str>, request: pb::Topic) -> Answer<pb::Topic> {
        let answer = self.allowed("createTopic", token, "pubsub.topics.create", project_of(&request.name), || {
            self.broker().create_topic(&request.name)?;
            Ok(pb::Topic { name: request.name.clone() })
        });
        answer.map_err(ApiError::into_status)
    }

    pub(super) fn get_topic(&self, token: Option<&str>, request: pb::TopicRequest) -> Answer<pb::Topic> {
        let answer = self.allowed("getTopic", token, "pubsub.topics.get", &request.topic, || {
            self.broker().has_topic(&request.topic)?;
            Ok(pb::Topic { name: request.topic.clone() })
        });
        answer.map_err(ApiError::into_status)
    }

    pub(super) fn delete_topic(&self, token: Option<&str>, request: pb::TopicRequest) -> Answer<pb::Empty> {
        let answer = self.allowed("deleteTopic", token, "pubsub.topics.delete", &request.topic, || {
            self.broker().delete_topic(&request.topic)?;
            Ok(pb::Empty {})
        });
        answer.map_err(ApiError::into_status)
    }

    pub(super) fn list_topics(
        &self,
        token: Option<&str>,
        request: pb::ListTopicsRequest,
    ) -> Answer<pb::ListTopicsResponse> {
        let answer = self.allowed("listTopics", token, "pubsub.topics.list", &request.project, || {
            let names = self.broker().topics(&request.project);
            let (names, next_page_token) = page(names, request.page_size, &request.page_token);
            let topics = names.into_iter().map(|name| pb::Topic { name }).collect();
            Ok(pb::ListTopicsResponse { topics, next_page_token })
        });
        answer.map_err(ApiError::into_status)
    }

    pub(super) fn list_topic_subscriptions(
        &self,
        token: Option<&str>,
        request: pb::ListSubscriptionsRequest,
    ) -> Answer<pb::ListTopicSubscriptionsResponse> {
        let topic = &request.parent;
        let answer = self.allowed("listTopicSubscriptions", token, "pubsub.topics.get", topic, || {
            let names = self.broker().subscriptions_of(topic)?;
            let (subscriptions, next_page_token) = page(names, request.page_size, &request.page_token);
            Ok(pb::ListTopicSubscriptionsResponse { subscriptions, next_page_token })
        });
        answer.map_err(ApiError::into_status)
    }

    pub(super) fn create_subscription_call(
        &self,
        token: Option<&str>,
        request: pb::Subscription,
    ) -> Answer<pb::Subscription> {
        let project = project_of(&request.name).to_owned();
        let topic = request.topic.clone();
        let created = self.allowed("createSubscription", token, "pubsub.subscriptions.create", &project, || {
            self.iam.authorize("pubsub", "createSubscription", token, "pubsub.topics.attachSubscription", &topic)?;
            let setting = convert::setting(request)?;
            let reply = describe(&setting);
            self.broker().create_subscription(setting)?;
            Ok(reply)
        });
        created.map_err(ApiError::into_status)
    }

    pub(super) fn get_subscription(
        &self,
        token: Option<&str>,
        request: pb::SubscriptionRequest,
    ) -> Answer<pb::Subscription> {
        let name = &request.subscription;
        let answer = self.allowed("getSubscription", token, "pubsub.subscriptions.get", name, || {
            Ok(describe(self.broker().setting(name)?))
        });
        answer.map_err(ApiError::into_status)
    }

    pub(super) fn update_subscription(
        &self,
        token: Option<&str>,
        request: pb::UpdateSubscriptionRequest,
    ) -> Answer<pb::Subscription> {
        let asked = request.subscription.unwrap_or_default();
        let (name, mask) = (asked.name.clone(), request.update_mask.unwrap_or_default().paths);
        let answer = self.allowed("updateSubscription", token, "pubsub.subscriptions.update", &name, || {
            let mut broker = self.broker();
            let setting = convert::updated(broker.setting(&name)?, convert::setting(asked)?, &mask)?;
            let reply = describe(&setting);
            broker.update_subscription(setting)?;
            Ok(reply)
        });
        self.changed.notify_waiters();
        answer.map_err(ApiError::into_status)
    }

    pub(super) fn delete_subscription(
        &self,
        token: Option<&str>,
        request: pb::SubscriptionRequest,
    ) -> Answer<pb::Empty> {
        let name = &request.subscription;
        let answer = self.allowed("deleteSubscription", token, "pubsub.subscriptions.delete", name, || {
            self.broker().delete_subscription(name)?;
            Ok(pb::Empty {})
        });
        self.changed.notify_waiters();
        answer.map_err(ApiError::into_status)
    }

    pub(super) fn list_subscriptions(
        &self,
        token: Option<&str>,
        request: pb::ListSubscriptionsRequest,
    ) -> Answer<pb::ListSubscriptionsResponse> {
        let project = &request.parent;
        let answer = self.allowed("listSubscriptions", token, "pubsub.subscriptions.list", project, || {
            let broker = self.broker();
            let names = broker.settings(project).iter().map(|setting| setting.name.clone()).collect();
            let (names, next_page_token) = page(names, request.page_size, &request.page_token);
            let described = names.iter().filter_map(|name| broker.setting(name).ok().map(describe));
            Ok(pb::ListSubscriptionsResponse { subscriptions: described.collect(), next_page_token })
        });
        answer.map_err(ApiError::into_status)
    }

    /// A unary pull waits for a first message for some seconds, unless it is to return at once.
    pub(super) async fn pull(self, token: Option<String>, request: pb::PullRequest) -> Answer<pb::PullResponse> {
        let name = request.subscription;
        let admitted = self.allowed("pull", token.as_deref(), CONSUME, &name, || {
            self.broker().setting(&name)?;
            u64::try_from(request.max_messages).ok().filter(|max| *max > 0).ok_or_else(|| {
                let given = request.max_messages;
                limits::invalid(format!(
                    "The value for max_messages is too small. You passed {given} in the request, but the minimum \
                     value is 1."
                ))
            })
        });
        let max_messages = admitted.map_err(ApiError::into_status)?;
        // Each unary pull is a consumer of its own: its limit counts this answer alone.
        let consumer = Consumer { id: next_consumer(), max_messages, max_bytes: 0, lease: None };
        let patience = if request.return_immediately { Duration::ZERO } else { PULL_PATIENCE };
        let deadline = Instant::now() + patience;
        loop {
            let changed = self.changed.notified();
            let (deliveries, wake) = self.take(&name, consumer).map_err(ApiError::into_status)?;
            if !deliveries.is_empty() || Instant::now() >= deadline {
                return Ok(pb::PullResponse { received_messages: deliveries.into_iter().map(received).collect() });
            }
            let wake = wake.map_or(deadline, |wake| wake.min(deadline));
            let _ = timeout(deadline.saturating_duration_since(Instant::now()), async {
                tokio::select! { () = changed => {}, () = sleep_until(wake) => {} }
            })
            .await;
        }
    }

    pub(super) fn acknowledge(&self, token: Option<&str>, request: pb::AcknowledgeRequest) -> Answer<pb::Empty> {
        let name = &request.subscription;
        let ended = self.expected("acknowledge", token, name, || {
            at_least_one(&request.ack_ids)?;
            let mut broker = self.broker();
            let ended = broker.acknowledge(name, &request.ack_ids, Instant::now())?;
            Ok((ended, broker.setting(name)?.enable_exactly_once_delivery))
        });
        self.changed.notify_waiters();
        settle(ended)
    }

    pub(super) fn modify(&self, token: Option<&str>, request: pb::ModifyAckDeadlineRequest) -> Answer<pb::Empty> {
        let name = &request.subscription;
        let ended = self.expected("modifyAckDeadline", token, name, || {
            at_least_one(&request.ack_ids)?;
            let mut broker = self.broker();
            let ended = broker.modify(name, &request.ack_ids, request.ack_deadline_seconds, Instant::now())?;
            Ok((ended, broker.setting(name)?.enable_exactly_once_delivery))
        });
        self.changed.notify_waiters();
        settle(ended)
    }
}

/// With exactly-once delivery an id whose lease has ended is an error, without it nothing.
fn settle(ended: Result<(Vec<String>, bool), ApiError>) -> Answer<pb::Empty> {
    match ended.map_err(ApiError::into_status)? {
        (ended, true) if !ended.is_empty() => Err(failure::invalid_ack_ids(&ended)),
        _ => Ok(pb::Empty {}),
    }
}

fn at_least_one(ack_ids: &[String]) -> Result<(), ApiError> {
    if ack_ids.is_empty() {
        return Err(limits::invalid("No ack ids specified.".to_owned()));
    }
    Ok(())
}

/// One page of sorted names; the token is the last name of the page before.
fn page(names: Vec<String>, size: i32, token: &str) -> (Vec<String>, String) {
    let size = usize::try_from(size).ok().filter(|size| *size > 0).unwrap_or(PAGE).min(PAGE);
    let mut rest = names.into_iter().filter(|name| name.as_str() > token);
    let page: Vec<String> = rest.by_ref().take(size).collect();
    let next = rest.next().and(page.last().cloned()).unwrap_or_default();
    (page, next)
}

fn resource(error: ApiError) -> Error {
    Error::Resource(error.message)
}

/// `projects/P` of a resource name.
fn project_of(name: &str) -> &str {
    name.match_indices('/').nth(1).map_or(name, |(end, _)| &name[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acknowledge_twice(exactly_once: bool) -> Answer<pb::Empty> {
        let (topic, name) = ("projects/p/topics/t-1".to_owned(), "projects/p/subscriptions/s-1".to_owned());
        let clock = Clock::default();
        let audit = Audit::new(clock.clone());
        let pubsub = PubSub::new(Iam::new(clock.clone(), audit.clone()), audit, clock);
        pubsub.iam.bind(&name, CONSUME, "allUsers");
        pubsub.create_topic(&topic).expect("topic");
        let enable_exactly_once_delivery = exactly_once;
        let setting =
            Setting { name: name.clone(), topic: topic.clone(), enable_exactly_once_delivery, ..Setting::default() };
        pubsub.create_subscription(&setting).expect("subscription");
        pubsub.publish(&topic, "x", []).expect("publishes");
        let consumer = Consumer { id: next_consumer(), max_messages: 0, max_bytes: 0, lease: None };
        let (deliveries, _) = pubsub.take(&name, consumer).expect("pulls");
        let ack_ids = vec![deliveries[0].ack_id.clone()];
        let request = pb::AcknowledgeRequest { subscription: name, ack_ids };
        pubsub.acknowledge(None, request.clone()).expect("the first time");
        pubsub.acknowledge(None, request)
    }

    #[test]
    fn an_acknowledgement_of_a_delivery_that_is_over_fails_only_under_exactly_once_delivery() {
        assert!(acknowledge_twice(false).is_ok());
        let status = acknowledge_twice(true).expect_err("the id is no longer valid");
        assert_eq!(status.code(), tonic::Code::InvalidArgument);
        assert!(!status.details().is_empty());
    }
}
