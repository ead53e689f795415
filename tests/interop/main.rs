//! csign against the real programs of the field. A test whose peer is missing says so and passes, unless the
//! environment has `CI_PEERS=required`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failure here fails the test")]

mod copies;
mod diff;
mod exchange;
mod key_providers;
mod keys;
mod layouts;
mod peers;
mod policy;
mod pubsub;
mod referrers;
mod registries;
mod sarif;
mod sbom;
mod scene;
mod signatures;
mod table;
