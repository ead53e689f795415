//! What a name, a message and a subscription may be: the service's documented limits, before anything is stored.

use super::{broker::Published, filter::Filter};
use crate::{
    config::Subscription as Setting,
    respond::{ApiError, Code},
};

/// Bytes of one publish request.
pub(super) const REQUEST_BYTES: usize = 10_000_000;
/// Messages of one publish request.
const REQUEST_MESSAGES: usize = 1000;
/// Attributes of one message, and the bytes of their names and values.
const ATTRIBUTES: usize = 100;
const ATTRIBUTE_NAME: usize = 256;
const ATTRIBUTE_VALUE: usize = 1024;
const ORDERING_KEY: usize = 1024;
/// Ids in one acknowledgement, so that its request stays below the service's limit of 512 KiB.
const ACK_BYTES: usize = 512 << 10;
/// Longest pause of a retry policy, in milliseconds.
const BACKOFF_MS: u64 = 600_000;

/// `projects/P/<kind>/ID`, the id with 3 to 255 of the allowed characters, starting with a letter and not with `goog`.
pub(super) fn name(name: &str, kind: &str) -> Result<(), ApiError> {
    let parts: Vec<&str> = name.split('/').collect();
    let well_formed = matches!(parts[..], ["projects", project, k, id]
        if k == kind && !project.is_empty() && (3..=255).contains(&id.len())
            && id.starts_with(|c: char| c.is_ascii_alphabetic()) && !id.starts_with("goog")
            && id.chars().all(|c| c.is_ascii_alphanumeric() || "-_.~+%".contains(c)));
    if well_formed {
        return Ok(());
    }
    let rule = "Refer to https://cloud.google.com/pubsub/docs/pubsub-basics#resource_names for more information.";
    Err(invalid(format!("Invalid [{kind}] name: (name={name}). {rule}")))
}

/// The filter of a subscription whose settings are all within bounds.
pub(super) fn subscription(setting: &Setting) -> Result<Filter, ApiError> {
    if !(10..=600).contains(&setting.ack_deadline_seconds) {
        let given = setting.ack_deadline_seconds;
        return Err(invalid(format!(
            "Invalid ack deadline given (ack_deadline={given}): it must be 10 to 600 seconds."
        )));
    }
    if !(600..=31 * 24 * 3600).contains(&setting.message_retention_seconds) {
        let given = setting.message_retention_seconds;
        return Err(invalid(format!(
            "Invalid message retention duration given ({given}s): it must be 10 minutes to 31 days."
        )));
    }
    let attempts = setting.dead_letter.as_ref().map_or(5, |dead| dead.max_delivery_attempts);
    if !(5..=100).contains(&attempts) {
        return Err(invalid(format!("Invalid max_delivery_attempts given ({attempts}): it must be 5 to 100.")));
    }
    let backoff = setting.retry.as_ref().map_or((0, 0), |retry| (retry.minimum_backoff_ms, retry.maximum_backoff_ms));
    if backoff.0 > backoff.1 || backoff.1 > BACKOFF_MS {
        let rule = "0 <= minimum_backoff <= maximum_backoff <= 600 seconds must hold";
        return Err(invalid(format!("Invalid retry policy given: {rule}.")));
    }
    Filter::parse(&setting.filter).map_err(|why| invalid(format!("Invalid filter given ({}): {why}.", setting.filter)))
}

/// A publish request: its messages and what they weigh together.
pub(super) fn publish(messages: &[Published]) -> Result<(), ApiError> {
    if messages.is_empty() {
        return Err(invalid(
            "The value for message_count is too small. You passed 0 in the request, but the minimum value is 1."
                .to_owned(),
        ));
    }
    if messages.len() > REQUEST_MESSAGES {
        let given = messages.len();
        return Err(invalid(format!(
            "The value for message_count is too large. You passed {given} in the request, but the maximum value is \
             {REQUEST_MESSAGES}."
        )));
    }
    let total: usize = messages.iter().map(Published::size).sum();
    if total > REQUEST_BYTES {
        return Err(invalid(format!(
            "The value for request_size is too large. You passed {total} in the request, but the maximum value is \
             {REQUEST_BYTES}."
        )));
    }
    messages.iter().try_for_each(message)
}

fn message(message: &Published) -> Result<(), ApiError> {
    if message.data.is_empty() && message.attributes.is_empty() {
        return Err(invalid(
            "One or more messages in the publish request is empty. Each message must contain either non-empty data, \
             or at least one attribute."
                .to_owned(),
        ));
    }
    let too_large = |what: &str, given: usize, limit: usize| {
        Err(invalid(format!(
            "The value for {what} is too large. You passed {given} in the request, but the maximum value is {limit}."
        )))
    };
    if message.attributes.len() > ATTRIBUTES {
        return too_large("attributes_per_message", message.attributes.len(), ATTRIBUTES);
    }
    for (name, value) in &message.attributes {
        if name.is_empty() || name.starts_with("goog") {
            return Err(invalid(format!("Invalid attribute name given ({name:?}): it is empty or reserved.")));
        }
        if name.len() > ATTRIBUTE_NAME {
            return too_large("attribute_key_size", name.len(), ATTRIBUTE_NAME);
        }
        if value.len() > ATTRIBUTE_VALUE {
            return too_large("attribute_value_size", value.len(), ATTRIBUTE_VALUE);
        }
    }
    if message.ordering_key.len() > ORDERING_KEY {
        return too_large("ordering_key_size", message.ordering_key.len(), ORDERING_KEY);
    }
    Ok(())
}

/// Acknowledgement ids of one request.
pub(super) fn ack_ids(ids: &[String]) -> Result<(), ApiError> {
    let total: usize = ids.iter().map(|id| id.len() + 2).sum();
    if total > ACK_BYTES {
        return Err(invalid(format!("Request payload size exceeds the limit: {ACK_BYTES} bytes.")));
    }
    Ok(())
}

/// An ack deadline of a modification, in seconds; 0 gives the message back.
pub(super) fn deadline(seconds: i32) -> Result<u64, ApiError> {
    u64::try_from(seconds).ok().filter(|seconds| *seconds <= 600).ok_or_else(|| {
        invalid(format!("Invalid ack deadline given (ack_deadline={seconds}): it must be 0 to 600 seconds."))
    })
}

pub(super) fn invalid(message: String) -> ApiError {
    ApiError::new(Code::InvalidArgument, message)
}
