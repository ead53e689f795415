//! The command line as the parties use it, against the simulator's registry.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

mod attach;
mod attachments;
mod attestations_cli;
mod collect_bundles;
mod contract;
mod contract_evidence;
mod copy;
mod elsewhere;
mod exchange;
mod faults;
mod formats;
mod keyless;
mod layouts_cli;
mod offline;
mod policies_cli;
mod policy;
mod preflight;
mod preflight_scene;
mod publishing;
mod requests;
mod rosters;
mod token;
mod verify_bundles;
mod world;
