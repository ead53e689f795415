//! Pub/Sub through Google's own client: delivery, redelivery, flow control, permissions.

use std::time::Duration;

use google_cloud_auth::credentials::{Credentials, anonymous, mds};
use google_cloud_gax::error::rpc::Code;
use google_cloud_pubsub::{
    client::{Publisher, Subscriber},
    model::Message,
    subscriber::{MessageStream, handler::Handler},
};
use simulator::{Simulator, config::DeadLetter, config::Subscription};

use crate::scene::{SUBSCRIPTION, TOPIC, bearer, start};

const PUBLISH: &str = "pubsub.topics.publish";
const CONSUME: &str = "pubsub.subscriptions.consume";
/// Only ends a test that hangs.
const PATIENCE: Duration = Duration::from_secs(60);

fn anonymous() -> Credentials {
    anonymous::Builder::new().build()
}

async fn open() -> Simulator {
    let simulator = start().await;
    simulator.iam().bind(TOPIC, PUBLISH, "allUsers");
    simulator.iam().bind(SUBSCRIPTION, CONSUME, "allUsers");
    simulator
}

async fn publisher(simulator: &Simulator, credentials: Credentials) -> Publisher {
    let builder = Publisher::builder(TOPIC).with_endpoint(simulator.endpoint());
    builder.with_credentials(credentials).build().await.expect("publisher")
}

async fn subscriber(simulator: &Simulator, credentials: Credentials) -> Subscriber {
    let builder = Subscriber::builder().with_endpoint(simulator.endpoint());
    builder.with_credentials(credentials).build().await.expect("subscriber")
}

async fn next(stream: &mut MessageStream) -> (Message, Handler) {
    let next = tokio::time::timeout(PATIENCE, stream.next()).await.expect("a message in time");
    next.expect("the stream goes on").expect("no error")
}

