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
pub(super) struct Duration {
    #[prost(int64, tag = "1")]
    pub(super) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(super) nanos: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct FieldMask {
    #[prost(string, repeated, tag = "1")]
    pub(super) paths: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Topic {
    #[prost(string, tag = "1")]
    pub(super) name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ListTopicsRequest {
    #[prost(string, tag = "1")]
    pub(super) project: String,
    #[prost(int32, tag = "2")]
    pub(super) page_size: i32,
    #[prost(string, tag = "3")]
    pub(super) page_token: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ListTopicsResponse {
    #[prost(message, repeated, tag = "1")]
    pub(super) topics: Vec<Topic>,
    #[prost(string, tag = "2")]
    pub(super) next_page_token: String,
}

/// Of a topic's subscriptions, and of a project's.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ListSubscriptionsRequest {
    #[prost(string, tag = "1")]
    pub(super) parent: String,
    #[prost(int32, tag = "2")]
    pub(super) page_size: i32,
    #[prost(string, tag = "3")]
    pub(super) page_token: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ListTopicSubscriptionsResponse {
    #[prost(string, repeated, tag = "1")]
    pub(super) subscriptions: Vec<String>,
    #[prost(string, tag = "2")]
    pub(super) next_page_token: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ListSubscriptionsResponse {
    #[prost(message, repeated, tag = "1")]
    pub(super) subscriptions: Vec<Subscription>,
    #[prost(string, tag = "2")]
    pub(super) next_page_token: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct UpdateSubscriptionRequest {
    #[prost(message, optional, tag = "1")]
    pub(super) subscription: Option<Subscription>,
    #[prost(message, optional, tag = "2")]
    pub(super) update_mask: Option<FieldMask>,
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
pub(super) struct RetryPolicy {
    #[prost(message, optional, tag = "1")]
    pub(super) minimum_backoff: Option<Duration>,
    #[prost(message, optional, tag = "2")]
    pub(super) maximum_backoff: Option<Duration>,
}

/// Push delivery, and other ways that are refused when they are asked for: of them only their presence matters.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct PushConfig {
    #[prost(string, tag = "1")]
    pub(super) push_endpoint: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Subscription {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) topic: String,
    #[prost(message, optional, tag = "4")]
    pub(super) push_config: Option<PushConfig>,
    #[prost(int32, tag = "5")]
    pub(super) ack_deadline_seconds: i32,
    #[prost(message, optional, tag = "8")]
    pub(super) message_retention_duration: Option<Duration>,
    #[prost(bool, tag = "10")]
    pub(super) enable_message_ordering: bool,
    #[prost(string, tag = "12")]
    pub(super) filter: String,
    #[prost(message, optional, tag = "13")]
    pub(super) dead_letter_policy: Option<DeadLetterPolicy>,
    #[prost(message, optional, tag = "14")]
    pub(super) retry_policy: Option<RetryPolicy>,
    #[prost(bool, tag = "16")]
    pub(super) enable_exactly_once_delivery: bool,
    #[prost(enumeration = "SubscriptionState", tag = "19")]
    pub(super) state: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
pub(super) enum SubscriptionState {
    Unspecified = 0,
    Active = 1,
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
    #[prost(bool, tag = "2")]
    pub(super) return_immediately: bool,
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
    /// 1 and more: the client understands empty answers as heartbeats.
    #[prost(int64, tag = "10")]
    pub(super) protocol_version: i64,
}

/// Of an acknowledgement, and of a modified deadline.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Confirmation {
    #[prost(string, repeated, tag = "1")]
    pub(super) ack_ids: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub(super) invalid_ack_ids: Vec<String>,
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
    #[prost(message, optional, tag = "3")]
    pub(super) modify_ack_deadline_confirmation: Option<Confirmation>,
    #[prost(message, optional, tag = "4")]
    pub(super) subscription_properties: Option<SubscriptionProperties>,
    #[prost(message, optional, tag = "5")]
    pub(super) acknowledge_confirmation: Option<Confirmation>,
}

/// `google.rpc.Status`, which travels in the trailer `grpc-status-details-bin`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct RpcStatus {
    #[prost(int32, tag = "1")]
    pub(super) code: i32,
    #[prost(string, tag = "2")]
    pub(super) message: String,
    #[prost(message, repeated, tag = "3")]
    pub(super) details: Vec<Any>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Any {
    #[prost(string, tag = "1")]
    pub(super) type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) value: Vec<u8>,
}

/// `google.rpc.ErrorInfo`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ErrorInfo {
    #[prost(string, tag = "1")]
    pub(super) reason: String,
    #[prost(string, tag = "2")]
    pub(super) domain: String,
    #[prost(map = "string, string", tag = "3")]
    pub(super) metadata: HashMap<String, String>,
}
