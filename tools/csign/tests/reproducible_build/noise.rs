//! What a builder's machine may have set that would change a build, if the recipe let it.

use std::{fs, path::Path};

pub(crate) const ENVIRONMENT: &[(&str, &str)] = &[
    ("RUSTFLAGS", "-Copt-level=0 -Cdebuginfo=2"),
    ("CARGO_ENCODED_RUSTFLAGS", "-Copt-level=0"),
    ("CARGO_BUILD_RUSTFLAGS", "-Copt-level=0"),
    ("CARGO_BUILD_TARGET", "x86_64-unknown-linux-gnu"),
    ("CARGO_PROFILE_IMAGE_OPT_LEVEL", "0"),
    ("CARGO_PROFILE_IMAGE_STRIP", "none"),
    ("CARGO_PROFILE_RELEASE_PANIC", "unwind"),
    ("CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_LINKER", "/nonexistent/ld"),
    ("CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_RUSTFLAGS", "-Copt-level=0"),
    ("CARGO_INCREMENTAL", "1"),
    ("CC", "gcc -g"),
    ("CFLAGS", "-O0 -g"),
    ("LDFLAGS", "-Wl,--build-id"),
    ("RUSTC_BOOTSTRAP", "1"),
    ("RUSTC_WRAPPER", "/nonexistent/wrapper"),
    ("RUSTUP_TOOLCHAIN", "nightly"),
    ("NOISE", "noise"),
];

const CONFIGURATION: &str = r#"
[build]
rustflags = ["-Copt-level=0", "-Cdebuginfo=2"]
rustc-wrapper = "/nonexistent/wrapper"
target-dir = "/nonexistent/target"
[target.x86_64-unknown-linux-musl]
linker = "/nonexistent/ld"
rustflags = ["-Copt-level=0"]
[profile.image]
opt-level = 0
strip = "none"
[env]
NOISE_FROM_CONFIGURATION = { value = "noise", force = true }
"#;

const WORKSPACE: &str = "[workspace]\nmembers = [\"s\"]\n[profile.image]\ninherits = \"dev\"\n";

/// Cargo's configuration in the sources and above them, another workspace and another toolchain above them.
pub(crate) fn write_hostile_configuration(sources: &Path, above: &Path) {
    for place in [sources, above] {
        fs::create_dir_all(place.join(".cargo")).unwrap();
        fs::write(place.join(".cargo/config.toml"), CONFIGURATION).unwrap();
    }
    fs::write(above.join("Cargo.toml"), WORKSPACE).unwrap();
    fs::write(above.join("rust-toolchain.toml"), "[toolchain]\nchannel = \"nightly\"\n").unwrap();
}
