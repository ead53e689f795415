//! The broker's rules, with a clock that the tests move.

use super::*;
use crate::config::{DeadLetter, Retry};

const TOPIC: &str = "projects/p/topics/messages";
const DEAD: &str = "projects/p/topics/dead";
const NAME: &str = "projects/p/subscriptions/workload";
const ALL: Consumer = Consumer { id: 1, max_messages: 0, max_bytes: 0, lease: None };

fn broker(dead_letter: Option<DeadLetter>) -> Broker {
    let mut broker = Broker::default();
    broker.create_topic(TOPIC).expect("topic");
    broker.create_topic(DEAD).expect("dead letters");
    let setting = Setting { name: NAME.to_owned(), topic: TOPIC.to_owned(), dead_letter, ..Setting::default() };
    broker.create_subscription(setting).expect("subscription");
    broker
}

/// A broker whose subscription was changed from the defaults.
fn broker_with(change: impl FnOnce(&mut Setting)) -> Broker {
    let mut broker = Broker::default();
    broker.create_topic(TOPIC).expect("topic");
    let mut setting = Setting { name: NAME.to_owned(), topic: TOPIC.to_owned(), ..Setting::default() };
    change(&mut setting);
    broker.create_subscription(setting).expect("subscription");
    broker
}

fn publish(broker: &mut Broker, text: &str) {
    publish_with(broker, text, "", &[]);
}

fn publish_with(broker: &mut Broker, text: &str, key: &str, attributes: &[(&str, &str)]) {
    let message = Published {
        data: Bytes::copy_from_slice(text.as_bytes()),
        attributes: attributes.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        message_id: String::new(),
        publish_time: 1_772_323_199,
        ordering_key: key.to_owned(),
    };
    broker.publish(TOPIC, vec![message], Instant::now()).expect("publishes");
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
    assert!(broker.acknowledge(NAME, &ids(&first), now).expect("acks").is_empty());
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
        ids(&first),
        "a late ack acknowledges nothing"
    );
    assert!(broker.acknowledge(NAME, &ids(&second), later).expect("acks").is_empty());
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
    assert_eq!(broker.next_wake(NAME), Some(now + Duration::from_secs(10)));
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
fn a_message_delivered_too_often_goes_to_the_dead_letters_once_and_says_where_it_came_from() {
    let policy = DeadLetter { topic: DEAD.to_owned(), max_delivery_attempts: 5 };
    let (mut broker, now) = (broker(Some(policy)), Instant::now());
    let dead = "projects/p/subscriptions/dead";
    let setting = Setting { name: dead.to_owned(), topic: DEAD.to_owned(), ..Setting::default() };
    broker.create_subscription(setting).expect("subscription");
    publish(&mut broker, "poison");
    for attempt in 1..=5 {
        let got = broker.pull(NAME, ALL, now).expect("pulls");
        assert_eq!(got[0].attempt, attempt);
        broker.modify(NAME, &ids(&got), 0, now).expect("nack");
    }
    assert!(broker.pull(NAME, ALL, now).expect("pulls").is_empty());
    let letters = broker.pull(dead, ALL, now).expect("pulls");
    assert_eq!(texts(&letters), ["poison"]);
    let attributes = &letters[0].message.attributes;
    assert_eq!(attributes["CloudPubSubDeadLetterSourceDeliveryCount"], "5");
    assert_eq!(attributes["CloudPubSubDeadLetterSourceSubscription"], "workload");
    assert_eq!(attributes["CloudPubSubDeadLetterSourceSubscriptionProject"], "p");
    assert_eq!(attributes["CloudPubSubDeadLetterSourceTopicPublishTime"], "2026-02-28T23:59:59Z");
    assert_eq!(broker.backlog(NAME).expect("backlog"), (0, 0));
    assert_eq!(broker.take_forwarded().len(), 1);
}

#[test]
fn a_message_stays_where_its_dead_letter_topic_is_gone() {
    let policy = DeadLetter { topic: DEAD.to_owned(), max_delivery_attempts: 5 };
    let (mut broker, now) = (broker(Some(policy)), Instant::now());
    publish(&mut broker, "poison");
    broker.delete_topic(DEAD).expect("deletes");
    for _ in 0..7 {
        let got = broker.pull(NAME, ALL, now).expect("pulls");
        assert_eq!(texts(&got), ["poison"]);
        broker.modify(NAME, &ids(&got), 0, now).expect("nack");
    }
}

