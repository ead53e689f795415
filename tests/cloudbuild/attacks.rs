//! What must stop a build, and what must not change what it signs.

use std::{fs, path::PathBuf};

use crate::{
    config::Step,
    scene::{Grant, IMAGE, Scene, find},
};

#[test]
fn a_step_that_fails_ends_the_build_before_anything_is_signed_or_asked() {
    let Some(scene) = Scene::new(Grant::Nothing) else { return };
    let (done, failure) = scene.build(&[]);
    assert_eq!(done, ["bazel", "build", "push"]);
    let failure = failure.unwrap();
    assert!(failure.stderr.contains("useToSign"), "{failure}");
    assert!(!scene.is_signed(&scene.image()));
    assert!(!scene.workspace.join("out/request.json").exists());
}

#[test]
fn the_gate_refuses_a_signature_by_another_key_than_the_contracts() {
    let Some(scene) = Scene::new(Grant::Sign) else { return };
    for id in ["bazel", "build", "push"] {
        scene.run(scene.step(id), &[]).success();
    }
    let image = scene.image();
    // Anyone who may write to the registry can attach a valid signature of their own.
    scene.csign(&["sign", &image, "--key", "stranger.key"]).success();
    assert!(scene.is_signed(&image));
    let refused = scene.run(scene.step("verify"), &[]);
    assert!(refused.stdout.contains("REJECTED"), "{refused}");
    refused.failure(1);
    // Nor is another party's signature the builder's.
    scene.csign(&["sign", &image, "--key", "collaborator.key", "--contract", "collaboration.toml"]).success();
    scene.run(scene.step("verify"), &[]).failure(1);
}

#[test]
fn the_gate_refuses_an_image_whose_attestations_are_missing() {
    let Some(scene) = Scene::new(Grant::Sign) else { return };
    for id in ["bazel", "build", "push", "sign"] {
        scene.run(scene.step(id), &[]).success();
    }
    let refused = scene.run(scene.step("verify"), &[]);
    assert!(refused.stdout.contains("VERIFIED") && refused.stdout.contains("REJECTED"), "{refused}");
    refused.failure(1);
}

#[test]
fn a_tag_that_moves_between_push_and_sign_is_not_what_gets_signed() {
    let Some(scene) = Scene::new(Grant::Sign) else { return };
    for id in ["bazel", "build", "push"] {
        scene.run(scene.step(id), &[]).success();
    }
    let tag = format!("{IMAGE}:{}", scene.config.values(&[])["_TAG"]);
    assert_eq!(scene.csign(&["digest", &tag]).success().trim(), scene.image());
    let other = csign_tests::image::write_layout(&scene.bench.path("other"), "another program");
    scene.csign(&["push", &scene.path("other"), &tag]).success();
    let other = format!("{IMAGE}@{other}");
    assert_eq!(scene.csign(&["digest", &tag]).success().trim(), other, "the tag was moved");
    for id in ["sign", "describe", "attest", "verify", "request"] {
        scene.run(scene.step(id), &[]).success();
    }
    assert_eq!((scene.is_signed(&scene.image()), scene.is_signed(&other)), (true, false));
    assert!(!scene.output("request.json").contains(other.split_once('@').unwrap().1));
}

#[test]
fn a_key_that_is_not_the_contracts_signs_nothing() {
    let Some(scene) = Scene::new(Grant::Sign) else { return };
    fs::copy(scene.bench.path("stranger.key"), scene.workspace.join("out.key")).unwrap();
    let own = [("_KEY", "out.key")];
    fs::write(scene.workspace.join(".git/info/exclude"), "out.key\n").unwrap();
    let (done, failure) = scene.build(&own);
    assert_eq!(done, ["bazel", "build", "push"], "{}", failure.unwrap());
    assert!(!scene.is_signed(&scene.image()));
}

/// Whoever may start the trigger chooses the values.
#[test]
fn shell_characters_in_a_substitution_are_never_executed() {
    let Some(scene) = Scene::new(Grant::Sign) else { return };
    scene.run(scene.step("bazel"), &[]).success();
    fs::write(scene.workspace.join("out/digest"), format!("sha256:{}\n", "0".repeat(64))).unwrap();
    let programs =
        ["$(touch pwned)`touch pwned`; touch pwned #", "' ; touch pwned ; '\" ; touch pwned ; \"\ntouch pwned\n"];
    let mut run = 0;
    for text in &scene.config.options.env {
        let (variable, value) = text.split_once('=').unwrap();
        let name = value.trim_start_matches("${").trim_end_matches('}');
        for program in programs {
            for step in &scene.config.steps {
                let uses =
                    ["\"$", "${", "@$"].iter().any(|before| step.script.contains(&format!("{before}{variable}")));
                if uses && step.id != "bazel" {
                    scene.run(step, &[(name, program)]);
                    run += 1;
                    assert_eq!(find(scene.bench.dir(), "pwned"), Vec::<PathBuf>::new(), "{name} in {}", step.id);
                }
            }
        }
    }
    assert!(run > 30, "{run} runs");
    // The same values do run where a script is careless.
    let careless =
        Step { script: "#!/usr/bin/env bash\neval \"true $TAG\"\n".to_owned(), ..scene.step("push").clone() };
    for program in programs {
        scene.run(&careless, &[("_TAG", program)]);
        let found = find(scene.bench.dir(), "pwned");
        assert!(!found.is_empty(), "{program}");
        found.iter().for_each(|file| fs::remove_file(file).unwrap());
    }
}
