//! Pub/Sub: topics, subscriptions, leases and redelivery, over gRPC as Google's own client speaks it.

mod broker;
mod convert;
pub(crate) mod emulator;
mod failure;
mod filter;
mod grpc;
mod limits;
mod messages;
mod queue;
mod service;
mod stream;

pub use broker::Published;
pub(crate) use grpc::routes;
pub use service::PubSub;