#[test]
fn a_refused_message_rests_longer_each_time_and_no_longer_than_the_policy_says() {
    let (mut broker, now) =
        (broker_with(|s| s.retry = Some(Retry { minimum_backoff_ms: 1000, maximum_backoff_ms: 3000 })), Instant::now());
    publish(&mut broker, "a");
    let mut now = now;
    for pause in [1, 2, 3, 3] {
        let got = broker.pull(NAME, ALL, now).expect("pulls");
        assert_eq!(texts(&got), ["a"]);
        broker.modify(NAME, &ids(&got), 0, now).expect("nack");
        let end = now + Duration::from_secs(pause);
        assert_eq!(broker.next_wake(NAME), Some(end));
        assert!(broker.pull(NAME, ALL, end - Duration::from_millis(1)).expect("pulls").is_empty());
        now = end;
    }
}

fn ordered() -> Broker {
    let mut broker = broker_with(|s| s.enable_message_ordering = true);
    for (text, key) in [("a1", "a"), ("b1", "b"), ("a2", "a"), ("a3", "a"), ("free", "")] {
        publish_with(&mut broker, text, key, &[]);
    }
    broker
}

#[test]
fn a_keys_messages_come_in_order_to_one_consumer_at_a_time() {
    let (mut broker, now) = (ordered(), Instant::now());
    let one = Consumer { max_messages: 1, ..ALL };
    let first = broker.pull(NAME, one, now).expect("pulls");
    assert_eq!(texts(&first), ["a1"]);
    let other = Consumer { id: 2, ..ALL };
    assert_eq!(texts(&broker.pull(NAME, other, now).expect("pulls")), ["b1", "free"], "a is with the first consumer");
    broker.acknowledge(NAME, &ids(&first), now).expect("acks");
    assert_eq!(texts(&broker.pull(NAME, other, now).expect("pulls")), ["a2", "a3"]);
}

#[test]
fn what_came_after_a_refused_message_of_its_key_comes_again_even_if_acknowledged() {
    let (mut broker, now) = (ordered(), Instant::now());
    let all = broker.pull(NAME, ALL, now).expect("pulls");
    assert_eq!(texts(&all), ["a1", "b1", "a2", "a3", "free"]);
    let id = |at: usize| vec![all[at].ack_id.clone()];
    broker.acknowledge(NAME, &id(3), now).expect("a3");
    broker.acknowledge(NAME, &id(1), now).expect("b1");
    broker.modify(NAME, &id(0), 0, now).expect("nack a1");
    let again = broker.pull(NAME, ALL, now).expect("pulls");
    assert_eq!(texts(&again), ["a1", "a2", "a3"]);
    assert_eq!(broker.acknowledge(NAME, &id(2), now).expect("late"), id(2), "a2's first delivery is over");
    assert!(broker.acknowledge(NAME, &ids(&again), now).expect("acks").is_empty());
    broker.acknowledge(NAME, &id(4), now).expect("free");
    assert_eq!(broker.backlog(NAME).expect("backlog"), (0, 0));
    assert!(broker.next_wake(NAME).is_none());
}

#[test]
fn a_resting_key_holds_back_its_later_messages_and_no_other_key() {
    let mut broker = broker_with(|s| {
        s.enable_message_ordering = true;
        s.retry = Some(Retry { minimum_backoff_ms: 1000, maximum_backoff_ms: 1000 });
    });
    let now = Instant::now();
    publish_with(&mut broker, "a1", "a", &[]);
    let first = broker.pull(NAME, ALL, now).expect("pulls");
    broker.modify(NAME, &ids(&first), 0, now).expect("nack");
    publish_with(&mut broker, "a2", "a", &[]);
    publish_with(&mut broker, "b1", "b", &[]);
    assert_eq!(texts(&broker.pull(NAME, ALL, now).expect("pulls")), ["b1"]);
    let later = now + Duration::from_secs(1);
    assert_eq!(texts(&broker.pull(NAME, ALL, later).expect("pulls")), ["a1", "a2"]);
}

#[test]
fn a_filter_keeps_messages_out_and_an_old_message_is_dropped() {
    let mut broker = broker_with(|s| {
        "attributes.kind = \"order\"".clone_into(&mut s.filter);
        s.message_retention_seconds = 600;
    });
    publish_with(&mut broker, "yes", "", &[("kind", "order")]);
    publish_with(&mut broker, "no", "", &[("kind", "other")]);
    let now = Instant::now();
    let got = broker.pull(NAME, ALL, now).expect("pulls");
    assert_eq!(texts(&got), ["yes"]);
    broker.modify(NAME, &ids(&got), 0, now).expect("nack");
    assert!(broker.pull(NAME, ALL, now + Duration::from_secs(600)).expect("pulls").is_empty());
    assert_eq!(broker.backlog(NAME).expect("backlog"), (0, 0));
}

