//! Every parser of bytes that somebody else wrote, under libFuzzer; `.ci/fuzz` builds and runs this. `tests/parsers.rs`
//! runs the same functions over mutated seeds in every test run.
//!
//! With `FUZZ_SEEDS=DIRECTORY` it writes `DIRECTORY/NAME/seed` for every parser, prints the names and ends; with `FUZZ_PARSER=NAME` it
//! fuzzes that one.
#![no_main]

mod parsers;
mod seeds;

use std::{env, fs, path::Path, process, sync::LazyLock};

use libfuzzer_sys::fuzz_target;

use crate::parsers::{PARSERS, Parser};

static PARSER: LazyLock<&Parser> = LazyLock::new(|| {
    let name = env::var("FUZZ_PARSER").expect("FUZZ_PARSER is set");
    PARSERS.iter().find(|parser| parser.name == name).expect("FUZZ_PARSER names a parser")
});

fn write_seeds_if_asked() {
    let Some(directory) = env::var_os("FUZZ_SEEDS") else { return };
    for Parser { name, seed, .. } in PARSERS {
        let directory = Path::new(&directory).join(name);
        fs::create_dir_all(&directory).expect("making the corpus");
        fs::write(directory.join("seed"), seed()).expect("writing a seed");
        println!("{name}");
    }
    process::exit(0);
}

fuzz_target!(init: write_seeds_if_asked(), |bytes: &[u8]| {
    (PARSER.accepts)(bytes);
});
