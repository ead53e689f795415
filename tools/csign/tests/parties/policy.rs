//! `csign policy`: tests, checks and decisions, each with its exit status.

use std::path::Path;

use crate::world::World;

#[test]
fn the_example_policies_pass_their_tests() {
    let world = World::new();
    let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policy").display().to_string();
    let done = world.csign(&["policy", "test", &policies]).expect(0, &["PASS", " 0 failed"]);
    assert!(!done.stdout.contains("FAIL"), "{done:?}");
    world.csign(&["policy", "check", &policies]).expect(0, &["data.signature", "v0", "v1"]);
}

#[test]
fn a_failed_policy_test_is_shown_with_its_reason_and_ends_with_1() {
    let world = World::new();
    world.write("p.rego", "package signature\nallow { input.a == 1 }\ntest_it { allow with input as {\"a\": 2} }\n");
    world.csign(&["policy", "test", "p.rego"]).expect(1, &["FAIL  p.rego:3  data.signature.test_it", "input.a is 2"]);
    let json = world.csign(&["policy", "test", "p.rego", "--output", "json"]).expect(1, &[]).json();
    assert_eq!(json["failed"], 1);
    assert_eq!(json["tests"][0]["outcome"], "failed");
}

#[test]
fn a_policy_without_tests_is_no_success() {
    let world = World::new();
    world.write("p.rego", "package signature\nallow { true }\ntodo_test_it { false }\n");
    world.csign(&["policy", "test", "p.rego"]).expect(2, &["no test found", "test_"]);
    world.csign(&["policy", "test", "."]).expect(2, &["no test found"]);
    world.csign(&["policy", "test", "absent.rego"]).expect(2, &["absent.rego"]);
}

#[test]
fn a_policy_that_does_not_parse_is_wrong_usage_with_its_place() {
    let world = World::new();
    world.write("p.rego", "package signature\nallow {\n  x = = 1\n}\n");
    for command in [&["policy", "check", "p.rego"][..], &["policy", "test", "p.rego"]] {
        world.csign(command).expect(2, &["p.rego:3:7"]);
    }
    world.write("p.rego", "package signature\nallow if { true }\n");
    world.csign(&["policy", "check", "p.rego"]).expect(2, &["p.rego:2:1", "import rego.v1"]);
    world.csign(&["policy", "check", "p.rego", "--rego", "v1"]).expect(0, &["v1", "yes"]);
    world.write("p.rego", "package signature\nallow { not http.send({}) }\n");
    world.csign(&["policy", "check", "p.rego"]).expect(2, &["p.rego:2:", "http.send", "no network"]);
    world.write("p.rego", "package other\nallow { true }\n");
    world.csign(&["policy", "check", "p.rego"]).expect(0, &["refuses everything", "data.other"]);
}

#[test]
fn a_decision_says_why_and_is_the_exit_status() {
    let world = World::new();
    world.write("p.rego", "package signature\nallow { input.predicate.foo == \"bar\" }\n");
    world.write("good.json", "{\"predicate\": {\"foo\": \"bar\"}}");
    world.write("bad.json", "{\"predicate\": {\"foo\": \"baz\"}}");
    world.write("twice.json", "{\"predicate\": {\"foo\": \"bar\"}, \"predicate\": {\"foo\": \"baz\"}}");
    world.csign(&["policy", "eval", "p.rego", "--input", "good.json"]).expect(0, &["ALLOWED"]);
    world
        .csign(&["policy", "eval", "p.rego", "--input", "bad.json"])
        .expect(1, &["p.rego:2:9", "input.predicate.foo is \"baz\"", "REFUSED"]);
    let done = world.csign(&["policy", "eval", "p.rego", "--input", "bad.json", "--output", "json"]).expect(1, &[]);
    assert_eq!(done.json()["reasons"][0]["found"][0]["path"], "input.predicate.foo");
    world.csign(&["policy", "eval", "p.rego", "--input", "twice.json"]).expect(2, &["not JSON"]);
}
