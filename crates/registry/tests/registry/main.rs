//! The client against the simulator's registry, over real connections.

#![allow(clippy::expect_used, reason = "this is a test")]

mod attach;
mod attacks;
mod attestations;
mod auth;
mod layout;
mod read;
mod referrers;
mod support;
mod tls;
mod write;
