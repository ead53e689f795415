//! `csign render` as a person meets it.

use std::fs;

use csign_tests::{peer, process::Bench};

use crate::scene::{SETTINGS, agreed, contract_text};

fn bench() -> Bench {
    let bench = Bench::new();
    fs::write(bench.path("collaboration.toml"), contract_text("")).unwrap();
    fs::write(bench.path("deployment.toml"), SETTINGS).unwrap();
    bench
}

#[test]
fn a_script_is_written_once_and_again_only_if_forced() {
    let bench = bench();
    let digest = agreed().to_string();
    let render = |more: &[&str]| {
        let always = ["render", "gcloud", "--role", "operator", "--settings", "deployment.toml", "--digest", &digest];
        bench.run(peer::csign(), always.iter().chain(more))
    };
    let printed = render(&[]).success();
    let named = render(&["--out", "deploy"]).success();
    assert_eq!(named.trim(), "deploy/operator.sh");
    assert_eq!(fs::read_to_string(bench.path("deploy/operator.sh")).unwrap(), printed, "the same bytes");
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&fs::metadata(bench.path("deploy/operator.sh")).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o755);
    render(&["--out", "deploy"]).success();
    fs::write(bench.path("deploy/operator.sh"), "mine").unwrap();
    assert!(render(&["--out", "deploy"]).failure(2).contains("exists already"));
    assert_eq!(fs::read_to_string(bench.path("deploy/operator.sh")).unwrap(), "mine");
    render(&["--out", "deploy", "--force"]).success();
    assert_eq!(fs::read_to_string(bench.path("deploy/operator.sh")).unwrap(), printed);
}

#[test]
fn what_is_missing_is_named_and_nothing_is_written() {
    let bench = bench();
    let digest = agreed().to_string();
    for (role, settings, missing) in [
        ("operator", "", "operator.publishers"),
        ("builder", "", "builder.trigger.repository"),
        ("collaborator=collaborator-1", "", "collaborator.encrypters"),
        ("collaborator=collaborator-1", "[collaborator]\nencrypters = []\n", "alerts.notification_channels"),
        ("collaborator=builder", SETTINGS, "collaborator-1, collaborator-2"),
        ("operator", "[operator]\nreigon = \"x\"\n", "reigon"),
    ] {
        fs::write(bench.path("other.toml"), settings).unwrap();
        let arguments =
            ["render", "gcloud", "--role", role, "--settings", "other.toml", "--digest", &digest, "--out", "none"];
        let refused = bench.run(peer::csign(), arguments).failure(2);
        assert!(refused.contains(missing) && refused.contains("hint: "), "{refused}");
        assert!(!bench.path("none").exists());
    }
    let without = ["render", "gcloud", "--role", "operator", "--settings", "deployment.toml"];
    assert!(bench.run(peer::csign(), without).failure(2).contains("--digest"));
    let nobody = ["render", "gcloud", "--settings", "deployment.toml"];
    assert!(bench.run(peer::csign(), nobody).failure(2).contains("--role"));
}

#[test]
fn a_simulated_contract_is_refused_unless_an_option_says_otherwise() {
    let bench = bench();
    let text = contract_text("")
        .replace(
            "kind = \"google\"",
            "kind = \"simulated\"\nissuer = \"http://attestation.simulator.localhost\"\nissuer_keys = [\"x\"]",
        )
        .replace("us-central1-docker.pkg.dev/", "registry.simulator.localhost/");
    fs::write(bench.path("collaboration.toml"), text).unwrap();
    let arguments = ["render", "credentials", "--role", "collaborator=collaborator-1"];
    assert!(bench.run(peer::csign(), arguments).failure(1).contains("simulated"));
    bench.run(peer::csign(), arguments.iter().chain(&["--allow-simulated"])).success();
}

#[test]
fn the_simulators_registry_is_where_its_name_says() {
    let bench = bench();
    let simulated = "kind = \"simulated\"\nissuer = \"http://attestation.simulator.localhost\"\nissuer_keys = [\"x\"]";
    let text = contract_text("")
        .replace("kind = \"google\"", simulated)
        .replace("us-central1-docker.pkg.dev/", "us-central1-docker.pkg.dev.simulator.localhost/");
    fs::write(bench.path("simulated.toml"), text).unwrap();
    let render = |more: &[&str]| {
        let always = ["render", "gcloud", "--role", "builder", "--settings", "deployment.toml"];
        bench.run(peer::csign(), always.iter().chain(more)).success()
    };
    let lines = |script: &str| -> Vec<String> {
        script.lines().filter(|line| line.starts_with("  ensure_")).map(str::to_owned).collect()
    };
    let real = lines(&render(&[]));
    assert!(real.iter().any(|line| line.contains("us-central1") && line.contains("repo1")), "{real:#?}");
    assert_eq!(lines(&render(&["--contract", "simulated.toml", "--allow-simulated"])), real);
}

#[test]
fn a_builder_without_cloud_build_gets_no_account_bucket_and_trigger() {
    let bench = bench();
    let script = |settings: &str| {
        fs::write(bench.path("own.toml"), settings).unwrap();
        bench.run(peer::csign(), ["render", "gcloud", "--role", "builder", "--settings", "own.toml"]).success()
    };
    let steps = |script: &str| script.lines().filter(|line| line.starts_with("  ensure_")).count();
    let alone = script("[builder]\ncloud_build = false\n[alerts]\nnotification_channels = []\n");
    let with = script(SETTINGS);
    for only_with in ["cloudbuild.googleapis.com", "csign-builder@", "csign-build"] {
        assert!(with.contains(only_with) && !alone.contains(only_with), "{only_with}");
    }
    assert!(alone.contains("image-signing") && alone.contains("roles/artifactregistry.reader"));
    assert!(steps(&alone) + 5 < steps(&with), "{} {}", steps(&alone), steps(&with));
}

#[test]
fn the_settings_that_render_writes_are_settings() {
    let bench = bench();
    let text = bench.run(peer::csign(), ["render", "settings"]).success();
    csign_render::Settings::from_toml(&text).unwrap();
    // Every example is one, too.
    let examples: String = text
        .lines()
        .filter_map(|line| {
            line.strip_prefix("# ").filter(|line| line.contains('=') || line.starts_with('[')).or(Some(line))
        })
        .filter(|line| {
            !line.starts_with('#')
                && !line.starts_with("What one")
                && !line.starts_with("here changes")
                && !line.starts_with("\"no default\"")
        })
        .map(|line| format!("{line}\n"))
        .collect();
    let settings = csign_render::Settings::from_toml(&examples).unwrap_or_else(|error| panic!("{error}\n{examples}"));
    assert!(settings.operator.publishers.is_some() && settings.vpc_sc.policy.is_some());
}
