//! The scripts of the target `gcloud`, run against a cloud that is kept in a file.

use std::{fs, process::Command};

use csign_render::{Files, Settings, Target};
use csign_tests::{
    peer::{self, peer},
    process::Finished,
};
use serde_json::{Value, json};

use crate::scene::{Cloud, ROLES, contract, mutates, render_with, rendered, settings};

const COLLABORATOR: &str = "collaborator=collaborator-1";
const KEY: &str = "kms keys|key1|project=project-1|location=global|keyring=kr1";
const PROVIDER: &str = "iam workload-identity-pools providers|attestation-verifier|project=project-1|location=global|\
                        workload-identity-pool=trusted-workload-pool";
const MACHINE: &str = "compute instances|csign-workload|project=operator-project|zone=us-central1-a";

fn script(who: &str) -> Files {
    rendered(Target::Gcloud, who)
}

fn project(who: &str) -> &'static str {
    match who {
        "builder" => "builder-project",
        "operator" => "operator-project",
        "collaborator=collaborator-1" => "project-1",
        _ => "project-2",
    }
}

/// The scripts of a contract and settings that use what is optional: a group, ingest and health ports.
fn other_operator() -> Files {
    render_with(Target::Gcloud, "operator", &with_ports(), &other_operator_input()).unwrap()
}

pub(crate) fn other_operator_input() -> Settings {
    let mut settings = settings();
    settings.operator.group_size = Some(2);
    settings.operator.ingest_ranges = Some(vec!["203.0.113.0/24".to_owned(), "198.51.100.7/32".to_owned()]);
    settings.operator.health_ranges = vec!["10.0.0.0/8".to_owned()];
    settings
}

pub(crate) fn with_ports() -> csign_contract::Contract {
    let mut contract = contract("");
    contract.health = Some(csign_contract::Health { port: 8080 });
    contract.ingest = Some(csign_contract::Ingest { port: 8443 });
    contract
}

/// A cloud in which everything was made that these roles need.
fn made(roles: &[&str]) -> Cloud {
    let cloud = Cloud::new();
    for who in roles {
        cloud.run(&script(who), &[]).success();
    }
    cloud.calls();
    cloud
}

#[test]
fn a_second_run_changes_nothing_and_a_check_finds_nothing() {
    if peer("python3").is_none() {
        return;
    }
    let cloud = Cloud::new();
    for files in ROLES.map(script).into_iter().chain([other_operator()]) {
        // The group stands in the place of the machine.
        let first = cloud.run(&files, &[]).success();
        assert!(first.contains("change  create"), "{first}");
        assert!(cloud.calls().iter().any(|call| mutates(call)));
        let again = cloud.run(&files, &[]).success();
        assert!(again.contains(": 0 changed"), "{again}");
        let checked = cloud.run(&files, &["--check"]).success();
        assert!(checked.contains(": 0 to change"), "{checked}");
        let changing: Vec<_> = cloud.calls().into_iter().filter(|call| mutates(call)).collect();
        assert_eq!(changing, Vec::<Vec<String>>::new());
    }
}

#[test]
fn a_dry_run_and_a_check_of_an_empty_project_change_nothing_and_say_what_is_missing() {
    if peer("python3").is_none() {
        return;
    }
    let cloud = Cloud::new();
    let empty = cloud.state();
    for who in ROLES {
        let shown = cloud.run(&script(who), &["--dry-run"]).success();
        assert!(shown.contains("would   ") && shown.contains("gcloud services enable"), "{shown}");
        let checked = cloud.run(&script(who), &["--check"]);
        assert_eq!(checked.code, Some(1), "{checked}");
        assert!(checked.stdout.contains("differs enable"), "{checked}");
    }
    assert_eq!(cloud.state(), empty);
    assert!(cloud.calls().iter().all(|call| !mutates(call)));
}

/// A change that someone made behind the script's back.
struct Drift {
    who: &'static str,
    what: &'static str,
    change: fn(&mut Value),
}

