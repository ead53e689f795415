//! The simulator's services over the wire, with Google's own clients where there are any.

// The lint knows functions marked as tests, not their helpers.
#![allow(clippy::expect_used)]

mod console;
mod iam;
mod kms;
mod kms_versions;
mod launcher;
mod program;
mod pubsub;
mod registry;
mod rest;
mod scene;
mod secrets;
mod storage;
mod sts;
mod tls;
mod tokens;
