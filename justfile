# Lists the recipes.
default:
    @"{{just_executable()}}" --list --unsorted

# Exactly what CI runs.
ci:
    bash .ci/run

# The tests that need only the Rust toolchain; peers that are missing are skipped, visibly.
test *ARGS:
    cargo test --workspace {{ARGS}}

# The whole protocol on this machine: build, sign, approve, launch, count, and the refusals.
demo *ARGS:
    cargo run --release -p simulator -- demo {{ARGS}}

# Requests, time and memory of `csign verify` next to cosign's, from one run; sizes, and how long the workload boots; how
# long the simulator takes to start, and its memory; `csign diff` of generated images of 1 GB next to reading them once.
bench *ARGS:
    cargo build --release -p csign -p csign-tests
    target/release/csign-bench --demo {{ARGS}}
    target/release/csign-bench-diff --csign target/release/csign --planted
    cargo bench -p workload --profile image --bench messages

# cosign, crane, oras, skopeo, docker-registry … into .peers.
peers:
    .ci/peers

# The tests against real peers; fails where one is missing.
interop: peers
    CI_PEERS=required cargo test -p csign-tests

# Everything with Bazel in a Debian chroot, without network: targets, tests, the image twice. As root; minutes.
bazel *ARGS:
    .ci/bazel {{ARGS}}

fmt:
    cargo fmt --all

clippy:
    cargo clippy --workspace --all-targets -- -D warnings

# Licences, bans, sources and known vulnerabilities (needs cargo-deny: `cargo install --locked cargo-deny`).
deny:
    cargo deny check

# Fuzzes every parser, or only those named, for that many seconds each.
fuzz SECONDS="60" *PARSERS:
    .ci/fuzz {{SECONDS}} {{PARSERS}}
