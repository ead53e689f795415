//! What verifies, and every attack that must not.

mod bundles;
mod legacy;
mod world;
