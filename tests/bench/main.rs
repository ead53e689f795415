//! Compares `csign verify` with `cosign verify`.
fn main() {}
