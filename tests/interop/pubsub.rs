//! The simulator's Pub/Sub beside Google's own emulator: the same client does the same to both, and both must do the same.
//!
//! Not compared, because the emulator does not do what Google documents: it takes any text for a filter and delivers
//! everything, and after a refusal it delivers a key's later messages before the refused one.

use std::time::Duration;

use csign_tests::peer::peer;
use google_cloud_auth::credentials::anonymous;
use google_cloud_pubsub::{
    client::{Publisher, Subscriber},
    model::Message,
    subscriber::{MessageStream, handler::Handler},
};
use http_body_util::{BodyExt as _, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use simulator::{Config, Simulator, config::PubSubOptions};

const PROJECT: &str = "projects/p";
const TOPIC: &str = "projects/p/topics/messages";
const DEAD: &str = "projects/p/topics/dead";
const PUBLISHER: &str = "/google.pubsub.v1.Publisher";
const SUBSCRIBER: &str = "/google.pubsub.v1.Subscriber";
/// Only ends a test that hangs.
const PATIENCE: Duration = Duration::from_secs(90);

/// A request or an answer that is a name.
#[derive(Clone, PartialEq, prost::Message)]
struct Name {
    #[prost(string, tag = "1")]
    name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Names {
    #[prost(message, repeated, tag = "1")]
    names: Vec<Name>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct DeadLetterPolicy {
    #[prost(string, tag = "1")]
    dead_letter_topic: String,
    #[prost(int32, tag = "2")]
    max_delivery_attempts: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Subscription {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    topic: String,
    #[prost(int32, tag = "5")]
    ack_deadline_seconds: i32,
    #[prost(bool, tag = "10")]
    enable_message_ordering: bool,
    #[prost(string, tag = "12")]
    filter: String,
    #[prost(message, optional, tag = "13")]
    dead_letter_policy: Option<DeadLetterPolicy>,
    #[prost(bool, tag = "16")]
    enable_exactly_once_delivery: bool,
}

impl Subscription {
    fn of(id: &str) -> Self {
        let name = format!("{PROJECT}/subscriptions/{id}");
        Self { name, topic: TOPIC.to_owned(), ack_deadline_seconds: 10, ..Self::default() }
    }
}

fn name(name: impl Into<String>) -> Name {
    Name { name: name.into() }
}

struct Side {
    simulator: Simulator,
    said: Vec<String>,
}

impl Side {
    async fn start(google_emulator: bool) -> Self {
        let _ = rustls_graviola::default_provider().install_default();
        let pubsub = PubSubOptions { emulator: None, google_emulator };
        let config = Config { topics: vec![TOPIC.to_owned(), DEAD.to_owned()], pubsub, ..Config::default() };
        let simulator = Simulator::start(config).await.unwrap();
        for permission in [
            "topics.publish",
            "topics.create",
            "topics.get",
            "topics.delete",
            "topics.list",
            "topics.attachSubscription",
            "subscriptions.create",
            "subscriptions.get",
            "subscriptions.update",
            "subscriptions.delete",
            "subscriptions.list",
            "subscriptions.consume",
        ] {
            simulator.iam().bind(PROJECT, &format!("pubsub.{permission}"), "allUsers");
        }
        Self { simulator, said: Vec::new() }
    }

    /// A unary gRPC call: its code, and the answer where there is one.
    async fn call<A: prost::Message + Default>(&self, method: &str, message: &impl prost::Message) -> (i32, A) {
        let length = u32::try_from(message.encoded_len()).unwrap().to_be_bytes();
        let frame = [&[0][..], &length, &message.encode_to_vec()].concat();
        let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http::<Full<bytes::Bytes>>();
        let request = http::Request::post(format!("{}{method}", self.simulator.endpoint()))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Full::from(frame))
            .unwrap();
        let (head, body) = client.request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap();
        let code = body.trailers().and_then(|t| t.get("grpc-status")).or_else(|| head.headers.get("grpc-status"));
        let code = code.expect("a status").to_str().unwrap().parse().unwrap();
        let bytes = body.to_bytes();
        (code, A::decode(bytes.get(5..).unwrap_or_default()).unwrap())
    }

    async fn say_call(&mut self, what: &str, method: &str, message: impl prost::Message) {
        let (code, _) = self.call::<Name>(method, &message).await;
        self.say(format!("{what}: {code}"));
    }

    fn say(&mut self, what: impl Into<String>) {
        self.said.push(what.into());
    }

    async fn subscribe(&self, subscription: Subscription) -> MessageStream {
        let (code, _) = self.call::<Name>(&format!("{SUBSCRIBER}/CreateSubscription"), &subscription).await;
        assert_eq!(code, 0, "{subscription:?}");
        self.open(&subscription.name).await
    }

    /// A stream that holds one message at a time, so that what comes next does not depend on what was under way.
    async fn open(&self, name: &str) -> MessageStream {
        let builder = Subscriber::builder().with_endpoint(self.simulator.endpoint());
        let client = builder.with_credentials(anonymous::Builder::new().build()).build().await.unwrap();
        let one = client.subscribe(name).set_max_outstanding_messages(1);
        one.set_max_lease_extension(Duration::from_secs(10)).build()
    }

    async fn publisher(&self) -> Publisher {
        let builder = Publisher::builder(TOPIC).with_endpoint(self.simulator.endpoint());
        builder.with_credentials(anonymous::Builder::new().build()).build().await.unwrap()
    }

    async fn publish(&self, messages: Vec<Message>) {
        let publisher = self.publisher().await;
        for message in messages {
            publisher.publish(message).await.unwrap();
        }
    }
}

fn text(message: &Message) -> String {
    String::from_utf8_lossy(&message.data).into_owned()
}

async fn next(stream: &mut MessageStream) -> (Message, Handler) {
    let next = tokio::time::timeout(PATIENCE, stream.next()).await.expect("a message in time");
    next.expect("the stream goes on").expect("no error")
}

/// Runs `behaviour` on both sides; both must say `wanted`.
async fn both(behaviour: impl AsyncFn(&mut Side), wanted: &[&str]) {
    let emulator = peer("cloud-pubsub-emulator").is_some();
    for google_emulator in [false, true] {
        if google_emulator && !emulator {
            continue;
        }
        let mut side = Side::start(google_emulator).await;
        behaviour(&mut side).await;
        let who = if google_emulator { "Google's emulator" } else { "the simulator" };
        assert_eq!(side.said, wanted, "{who}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn administration_answers_with_the_same_codes() {
    let behaviour = async |side: &mut Side| {
        let first = || name(format!("{PROJECT}/subscriptions/first"));
        let topic = |id: &str| name(format!("{PROJECT}/topics/{id}"));
        let create = format!("{SUBSCRIBER}/CreateSubscription");
        let delete = format!("{SUBSCRIBER}/DeleteSubscription");
        side.say_call("a topic twice", &format!("{PUBLISHER}/CreateTopic"), name(TOPIC)).await;
        side.say_call("no such topic", &format!("{PUBLISHER}/GetTopic"), topic("none")).await;
        side.say_call("a subscription", &create, Subscription::of("first")).await;
        side.say_call("a subscription twice", &create, Subscription::of("first")).await;
        let none = Subscription { topic: topic("none").name, ..Subscription::of("second") };
        side.say_call("of no topic", &create, none).await;
        let long = Subscription { ack_deadline_seconds: 601, ..Subscription::of("second") };
        side.say_call("deadline 601", &create, long).await;
        let answer = side.publisher().await.publish(Message::new()).await;
        side.say(format!("an empty message: {}", if answer.is_err() { "refused" } else { "taken" }));
        let (_, listed) = side.call::<Names>(&format!("{SUBSCRIBER}/ListSubscriptions"), &name(PROJECT)).await;
        side.say(format!("listed: {:?}", listed.names.iter().map(|name| &name.name).collect::<Vec<_>>()));
        side.say_call("deleted", &delete, first()).await;
        side.say_call("deleted twice", &delete, first()).await;
    };
    let wanted = [
        "a topic twice: 6",
        "no such topic: 5",
        "a subscription: 0",
        "a subscription twice: 6",
        "of no topic: 5",
        "deadline 601: 3",
        "an empty message: refused",
        "listed: [\"projects/p/subscriptions/first\"]",
        "deleted: 0",
        "deleted twice: 5",
    ];
    both(behaviour, &wanted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ordering_keys_messages_come_in_order() {
    let behaviour = async |side: &mut Side| {
        let mut stream =
            side.subscribe(Subscription { enable_message_ordering: true, ..Subscription::of("ordered") }).await;
        let keyed = |text: &'static str| Message::new().set_data(text).set_ordering_key("k");
        side.publish(vec![keyed("1"), keyed("2"), keyed("3")]).await;
        let mut seen = Vec::new();
        for _ in 0..3 {
            let (message, handler) = next(&mut stream).await;
            seen.push(text(&message));
            handler.ack();
        }
        side.say(seen.join(" "));
    };
    both(behaviour, &["1 2 3"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_message_comes_again_and_says_no_attempt_without_a_dead_letter_policy() {
    let behaviour = async |side: &mut Side| {
        let mut stream = side.subscribe(Subscription::of("plain")).await;
        let message = Message::new().set_data("a").set_attributes([("kind", "order")]);
        side.publish(vec![message]).await;
        for _ in 0..2 {
            let (message, handler) = next(&mut stream).await;
            side.say(format!("{} {:?} attempt {:?}", text(&message), message.attributes, handler.delivery_attempt()));
            handler.nack();
        }
        next(&mut stream).await.1.ack();
    };
    let wanted = "a {\"kind\": \"order\"} attempt None";
    both(behaviour, &[wanted, wanted]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_refused_five_times_is_dead_lettered_with_where_it_came_from() {
    let behaviour = async |side: &mut Side| {
        let mut letters = side.subscribe(Subscription { topic: DEAD.to_owned(), ..Subscription::of("letters") }).await;
        let policy = DeadLetterPolicy { dead_letter_topic: DEAD.to_owned(), max_delivery_attempts: 5 };
        let mut stream =
            side.subscribe(Subscription { dead_letter_policy: Some(policy), ..Subscription::of("limited") }).await;
        side.publish(vec![Message::new().set_data("poison").set_attributes([("own", "kept")])]).await;
        for _ in 0..5 {
            let (_, handler) = next(&mut stream).await;
            side.say(format!("attempt {:?}", handler.delivery_attempt()));
            handler.nack();
        }
        let (message, handler) = next(&mut letters).await;
        handler.ack();
        let mut names: Vec<_> = message.attributes.keys().cloned().collect();
        names.sort();
        side.say(format!("{} {names:?}", text(&message)));
        side.say(message.attributes.get("CloudPubSubDeadLetterSourceSubscription").cloned().unwrap_or_default());
        side.say(message.attributes.get("CloudPubSubDeadLetterSourceDeliveryCount").cloned().unwrap_or_default());
    };
    let wanted = [
        "attempt Some(1)",
        "attempt Some(2)",
        "attempt Some(3)",
        "attempt Some(4)",
        "attempt Some(5)",
        "poison [\"CloudPubSubDeadLetterSourceDeliveryCount\", \"CloudPubSubDeadLetterSourceSubscription\", \
         \"CloudPubSubDeadLetterSourceSubscriptionProject\", \"CloudPubSubDeadLetterSourceTopicPublishTime\", \"own\"]",
        "limited",
        "5",
    ];
    both(behaviour, &wanted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exactly_once_delivery_confirms_acknowledgements() {
    let behaviour = async |side: &mut Side| {
        let mut stream =
            side.subscribe(Subscription { enable_exactly_once_delivery: true, ..Subscription::of("once") }).await;
        side.publish(vec![Message::new().set_data("a"), Message::new().set_data("b")]).await;
        for _ in 0..2 {
            let (_, handler) = next(&mut stream).await;
            let Handler::ExactlyOnce(handler) = handler else {
                panic!("the stream does not say that it is exactly once")
            };
            let confirmed = tokio::time::timeout(PATIENCE, handler.confirmed_ack()).await.expect("a confirmation");
            side.say(format!("confirmed {}", confirmed.is_ok()));
        }
    };
    both(behaviour, &["confirmed true", "confirmed true"]).await;
}
