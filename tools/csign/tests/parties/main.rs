//! The command line as the parties use it, against the simulator's registry.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

mod attach;
mod attachments;
mod contract;
mod copy;
mod exchange;
mod faults;
mod keyless;
mod policy;
mod world;
