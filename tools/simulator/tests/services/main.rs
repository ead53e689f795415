//! The simulator's services over the wire, with Google's own clients where there are any.

// The lint knows functions marked as tests, not their helpers.
#![allow(clippy::expect_used)]

mod console;
mod kms;
mod launcher;
mod program;
mod pubsub;
mod registry;
mod scene;
mod sts;
mod tls;
mod tokens;
