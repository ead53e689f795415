//! Topics and subscriptions of the simulated Pub/Sub.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{Context, Failure, show::Shown};
use crate::{
    config::{DeadLetter, Subscription},
    pubsub::PubSub,
    respond::{Code, Timestamp},
};

/// Where another program serves Pub/Sub, nothing here would have a meaning.
fn service<'a>(context: &Context<'a>) -> Result<&'a PubSub, Failure> {
    let services = context.services;
    services.own_pubsub().ok_or_else(|| {
        Failure::Text("An emulator serves Pub/Sub; the simulator's gcloud does not reach it.".to_owned())
    })
}

/// By name in the project, or by full name.
fn full(context: &Context<'_>, kind: &str, name: &str) -> Result<String, Failure> {
    match name.strip_prefix("projects/").and_then(|rest| rest.split_once('/')) {
        Some((project, _)) => {
            context.known(project)?;
            Ok(name.to_owned())
        }
        None => Ok(format!("projects/{}/{kind}/{name}", context.project()?)),
    }
}

fn absent(name: &str) -> Failure {
    let last = name.rsplit('/').next().unwrap_or_default();
    Failure::api(Code::NotFound, format!("Resource not found (resource={last})."))
}

/// The full name of a topic, which must be there.
pub(super) fn topic_that_is_there(context: &Context<'_>, name: &str) -> Result<String, Failure> {
    let name = full(context, "topics", name)?;
    let project = name.split("/topics/").next().unwrap_or_default();
    match service(context)?.topics(project).contains(&name) {
        true => Ok(name),
        false => Err(absent(&name)),
    }
}

/// The full name of a subscription, which must be there.
pub(super) fn subscription_that_is_there(context: &Context<'_>, name: &str) -> Result<String, Failure> {
    let name = full(context, "subscriptions", name)?;
    match service(context)?.subscription(&name) {
        Some(_) => Ok(name),
        None => Err(absent(&name)),
    }
}

fn show(setting: &Subscription) -> Value {
    let mut value = json!({
        "name": setting.name,
        "topic": setting.topic,
        "ackDeadlineSeconds": setting.ack_deadline_seconds,
        // None of the simulator's subscriptions expires.
        "expirationPolicy": {},
        "messageRetentionDuration": format!("{}s", setting.message_retention_seconds),
        "pushConfig": {},
        "state": "ACTIVE",
    });
    if let Some(dead) = &setting.dead_letter {
        value["deadLetterPolicy"] =
            json!({"deadLetterTopic": dead.topic, "maxDeliveryAttempts": dead.max_delivery_attempts});
    }
    for (member, on) in [
        ("enableMessageOrdering", setting.enable_message_ordering),
        ("enableExactlyOnceDelivery", setting.enable_exactly_once_delivery),
    ] {
        if on {
            value[member] = json!(true);
        }
    }
    if !setting.filter.is_empty() {
        value["filter"] = json!(setting.filter);
    }
    value
}

pub(super) fn create_topic(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let name = full(context, "topics", context.arguments.positional(0))?;
    context.about(&name);
    if topic_that_is_there(context, &name).is_ok() {
        return Err(Failure::api(
            Code::AlreadyExists,
            format!(
                "Resource already exists in the project (resource={}).",
                name.rsplit('/').next().unwrap_or_default()
            ),
        ));
    }
    service(context)?.create_topic(&name)?;
    context.note(format!("Created topic [{name}]."));
    Ok(Shown::Nothing)
}

pub(super) fn describe_topic(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let name = topic_that_is_there(context, context.arguments.positional(0))?;
    context.about(&name);
    Ok(Shown::One(json!({"name": name})))
}

pub(super) fn list_topics(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let project = format!("projects/{}", context.project()?);
    let names = service(context)?.topics(&project);
    Ok(Shown::Many(names.into_iter().map(|name| json!({"name": name})).collect()))
}

pub(super) fn delete_topic(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let name = topic_that_is_there(context, context.arguments.positional(0))?;
    context.about(&name);
    service(context)?.remove_topic(&name)?;
    context.services.iam.forget(&name);
    context.note(format!("Deleted topic [{name}]."));
    Ok(Shown::Nothing)
}

/// With the rights of the account, as every publisher has them.
pub(super) fn publish(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let name = topic_that_is_there(context, context.arguments.positional(0))?;
    context.about(&name);
    let attributes = context.arguments.map("attribute").transpose().map_err(Failure::Text)?.unwrap_or_default();
    context.allowed("publish", "pubsub.topics.publish", &name)?;
    let pairs = attributes.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let id = service(context)?.publish(&name, context.arguments.text("message").as_bytes().to_vec(), pairs)?;
    Ok(Shown::One(json!({"messageIds": [id]})))
}

