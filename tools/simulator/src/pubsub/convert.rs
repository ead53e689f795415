//! Between protocol buffers and what the broker works with.

use std::collections::HashMap;

use super::{broker::Published, limits, messages as pb, queue::Delivery};
use crate::{
    config::{DeadLetter, Retry, Subscription as Setting},
    respond::ApiError,
};

/// What Google's retry policy means where only one of its bounds is given, in milliseconds.
const BACKOFF_MS: (u64, u64) = (10_000, 600_000);
/// Attempts of a dead-letter policy that names none.
const ATTEMPTS: u32 = 5;

/// A subscription as a client asks for it.
pub(super) fn setting(request: pb::Subscription) -> Result<Setting, ApiError> {
    if request.push_config.is_some_and(|push| !push.push_endpoint.is_empty()) {
        return Err(limits::invalid("The simulator delivers no push subscriptions.".to_owned()));
    }
    let dead_letter = request.dead_letter_policy.map(|policy| DeadLetter {
        topic: policy.dead_letter_topic,
        max_delivery_attempts: match policy.max_delivery_attempts {
            0 => ATTEMPTS,
            given => u32::try_from(given).unwrap_or(u32::MAX),
        },
    });
    let retry = request.retry_policy.map(|policy| {
        Ok(Retry {
            minimum_backoff_ms: policy.minimum_backoff.map_or(Ok(BACKOFF_MS.0), |d| milliseconds(&d))?,
            maximum_backoff_ms: policy.maximum_backoff.map_or(Ok(BACKOFF_MS.1), |d| milliseconds(&d))?,
        })
    });
    let default = Setting::default();
    Ok(Setting {
        name: request.name,
        topic: request.topic,
        ack_deadline_seconds: match request.ack_deadline_seconds {
            0 => default.ack_deadline_seconds,
            given => u32::try_from(given).unwrap_or(u32::MAX),
        },
        dead_letter,
        retry: retry.transpose()?,
        enable_message_ordering: request.enable_message_ordering,
        enable_exactly_once_delivery: request.enable_exactly_once_delivery,
        message_retention_seconds: match request.message_retention_duration {
            None => default.message_retention_seconds,
            Some(duration) => milliseconds(&duration)? / 1000,
        },
        filter: request.filter,
    })
}

/// A subscription as the service describes it.
pub(super) fn describe(setting: &Setting) -> pb::Subscription {
    pb::Subscription {
        name: setting.name.clone(),
        topic: setting.topic.clone(),
        push_config: Some(pb::PushConfig::default()),
        ack_deadline_seconds: i32::try_from(setting.ack_deadline_seconds).unwrap_or(i32::MAX),
        message_retention_duration: Some(duration(setting.message_retention_seconds.saturating_mul(1000))),
        enable_message_ordering: setting.enable_message_ordering,
        filter: setting.filter.clone(),
        dead_letter_policy: setting.dead_letter.as_ref().map(|dead| pb::DeadLetterPolicy {
            dead_letter_topic: dead.topic.clone(),
            max_delivery_attempts: i32::try_from(dead.max_delivery_attempts).unwrap_or(i32::MAX),
        }),
        retry_policy: setting.retry.as_ref().map(|retry| pb::RetryPolicy {
            minimum_backoff: Some(duration(retry.minimum_backoff_ms)),
            maximum_backoff: Some(duration(retry.maximum_backoff_ms)),
        }),
        enable_exactly_once_delivery: setting.enable_exactly_once_delivery,
        state: pb::SubscriptionState::Active.into(),
    }
}

/// The setting that an update asks for: of `asked` what the mask names, of `present` the rest.
pub(super) fn updated(present: &Setting, asked: Setting, mask: &[String]) -> Result<Setting, ApiError> {
    if mask.is_empty() {
        return Err(limits::invalid("The update_mask in the UpdateSubscriptionRequest must be set.".to_owned()));
    }
    let mut setting = present.clone();
    for path in mask {
        match path.split('.').next().unwrap_or_default() {
            "ack_deadline_seconds" => setting.ack_deadline_seconds = asked.ack_deadline_seconds,
            "dead_letter_policy" => setting.dead_letter.clone_from(&asked.dead_letter),
            "retry_policy" => setting.retry.clone_from(&asked.retry),
            "enable_exactly_once_delivery" => {
                setting.enable_exactly_once_delivery = asked.enable_exactly_once_delivery;
            }
            "message_retention_duration" => setting.message_retention_seconds = asked.message_retention_seconds,
            "filter" => setting.filter.clone_from(&asked.filter),
            "enable_message_ordering" => setting.enable_message_ordering = asked.enable_message_ordering,
            _ => return Err(limits::invalid(format!("Invalid update_mask provided: {path} cannot be updated."))),
        }
    }
    Ok(setting)
}

pub(super) fn published(message: pb::PubsubMessage, publish_time: u64) -> Published {
    Published {
        data: message.data,
        attributes: message.attributes.into_iter().collect(),
        message_id: String::new(),
        publish_time,
        ordering_key: message.ordering_key,
    }
}

pub(super) fn received(delivery: Delivery) -> pb::ReceivedMessage {
    let message = &delivery.message;
    let attributes: HashMap<_, _> = message.attributes.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
    pb::ReceivedMessage {
        ack_id: delivery.ack_id,
        message: Some(pb::PubsubMessage {
            data: message.data.clone(),
            attributes,
            message_id: message.message_id.clone(),
            publish_time: Some(pb::Timestamp { seconds: i64::try_from(message.publish_time).unwrap_or(0), nanos: 0 }),
            ordering_key: message.ordering_key.clone(),
        }),
        delivery_attempt: i32::try_from(delivery.attempt).unwrap_or(i32::MAX),
    }
}

fn milliseconds(duration: &pb::Duration) -> Result<u64, ApiError> {
    let seconds = u64::try_from(duration.seconds).ok().and_then(|seconds| seconds.checked_mul(1000));
    let nanos = u64::try_from(duration.nanos).ok().filter(|nanos| *nanos < 1_000_000_000);
    match (seconds, nanos) {
        (Some(seconds), Some(nanos)) => Ok(seconds.saturating_add(nanos / 1_000_000)),
        _ => Err(limits::invalid(format!("Invalid duration given ({}s {}ns).", duration.seconds, duration.nanos))),
    }
}

fn duration(milliseconds: u64) -> pb::Duration {
    pb::Duration {
        seconds: i64::try_from(milliseconds / 1000).unwrap_or(i64::MAX),
        nanos: i32::try_from(milliseconds % 1000 * 1_000_000).unwrap_or(0),
    }
}
