//! The simulator's Pub/Sub beside Google's own emulator: the same client does the same to both, and both must do the same.

use std::time::Duration;

use csign_tests::peer::peer;
use google_cloud_auth::credentials::anonymous;
use google_cloud_gax::error::rpc::Code;
use google_cloud_pubsub::{
    client::{Publisher, Subscriber, SubscriptionAdmin, TopicAdmin},
    model::{DeadLetterPolicy, Message, Subscription},
    subscriber::{MessageStream, handler::Handler},
};
use simulator::{Config, Simulator, config::PubSubOptions};

const PROJECT: &str = "projects/p";
const TOPIC: &str = "projects/p/topics/messages";
const DEAD: &str = "projects/p/topics/dead";
/// Only ends a test that hangs.
const PATIENCE: Duration = Duration::from_secs(90);

struct Side {
    simulator: Simulator,
    topics: TopicAdmin,
    subscriptions: SubscriptionAdmin,
    said: Vec<String>,
}

impl Side {
    async fn start(google_emulator: bool) -> Self {
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
        let (endpoint, nobody) = (simulator.endpoint(), anonymous::Builder::new().build());
        let topics = TopicAdmin::builder().with_endpoint(&endpoint).with_credentials(nobody.clone());
        let subscriptions = SubscriptionAdmin::builder().with_endpoint(&endpoint).with_credentials(nobody);
        let (topics, subscriptions) = (topics.build().await.unwrap(), subscriptions.build().await.unwrap());
        Self { simulator, topics, subscriptions, said: Vec::new() }
    }

    fn say(&mut self, what: impl Into<String>) {
        self.said.push(what.into());
    }

    fn say_code<T>(&mut self, what: &str, answer: Result<T, google_cloud_pubsub::Error>) {
        let code = match answer {
            Ok(_) => "OK".to_owned(),
            Err(error) => error.status().map_or_else(|| error.to_string(), |status| status.code.name().to_owned()),
        };
        self.say(format!("{what}: {code}"));
    }

    async fn subscribe(&self, id: &str, change: impl FnOnce(Subscription) -> Subscription) -> MessageStream {
        let name = format!("{PROJECT}/subscriptions/{id}");
        let subscription = change(Subscription::new().set_name(&name).set_topic(TOPIC).set_ack_deadline_seconds(10));
        self.create(subscription).await.unwrap();
        self.open(&name).await
    }

    async fn create(&self, subscription: Subscription) -> Result<Subscription, google_cloud_pubsub::Error> {
        let request = self.subscriptions.create_subscription();
        request
            .set_name(subscription.name.clone())
            .set_topic(subscription.topic.clone())
            .set_ack_deadline_seconds(subscription.ack_deadline_seconds)
            .set_filter(subscription.filter.clone())
            .set_enable_message_ordering(subscription.enable_message_ordering)
            .set_enable_exactly_once_delivery(subscription.enable_exactly_once_delivery)
            .set_or_clear_dead_letter_policy(subscription.dead_letter_policy.clone())
            .send()
            .await
    }

