//! The scripts of the target `gcloud`, run against the simulator: `simulator gcloud` stands in the place of gcloud.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use csign_oci::{
    Digest, Repository,
    image::{ContainerConfig, assemble},
    layer::{Access, LayerBuilder},
    manifest::IMAGE_MANIFEST,
};
use csign_render::{Files, Input, Target, render};
use csign_tests::{
    peer::{self, peer},
    process::Finished,
};
use serde_json::Value;
use simulator::{
    Config, Simulator,
    attestation::Image,
    config::{Machine, Project},
};
use tempfile::TempDir;

use crate::{
    admission::mutations,
    released::Released,
    scene::{ACCOUNT, OPERATOR, REPOSITORY, ROLES, contract, mutates, put_gcloud, rendered, role, script_of, settings},
};

/// The projects of the scene.
const PROJECTS: [(&str, &str); 4] = [
    ("builder-project", "100000000000"),
    (OPERATOR, "100000000001"),
    ("project-1", "200000000001"),
    ("project-2", "200000000002"),
];
/// In this order, since the builder names the operator's service account, which Google wants to be there.
const ORDER: [(&str, &str); 4] =
    [(ROLES[1], OPERATOR), (ROLES[0], "builder-project"), (ROLES[2], "project-1"), (ROLES[3], "project-2")];
const PATIENCE: Duration = Duration::from_secs(60);

/// A simulator, and a directory whose `gcloud` works on it.
pub(crate) struct Simulated {
    pub(crate) simulator: Simulator,
    runtime: tokio::runtime::Runtime,
    directory: TempDir,
}

impl Simulated {
    /// Projects without anything in them.
    pub(crate) fn new() -> Self {
        let projects = PROJECTS.map(|(id, number)| Project { id: id.to_owned(), number: number.to_owned() });
        let config = Config {
            issuer: "https://confidentialcomputing.googleapis.com".to_owned(),
            projects: projects.to_vec(),
            project: OPERATOR.to_owned(),
            // Nothing of it is in these projects.
            machine: Machine { project: "elsewhere".to_owned(), project_number: "1".to_owned(), ..Machine::default() },
            ..Config::default()
        };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let simulator = runtime.block_on(Simulator::start(config)).unwrap();
        let directory = TempDir::new().unwrap();
        let program = peer::simulator().display();
        put_gcloud(
            directory.path(),
            &format!(
                "#!/bin/sh\nfor word; do printf '%s\\t' \"$word\"; done >>calls; echo >>calls\nexec '{program}' gcloud \"$@\"\n"
            ),
        );
        Self { simulator, runtime, directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Runs a rendered script.
    pub(crate) fn run(&self, files: &Files, arguments: &[&str]) -> Finished {
        let mut command = script_of(self.directory.path(), files);
        Finished::of(environment(&self.simulator, self.directory.path(), command.args(arguments)))
    }

    /// Runs one command; words are separated by spaces.
    pub(crate) fn gcloud(&self, typed: &str) -> Finished {
        gcloud(&self.simulator, self.directory.path(), typed)
    }

    /// What scripts called since the last time.
    fn calls(&self) -> Vec<Vec<String>> {
        let text = fs::read_to_string(self.path("calls")).unwrap_or_default();
        let _ = fs::remove_file(self.path("calls"));
        text.lines().map(|line| line.trim_end_matches('\t').split('\t').map(str::to_owned).collect()).collect()
    }

    /// A cloud in which everyone's script was run.
    fn made() -> Self {
        let cloud = Self::new();
        for (who, _) in ORDER {
            cloud.run(&rendered(Target::Gcloud, who), &[]).success();
        }
        cloud.calls();
        cloud
    }
}

fn environment<'a>(simulator: &Simulator, directory: &Path, command: &'a mut Command) -> &'a mut Command {
    for (name, _) in simulator::gcloud::PROPERTIES {
        command.env_remove(name);
    }
    command
        .current_dir(directory)
        .env("CSIGN_SIMULATOR", simulator.address().to_string())
        .env("SIMULATOR_CONTROL", simulator.control_token())
}

/// Runs one command; words are separated by spaces.
fn gcloud(simulator: &Simulator, directory: &Path, typed: &str) -> Finished {
    let mut command = Command::new(peer::simulator());
    Finished::of(environment(simulator, directory, command.arg("gcloud").args(typed.split(' '))))
}

