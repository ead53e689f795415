//! Every label against every image and every value of the metadata.

use csign_oci::{Digest, Repository};

use super::*;
use crate::{
    attestation::{Image, Vm},
    launcher::request::Mount,
};

fn request(image: Image) -> LaunchRequest {
    let text = str::to_owned;
    let vm = Vm {
        project: text("p"),
        project_number: text("1"),
        zone: text("z"),
        instance: text("i"),
        instance_id: text("2"),
        service_account: text("sa@p"),
        image,
        platform: Default::default(),
    };
    LaunchRequest::new(Repository::parse("registry.simulator.localhost/app").expect("name").at(Digest::of("x")), vm)
}

/// What the launcher says; empty if it launches.
fn verdict(labels: &[(&str, &str)], change: impl FnOnce(&mut LaunchRequest), image: Image) -> String {
    let labels = labels.iter().map(|(name, value)| (format!("{PREFIX}{name}"), (*value).to_owned())).collect();
    let mut request = request(image);
    change(&mut request);
    let outcome = Policy::parse(&labels).and_then(|policy| policy.admit(&request));
    outcome.map_or_else(|error| error.to_string(), |()| String::new())
}

#[test]
fn output_is_redirected_only_where_the_image_allows_it() {
    for (label, hardened, debug) in [
        (None, "only allowed on debug environment", ""),
        (Some("debugonly"), "only allowed on debug environment", ""),
        (Some(" DebugOnly "), "only allowed on debug environment", ""),
        (Some("always"), "", ""),
        (Some("never"), "not allowed by image", "not allowed by image"),
    ] {
        let labels: Vec<_> = label.map(|value| ("log_redirect", value)).into_iter().collect();
        for (image, words) in [(Image::Production, hardened), (Image::Experimental, hardened), (Image::Debug, debug)] {
            for place in LogRedirect::ALL {
                let got = verdict(&labels, |request| request.log_redirect = place, image);
                let want = if place == LogRedirect::Nowhere { "" } else { words };
                assert_eq!(got.is_empty(), want.is_empty(), "{label:?} {image:?} {place:?}: {got}");
                assert!(got.contains(want), "{label:?} {image:?} {place:?}: {got}");
            }
        }
    }
}

#[test]
fn monitoring_is_bounded_for_each_kind_of_image() {
    const NONE: &str = "but policy is none";
    const MEMORY: &str = "policy only allows memory";
    for (labels, image, memory, all) in [
        (&[][..], Image::Production, NONE, NONE),
        (&[][..], Image::Debug, "", MEMORY),
        (&[("hardened_monitoring", "memoryonly")], Image::Production, "", MEMORY),
        (&[("hardened_monitoring", "ALL")], Image::Production, "", ""),
        (&[("debug_monitoring", "none")], Image::Debug, NONE, NONE),
        (&[("monitoring_memory_allow", "always")], Image::Production, "", MEMORY),
        (&[("monitoring_memory_allow", "debugonly")], Image::Production, NONE, NONE),
        (&[("monitoring_memory_allow", "never")], Image::Debug, NONE, NONE),
    ] {
        for (monitoring, want) in [(Monitoring::None, ""), (Monitoring::MemoryOnly, memory), (Monitoring::All, all)] {
            let got = verdict(labels, |request| request.monitoring = monitoring, image);
            assert_eq!(got.is_empty(), want.is_empty(), "{labels:?} {image:?} {monitoring}: {got}");
            assert!(got.contains(want), "{labels:?} {image:?} {monitoring}: {got}");
        }
    }
    let both = [("monitoring_memory_allow", "always"), ("debug_monitoring", "all")];
    assert!(verdict(&both, |_| {}, Image::Debug).contains("not both"));
}

#[test]
fn a_mount_stays_below_an_allowed_destination() {
    let mount = |labels: &[(&str, &str)], destination: &str| {
        let mount = Mount { destination: destination.to_owned(), size: None };
        verdict(labels, |request| request.mounts = vec![mount], Image::Production)
    };
    let labels = [("allow_mount_destinations", "/tmp/a:/b:")];
    for good in ["/tmp/a", "/tmp/a/deep", "/b", "/b/../b/c"] {
        assert_eq!(mount(&labels, good), "", "{good}");
    }
    for bad in ["/tmp", "/tmp/ab", "/", "/b/../etc", "/tmp/a/../../etc"] {
        assert!(mount(&labels, bad).contains("policy only allows mounts in the following paths"), "{bad}");
    }
    assert!(mount(&[], "/tmp").contains("destination mount points are not allowed"));
    assert!(mount(&[("allow_mount_destinations", "relative")], "/tmp").contains("non-absolute allowed"));
}

#[test]
fn capabilities_and_cgroups_need_their_labels() {
    let capability = |request: &mut LaunchRequest| request.capabilities = vec!["CAP_NET_ADMIN".to_owned()];
    let cgroups = |request: &mut LaunchRequest| request.cgroup_namespace = true;
    assert!(verdict(&[], capability, Image::Debug).contains("additional capabilities are not allowed"));
    assert_eq!(verdict(&[("allow_capabilities", "true")], capability, Image::Production), "");
    assert!(
        verdict(&[("allow_capabilities", "false")], cgroups, Image::Debug).contains("cgroups usage is not allowed")
    );
    assert_eq!(verdict(&[("allow_cgroups", "1")], cgroups, Image::Production), "");
}

#[test]
fn a_label_that_makes_no_sense_starts_nothing() {
    for (name, value, words) in [
        ("allow_cmd_override", "yes", "invalid image LABEL 'tee.launch_policy.allow_cmd_override' (not a boolean)"),
        ("allow_cmd_override", "", "not a boolean"),
        ("allow_capabilities", "maybe", "not a boolean"),
        ("allow_cgroups", "maybe", "not a boolean"),
        ("log_redirect", "sometimes", "invalid image LABEL 'tee.launch_policy.log_redirect'"),
        ("hardened_monitoring", "some", "invalid monitoring type for hardened image"),
        ("debug_monitoring", "some", "invalid monitoring type for debug image"),
        ("monitoring_memory_allow", "true", "invalid image LABEL 'tee.launch_policy.monitoring_memory_allow'"),
        ("allow_everything", "true", "unknown label"),
    ] {
        let got = verdict(&[(name, value)], |_| {}, Image::Production);
        assert!(got.contains(words) && got.contains("contact the image author"), "{name}={value}: {got}");
    }
}

#[test]
fn variables_are_allowed_by_their_exact_names() {
    let set = |request: &mut LaunchRequest| drop(request.env.insert("B".to_owned(), "secret".to_owned()));
    for labels in ["", "A", "A, B", "b", "BB", "B=secret"] {
        let got = verdict(&[("allow_env_override", labels)], set, Image::Debug);
        assert!(got.contains("env var B is not allowed") && !got.contains("secret\""), "{labels:?}: {got}");
    }
    assert_eq!(verdict(&[("allow_env_override", "A,B")], set, Image::Production), "");
}
