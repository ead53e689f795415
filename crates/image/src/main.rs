//! `image-parts CONTRACT DIRECTORY`: what Bazel's image rule needs besides the program, from one contract.

#![allow(clippy::print_stderr, reason = "a build tool says what is wrong on standard error")]

use std::{env, path::PathBuf, process::ExitCode};

use csign_image::parts;

fn main() -> ExitCode {
    let args: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let [contract, directory] = args.as_slice() else {
        eprintln!("usage: image-parts CONTRACT DIRECTORY");
        return ExitCode::from(2);
    };
    match parts::read_contract(contract).and_then(|contract| parts::write(&contract, directory)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("image-parts: {error}");
            ExitCode::from(3)
        }
    }
}