    async fn open(&self, name: &str) -> MessageStream {
        let builder = Subscriber::builder().with_endpoint(self.simulator.endpoint());
        let client = builder.with_credentials(anonymous::Builder::new().build()).build().await.unwrap();
        client.subscribe(name).set_max_lease_extension(Duration::from_secs(10)).build()
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
        let name = |id: &str| format!("{PROJECT}/subscriptions/{id}");
        let plain = |id: &str| Subscription::new().set_name(name(id)).set_topic(TOPIC).set_ack_deadline_seconds(10);
        let topics = side.topics.clone();
        let answer = topics.create_topic().set_name(TOPIC).send().await;
        side.say_code("a topic twice", answer);
        let answer = topics.get_topic().set_topic(format!("{PROJECT}/topics/none")).send().await;
        side.say_code("no such topic", answer);
        let answer = side.create(plain("first")).await;
        side.say_code("a subscription", answer);
        let answer = side.create(plain("first")).await;
        side.say_code("a subscription twice", answer);
        let answer = side.create(plain("second").set_topic(format!("{PROJECT}/topics/none"))).await;
        side.say_code("of no topic", answer);
        let answer = side.create(plain("second").set_ack_deadline_seconds(601)).await;
        side.say_code("deadline 601", answer);
        let answer = side.create(plain("second").set_filter("nonsense")).await;
        side.say_code("a filter that is none", answer);
        let answer = side.publisher().await.publish(Message::new()).await;
        side.say(format!("an empty message: {}", if answer.is_err() { "refused" } else { "taken" }));
        let listed = side.subscriptions.list_subscriptions().set_project(PROJECT).send().await.unwrap();
        let names: Vec<_> = listed.subscriptions.iter().map(|s| s.name.clone()).collect();
        side.say(format!("listed: {names:?}"));
        let answer = side.subscriptions.delete_subscription().set_subscription(name("first")).send().await;
        side.say_code("deleted", answer);
        let answer = side.subscriptions.delete_subscription().set_subscription(name("first")).send().await;
        side.say_code("deleted twice", answer);
    };
    let wanted = [
        "a topic twice: ALREADY_EXISTS",
        "no such topic: NOT_FOUND",
        "a subscription: OK",
        "a subscription twice: ALREADY_EXISTS",
        "of no topic: NOT_FOUND",
        "deadline 601: INVALID_ARGUMENT",
        "a filter that is none: INVALID_ARGUMENT",
        "an empty message: refused",
        "listed: [\"projects/p/subscriptions/first\"]",
        "deleted: OK",
        "deleted twice: NOT_FOUND",
    ];
    assert_eq!(Code::NotFound.name(), "NOT_FOUND");
    both(behaviour, &wanted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ordering_keys_messages_come_in_order_and_again_after_a_refusal() {
    let behaviour = async |side: &mut Side| {
        let mut stream = side.subscribe("ordered", |s| s.set_enable_message_ordering(true)).await;
        let keyed = |text: &'static str| Message::new().set_data(text).set_ordering_key("k");
        side.publish(vec![keyed("1"), keyed("2"), keyed("3")]).await;
        let (first, handler) = next(&mut stream).await;
        side.say(format!("first {}", text(&first)));
        handler.nack();
        let mut seen = Vec::new();
        // What was on its way before the refusal arrived may come before the first comes again.
        while seen.last().map(String::as_str) != Some("3") || !seen.contains(&"1".to_owned()) {
            let (message, handler) = next(&mut stream).await;
            seen.push(text(&message));
            handler.ack();
        }
        let again = seen.iter().position(|text| text == "1").unwrap();
        side.say(format!("again {}", seen[again..].join(" ")));
    };
    both(behaviour, &["first 1", "again 1 2 3"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_and_a_refusal_work_alike() {
    let behaviour = async |side: &mut Side| {
        let filter = "attributes.kind = \"order\" AND NOT hasPrefix(attributes.region, \"us\")";
        let mut stream = side.subscribe("filtered", |s| s.set_filter(filter)).await;
        let message = |text: &'static str, kind: &str, region: &str| {
            Message::new().set_data(text).set_attributes([("kind", kind), ("region", region)])
        };
        side.publish(vec![message("a", "order", "us-1"), message("b", "other", "eu"), message("c", "order", "eu")])
            .await;
        for _ in 0..2 {
            let (message, handler) = next(&mut stream).await;
            side.say(format!("{} attempt {:?}", text(&message), handler.delivery_attempt()));
            handler.nack();
        }
        next(&mut stream).await.1.ack();
    };
    both(behaviour, &["c attempt None", "c attempt None"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_refused_five_times_is_dead_lettered_with_where_it_came_from() {
    let behaviour = async |side: &mut Side| {
        let mut letters = side.subscribe("letters", |s| s.set_topic(DEAD)).await;
        let policy = DeadLetterPolicy::new().set_dead_letter_topic(DEAD).set_max_delivery_attempts(5);
        let mut stream = side.subscribe("limited", |s| s.set_dead_letter_policy(policy)).await;
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
        let mut stream = side.subscribe("once", |s| s.set_enable_exactly_once_delivery(true)).await;
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
