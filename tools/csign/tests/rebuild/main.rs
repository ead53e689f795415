//! `csign rebuild` as a collaborator uses it: a small workspace in a git repository, built for real.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "a test that is skipped says so")]

mod bazel;
mod different;
mod refused;
mod same;
mod scene;
