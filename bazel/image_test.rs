//! The image that the image rule made is the one that csign would assemble for the same contract.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a test fails by panicking")]

use std::{env, path::PathBuf};

use csign_image::{compare, parts::read_contract};
use csign_oci::Layout;

#[test]
fn the_image_is_the_contracts() {
    let path = |name: &str| PathBuf::from(env::var_os(name).expect(name));
    let contract = read_contract(&path("CONTRACT")).unwrap();
    let layout = Layout::open(path("IMAGE")).unwrap();
    let program = compare(&layout, &contract.canonical(), contract.labels(), &contract.ports()).unwrap();
    assert!(program.starts_with(b"\x7fELF"));
    println!("{} bytes of program, image {}", program.len(), layout.image().unwrap().0.digest);
}
