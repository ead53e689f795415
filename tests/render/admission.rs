//! What the scripts wrote into workload identity pools and key policies, given to the simulator: the workload that all agreed
//! on decrypts, and nothing else does.

use std::time::Duration;

use csign_oci::Digest;
use csign_render::{Grant, Target};
use csign_tests::peer::peer;
use serde_json::{Value, json};
use simulator::attestation::{Container, Hardware, Image, Vm};

use crate::{
    released::{Released, audience, container, vm},
    scene::{Cloud, OPERATOR, REPOSITORY, agreed, contract, render_with, settings},
};

/// Everything but the agreed workload that every grant must refuse.
pub(crate) fn mutations(released: &Released) {
    type Change = fn(&mut Vm, &mut Container);
    let machines: [(&str, Change); 14] = [
        ("a debug image", |vm, _| vm.image = Image::Debug),
        ("an image that is out of support", |vm, _| vm.image = Image::Usable),
        ("an experimental image", |vm, _| vm.image = Image::Experimental),
        ("another project", |vm, _| vm.project = "another-project".to_owned()),
        ("a project whose name begins the same", |vm, _| vm.project = format!("{OPERATOR}-2")),
        ("another service account", |vm, _| {
            vm.service_account = "other@operator-project.iam.gserviceaccount.com".to_owned()
        }),
        ("other hardware", |vm, _| vm.platform.hardware = Hardware::AmdSev),
        ("no memory encryption", |vm, _| vm.platform.hardware = Hardware::ShieldedVm),
        ("no signature", |_, container| container.image_signatures.clear()),
        ("the builder did not sign", |_, container| _ = container.image_signatures.remove(0)),
        ("a collaborator did not sign", |_, container| _ = container.image_signatures.remove(2)),
        ("one signed three times", |_, container| {
            let one = container.image_signatures[0].clone();
            container.image_signatures = vec![one.clone(), one.clone(), one];
        }),
        ("a stranger's key in the place of a party's", |_, container| {
            container.image_signatures[1].key_id = Digest::of("stranger").to_string().replace("sha256:", "");
        }),
        ("a signature under another algorithm", |_, container| {
            container.image_signatures[2].signature_algorithm = "ECDSA_P256_SHA256".to_owned();
        }),
    ];
    for (what, change) in machines {
        let refused = released.changed(change).expect_err(what);
        assert!(refused.starts_with("STS: "), "{what}: {refused}");
    }
    type Claim = fn(&mut Value);
    let claims: [(&str, Claim); 9] = [
        ("not Confidential Space", |claims| claims["swname"] = json!("GCE")),
        ("no secure boot", |claims| claims["secboot"] = json!(false)),
        ("secure boot as a text", |claims| claims["secboot"] = json!("true")),
        ("no support attributes", |claims| _ = claims["submods"].as_object_mut().unwrap().remove("confidential_space")),
        ("an attribute that contains the word", |claims| {
            claims["submods"]["confidential_space"]["support_attributes"] = json!(["UNSTABLE", "USABLE"]);
        }),
        ("attributes as one text", |claims| {
            claims["submods"]["confidential_space"]["support_attributes"] = json!("STABLE");
        }),
        ("the old debug claim", |claims| claims["dbgstat"] = json!("enable")),
        ("no service accounts", |claims| _ = claims.as_object_mut().unwrap().remove("google_service_accounts")),
        ("another issuer", |claims| claims["iss"] = json!("https://confidentialcomputing.googleapis.com/")),
    ];
    for (what, change) in claims {
        let refused = released.claimed(change).expect_err(what);
        assert!(refused.starts_with("STS: "), "{what}: {refused}");
    }
    let second = audience().replace("200000000001", "200000000002");
    for audience in ["https://sts.googleapis.com", &second, &format!("{}x", audience())] {
        let refused = released.decrypt(&released.token(&vm(), &container(), audience)).expect_err(audience);
        assert!(refused.contains("audience"), "{refused}");
    }
    let old = released.token(&vm(), &container(), &audience());
    released.simulator.advance_clock(Duration::from_secs(7200));
    assert!(released.decrypt(&old).expect_err("a token of yesterday").starts_with("STS: "));
    assert!(released.changed(|_, _| {}).is_ok(), "a new one passes all the same");
}

#[test]
fn the_agreed_workload_decrypts_and_no_mutated_machine_image_or_token_does() {
    let Some(released) = Released::by(&settings()) else { return };
    assert_eq!(released.changed(|_, _| {}), Ok(()));
    assert_eq!(released.changed(|vm, _| vm.image = Image::Production), Ok(()), "the newest image is supported too");
    mutations(&released);
    for (what, digest) in [("another image", Digest::of("another")), ("one byte more", Digest::of("the agreed image "))]
    {
        let refused = released.changed(|_, container| container.image_digest = digest).expect_err(what);
        assert!(refused.starts_with("STS: "), "{what}: {refused}");
    }
    drop(released.runtime);
}

#[test]
fn a_key_that_is_released_to_what_all_signed_takes_the_next_image_without_a_change_and_nothing_else() {
    let mut settings = settings();
    settings.collaborator.grant = Grant::Signers;
    let Some(released) = Released::by(&settings) else { return };
    assert_eq!(released.changed(|_, _| {}), Ok(()));
    let next = |_: &mut Vm, container: &mut Container| {
        container.image_digest = Digest::of("the next image");
        container.image_reference = format!("{REPOSITORY}@{}", Digest::of("the next image"));
    };
    assert_eq!(released.changed(next), Ok(()), "all signed it");
    mutations(&released);
    for reference in [
        format!("us-central1-docker.pkg.dev/builder-project/repo1/other@{}", agreed()),
        format!("{REPOSITORY}-2@{}", agreed()),
        format!("{REPOSITORY}:latest"),
    ] {
        let refused = released.changed(|_, container| container.image_reference = reference.clone());
        assert!(refused.is_err(), "{reference}");
    }
}

#[test]
fn a_subject_fits_into_google_s_limit_whatever_the_machine_is_called() {
    let Some(released) = Released::by(&settings()) else { return };
    let longest = released.changed(|vm, _| {
        vm.instance = "i".repeat(63);
        vm.zone = "northamerica-northeast1-a".to_owned();
        vm.project_number = "9".repeat(12);
        vm.instance_id = "9".repeat(20);
    });
    assert_eq!(longest, Ok(()));
}

#[test]
fn an_identity_that_another_condition_would_give_holds_no_right_on_the_key() {
    // The binding is the second wall: even with a condition that admits everything, only this digest decrypts.
    if peer("python3").is_none() {
        return;
    }
    let cloud = Cloud::new();
    let files = render_with(Target::Gcloud, "collaborator=collaborator-1", &contract(""), &settings()).unwrap();
    cloud.run(&files, &[]).success();
    let mut state = cloud.state();
    for (name, thing) in state["things"].as_object_mut().unwrap() {
        if name.starts_with("iam workload-identity-pools providers|") {
            thing["attributeCondition"] = json!("true");
        }
    }
    let released = Released::from(&state);
    assert_eq!(released.changed(|_, _| {}), Ok(()));
    let other =
        released.changed(|_, container| container.image_digest = Digest::of("another")).expect_err("another image");
    assert!(other.starts_with("KMS: "), "{other}");
}
