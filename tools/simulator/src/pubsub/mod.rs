//! Pub/Sub: topics, subscriptions, leases and redelivery, over gRPC as Google's own client speaks it.

mod broker;
mod grpc;
mod messages;
mod stream;

pub use broker::Published;
pub use grpc::PubSub;
pub(crate) use grpc::routes;