const DRIFTS: [Drift; 12] = [
    Drift {
        who: COLLABORATOR,
        what: "correct provider",
        change: |s| s["things"][PROVIDER]["attributeCondition"] = json!("true"),
    },
    Drift {
        who: COLLABORATOR,
        what: "correct provider",
        change: |s| s["things"][PROVIDER]["attributeMapping"]["attribute.image_digest"] = json!("'sha256:00'"),
    },
    Drift {
        who: COLLABORATOR,
        what: "correct provider",
        change: |s| s["things"][PROVIDER]["oidc"]["issuerUri"] = json!("https://issuer.example"),
    },
    Drift {
        who: COLLABORATOR,
        what: "correct provider",
        change: |s| {
            s["things"][PROVIDER]["oidc"]["allowedAudiences"]
                .as_array_mut()
                .unwrap()
                .push(json!("https://sts.googleapis.com"));
        },
    },
    Drift {
        who: COLLABORATOR,
        what: "take roles/cloudkms.cryptoKeyDecrypter on key1 from user:mallory@example.com",
        change: |s| hold(s, KEY, "roles/cloudkms.cryptoKeyDecrypter", "user:mallory@example.com", None),
    },
    Drift {
        who: COLLABORATOR,
        what: "take roles/cloudkms.cryptoKeyEncrypterDecrypter on key1 from user:mallory@example.com",
        change: |s| hold(s, KEY, "roles/cloudkms.cryptoKeyEncrypterDecrypter", "user:mallory@example.com", None),
    },
    Drift {
        who: COLLABORATOR,
        what: "take roles/cloudkms.cryptoKeyDecrypter on key1 from user:mallory@example.com",
        change: |s| hold(s, KEY, "roles/cloudkms.cryptoKeyDecrypter", "user:mallory@example.com", Some("true")),
    },
    Drift {
        who: COLLABORATOR,
        what: "log every use of",
        change: |s| {
            s["policies"]["projects|project-1"]["auditConfigs"][0]["auditLogConfigs"].as_array_mut().unwrap().pop();
        },
    },
    Drift { who: COLLABORATOR, what: "create alert", change: |s| s["alerts"]["project-1"] = json!([]) },
    Drift {
        who: "operator",
        what: "machine csign-workload",
        change: |s| {
            for item in s["things"][MACHINE]["metadata"]["items"].as_array_mut().unwrap() {
                if item["key"] == "tee-image-reference" {
                    item["value"] = json!("us-central1-docker.pkg.dev/builder-project/repo1/word-count@sha256:00");
                }
            }
        },
    },
    Drift {
        who: "operator",
        what: "machine csign-workload",
        change: |s| {
            let items = &mut s["things"][MACHINE]["metadata"]["items"];
            items.as_array_mut().unwrap().push(json!({"key": "tee-cmd", "value": "[\"/bin/sh\"]"}));
        },
    },
    Drift {
        who: "builder",
        what: "close bucket",
        change: |s| {
            s["things"]["storage buckets|builder-project-csign-build"]["public_access_prevention"] = json!("inherited")
        },
    },
];

/// Someone gets a role.
fn hold(state: &mut Value, on: &str, role: &str, member: &str, condition: Option<&str>) {
    let mut binding = json!({"role": role, "members": [member]});
    if let Some(condition) = condition {
        binding["condition"] = json!({"title": "some", "expression": condition});
    }
    state["policies"][on]["bindings"].as_array_mut().unwrap().push(binding);
}

#[test]
fn what_someone_changed_is_found_by_a_check_and_set_right_by_a_run() {
    if peer("python3").is_none() {
        return;
    }
    let cloud = made(&ROLES[..3]);
    let right = cloud.state();
    let mut all = right.clone();
    for Drift { who, what, change } in DRIFTS {
        let mut wrong = right.clone();
        change(&mut wrong);
        change(&mut all);
        assert_ne!(wrong, right, "{what}");
        cloud.set_state(&wrong);
        let files = script(who);
        let checked = cloud.run(&files, &["--check"]);
        assert_eq!(checked.code, Some(1), "{checked}");
        let line = checked.stdout.lines().find(|line| line.contains(what));
        assert!(line.is_some_and(|line| line.starts_with("differs ")), "{what}: {checked}");
        assert_eq!(cloud.state(), wrong, "a check changes nothing");
    }
    cloud.set_state(&all);
    for who in &ROLES[..3] {
        let files = script(who);
        cloud.run(&files, &["--replace"]).success();
        cloud.run(&files, &["--check"]).success();
    }
}

