//! The gRPC services `Publisher` and `Subscriber`: what is asked, whether it is allowed, what the broker answers.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Router,
    body::Body,
    extract::{Path, Request, State},
    http::{Response, header},
    routing::post,
};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use tonic::{
    Status,
    server::{Grpc, UnaryService},
};
use tonic_prost::ProstCodec;

use super::{
    broker::{Broker, Consumer, Delivery, Published},
    messages as pb, stream,
};
use crate::{
    Error, Result,
    audit::{Audit, Decision},
    clock::Clock,
    config::{DeadLetter, Subscription as Setting},
    iam::Iam,
    respond::{self, ApiError, Code},
};

/// Pub/Sub; clones share topics and subscriptions.
#[derive(Clone, Debug)]
pub struct PubSub {
    broker: Arc<Mutex<Broker>>,
    /// Wakes streams when something was published, freed or acknowledged.
    pub(super) changed: Arc<Notify>,
    /// Every change ends all open streams.
    pub(super) generation: watch::Sender<u64>,
    iam: Iam,
    pub(super) audit: Audit,
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
    /// A malformed name, one that exists, or a topic that does not.
    pub fn create_subscription(&self, setting: &Setting) -> Result<()> {
        self.broker().create_subscription(setting.clone()).map_err(resource)
    }

    /// Publishes without asking IAM; the message id.
    ///
    /// # Errors
    /// There is no such topic.
    pub fn publish<'a>(
        &self,
        topic: &str,
        data: impl Into<bytes::Bytes>,
        attributes: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<String> {
        let attributes = attributes.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        let message = Published {
            data: data.into(),
            attributes,
            message_id: String::new(),
            publish_time: self.clock.now(),
            ordering_key: String::new(),
        };
        let id = self.broker().publish(topic, message).map_err(resource)?;
        self.changed.notify_waiters();
        Ok(id)
    }

    /// How many messages of a subscription wait, and how many are delivered but not acknowledged.
    ///
    /// # Errors
    /// There is no such subscription.
    pub fn backlog(&self, subscription: &str) -> Result<(usize, usize)> {
        self.broker().backlog(subscription).map_err(resource)
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
        let admitted = self.iam.authorize("pubsub", method, token, permission, resource)?;
        let principal = admitted.identity.to_string();
        let decision = Decision { service: "pubsub", method, principal: &principal, resource };
        let outcome = work();
        match &outcome {
            Ok(_) => self.audit.allow(decision, admitted.clause),
            Err(error) => self.audit.deny(decision, error.message.clone()),
        }
        outcome
    }

    fn publish_all(&self, token: Option<&str>, request: pb::PublishRequest) -> Answer<pb::PublishResponse> {
        self.allowed("publish", token, "pubsub.topics.publish", &request.topic, || {
            self.broker().has_topic(&request.topic)?;
            if request.messages.iter().any(|m| m.data.is_empty() && m.attributes.is_empty()) {
                return Err(ApiError::new(
                    Code::InvalidArgument,
                    "One or more messages in the publish request is empty. Each message must contain either \
                     non-empty data, or at least one attribute.",
                ));
            }
            let mut message_ids = Vec::new();
            for message in request.messages {
                let published = Published {
                    data: message.data,
                    attributes: message.attributes.into_iter().collect(),
                    message_id: String::new(),
                    publish_time: self.clock.now(),
                    ordering_key: message.ordering_key,
                };
                message_ids.push(self.broker().publish(&request.topic, published)?);
            }
            self.changed.notify_waiters();
            Ok(pb::PublishResponse { message_ids })
        })
    }

    fn create_topic_call(&self, token: Option<&str>, request: pb::Topic) -> Answer<pb::Topic> {
        self.allowed("createTopic", token, "pubsub.topics.create", project_of(&request.name), || {
            self.broker().create_topic(&request.name)?;
            Ok(pb::Topic { name: request.name.clone() })
        })
    }

