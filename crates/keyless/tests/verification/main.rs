//! What verifies, and every attack that must not.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failure here fails the test")]

mod bundles;
mod damage;
mod legacy;
mod peers;
mod pem_roots;
mod roster;
mod world;