#[test]
fn a_running_machine_is_replaced_only_if_someone_says_so() {
    if peer("python3").is_none() {
        return;
    }
    let cloud = made(&["operator"]);
    let mut state = cloud.state();
    state["things"][MACHINE]["machineType"] = json!("https://c/machineTypes/e2-micro");
    cloud.set_state(&state);
    let refused = cloud.run(&script("operator"), &[]);
    assert_eq!(refused.code, Some(1), "{refused}");
    assert!(refused.stderr.contains("--replace"), "{refused}");
    assert_eq!(cloud.state()["things"][MACHINE], state["things"][MACHINE]);
}

#[test]
fn audit_logs_of_other_services_and_the_rest_of_the_policy_survive() {
    if peer("python3").is_none() {
        return;
    }
    let cloud = Cloud::new();
    let mut state = cloud.state();
    let theirs = json!({"auditLogConfigs": [{"logType": "DATA_READ"}], "service": "storage.googleapis.com"});
    let exempt = json!({
        "auditLogConfigs": [{"exemptedMembers": ["user:mallory@example.com"], "logType": "DATA_READ"}],
        "service": "cloudkms.googleapis.com",
    });
    let owner = json!({"members": ["user:root@example.com"], "role": "roles/owner"});
    state["policies"]["projects|project-1"] =
        json!({"auditConfigs": [exempt, theirs], "bindings": [owner], "etag": "BwX", "version": 1});
    cloud.set_state(&state);
    cloud.run(&script(COLLABORATOR), &[]).success();
    let policy = cloud.state()["policies"]["projects|project-1"].clone();
    let configs = policy["auditConfigs"].as_array().unwrap();
    assert!(configs.contains(&theirs), "{policy}");
    assert_eq!(configs.len(), 4, "one for each service: {policy}");
    assert!(!policy.to_string().contains("mallory"), "nobody is exempt: {policy}");
    assert_eq!(policy["bindings"][0], owner);
}

#[test]
fn what_cannot_be_read_is_not_taken_for_absent() {
    if peer("python3").is_none() {
        return;
    }
    let mut cloud = made(&[COLLABORATOR]);
    for denied in ["kms keys", "iam workload-identity-pools", "projects"] {
        cloud.deny = Some(denied);
        for arguments in [&["--check"][..], &["--dry-run"], &[], &["--teardown", "--confirm=project-1"]] {
            if denied == "projects" && arguments.contains(&"--teardown") {
                continue; // It reads nothing there.
            }
            let files = script(COLLABORATOR);
            let before = cloud.state();
            let failed = cloud.run(&files, arguments);
            assert_eq!(failed.code, Some(3), "{denied}: {failed}");
            assert!(failed.stderr.contains("PERMISSION_DENIED"), "{failed}");
            if !arguments.contains(&"--teardown") {
                assert_eq!(cloud.state(), before);
            }
        }
    }
}

#[test]
fn a_teardown_removes_everything_but_what_google_keeps_and_wants_to_be_confirmed() {
    if peer("python3").is_none() {
        return;
    }
    let cloud = made(&ROLES);
    let before = cloud.state();
    for who in ROLES {
        for arguments in [&["--teardown"][..], &["--teardown", "--confirm=another"]] {
            let refused = cloud.run(&script(who), arguments);
            assert_eq!(refused.code, Some(2), "{refused}");
        }
    }
    assert_eq!(cloud.state(), before);
    let confirm = |who| format!("--confirm={}", project(who));
    // The operator's machine goes before what others granted it.
    for who in ROLES {
        cloud.run(&script(who), &["--teardown", &confirm(who)]).success();
    }
    assert_eq!(cloud.state()["things"][KEY]["versions"][0]["state"], "ENABLED", "data stay readable unless asked");
    for who in ROLES {
        cloud.run(&script(who), &["--teardown", &confirm(who), "--destroy-keys"]).success();
        let again = cloud.run(&script(who), &["--teardown", &confirm(who), "--destroy-keys"]).success();
        assert!(again.contains(": 0 changed"), "{again}");
    }
    let state = cloud.state();
    for (name, thing) in state["things"].as_object().unwrap() {
        let stays = name.starts_with("projects|")
            || name.starts_with("kms keyrings|")
            || thing["state"] == "DELETED"
            || thing["versions"].as_array().is_some_and(|all| all.iter().all(|v| v["state"] == "DESTROY_SCHEDULED"));
        assert!(stays, "{name} is left");
    }
    for (name, policy) in state["policies"].as_object().unwrap() {
        assert!(policy["bindings"].as_array().is_none_or(Vec::is_empty), "{name}: {policy}");
    }
    assert!(state["alerts"].as_object().unwrap().values().all(|alerts| alerts == &json!([])));
}