    fn get_topic(&self, token: Option<&str>, request: pb::TopicRequest) -> Answer<pb::Topic> {
        self.allowed("getTopic", token, "pubsub.topics.get", &request.topic, || {
            self.broker().has_topic(&request.topic)?;
            Ok(pb::Topic { name: request.topic.clone() })
        })
    }

    fn create_subscription_call(&self, token: Option<&str>, request: pb::Subscription) -> Answer<pb::Subscription> {
        let project = project_of(&request.name).to_owned();
        self.allowed("createSubscription", token, "pubsub.subscriptions.create", &project, || {
            let dead_letter = request.dead_letter_policy.map(|policy| DeadLetter {
                topic: policy.dead_letter_topic,
                max_delivery_attempts: u32::try_from(policy.max_delivery_attempts).unwrap_or(5).max(1),
            });
            let setting = Setting {
                name: request.name,
                topic: request.topic,
                ack_deadline_seconds: u32::try_from(request.ack_deadline_seconds).ok().filter(|s| *s > 0).unwrap_or(10),
                dead_letter,
            };
            let reply = describe(&setting);
            self.broker().create_subscription(setting)?;
            Ok(reply)
        })
    }

    fn get_subscription(&self, token: Option<&str>, request: pb::SubscriptionRequest) -> Answer<pb::Subscription> {
        self.allowed("getSubscription", token, "pubsub.subscriptions.get", &request.subscription, || {
            Ok(describe(self.broker().setting(&request.subscription)?))
        })
    }

    fn pull(&self, token: Option<&str>, request: pb::PullRequest) -> Answer<pb::PullResponse> {
        let max = u64::try_from(request.max_messages).ok().filter(|max| *max > 0);
        let name = &request.subscription;
        self.allowed("pull", token, stream::CONSUME, name, || {
            let max_messages =
                max.ok_or_else(|| ApiError::new(Code::InvalidArgument, "max_messages must be positive."))?;
            // Each unary pull is a consumer of its own: its limit counts this answer alone.
            let consumer = Consumer { id: stream::next_consumer(), max_messages, max_bytes: 0, lease: None };
            let deliveries = self.broker().pull(name, consumer, Instant::now())?;
            Ok(pb::PullResponse { received_messages: deliveries.into_iter().map(received).collect() })
        })
    }

    fn acknowledge(&self, token: Option<&str>, request: pb::AcknowledgeRequest) -> Answer<pb::Empty> {
        let name = &request.subscription;
        self.allowed("acknowledge", token, stream::CONSUME, name, || {
            self.broker().acknowledge(name, &request.ack_ids, Instant::now())?;
            self.changed.notify_waiters();
            Ok(pb::Empty {})
        })
    }

    fn modify(&self, token: Option<&str>, request: pb::ModifyAckDeadlineRequest) -> Answer<pb::Empty> {
        let name = &request.subscription;
        self.allowed("modifyAckDeadline", token, stream::CONSUME, name, || {
            self.broker().modify(name, &request.ack_ids, request.ack_deadline_seconds, Instant::now())?;
            self.changed.notify_waiters();
            Ok(pb::Empty {})
        })
    }
}

type Answer<T> = Result<T, ApiError>;

fn resource(error: ApiError) -> Error {
    Error::Resource(error.message)
}

/// `projects/P` of a resource name.
fn project_of(name: &str) -> &str {
    name.match_indices('/').nth(1).map_or(name, |(end, _)| &name[..end])
}

fn describe(setting: &Setting) -> pb::Subscription {
    pb::Subscription {
        name: setting.name.clone(),
        topic: setting.topic.clone(),
        ack_deadline_seconds: i32::try_from(setting.ack_deadline_seconds).unwrap_or(i32::MAX),
        dead_letter_policy: setting.dead_letter.as_ref().map(|dead| pb::DeadLetterPolicy {
            dead_letter_topic: dead.topic.clone(),
            max_delivery_attempts: i32::try_from(dead.max_delivery_attempts).unwrap_or(i32::MAX),
        }),
    }
}

