//! The policies in `policy/` pass their tests, and each refuses when it is broken.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{fs, path::Path};

use csign_policy::{Policy, RegoVersion, Source, TestOutcome};

const DIRECTORIES: [&str; 7] = [
    "v0/custom",
    "v0/provenance",
    "v0/vulnerabilities",
    "v1/provenance",
    "v1/reproduced",
    "v1/sbom",
    "v1/vulnerabilities",
];

fn read(directory: &str, file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policy").join(directory).join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn failures(policy: &str, tests: &str) -> Vec<String> {
    let sources = [Source { name: "policy.rego", text: policy }, Source { name: "policy_test.rego", text: tests }];
    let policy = Policy::parse_all(&sources, RegoVersion::Auto).unwrap_or_else(|error| panic!("{error}"));
    let runs = policy.run_tests().expect("a run");
    assert!(runs.len() >= 4, "too few tests");
    runs.into_iter()
        .filter(|run| run.outcome != TestOutcome::Passed)
        .map(|run| {
            format!("{} {}\n{}", run.place, run.test, run.reasons.iter().map(|r| format!("{r}\n")).collect::<String>())
        })
        .collect()
}

#[test]
fn every_example_passes_its_tests() {
    for directory in DIRECTORIES {
        let failed = failures(&read(directory, "policy.rego"), &read(directory, "policy_test.rego"));
        assert!(failed.is_empty(), "{directory}: {}", failed.join("\n"));
    }
}

/// Without any one of the lines of `allow` and what it uses, a test fails: the tests hold what the policy says.
#[test]
fn no_condition_of_an_example_can_be_left_out_unnoticed() {
    for directory in DIRECTORIES {
        let (policy, tests) = (read(directory, "policy.rego"), read(directory, "policy_test.rego"));
        let lines: Vec<&str> = policy.lines().collect();
        let conditions = lines.iter().enumerate().filter(|(_, line)| {
            line.starts_with('\t') && !line.contains(":=") && !line.contains("some ") && !line.contains("] |")
        });
        for (index, line) in conditions {
            let mut without = lines.clone();
            without[index] = "\ttrue";
            let text = without.join("\n");
            let sources =
                [Source { name: "policy.rego", text: &text }, Source { name: "policy_test.rego", text: &tests }];
            // A line that a later one needs is noticed by the parser.
            let Ok(policy) = Policy::parse_all(&sources, RegoVersion::Auto) else { continue };
            let runs = policy.run_tests().expect("a run");
            assert!(runs.iter().any(|run| run.outcome == TestOutcome::Failed), "{directory}: nothing tests {line}");
        }
    }
}