#[test]
fn a_pool_that_was_removed_comes_back() {
    if peer("python3").is_none() {
        return;
    }
    let cloud = made(&[COLLABORATOR]);
    cloud.run(&script(COLLABORATOR), &["--teardown", "--confirm=project-1"]).success();
    let again = cloud.run(&script(COLLABORATOR), &[]).success();
    assert!(again.contains("restore identity pool") && again.contains("restore provider"), "{again}");
    cloud.run(&script(COLLABORATOR), &["--check"]).success();
}

#[test]
fn a_project_with_another_number_than_the_contracts_is_refused() {
    if peer("python3").is_none() {
        return;
    }
    let cloud = Cloud::new();
    let mut state = cloud.state();
    state["things"]["projects|project-1"]["projectNumber"] = json!("300000000000");
    cloud.set_state(&state);
    let refused = cloud.run(&script(COLLABORATOR), &[]);
    assert_eq!(refused.code, Some(1), "{refused}");
    assert!(!cloud.calls().iter().any(|call| mutates(call)));
}

#[test]
fn a_perimeter_is_made_once_and_whoever_else_is_let_in_is_found() {
    if peer("python3").is_none() {
        return;
    }
    let cloud = Cloud::new();
    let files = rendered(Target::VpcSc, COLLABORATOR);
    cloud.run(&files, &[]).success();
    let again = cloud.run(&files, &[]).success();
    assert!(again.contains(": 0 changed"), "{again}");
    let right = cloud.state();
    let name = "access-context-manager perimeters|csign|policy=123456789";
    let mut wide = right.clone();
    wide["things"][name]["status"]["vpcAccessibleServices"]["allowedServices"] = json!(["storage.googleapis.com"]);
    cloud.set_state(&wide);
    assert_eq!(cloud.run(&files, &["--check"]).code, Some(1));
    cloud.run(&files, &[]).success();
    assert_eq!(cloud.state()["things"][name]["status"], right["things"][name]["status"]);
    let changes: [fn(&mut Value); 3] = [
        |ingress| {
            ingress[1]["ingressFrom"] = json!({"identityType": "ANY_IDENTITY", "sources": [{"accessLevel": "*"}]})
        },
        |ingress| ingress[0]["ingressFrom"]["sources"][0]["resource"] = json!("projects/1"),
        |ingress| {
            let rule = ingress[0].clone();
            ingress.as_array_mut().unwrap().push(rule);
        },
    ];
    for change in changes {
        let mut state = right.clone();
        change(&mut state["things"][name]["status"]["ingressPolicies"]);
        cloud.set_state(&state);
        assert_eq!(cloud.run(&files, &["--check"]).code, Some(1));
        cloud.run(&files, &[]).success();
        cloud.run(&files, &["--check"]).success();
        assert_eq!(cloud.state()["things"][name]["status"], right["things"][name]["status"]);
    }
    cloud.run(&files, &["--teardown", "--confirm=project-1"]).success();
    assert!(cloud.state()["things"].get(name).is_none());
}

#[test]
fn the_scripts_pass_shellcheck() {
    let Some(shellcheck) = peer("shellcheck") else { return };
    let cloud = Cloud::new();
    let mut all: Vec<Files> = ROLES.map(script).to_vec();
    all.push(other_operator());
    all.extend([Target::VpcSc, Target::Vault, Target::Aws].map(|target| rendered(target, COLLABORATOR)));
    for (index, files) in all.iter().enumerate() {
        for (name, file) in files.iter().filter(|(_, file)| file.executable) {
            let path = cloud.path(&format!("{index}-{name}"));
            fs::write(&path, &file.text).unwrap();
            Finished::of(Command::new(&shellcheck).arg(&path)).success();
        }
    }
}