/// Changes a subscription as the flags say.
fn apply(context: &Context<'_>, setting: &mut Subscription) -> Result<(), Failure> {
    let arguments = context.arguments;
    let number = |flag: &str| {
        let given = arguments.get(flag).map(|text| text.trim_end_matches('s').parse::<u64>());
        given
            .transpose()
            .map_err(|_| Failure::Text(format!("argument --{flag}: {} is no number", arguments.text(flag))))
    };
    if let Some(seconds) = number("ack-deadline")? {
        setting.ack_deadline_seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
    }
    if let Some(seconds) = number("message-retention-duration")? {
        setting.message_retention_seconds = seconds;
    }
    if arguments.get("expiration-period").is_some_and(|period| period != "never") {
        return Err(Failure::invalid("The simulator's subscriptions never expire: --expiration-period=never."));
    }
    let attempts = number("max-delivery-attempts")?.map(|attempts| u32::try_from(attempts).unwrap_or(u32::MAX));
    match (arguments.get("dead-letter-topic"), arguments.switch("clear-dead-letter-policy")) {
        (Some(topic), None) => {
            let topic = topic_that_is_there(context, topic)?;
            setting.dead_letter = Some(DeadLetter { topic, max_delivery_attempts: attempts.unwrap_or(5) });
        }
        (None, Some(_)) => setting.dead_letter = None,
        (Some(_), Some(_)) => return Err(Failure::Text("a dead-letter topic is given and cleared at once".to_owned())),
        (None, None) => match (&mut setting.dead_letter, attempts) {
            (Some(dead), Some(attempts)) => dead.max_delivery_attempts = attempts,
            (None, Some(_)) => return Err(Failure::invalid("--max-delivery-attempts needs --dead-letter-topic.")),
            (_, None) => {}
        },
    }
    if let Some(on) = arguments.switch("enable-exactly-once-delivery") {
        setting.enable_exactly_once_delivery = on;
    }
    if arguments.switch("enable-message-ordering").is_some() {
        setting.enable_message_ordering = true;
    }
    if let Some(filter) = arguments.get("message-filter") {
        filter.clone_into(&mut setting.filter);
    }
    Ok(())
}

pub(super) fn create_subscription(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let name = full(context, "subscriptions", context.arguments.positional(0))?;
    context.about(&name);
    if service(context)?.subscription(&name).is_some() {
        return Err(Failure::api(
            Code::AlreadyExists,
            format!(
                "Resource already exists in the project (resource={}).",
                name.rsplit('/').next().unwrap_or_default()
            ),
        ));
    }
    let topic = topic_that_is_there(context, context.arguments.text("topic"))?;
    let mut setting = Subscription { name: name.clone(), topic, ..Subscription::default() };
    apply(context, &mut setting)?;
    service(context)?.create_subscription(&setting)?;
    context.note(format!("Created subscription [{name}]."));
    Ok(Shown::Nothing)
}

fn named(context: &mut Context<'_>) -> Result<Subscription, Failure> {
    let name = subscription_that_is_there(context, context.arguments.positional(0))?;
    context.about(&name);
    service(context)?.subscription(&name).ok_or_else(|| absent(&name))
}

pub(super) fn describe_subscription(context: &mut Context<'_>) -> Result<Shown, Failure> {
    named(context).map(|setting| Shown::One(show(&setting)))
}

pub(super) fn list_subscriptions(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let project = format!("projects/{}", context.project()?);
    Ok(Shown::Many(service(context)?.subscriptions(&project).iter().map(show).collect()))
}

pub(super) fn update_subscription(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let mut setting = named(context)?;
    apply(context, &mut setting)?;
    service(context)?.change_subscription(setting)?;
    context.note(format!("Updated subscription [{}].", context.resource));
    Ok(Shown::Nothing)
}

pub(super) fn delete_subscription(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let name = named(context)?.name;
    service(context)?.remove_subscription(&name)?;
    context.services.iam.forget(&name);
    context.note(format!("Deleted subscription [{name}]."));
    Ok(Shown::Nothing)
}

/// What waits now, with the rights of the account.
pub(super) fn pull(context: &mut Context<'_>) -> Result<Shown, Failure> {
    let name = named(context)?.name;
    let limit = context.arguments.get("limit").unwrap_or("1");
    let limit = limit.parse::<u64>().ok().filter(|limit| (1..=1000).contains(limit));
    let limit = limit.ok_or_else(|| Failure::Text("argument --limit: expected 1 to 1000".to_owned()))?;
    context.allowed("pull", "pubsub.subscriptions.consume", &name)?;
    let auto = context.arguments.switch("auto-ack").is_some();
    let messages = service(context)?.take_messages(&name, limit, auto)?;
    let shown = messages.into_iter().map(|(ack_id, message)| {
        let mut value = json!({"message": {
            "data": STANDARD.encode(&message.data),
            "messageId": message.message_id,
            "publishTime": Timestamp::of(message.publish_time).text(),
        }});
        if !message.attributes.is_empty() {
            value["message"]["attributes"] = json!(message.attributes);
        }
        if !auto {
            value["ackId"] = json!(ack_id);
        }
        value
    });
    Ok(Shown::Many(shown.collect()))
}
