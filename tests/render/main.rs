//! What `csign render` writes, run and judged by the programs it is for: bash and shellcheck, gcloud's own parser, Terraform,
//! OpenBao, moto, and the simulator.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod admission;
mod aws;
mod command;
mod gcloud;
mod hostile;
mod released;
mod rotate;
mod scene;
mod simulated;
mod terraform;
mod vault;