#[test]
fn a_deleted_subscription_is_gone_and_a_deleted_topic_leaves_its_messages() {
    let (mut broker, now) = (broker(None), Instant::now());
    publish(&mut broker, "a");
    broker.delete_topic(TOPIC).expect("deletes");
    assert_eq!(broker.setting(NAME).expect("there").topic, "_deleted-topic_");
    assert_eq!(texts(&broker.pull(NAME, ALL, now).expect("pulls")), ["a"]);
    broker.create_topic(TOPIC).expect("again");
    publish(&mut broker, "b");
    assert_eq!(broker.backlog(NAME).expect("backlog").0, 0, "a new topic of this name is another one");
    broker.delete_subscription(NAME).expect("deletes");
    assert!(broker.pull(NAME, ALL, now).is_err() && broker.delete_subscription(NAME).is_err());
}

#[test]
fn what_the_service_would_not_take_is_refused() {
    let mut fresh = broker(None);
    for change in [
        |s: &mut Setting| s.ack_deadline_seconds = 9,
        |s: &mut Setting| s.ack_deadline_seconds = 601,
        |s: &mut Setting| s.message_retention_seconds = 599,
        |s: &mut Setting| s.dead_letter = Some(DeadLetter { topic: DEAD.to_owned(), max_delivery_attempts: 4 }),
        |s: &mut Setting| s.dead_letter = Some(DeadLetter { topic: DEAD.to_owned(), max_delivery_attempts: 101 }),
        |s: &mut Setting| {
            s.dead_letter = Some(DeadLetter { topic: "projects/p/topics/no".to_owned(), max_delivery_attempts: 5 })
        },
        |s: &mut Setting| s.retry = Some(Retry { minimum_backoff_ms: 2, maximum_backoff_ms: 1 }),
        |s: &mut Setting| s.retry = Some(Retry { minimum_backoff_ms: 0, maximum_backoff_ms: 600_001 }),
        |s: &mut Setting| "nonsense".clone_into(&mut s.filter),
        |s: &mut Setting| "projects/p/topics/no".clone_into(&mut s.topic),
        |s: &mut Setting| "projects/p/subscriptions/x".clone_into(&mut s.name),
        |s: &mut Setting| "projects/p/subscriptions/goog-x".clone_into(&mut s.name),
        |s: &mut Setting| NAME.clone_into(&mut s.name),
    ] {
        let name = "projects/p/subscriptions/second".to_owned();
        let mut setting = Setting { name, topic: TOPIC.to_owned(), ..Setting::default() };
        change(&mut setting);
        assert!(fresh.create_subscription(setting.clone()).is_err(), "{setting:?}");
    }
    let message = |data: &str, attributes: &[(String, String)]| Published {
        data: Bytes::copy_from_slice(data.as_bytes()),
        attributes: attributes.iter().cloned().collect(),
        message_id: String::new(),
        publish_time: 0,
        ordering_key: String::new(),
    };
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let many: Vec<_> = (0..101).map(|n| pair(&format!("a{n}"), "")).collect();
    for messages in [
        Vec::new(),
        vec![message("x", &[]); 1001],
        vec![message(&"x".repeat(1_000_001), &[]); 10],
        vec![message("", &[])],
        vec![message("fine", &[]), message("x", &many)],
        vec![message("x", &[pair("goog-x", "")])],
        vec![message("x", &[pair(&"n".repeat(257), "")])],
        vec![message("x", &[pair("n", &"v".repeat(1025))])],
        vec![Published { ordering_key: "k".repeat(1025), ..message("x", &[]) }],
    ] {
        assert!(fresh.publish(TOPIC, messages, Instant::now()).is_err());
    }
    assert_eq!(fresh.backlog(NAME).expect("backlog"), (0, 0), "a refused request published some of its messages");
}

#[test]
fn a_hundred_thousand_messages_flow_and_leave_nothing_behind() {
    let (mut broker, now) = (broker(None), Instant::now());
    let mut seen = 0;
    for round in 0..1000 {
        for number in 0..100 {
            publish(&mut broker, &format!("{round}-{number}"));
        }
        let got = broker.pull(NAME, ALL, now).expect("pulls");
        seen += got.len();
        broker.acknowledge(NAME, &ids(&got), now).expect("acks");
    }
    assert_eq!((seen, broker.backlog(NAME).expect("backlog"), broker.next_wake(NAME)), (100_000, (0, 0), None));
}
