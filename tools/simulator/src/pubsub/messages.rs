//! Protocol buffer messages of `google.pubsub.v1`, as far as the simulator reads and writes them. Unknown fields are
//! skipped, as protocol buffers ask.

use std::collections::HashMap;

use bytes::Bytes;

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Timestamp {
    #[prost(int64, tag = "1")]
    pub(super) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(super) nanos: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Empty {}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Topic {
    #[prost(string, tag = "1")]
    pub(super) name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct TopicRequest {
    #[prost(string, tag = "1")]
    pub(super) topic: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct PubsubMessage {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) data: Bytes,
    #[prost(map = "string, string", tag = "2")]
    pub(super) attributes: HashMap<String, String>,
    #[prost(string, tag = "3")]
    pub(super) message_id: String,
    #[prost(message, optional, tag = "4")]
    pub(super) publish_time: Option<Timestamp>,
    #[prost(string, tag = "5")]
    pub(super) ordering_key: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct PublishRequest {
    #[prost(string, tag = "1")]
    pub(super) topic: String,
    #[prost(message, repeated, tag = "2")]
    pub(super) messages: Vec<PubsubMessage>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct PublishResponse {
    #[prost(string, repeated, tag = "1")]
    pub(super) message_ids: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct DeadLetterPolicy {
    #[prost(string, tag = "1")]
    pub(super) dead_letter_topic: String,
    #[prost(int32, tag = "2")]
    pub(super) max_delivery_attempts: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Subscription {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) topic: String,
    #[prost(int32, tag = "5")]
    pub(super) ack_deadline_seconds: i32,
    #[prost(message, optional, tag = "13")]
    pub(super) dead_letter_policy: Option<DeadLetterPolicy>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct SubscriptionRequest {
    #[prost(string, tag = "1")]
    pub(super) subscription: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ReceivedMessage {
    #[prost(string, tag = "1")]
    pub(super) ack_id: String,
    #[prost(message, optional, tag = "2")]
    pub(super) message: Option<PubsubMessage>,
    #[prost(int32, tag = "3")]
    pub(super) delivery_attempt: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct PullRequest {
    #[prost(string, tag = "1")]
    pub(super) subscription: String,
    #[prost(int32, tag = "3")]
    pub(super) max_messages: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct PullResponse {
    #[prost(message, repeated, tag = "1")]
    pub(super) received_messages: Vec<ReceivedMessage>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ModifyAckDeadlineRequest {
    #[prost(string, tag = "1")]
    pub(super) subscription: String,
    #[prost(int32, tag = "3")]
    pub(super) ack_deadline_seconds: i32,
    #[prost(string, repeated, tag = "4")]
    pub(super) ack_ids: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct AcknowledgeRequest {
    #[prost(string, tag = "1")]
    pub(super) subscription: String,
    #[prost(string, repeated, tag = "2")]
    pub(super) ack_ids: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct StreamingPullRequest {
    #[prost(string, tag = "1")]
    pub(super) subscription: String,
    #[prost(string, repeated, tag = "2")]
    pub(super) ack_ids: Vec<String>,
    #[prost(int32, repeated, packed = "false", tag = "3")]
    pub(super) modify_deadline_seconds: Vec<i32>,
    #[prost(string, repeated, tag = "4")]
    pub(super) modify_deadline_ack_ids: Vec<String>,
    #[prost(int32, tag = "5")]
    pub(super) stream_ack_deadline_seconds: i32,
    #[prost(string, tag = "6")]
    pub(super) client_id: String,
    #[prost(int64, tag = "7")]
    pub(super) max_outstanding_messages: i64,
    #[prost(int64, tag = "8")]
    pub(super) max_outstanding_bytes: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct SubscriptionProperties {
    #[prost(bool, tag = "1")]
    pub(super) exactly_once_delivery_enabled: bool,
    #[prost(bool, tag = "2")]
    pub(super) message_ordering_enabled: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct StreamingPullResponse {
    #[prost(message, repeated, tag = "1")]
    pub(super) received_messages: Vec<ReceivedMessage>,
    #[prost(message, optional, tag = "4")]
    pub(super) subscription_properties: Option<SubscriptionProperties>,
}
