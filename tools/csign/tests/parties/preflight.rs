//! `csign preflight`: everything good is ready; each planted fault fails its own row and no other.

use csign_oci::{Access, Digest, LayerBuilder};
use csign_trust::exchange::RebuildRecord;
use serde_json::{Value, json};
use simulator::registry::{Effect, Fault};

use crate::{
    preflight_scene::{Scene, contract, scene, scene_with},
    world::World,
};

/// The only row that is wrong, and the exit status.
#[track_caller]
fn only(scene: &Scene, more: &[&str], status: i32, row: &str, word: &str) {
    assert_eq!(scene.wrong(more), (status, vec![(row.to_owned(), word.to_owned())]));
}

/// Nothing is wrong.
#[track_caller]
fn fine(scene: &Scene, more: &[&str]) {
    assert_eq!(scene.wrong(more), (0, Vec::new()));
}

#[test]
fn a_party_for_whom_everything_holds_is_ready() {
    let scene = scene();
    let done = scene.preflight(&[]).expect(0, &["READY", "yours: to be given", "1 awaited"]);
    for row in ["request", "rebuild", "signature", "image", "baked-contract", "contract", "policy", "instance"] {
        assert!(done.stdout.lines().any(|line| line.starts_with(row)), "{row}: {}", done.stdout);
    }
    let table = scene.preflight(&["--output", "json"]).json();
    assert_eq!((&table["verdict"], &table["party"]), (&json!("ready"), &json!("alice")));
    assert_eq!(table["difference"]["changes"], json!([]));
    // The same answer with the same bytes.
    assert_eq!(done.stdout, scene.preflight(&[]).stdout);
}

#[test]
fn what_is_not_given_makes_the_answer_incomplete_unless_the_party_goes_without_it_by_name() {
    let scene = scene();
    let image = scene.world.image();
    let bare = ["preflight", &image, "--party", "alice"];
    scene.world.csign(&bare).expect(3, &["INCOMPLETE", "rebuild", "not given", "do: policy bob:", "4 not given"]);
    let three = [&bare[..], &["--without", "rebuild,approval,policies"]].concat();
    scene.world.csign(&three).expect(3, &["INCOMPLETE"]);
    scene.world.csign(&[&three[..], &["--without", "instance"]].concat()).expect(0, &["READY", "4 not given"]);
    // What is not given hides nothing that fails.
    let unsigned = [&bare[..2], &["--party", "bob", "--without", "rebuild,approval,policies,instance"]].concat();
    scene.world.csign(&unsigned).expect(1, &["REJECTED", "MISSING"]);
    scene.world.csign(&[&unsigned[..], &["--awaiting", "alice"]].concat()).expect(0, &["READY"]);
}

#[test]
fn a_request_that_is_not_the_contracts_fails_its_row() {
    let scene = scene();
    let request = scene.world.read("request.json");
    scene.world.write("request.json", &request.replacen("\"party\": \"bob\"", "\"party\": \"eve\"", 1));
    scene.record(|_| {});
    only(&scene, &[], 1, "request", "failed");
    // From files that no commit has.
    scene.world.write("request.json", &request.replacen("\"revision\"", "\"modified\": true, \"revision\"", 1));
    scene.record(|_| {});
    only(&scene, &[], 1, "request", "failed");
    fine(&scene, &["--allow", "request-source"]);
}

type RecordChange<'a> = &'a dyn Fn(&mut RebuildRecord);