/// Waits until everything is acknowledged: acknowledgements travel on their own.
async fn drained(simulator: &Simulator, subscription: &str) {
    let all = async {
        while simulator.pubsub().backlog(subscription).expect("there") != (0, 0) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, all).await.expect("acknowledged in time");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_published_message_is_delivered_with_its_attributes_and_gone_when_acknowledged() {
    let simulator = open().await;
    let publisher = publisher(&simulator, anonymous()).await;
    let message = Message::new().set_data("data").set_attributes([("collaborator", "c1")]);
    let id = publisher.publish(message).await.expect("publishes");
    let mut stream = subscriber(&simulator, anonymous()).await.subscribe(SUBSCRIPTION).build();
    let (message, handler) = next(&mut stream).await;
    assert_eq!((message.message_id.as_str(), message.data.as_ref()), (id.as_str(), b"data".as_slice()));
    assert_eq!(message.attributes["collaborator"], "c1");
    assert!(message.publish_time.is_some());
    handler.ack();
    drained(&simulator, SUBSCRIPTION).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_message_comes_again() {
    let simulator = open().await;
    simulator.pubsub().publish(TOPIC, "data", [("a", "b")]).expect("publishes");
    let mut stream = subscriber(&simulator, anonymous()).await.subscribe(SUBSCRIPTION).build();
    let (first, handler) = next(&mut stream).await;
    handler.nack();
    let (second, handler) = next(&mut stream).await;
    assert_eq!(first.message_id, second.message_id);
    handler.ack();
    drained(&simulator, SUBSCRIPTION).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_deadline_passes_comes_again() {
    let simulator = open().await;
    simulator.pubsub().publish(TOPIC, "data", []).expect("publishes");
    let client = subscriber(&simulator, anonymous()).await;
    // A consumer that never answers: its lease is the shortest that the client allows and is given up at once.
    let mut silent = client
        .subscribe(SUBSCRIPTION)
        .set_max_lease_extension(Duration::from_secs(10))
        .set_max_lease(Duration::from_secs(1))
        .build();
    let (first, forgotten) = next(&mut silent).await;
    let mut stream = client.subscribe(SUBSCRIPTION).set_max_outstanding_messages(1).build();
    let (second, handler) = tokio::select! {
        again = next(&mut silent) => again,
        again = next(&mut stream) => again,
    };
    assert_eq!(first.message_id, second.message_id);
    handler.ack();
    drained(&simulator, SUBSCRIPTION).await;
    drop(forgotten);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_gets_no_more_than_it_asked_to_hold() {
    let simulator = open().await;
    for number in 0..5 {
        simulator.pubsub().publish(TOPIC, number.to_string(), []).expect("publishes");
    }
    let client = subscriber(&simulator, anonymous()).await;
    let mut stream = client.subscribe(SUBSCRIPTION).set_max_outstanding_messages(2).build();
    let mut held = vec![next(&mut stream).await, next(&mut stream).await];
    assert_eq!(simulator.pubsub().backlog(SUBSCRIPTION).expect("there"), (3, 2));
    for _ in 0..3 {
        held.remove(0).1.ack();
        held.push(next(&mut stream).await);
        assert!(simulator.pubsub().backlog(SUBSCRIPTION).expect("there").1 <= 2);
    }
    held.into_iter().for_each(|(_, handler)| handler.ack());
    drained(&simulator, SUBSCRIPTION).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_stream_is_opened_again_by_the_client() {
    let simulator = open().await;
    let mut stream = subscriber(&simulator, anonymous()).await.subscribe(SUBSCRIPTION).build();
    simulator.pubsub().publish(TOPIC, "first", []).expect("publishes");
    let (_, handler) = next(&mut stream).await;
    handler.ack();
    drained(&simulator, SUBSCRIPTION).await;
    simulator.pubsub().close_streams();
    simulator.pubsub().publish(TOPIC, "second", []).expect("publishes");
    let (message, handler) = next(&mut stream).await;
    assert_eq!(message.data.as_ref(), b"second");
    handler.ack();
    drained(&simulator, SUBSCRIPTION).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_refused_too_often_is_dead_lettered() {
    let simulator = open().await;
    let (dead_topic, dead) = ("projects/operator/topics/dead", "projects/operator/subscriptions/dead");
    let limited = "projects/operator/subscriptions/limited";
    simulator.pubsub().create_topic(dead_topic).expect("topic");
    let setting = |name: &str, topic: &str, dead_letter| Subscription {
        name: name.to_owned(),
        topic: topic.to_owned(),
        ack_deadline_seconds: 10,
        dead_letter,
        ..Subscription::default()
    };
    let policy = DeadLetter { topic: dead_topic.to_owned(), max_delivery_attempts: 5 };
    simulator.pubsub().create_subscription(&setting(dead, dead_topic, None)).expect("subscription");
    simulator.pubsub().create_subscription(&setting(limited, TOPIC, Some(policy))).expect("subscription");
    simulator.iam().bind("projects/operator", CONSUME, "allUsers");
    let client = subscriber(&simulator, anonymous()).await;
    let mut letters = client.subscribe(dead).build();
    let mut stream = client.subscribe(limited).build();
    simulator.pubsub().publish(TOPIC, "poison", []).expect("publishes");
    for attempt in 1..=5 {
        let (_, handler) = next(&mut stream).await;
        assert_eq!(handler.delivery_attempt(), Some(attempt));
        handler.nack();
    }
    let (message, handler) = next(&mut letters).await;
    assert_eq!(message.data.as_ref(), b"poison");
    handler.ack();
    drained(&simulator, dead).await;
    assert_eq!(simulator.pubsub().backlog(limited).expect("there"), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_binding_nobody_publishes_or_consumes() {
    let simulator = start().await;
    let user = simulator.admin_token("user:x@c1.example").expect("token");
    let error = publisher(&simulator, bearer(&user)).await.publish(Message::new().set_data("x")).await.expect_err("no");
    assert!(format!("{error:?}").contains("Permission 'pubsub.topics.publish' denied"), "{error:?}");
    let mut stream = subscriber(&simulator, bearer(&user)).await.subscribe(SUBSCRIPTION).build();
    let error = stream.next().await.expect("an answer").expect_err("no binding");
    assert_eq!(error.status().map(|status| status.code), Some(Code::PermissionDenied));
    simulator.iam().bind(TOPIC, PUBLISH, "user:x@c1.example");
    publisher(&simulator, bearer(&user)).await.publish(Message::new().set_data("x")).await.expect("bound");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_machines_account_consumes_with_a_token_of_the_metadata_server() {
    let config = simulator::Config {
        metadata_identity: Some("serviceAccount:vm@operator.iam.gserviceaccount.com".to_owned()),
        topics: vec![TOPIC.to_owned()],
        subscriptions: vec![Subscription {
            name: SUBSCRIPTION.to_owned(),
            topic: TOPIC.to_owned(),
            ack_deadline_seconds: 10,
            dead_letter: None,
            ..Subscription::default()
        }],
        ..simulator::Config::default()
    };
    let _ = rustls_graviola::default_provider().install_default();
    let simulator = Simulator::start(config).await.expect("starts");
    simulator.iam().bind(SUBSCRIPTION, CONSUME, "serviceAccount:vm@operator.iam.gserviceaccount.com");
    simulator.pubsub().publish(TOPIC, "data", []).expect("publishes");
    let machine = mds::Builder::default().with_endpoint(simulator.endpoint()).build().expect("credentials");
    let mut stream = subscriber(&simulator, machine).await.subscribe(SUBSCRIPTION).build();
    next(&mut stream).await.1.ack();
    drained(&simulator, SUBSCRIPTION).await;
}
