//! What the tests with real peers and the benchmark share: finding and starting programs, registries, a counting proxy.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "all of it runs under a test or the benchmark")]

pub mod image;
pub mod peer;
pub mod planted;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod registry;