#[test]
fn a_rebuild_of_something_else_fails_its_row() {
    let scene = scene();
    let other = Digest::of("other");
    let changes: [(&str, RecordChange<'_>); 6] = [
        ("digest", &|record| record.digest = other),
        ("contract", &|record| record.reproduced.contract = other),
        ("recipe", &|record| record.reproduced.recipe = "bazel".to_owned()),
        ("commit", &|record| record.reproduced.source_revision = Some("f".repeat(40))),
        ("request", &|record| record.reproduced.rebuild.as_mut().expect("a rebuild").request = other),
        ("not rebuilt", &|record| record.reproduced.rebuilt = false),
    ];
    for (what, change) in changes {
        scene.record(change);
        let wrong = scene.wrong(&[]);
        assert_eq!(wrong, (1, vec![("rebuild".to_owned(), "failed".to_owned())]), "{what}");
    }
    scene.world.write("rebuild.json", "{\"kind\": \"csign-rebuild\", \"kind\": \"csign-rebuild\"}");
    only(&scene, &[], 3, "rebuild", "unknown");
}

#[test]
fn a_layout_counts_as_a_rebuild_only_with_the_same_digest() {
    let scene = scene();
    let image = scene.world.image();
    let without = ["--without", "approval,policies,instance"];
    let preflight = |layout| {
        scene.world.csign(&[&["preflight", &image, "--party", "alice", "--rebuilt", layout][..], &without].concat())
    };
    // The world's first image is another one.
    preflight("image").expect(1, &["your rebuild has the digest", "do not approve"]);
    scene.world.csign(&["pull", &image, "--out", "pulled"]).expect(0, &[]);
    preflight("pulled").expect(0, &["READY"]);
}

#[test]
fn another_party_that_did_not_sign_fails_its_row() {
    let mut scene = scene();
    let canonical = scene.contract.canonical();
    // A new image, which only the builder signs.
    scene.image(|layer| {
        layer.file("etc/csign/contract.json", Access::root(0o444), canonical).expect("file");
        layer.file("new", Access::root(0o444), "new").expect("file");
    });
    let image = scene.world.image();
    scene.world.csign(&["sign", &image, "--key", "builder.key", "--contract", "collaboration.toml"]).expect(0, &[]);
    scene.request();
    scene.record(|_| {});
    scene.publish(|_, _| {});
    scene.machine(|_| {});
    only(&scene, &[], 1, "signature of bob", "failed");
    fine(&scene, &["--awaiting", "bob"]);
    // Somebody signs in bob's name.
    scene.world.key("eve");
    scene.world.csign(&["sign", &image, "--key", "eve.key"]).expect(0, &[]);
    only(&scene, &[], 1, "signature of bob", "failed");
}

#[test]
fn under_a_threshold_whoever_is_not_needed_fails_no_row() {
    let scene = scene_with("[signatures]\nthreshold = 2\n");
    let as_bob =
        ["preflight", "--request", "request.json", "--party", "bob", "--without", "rebuild,approval,policies,instance"];
    scene.world.csign(&as_bob).expect(0, &["READY", "MISSING: no signature under this key; 2 of 3 are enough"]);
}

/// A policy over reviews in the contract.
fn reviewed() -> Scene {
    scene_with(
        "[[policy]]\nname = \"review\"\npredicate_type = \"https://example.com/review\"\n\
         rego = '''package signature\ndefault allow = false\nallow { input.predicate.foo == \"bar\" }'''\n",
    )
}

fn attest(scene: &Scene, party: &str, value: &str) {
    scene.world.write("p.json", &json!({"foo": value}).to_string());
    let (image, key) = (scene.world.image(), format!("{party}.key"));
    let arguments = ["attest", &image, "--key", &key, "--type", "https://example.com/review", "--predicate", "p.json"];
    scene.world.csign(&arguments).expect(0, &[]);
}

#[test]
fn what_the_contracts_policies_refuse_or_miss_fails_the_row_of_its_party() {
    let scene = reviewed();
    attest(&scene, "builder", "bar");
    only(&scene, &[], 1, "attestation of bob", "failed");
    attest(&scene, "bob", "bar");
    scene.preflight(&[]).expect(0, &["READY", "review: yours: to be given", "2 awaited"]);
    attest(&scene, "bob", "not bar");
    only(&scene, &[], 1, "attestation of bob", "failed");
}

#[test]
fn an_attestation_that_could_not_be_read_may_be_one_that_a_policy_refuses() {
    let scene = reviewed();
    let image = scene.world.image();
    scene.world.csign(&["sign", &image, "--key", "alice.key", "--contract", "collaboration.toml"]).expect(0, &[]);
    ["builder", "alice", "bob"].iter().for_each(|party| attest(&scene, party, "bar"));
    fine(&scene, &[]);
    scene.world.registry.inject(Fault::on("/referrers/", Effect::Status(500, None)).times(10_000));
    only(&scene, &[], 3, "attestation", "unknown");
}

#[test]
fn an_image_whose_labels_or_program_are_not_the_contracts_fails_its_row() {
    let changes: [fn(&mut csign_oci::ContainerConfig); 4] = [
        |config| _ = config.labels.insert("tee.launch_policy.allow_cmd_override".to_owned(), "true".to_owned()),
        |config| _ = config.labels.insert("tee.launch_policy.allow_env_override".to_owned(), "KMS_KEY".to_owned()),
        |config| config.entrypoint = vec!["/bin/sh".to_owned(), "-c".to_owned()],
        |config| config.env = vec!["API_TOKEN=abc".to_owned()],
    ];
    for change in changes {
        let mut scene = scene();
        change(&mut scene.config);
        let canonical = scene.contract.canonical();
        scene.image(|layer| {
            layer.file("etc/csign/contract.json", Access::root(0o444), canonical).expect("file");
        });
        scene.agree();
        only(&scene, &[], 1, "image", "failed");
    }
}

#[test]
fn what_the_contract_itself_shows_to_the_operator_is_a_note() {
    let scene = scene_with("[launch]\nlog_redirect = \"always\"\n");
    scene.preflight(&[]).expect(0, &["READY", "note: the operator may read what the workload prints"]);
}

#[test]
fn an_image_that_holds_another_contract_or_hides_it_fails_its_row() {
    let text = |scene: &Scene| contract(&scene.world, &["builder", "alice", "bob"], "").replace("\"op\"", "\"other\"");
    let mut first = scene();
    let other = csign_contract::Contract::from_toml(&text(&first)).expect("a contract").canonical();
    first.image(|layer| layer.file("etc/csign/contract.json", Access::root(0o444), other).map(|_| ()).expect("file"));
    first.agree();
    only(&first, &[], 1, "baked-contract", "failed");
    first.image(|_| {});
    first.agree();
    only(&first, &[], 1, "baked-contract", "failed");
    // The right file is there, and a layer above puts something else in its place.
    let hidden: [fn(&mut LayerBuilder); 4] = [
        |layer| layer.symlink("etc/csign", "/evil").map(|_| ()).expect("a link"),
        |layer| layer.symlink("etc", "/evil").map(|_| ()).expect("a link"),
        |layer| layer.file("etc/csign", Access::root(0o444), "no directory").map(|_| ()).expect("file"),
        |layer| layer.file("etc/csign/contract.json", Access::root(0o444), "{}").map(|_| ()).expect("file"),
    ];
    for hide in hidden {
        let (mut right, mut above) = (LayerBuilder::new(), LayerBuilder::new());
        right.file("etc/csign/contract.json", Access::root(0o444), first.contract.canonical()).expect("file");
        hide(&mut above);
        first.layers(vec![right, above]);
        first.agree();
        only(&first, &[], 1, "baked-contract", "failed");
    }
}

#[test]
fn a_contract_that_changed_since_the_approval_fails_its_row_until_its_digest_is_accepted() {
    let scene = scene();
    let old = scene.world.read("old.toml").replace("sa@op.", "sb@op.").replacen(
        "[image]",
        "[signatures]\nthreshold = 3\n[image]",
        1,
    );
    scene.world.write("old.toml", &old.replace("threshold = 3", "threshold = \"all\""));
    only(&scene, &[], 1, "contract", "failed");
    let done = scene.preflight(&[]).expect(1, &["! operator.service_account changed from sb@op.", "concern trust"]);
    assert!(done.stdout.contains(&format!("--accept-contract {}", scene.contract.digest())));
    let digest = scene.contract.digest().to_string();
    fine(&scene, &["--accept-contract", &digest]);
    only(&scene, &["--accept-contract", &Digest::of("x").to_string()], 1, "contract", "failed");
}

#[test]
fn an_earlier_approval_or_request_brings_its_contract_and_nobody_elses() {
    let scene = scene();
    let world = &scene.world;
    world
        .csign(&["approve", "request.json", "--key", "alice.key", "--rebuilt", "rebuild.json", "--out", "alice.json"])
        .expect(0, &[]);
    world.csign(&["approve", "request.json", "--key", "bob.key", "--not-rebuilt", "--out", "bob.json"]).expect(0, &[]);
    let preflight = |approved: &[&str]| {
        let image = world.image();
        let first = ["preflight", &image, "--party", "alice", "--without", "rebuild,policies,instance", "--approved"];
        world.csign(&[&first[..], approved].concat())
    };
    for same in ["alice.json", "request.json", "collaboration.toml"] {
        preflight(&[same]).expect(0, &["READY"]);
    }
    preflight(&["alice.json", "--approved-contract", "old.toml"]).expect(0, &["READY"]);
    preflight(&["bob.json"]).expect(1, &["bob's, not yours"]);
    world.write("other.toml", &world.read("old.toml").replace("sa@op.", "sb@op."));
    preflight(&["alice.json", "--approved-contract", "other.toml"]).expect(1, &["--approved-contract is"]);
    preflight(&["old.toml", "--approved-contract", "old.toml"]).expect(3, &["belongs to an approval"]);
    let forged = world.read("alice.json").replacen("\"signature\": \"ME", "\"signature\": \"MF", 1);
    assert_ne!(forged, world.read("alice.json"));
    world.write("alice.json", &forged);
    preflight(&["alice.json"]).expect(1, &["REJECTED"]);
    world.write("contract.json", &String::from_utf8_lossy(&scene.contract.canonical()));
    preflight(&["contract.json"]).expect(0, &["READY"]);
}

#[test]
fn an_approval_under_an_older_contract_shows_what_changed_with_that_contract_only() {
    let scene = scene();
    let world = &scene.world;
    let image = world.image();
    world
        .csign(&["approve", "request.json", "--key", "alice.key", "--not-rebuilt", "--out", "alice.json"])
        .expect(0, &[]);
    let new = world.read("collaboration.toml").replace("projects/bob/", "projects/eve/");
    world.write("new.toml", &new);
    let preflight = |more: &[&str]| {
        let first = ["preflight", &image, "--contract", "new.toml", "--party", "alice", "--approved", "alice.json"];
        world.csign(&[&first[..], more].concat())
    };
    preflight(&[]).expect(1, &["when you approved", "--approved-contract FILE"]);
    preflight(&["--approved-contract", "collaboration.toml"])
        .expect(1, &["! bob's kms_key changed from projects/bob/"]);
}

type Publish = fn(&mut Value, &mut Value);

/// A clause of the condition becomes another one.
fn clause(provider: &mut Value, from: &str, to: &str) {
    let condition = provider["attributeCondition"].as_str().expect("a condition").to_owned();
    assert!(condition.contains(from), "{from} is not in {condition}");
    provider["attributeCondition"] = condition.replacen(from, to, 1).into();
}

#[test]
fn a_published_policy_that_lets_others_in_or_the_image_out_fails_its_row() {
    let scene = scene();
    let cases: [(&str, Publish); 10] = [
        ("debug and unstable", |provider, _| {
            clause(provider, "\"STABLE\" in assertion.submods.confidential_space.support_attributes && ", "");
            clause(provider, "assertion.dbgstat == \"disabled-since-boot\" && ", "");
        }),
        ("unstable", |provider, _| {
            clause(provider, "\"STABLE\" in assertion.submods.confidential_space.support_attributes && ", "");
        }),
        ("any condition", |provider, _| provider["attributeCondition"] = "".into()),
        ("another operator", |provider, _| {
            clause(provider, "assertion.submods.gce.project_id == \"op\" && ", "");
            clause(provider, "\"sa@op.iam.gserviceaccount.com\" in assertion.google_service_accounts && ", "");
        }),
        ("nobody", |provider, _| clause(provider, "project_id == \"op\"", "project_id == \"another\"")),
        ("the issuer", |provider, _| provider["oidc"]["issuerUri"] = "https://issuer.example".into()),
        ("disabled", |provider, _| provider["disabled"] = true.into()),
        ("everyone", |_, policy| policy["bindings"][0]["members"] = json!(["allUsers"])),
        ("a user", |_, policy| {
            policy["bindings"][0]["members"].as_array_mut().expect("members").push("user:eve@example.com".into());
        }),
        ("no grant", |_, policy| policy["bindings"][0]["role"] = "roles/cloudkms.viewer".into()),
    ];
    for (what, change) in cases {
        scene.publish(change);
        assert_eq!(scene.wrong(&[]), (1, vec![("policy of bob".to_owned(), "failed".to_owned())]), "{what}");
    }
    scene.publish(|_, _| {});
    assert_eq!(scene.wrong(&[]).0, 0);
}

#[test]
fn another_image_that_a_policy_names_is_a_stranger_unless_it_is_meant() {
    let scene = scene();
    let other = Digest::of("the image before").to_string();
    scene.publish(|provider, policy| {
        let list = format!("image_digest in [\"{other}\", ");
        clause(provider, "image_digest in [", &list);
        let members = policy["bindings"][0]["members"].as_array_mut().expect("members");
        let member = members[0].as_str().expect("a member").to_owned();
        let repository = member.rsplit_once('/').expect("a member").0;
        members.push(format!("{repository}/{other}").into());
    });
    only(&scene, &[], 1, "policy of bob", "failed");
    scene.preflight(&[]).expect(1, &["it lets in the image", &other]);
    fine(&scene, &["--also", &other]);
}

#[test]
fn half_of_what_a_party_must_publish_is_not_given() {
    let scene = scene();
    std::fs::remove_file(scene.world.path("bob/key.json")).expect("a file");
    only(&scene, &[], 3, "policy of bob", "not-given");
    scene.preflight(&[]).expect(3, &["INCOMPLETE", "the IAM policy of projects/bob/"]);
    scene.publish(|_, _| {});
    std::fs::remove_file(scene.world.path("bob/provider.json")).expect("a file");
    only(&scene, &[], 3, "policy of bob", "not-given");
}

type Change<'a> = Box<dyn FnOnce(&mut Value) + 'a>;

#[test]
fn a_machine_that_is_not_the_agreed_one_fails_its_row() {
    let scene = scene();
    let set = |machine: &mut Value, key: &str, value: &str| {
        let items = machine["metadata"]["items"].as_array_mut().expect("items");
        items.retain(|item| item["key"] != key);
        items.push(json!({"key": key, "value": value}));
    };
    let other = format!("{}/team/app@{}", scene.world.address, Digest::of("another image"));
    let cases: Vec<(&str, Change<'_>)> = vec![
        ("another image", Box::new(|machine: &mut Value| set(machine, "tee-image-reference", &other))),
        ("a variable", Box::new(|machine| set(machine, "tee-env-LEVEL", "debug"))),
        ("a command", Box::new(|machine| set(machine, "tee-cmd", "[\"--print\"]"))),
        (
            "an account",
            Box::new(|machine| machine["serviceAccounts"][0]["email"] = "eve@op.iam.gserviceaccount.com".into()),
        ),
        ("secure boot", Box::new(|machine| machine["shieldedInstanceConfig"]["enableSecureBoot"] = false.into())),
        (
            "debug",
            Box::new(|machine| {
                let license = "https://www.googleapis.com/compute/v1/projects/confidential-space-images/global/licenses/confidential-space-debug";
                machine["disks"][0]["licenses"] = json!([license]);
            }),
        ),
        (
            "a project",
            Box::new(|machine| {
                machine["selfLink"] = "https://www.googleapis.com/compute/v1/projects/eve/zones/z/instances/i".into()
            }),
        ),
    ];
    for (what, change) in cases {
        scene.machine(change);
        assert_eq!(scene.wrong(&[]), (1, vec![("instance".to_owned(), "failed".to_owned())]), "{what}");
    }
    // What the export does not say is not known to hold.
    scene.machine(|machine| machine["disks"] = json!([]));
    only(&scene, &[], 3, "instance", "unknown");
}

#[test]
fn a_registry_that_does_not_answer_could_not_be_checked() {
    let scene = scene();
    scene.world.registry.inject(Fault::on("", Effect::Status(503, None)).times(10_000));
    let (status, wrong) = scene.wrong(&[]);
    assert_eq!(status, 3, "{wrong:?}");
    assert!(wrong.iter().all(|(_, word)| word == "unknown") && wrong.len() >= 4, "{wrong:?}");
    scene.preflight(&[]).expect(3, &["COULD NOT CHECK"]);
    // What fails for sure is not hidden by it.
    scene.machine(|machine| machine["shieldedInstanceConfig"]["enableSecureBoot"] = false.into());
    assert_eq!(scene.wrong(&[]).0, 1);
}

#[test]
fn a_saved_layout_is_checked_without_any_registry() {
    let scene = scene();
    let image = scene.world.image();
    scene.world.csign(&["save", &image, "--dir", "saved"]).expect(0, &[]);
    scene.world.registry.clear_log();
    let offline =
        ["preflight", "--layout", "saved", "--party", "alice", "--without", "rebuild,approval,policies,instance"];
    scene.world.csign(&offline).expect(0, &["READY"]);
    assert!(scene.world.requests().is_empty(), "{:?}", scene.world.requests());
}

#[test]
fn hostile_files_are_unknown_and_never_reach_the_terminal_raw() {
    let scene = scene();
    let raw = |text: &str| text.contains(['\u{1b}', '\u{202e}', '\u{7}']);
    for hostile in [
        "{\"attributeCondition\": \"true\", \"attributeCondition\": \"false\"}".to_owned(),
        format!("{{\"bindings\": \"{}\"}}", "x".repeat(2 << 20)),
        "[".repeat(10_000),
        String::new(),
        "{\"something\": \"\u{1b}[2J\"}".to_owned(),
    ] {
        scene.world.write("bob/key.json", &hostile);
        only(&scene, &[], 3, "policy of bob", "unknown");
    }
    scene.publish(|provider, policy| {
        provider["displayName"] = "\u{1b}[2J".into();
        policy["bindings"][0]["members"] = json!(["user:\u{1b}[2J\u{202e}eve@example.com\u{7}"]);
    });
    scene.world.write("bob/\u{1b}[2J.json", "{}");
    let done = scene.preflight(&[]);
    assert!(!raw(&done.stdout) && !raw(&done.stderr), "{done:?}");
    std::fs::remove_file(scene.world.path("bob/\u{1b}[2J.json")).expect("a file");
    let done = scene.preflight(&["--output", "json"]);
    assert!(!raw(&done.stdout) && !raw(&done.stderr), "{done:?}");
    assert_eq!(done.status, 1);
}

#[test]
fn a_wrong_call_is_no_answer() {
    let scene = scene();
    let world = &scene.world;
    world.csign(&["preflight", "--party", "alice"]).expect(2, &["IMAGE@DIGEST"]);
    world.csign(&["preflight", &world.image(), "--party", "eve"]).expect(2, &["no party \"eve\""]);
    world
        .csign(&["preflight", &world.image(), "--party", "alice", "--policy", "builder=bob"])
        .expect(2, &["releases a key"]);
    world.csign(&["preflight", "registry.example/team/app:latest", "--party", "alice"]).expect(2, &[]);
    // The request is about another image, or the image in another repository.
    let other = format!("{}/team/app@{}", world.address, Digest::of("x"));
    world.csign(&["preflight", &other, "--request", "request.json", "--party", "alice"]).expect(1, &["the request is"]);
    let elsewhere = format!("{}/team/other@{}", world.address, world.digest);
    world.csign(&["preflight", &elsewhere, "--party", "alice"]).expect(1, &["the contract is about"]);
}

#[test]
fn a_simulated_contract_is_refused_unless_asked_for() {
    let world = World::new();
    world.key("alice");
    let simulated = "[environment]\nkind = \"simulated\"\nissuer = \"http://issuer.simulator.localhost\"\nissuer_keys = [\"1Gy3nSLU7zVZWnJ1xbJ0eTkkJ6EhSUS7vB1fDqW6iqc\"]";
    let text = contract(&world, &["alice"], "").replace("[environment]\nkind = \"google\"", simulated);
    let text = text.replace(&world.address, "registry.simulator.localhost");
    world.write("collaboration.toml", &text);
    world.csign(&["preflight", &world.image(), "--party", "alice"]).expect(1, &["simulated contract"]);
}

#[test]
fn the_difference_of_two_contracts_is_a_command_of_its_own() {
    let world = World::new();
    ["builder", "alice", "eve"].iter().for_each(|name| world.key(name));
    let old = contract(&world, &["builder", "alice"], "");
    world.write("old.toml", &old);
    world.write("collaboration.toml", &format!("# a comment\n{old}"));
    world.csign(&["contract", "diff", "old.toml"]).expect(0, &["no difference"]);
    world.write("collaboration.toml", &old.replace(&world.read("alice.pub"), &world.read("eve.pub")));
    world.csign(&["contract", "diff", "old.toml"]).expect(1, &["! alice's key changed from "]);
    let found = world.csign(&["contract", "diff", "old.toml", "--output", "json"]).expect(1, &[]).json();
    assert_eq!(
        (&found["changes"][0]["at"], &found["changes"][0]["security"]),
        (&json!("party.alice.public_key"), &json!(true))
    );
}