pub(super) fn received(delivery: Delivery) -> pb::ReceivedMessage {
    let message = delivery.message;
    pb::ReceivedMessage {
        ack_id: delivery.ack_id,
        message: Some(pb::PubsubMessage {
            data: message.data,
            attributes: message.attributes.into_iter().collect::<HashMap<_, _>>(),
            message_id: message.message_id,
            publish_time: Some(pb::Timestamp { seconds: i64::try_from(message.publish_time).unwrap_or(0), nanos: 0 }),
            ordering_key: message.ordering_key,
        }),
        delivery_attempt: i32::try_from(delivery.attempt).unwrap_or(i32::MAX),
    }
}

/// The gRPC routes.
pub(crate) fn routes(pubsub: &PubSub) -> Router {
    Router::new()
        .route("/google.pubsub.v1.Publisher/{method}", post(publisher))
        .route("/google.pubsub.v1.Subscriber/{method}", post(subscriber))
        .with_state(pubsub.clone())
}

async fn publisher(State(pubsub): State<PubSub>, Path(method): Path<String>, request: Request) -> Response<Body> {
    match method.as_str() {
        "Publish" => unary(pubsub, request, PubSub::publish_all).await,
        "CreateTopic" => unary(pubsub, request, PubSub::create_topic_call).await,
        "GetTopic" => unary(pubsub, request, PubSub::get_topic).await,
        _ => unimplemented(&method),
    }
}

async fn subscriber(State(pubsub): State<PubSub>, Path(method): Path<String>, request: Request) -> Response<Body> {
    match method.as_str() {
        "StreamingPull" => stream::serve(pubsub, request).await,
        "Acknowledge" => unary(pubsub, request, PubSub::acknowledge).await,
        "ModifyAckDeadline" => unary(pubsub, request, PubSub::modify).await,
        "CreateSubscription" => unary(pubsub, request, PubSub::create_subscription_call).await,
        "GetSubscription" => unary(pubsub, request, PubSub::get_subscription).await,
        "Pull" => unary(pubsub, request, PubSub::pull).await,
        _ => unimplemented(&method),
    }
}

fn unimplemented(method: &str) -> Response<Body> {
    Status::unimplemented(format!("the simulator does not know {method}")).into_http()
}

/// The access token of a call: gRPC metadata are HTTP headers.
pub(super) fn token(request: &Request) -> Result<Option<String>, Status> {
    let token = respond::bearer(request.headers()).map(str::to_owned);
    if token.is_none() && request.headers().contains_key(header::AUTHORIZATION) {
        return Err(Status::unauthenticated("the authorization metadata is not one bearer token"));
    }
    Ok(token)
}

async fn unary<Q, A>(
    pubsub: PubSub,
    request: Request,
    call: fn(&PubSub, Option<&str>, Q) -> Answer<A>,
) -> Response<Body>
where
    Q: prost::Message + Default + 'static,
    A: prost::Message + Default + 'static,
{
    let token = match token(&request) {
        Ok(token) => token,
        Err(status) => return status.into_http(),
    };
    let service = Unary { pubsub, token, call };
    Grpc::new(ProstCodec::<A, Q>::default()).unary(service, request).await.map(Body::new)
}

struct Unary<Q, A> {
    pubsub: PubSub,
    token: Option<String>,
    call: fn(&PubSub, Option<&str>, Q) -> Answer<A>,
}

impl<Q, A> UnaryService<Q> for Unary<Q, A> {
    type Response = A;
    type Future = std::future::Ready<Result<tonic::Response<A>, Status>>;

    fn call(&mut self, request: tonic::Request<Q>) -> Self::Future {
        let answer = (self.call)(&self.pubsub, self.token.as_deref(), request.into_inner());
        std::future::ready(answer.map(tonic::Response::new).map_err(ApiError::into_status))
    }
}
