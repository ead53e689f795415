//! Every parser of bytes that somebody else wrote, ready for a fuzzer. `tests/parsers.rs` runs the same functions over
//! mutated seeds in every test run.

pub mod parsers;
mod seeds;

/// Runs the parser called `name`.
///
/// # Panics
/// When there is no such parser, or when it breaks a promise.
pub fn run(name: &str, bytes: &[u8]) {
    let parser = parsers::PARSERS.iter().find(|parser| parser.name == name).expect("a parser's name");
    (parser.accepts)(bytes);
}