/// The real gcloud's directory, where it is installed. It comes from no registry that this project's CI has, so its absence
/// is no failure there either.
pub(crate) fn sdk() -> Option<std::path::PathBuf> {
    let program = fs::canonicalize(peer::find("gcloud")?).ok()?;
    let directory = program.parent()?.parent()?.to_path_buf();
    let python = directory.join("platform/bundledpythonunix/bin/python3");
    python.is_file().then_some(directory)
}

#[test]
fn every_command_and_flag_is_one_that_the_real_gcloud_takes_and_prints_as_the_test_assumes() {
    if peer("python3").is_none() {
        return;
    }
    if sdk().is_none() {
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), "the real gcloud's parser: skipped, no Google Cloud SDK on this machine");
        return;
    }
    let other = "operator with what is optional";
    let mut all: Vec<(&str, Files)> = ROLES[..3].iter().map(|who| (*who, script(who))).collect();
    all.push((other, other_operator()));
    let perimeter = "perimeter";
    all.push((perimeter, rendered(Target::VpcSc, COLLABORATOR)));
    let cloud = Cloud::new();
    let empty = cloud.state();
    for (who, files) in &all {
        cloud.set_state(&empty);
        cloud.run(files, &[]).success();
        // Every correction, too.
        let mut wrong = spoiled(&cloud.state());
        DRIFTS.iter().filter(|drift| drift.who == *who).for_each(|drift| (drift.change)(&mut wrong));
        cloud.set_state(&wrong);
        cloud.run(files, &["--replace"]).success();
        let project = match *who {
            who if who == other => "operator-project",
            who if who == perimeter => "project-1",
            who => project(who),
        };
        cloud.run(files, &["--teardown", &format!("--confirm={project}"), "--destroy-keys"]).success();
        if *who == COLLABORATOR {
            cloud.run(files, &[]).success();
        }
    }
    judged_by_gcloud(&cloud, 100);
}

/// Gives what was called and printed to the real gcloud's parser and printer, if they are here; at least so many lines of each.
pub(crate) fn judged_by_gcloud(cloud: &Cloud, at_least: usize) {
    let Some(sdk) = sdk() else { return };
    let accepts = peer::repository().join("tests/render/scripts/gcloud_accepts.py");
    for what in ["calls", "formats"] {
        let lines = fs::read_to_string(cloud.path(&format!("state.{what}"))).unwrap();
        assert!(lines.lines().count() > at_least);
        let mut command = Command::new(sdk.join("platform/bundledpythonunix/bin/python3"));
        command.arg(&accepts).arg(&sdk).arg(what).arg(cloud.path(&format!("state.{what}")));
        command.env("CLOUDSDK_CONFIG", cloud.path("config"));
        let judged = Finished::of(&mut command);
        assert_eq!(judged.code, Some(0), "{judged}");
    }
}

/// The same cloud with something to correct in everything that can be corrected.
fn spoiled(right: &Value) -> Value {
    let mut state = right.clone();
    let things = state["things"].as_object_mut().unwrap();
    for (name, thing) in things {
        match name.split('|').next().unwrap() {
            "iam service-accounts" | "iam workload-identity-pools" => thing["disabled"] = json!(true),
            "artifacts repositories" => thing["dockerConfig"] = json!({"immutableTags": true}),
            "builds triggers" => thing["gitFileSource"]["path"] = json!("other.yaml"),
            "compute networks subnets" => thing["privateIpGoogleAccess"] = json!(false),
            "compute routers nats" => thing["natIps"] = json!([]),
            "compute firewall-rules" => thing["sourceRanges"] = json!(["0.0.0.0/0"]),
            "compute instance-groups managed" => {
                thing["instanceTemplate"] = json!("https://c/instanceTemplates/other");
                thing["targetSize"] = json!(1);
            }
            "access-context-manager perimeters" => {
                thing["status"]["restrictedServices"] = json!([]);
                thing["status"]["vpcAccessibleServices"]["allowedServices"] = json!(["storage.googleapis.com"]);
            }
            "pubsub subscriptions" => thing["ackDeadlineSeconds"] = json!(10),
            _ => {}
        }
    }
    for alerts in state["alerts"].as_object_mut().unwrap().values_mut() {
        for alert in alerts.as_array_mut().unwrap() {
            alert["enabled"] = json!(false);
        }
    }
    state
}