#[test]
fn scripts_make_the_simulated_cloud_once_check_it_and_remove_it() {
    let cloud = Simulated::new();
    for (who, _) in ORDER {
        let files = rendered(Target::Gcloud, who);
        let missing = cloud.run(&files, &["--check"]);
        assert_eq!(missing.code, Some(1), "{missing}");
        let first = cloud.run(&files, &[]).success();
        assert!(first.contains("change  create"), "{first}");
        cloud.calls();
        let again = cloud.run(&files, &[]).success();
        assert!(again.contains(": 0 changed"), "{again}");
        let checked = cloud.run(&files, &["--check"]).success();
        assert!(checked.contains(": 0 to change"), "{checked}");
        assert_eq!(cloud.calls().iter().filter(|call| mutates(call)).count(), 0);
    }
    for (who, project) in ORDER {
        let arguments = ["--teardown", &format!("--confirm={project}"), "--destroy-keys"];
        let files = rendered(Target::Gcloud, who);
        cloud.run(&files, &arguments).success();
        let again = cloud.run(&files, &arguments).success();
        assert!(again.contains(": 0 changed"), "{again}");
    }
    assert!(cloud.simulator.pubsub().topics(&format!("projects/{OPERATOR}")).is_empty());
    assert!(cloud.simulator.sts().providers().iter().all(|provider| provider.disabled));
    let left = cloud.simulator.iam().bindings();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn what_someone_changed_in_the_simulated_cloud_is_found_and_set_right() {
    let cloud = Simulated::made();
    let key = "key1 --keyring=kr1 --location=global --project=project-1";
    let provider =
        "attestation-verifier --workload-identity-pool=trusted-workload-pool --location=global --project=project-1";
    for (who, change, found) in [
        (
            ROLES[2],
            format!(
                "kms keys add-iam-policy-binding {key} --role=roles/cloudkms.cryptoKeyDecrypter --member=user:mallory@example.com"
            ),
            "take roles/cloudkms.cryptoKeyDecrypter on key1 from user:mallory@example.com",
        ),
        (
            ROLES[2],
            format!("iam workload-identity-pools providers update-oidc {provider} --attribute-condition=true"),
            "correct provider",
        ),
        (
            ROLES[2],
            format!(
                "iam workload-identity-pools providers update-oidc {provider} --allowed-audiences=https://sts.googleapis.com"
            ),
            "correct provider",
        ),
        (
            ROLES[1],
            "pubsub subscriptions update cs-subscribe --ack-deadline=10 --clear-dead-letter-policy".to_owned(),
            "correct subscription cs-subscribe",
        ),
        (
            ROLES[0],
            "storage buckets update gs://builder-project-csign-build --no-public-access-prevention".to_owned(),
            "close bucket",
        ),
        (
            ROLES[0],
            "iam service-accounts disable csign-builder@builder-project.iam.gserviceaccount.com".to_owned(),
            "enable service account",
        ),
    ] {
        cloud.gcloud(&change).success();
        let files = rendered(Target::Gcloud, who);
        let checked = cloud.run(&files, &["--check"]);
        assert_eq!(checked.code, Some(1), "{change}: {checked}");
        assert!(checked.stdout.lines().any(|line| line.starts_with("differs ") && line.contains(found)), "{checked}");
        cloud.run(&files, &[]).success();
        cloud.run(&files, &["--check"]).success();
    }
}

#[test]
fn the_scripts_of_all_let_the_agreed_workload_decrypt_and_no_mutated_one() {
    let Simulated { simulator, runtime, directory } = Simulated::made();
    let released = Released::of_simulator(simulator, runtime, 1);
    assert_eq!(released.changed(|_, _| {}), Ok(()));
    mutations(&released);
    let refused = released.changed(|_, container| container.image_digest = Digest::of("another"));
    assert!(refused.is_err());
    let refused = released.changed(|vm, _| vm.image = Image::Usable);
    assert!(refused.is_err());
    let provider = "providers delete attestation-verifier --workload-identity-pool=trusted-workload-pool";
    let delete = format!("iam workload-identity-pools {provider} --location=global --project=project-1");
    gcloud(&released.simulator, directory.path(), &delete).success();
    assert!(released.changed(|_, _| {}).is_err(), "the provider is gone");
}

/// Pushes an image whose program is this script.
fn push(cloud: &Simulated, program: &str, log_redirect: &str) -> Digest {
    let mut layer = LayerBuilder::new();
    layer.file("workload", Access::root(0o755), program.as_bytes()).unwrap();
    let label = ("tee.launch_policy.log_redirect".to_owned(), log_redirect.to_owned());
    let config = ContainerConfig {
        env: vec!["PATH=/usr/bin:/bin".to_owned()],
        entrypoint: vec!["/workload".to_owned()],
        labels: BTreeMap::from([label]),
        ..ContainerConfig::default()
    };
    let image = assemble(config, vec![(layer.build().unwrap(), "test")]).unwrap();
    let repository = Repository::parse(REPOSITORY).unwrap();
    for (_, blob) in image.blobs {
        cloud.simulator.registry().put_blob(repository.path(), blob);
    }
    let digest = image.descriptor.digest;
    cloud.simulator.registry().put_manifest(repository.path(), &digest.to_string(), IMAGE_MANIFEST, image.manifest);
    digest
}

/// The machine's state once it is this one.
fn await_status(cloud: &Simulated, wanted: &str) {
    let deadline = Instant::now() + PATIENCE;
    let describe = format!(
        "compute instances describe csign-workload --zone=us-central1-a --project={OPERATOR} --format=value(status)"
    );
    loop {
        let status = cloud.gcloud(&describe).success();
        if status.trim() == wanted {
            return;
        }
        assert!(Instant::now() < deadline, "{status}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_operators_machine_starts_the_images_program_and_goes_with_it() {
    let cloud = Simulated::new();
    let digest = push(&cloud, "#!/bin/sh\necho started on \"$HOSTNAME\"\nexec sleep 600\n", "always");
    let (contract, settings) = (contract("[launch]\nlog_redirect = \"always\"\n"), settings());
    let input = Input { contract: &contract, settings: &settings, digests: &[digest] };
    let files = render(Target::Gcloud, &role(ROLES[1]), input).unwrap();
    cloud.run(&files, &[]).success();
    await_status(&cloud, "RUNNING");
    let place = format!("--project={OPERATOR} --format=value(jsonPayload.MESSAGE)");
    let deadline = Instant::now() + PATIENCE;
    let read = || cloud.gcloud(&format!("logging read resource.type=gce_instance --order=asc {place}")).success();
    while !read().contains("started on csign-workload") {
        assert!(Instant::now() < deadline, "{}", read());
    }
    let serial =
        format!("compute instances get-serial-port-output csign-workload --zone=us-central1-a --project={OPERATOR}");
    let serial = cloud.gcloud(&serial).success();
    assert!(serial.contains("launcher: ") && !serial.contains("started on"), "{serial}");
    let launch =
        cloud.simulator.audit().into_iter().find(|entry| entry.service == "launcher" && entry.method == "launch");
    assert!(launch.is_some_and(|entry| entry.allowed && entry.resource.contains(&digest.to_string())));
    let delete = format!("compute instances delete csign-workload --zone=us-central1-a --project={OPERATOR} --quiet");
    cloud.gcloud(&delete).success();
    assert_eq!(cloud.gcloud(&delete).code, Some(1));
}

#[test]
fn a_machine_whose_image_does_not_start_ends_and_says_why() {
    let cloud = Simulated::new();
    // Nobody pushed the agreed image.
    cloud.run(&rendered(Target::Gcloud, ROLES[1]), &[]).success();
    await_status(&cloud, "TERMINATED");
    let serial =
        format!("compute instances get-serial-port-output csign-workload --zone=us-central1-a --project={OPERATOR}");
    let serial = cloud.gcloud(&serial).success();
    assert!(serial.contains("was not started") && serial.contains("does not have"), "{serial}");
}

#[test]
fn a_command_without_the_control_token_changes_nothing() {
    let cloud = Simulated::new();
    for token in [None, Some(""), Some("wrong"), Some(&"0".repeat(64)[..])] {
        let mut command = Command::new(peer::simulator());
        environment(
            &cloud.simulator,
            cloud.directory.path(),
            command.args(["gcloud", "pubsub", "topics", "create", "t-1"]),
        );
        match token {
            None => command.env_remove("SIMULATOR_CONTROL"),
            Some(token) => command.env("SIMULATOR_CONTROL", token),
        };
        let refused = Finished::of(&mut command);
        assert!(refused.code == Some(2) || refused.code == Some(3), "{refused}");
    }
    assert!(cloud.simulator.pubsub().topics(&format!("projects/{OPERATOR}")).is_empty());
    let denied = cloud.simulator.audit().into_iter().filter(|entry| !entry.allowed && entry.method == "gcloud");
    assert_eq!(denied.count(), 3, "each attempt with a token is in the log");
    // An access token of the cloud is none that controls it.
    let owner = cloud.gcloud("auth print-access-token owner@example.com").success();
    let mut command = Command::new(peer::simulator());
    environment(
        &cloud.simulator,
        cloud.directory.path(),
        command.args(["gcloud", "pubsub", "topics", "create", "t-1"]),
    )
    .env("SIMULATOR_CONTROL", owner.trim());
    assert_eq!(Finished::of(&mut command).code, Some(3));
}

#[test]
fn what_the_simulators_gcloud_does_not_know_is_refused_and_named() {
    let cloud = Simulated::new();
    for (typed, status, named) in [
        ("sql instances list", 2, "sql"),
        (
            "pubsub topics create t-1 --message-storage-policy-allowed-regions=x",
            2,
            "--message-storage-policy-allowed-regions",
        ),
        ("pubsub topics create", 2, "TOPIC"),
        ("pubsub topics create t-1 --project=unknown", 1, "unknown"),
        ("pubsub topics list --format=table(name)", 1, "table"),
        ("kms keyrings describe r --location=global", 1, "NOT_FOUND"),
        (
            "projects add-iam-policy-binding operator-project --role=roles/owner --member=user:a@b.c --condition=expression=x,title=y",
            1,
            "condition",
        ),
        (
            "projects add-iam-policy-binding operator-project --role=roles/cloudkms.god --member=user:a@b.c",
            1,
            "roles/cloudkms.god",
        ),
        ("projects add-iam-policy-binding operator-project --role=roles/viewer --member=mallory", 1, "mallory"),
        (
            "projects add-iam-policy-binding operator-project --role=roles/viewer --member=serviceAccount:no@operator-project.iam.gserviceaccount.com",
            1,
            "does not exist",
        ),
        (
            "compute instances create m --zone=z-1 --service-account=x --image-project=debian-cloud --image-family=debian-12",
            1,
            "debian",
        ),
    ] {
        let refused = cloud.gcloud(typed);
        assert_eq!(refused.code, Some(status), "{refused}");
        assert!(refused.stderr.contains(named), "{named}: {refused}");
    }
    assert!(cloud.simulator.iam().bindings().is_empty());
}

#[test]
fn a_provider_that_google_would_refuse_does_not_come_to_be() {
    let cloud = Simulated::new();
    cloud.gcloud("iam workload-identity-pools create pool-1 --location=global --project=project-1").success();
    let create = "iam workload-identity-pools providers create-oidc provider-1 --workload-identity-pool=pool-1 --location=global \
                  --project=project-1 --issuer-uri=https://confidentialcomputing.googleapis.com";
    for (more, named) in [
        ("--attribute-mapping=google.subject=assertion.sub --attribute-condition=assertion.sub==", "condition"),
        ("--attribute-mapping=google.subject=1+", "mapping"),
        ("--attribute-mapping=attribute.a=assertion.sub", "google.subject"),
        ("--attribute-mapping=google.subject", "Bad syntax"),
    ] {
        let refused = cloud.gcloud(&format!("{create} {more}"));
        assert_eq!(refused.code, Some(1), "{refused}");
        assert!(refused.stderr.contains(named), "{named}: {refused}");
    }
    assert!(cloud.simulator.sts().providers().is_empty());
    let other =
        "iam workload-identity-pools providers describe provider-1 --workload-identity-pool=pool-1 --location=global";
    assert!(cloud.gcloud(&format!("{other} --project=project-1")).failure(1).contains("not found"));
}

#[test]
fn a_policy_that_was_read_too_early_is_not_written_over_a_newer_one() {
    let cloud = Simulated::new();
    let get = format!("projects get-iam-policy {OPERATOR} --format=json");
    let old = cloud.gcloud(&get).success();
    fs::write(cloud.path("old.json"), &old).unwrap();
    let add = format!("projects add-iam-policy-binding {OPERATOR} --role=roles/viewer --member=user:alice@example.com");
    cloud.gcloud(&add).success();
    let refused = cloud.gcloud(&format!("projects set-iam-policy {OPERATOR} old.json"));
    assert_eq!(refused.code, Some(1), "{refused}");
    assert!(refused.stderr.contains("ABORTED"), "{refused}");
    let policy: Value = serde_json::from_str(&cloud.gcloud(&get).success()).unwrap();
    assert_eq!(policy["bindings"][0]["members"][0], "user:alice@example.com");
}

#[test]
fn an_account_decrypts_with_its_own_rights_and_not_with_the_control_tokens() {
    let cloud = Simulated::made();
    fs::write(cloud.path("plain"), "words").unwrap();
    let key = "--key=key1 --keyring=kr1 --location=global --project=project-1";
    let sealed = "--ciphertext-file=sealed --plaintext-file";
    let encrypt = |account: &str| cloud.gcloud(&format!("kms encrypt {key} {sealed}=plain --account={account}"));
    assert!(encrypt("mallory@example.com").failure(1).contains("PERMISSION_DENIED"));
    encrypt("alice@example.com").success();
    let decrypt = cloud.gcloud(&format!("kms decrypt {key} {sealed}=opened --account=alice@example.com"));
    assert!(decrypt.failure(1).contains("PERMISSION_DENIED"));
    assert!(!cloud.path("opened").exists());
}

#[test]
fn the_control_token_and_what_files_hold_are_not_in_the_log() {
    let cloud = Simulated::new();
    fs::write(cloud.path("secret"), "correct horse battery staple").unwrap();
    cloud.gcloud("secrets create password --data-file=secret --replication-policy=automatic").success();
    let token = cloud.gcloud("auth print-access-token").success();
    let log = format!("{:?}", cloud.simulator.audit());
    for secret in ["correct horse", token.trim(), cloud.simulator.control_token()] {
        assert!(!log.contains(secret));
    }
    assert!(log.contains("secrets create"));
}

#[test]
fn the_real_gcloud_has_every_command_and_flag_that_the_simulators_has() {
    if peer("python3").is_none() {
        return;
    }
    let Some(sdk) = crate::gcloud::sdk() else { return };
    let directory = TempDir::new().unwrap();
    let lines = directory.path().join("lines");
    let supported: Vec<String> = simulator::gcloud::supported().map(|line| Value::from(line).to_string()).collect();
    assert!(supported.len() > 100);
    fs::write(&lines, supported.join("\n")).unwrap();
    let accepts = peer::repository().join("tests/render/scripts/gcloud_accepts.py");
    let mut command = Command::new(sdk.join("platform/bundledpythonunix/bin/python3"));
    command.arg(&accepts).arg(&sdk).arg("grammar").arg(&lines).env("CLOUDSDK_CONFIG", directory.path().join("config"));
    let judged = Finished::of(&mut command);
    assert_eq!(judged.code, Some(0), "{judged}");
}

#[test]
fn messages_go_through_what_the_operators_script_made_and_only_for_those_whom_it_admits() {
    let cloud = Simulated::made();
    let publish = "pubsub topics publish cs-topic --message=poison --attribute=kind=test";
    assert!(cloud.gcloud(&format!("{publish} --account=mallory@example.com")).failure(1).contains("PERMISSION_DENIED"));
    cloud.gcloud(&format!("{publish} --account=alice@example.com")).success();
    let shown =
        cloud.gcloud(&format!("pubsub subscriptions pull cs-subscribe --account={ACCOUNT} --format=json --auto-ack"));
    let messages: Value = serde_json::from_str(&shown.success()).unwrap();
    assert_eq!(messages[0]["message"]["attributes"]["kind"], "test");
    assert_eq!(
        cloud.simulator.pubsub().backlog(&format!("projects/{OPERATOR}/subscriptions/cs-subscribe")).unwrap(),
        (0, 0)
    );
    let setting = cloud.simulator.pubsub().subscription(&format!("projects/{OPERATOR}/subscriptions/cs-subscribe"));
    assert_eq!(setting.unwrap().dead_letter.unwrap().max_delivery_attempts, 20);
}
