//! Documents about images with everything odd in them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use csign_oci::{Access, Descriptor, Digest, LayerBuilder, LayerLimits, Repository};
use csign_sbom::{
    Bill, Contents, Crates, ImageFacts, LinkedCrate, LockFile, SbomError, Timestamp, cyclonedx, lock, spdx,
};
use serde_json::Value;

fn layer(files: &[(&str, &str)]) -> Contents {
    let mut layer = LayerBuilder::new();
    for (path, content) in files {
        layer.file(path, Access::root(0o644), *content).unwrap();
    }
    layer.symlink("link", "../\"target\"\n").unwrap();
    let layer = layer.build().unwrap();
    Contents::read(&layer.descriptor(), &layer.bytes, &layer.diff_id, &LayerLimits::default()).unwrap()
}

fn bill(layers: Vec<Contents>, crates: Option<Crates>) -> Bill {
    Bill {
        image: ImageFacts {
            digest: Digest::of("image"),
            repository: Some(Repository::parse("registry.example/team/app").unwrap()),
            architecture: "amd64".to_owned(),
            program: Some("app".to_owned()),
        },
        layers,
        crates,
        created: Timestamp::from_epoch(0).unwrap(),
        tool_version: "0.1.0".to_owned(),
    }
}

fn documents(bill: &Bill) -> (Value, Value) {
    let parse = |bytes: Vec<u8>| serde_json::from_slice(&bytes).unwrap();
    (parse(spdx::write(bill).unwrap()), parse(cyclonedx::write(bill).unwrap()))
}

fn chain(length: usize) -> LockFile {
    let mut text = "version = 4\n".to_owned();
    for n in 0..length {
        let on = if n + 1 < length { format!("dependencies = [\"c_{:05}\"]", n + 1) } else { String::new() };
        text += &format!(
            "[[package]]\nname = \"c_{n:05}\"\nversion = \"1.0.0\"\nchecksum = \"{}\"\n\
             source = \"registry+https://github.com/rust-lang/crates.io-index\"\n{on}\n",
            "0".repeat(64)
        );
    }
    LockFile::parse(text.as_bytes()).unwrap()
}

#[test]
fn odd_names_are_escaped_once_and_change_nothing_else() {
    let odd = "a \"b\" \n\t\u{1f} <&> é";
    let (spdx, cyclonedx) = documents(&bill(vec![layer(&[(odd, "x")])], None));
    assert_eq!(spdx["files"][0]["fileName"], format!("./{odd}"));
    assert_eq!(cyclonedx["components"][0]["components"][0]["name"], format!("/{odd}"));
    assert_eq!(cyclonedx["components"][0]["properties"][1]["value"], "link: symbolic link to ../\"target\"\n");
    assert!(spdx["packages"][1]["comment"].as_str().unwrap().ends_with("link: symbolic link to ../\"target\"\n"));
}

#[test]
fn files_have_the_digests_that_they_have() {
    let (spdx, cyclonedx) = documents(&bill(vec![layer(&[("abc", "abc"), ("empty", "")])], None));
    let (sha1, sha256) = (
        "a9993e364706816aba3e25717850c26c9cd0d89d",
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    );
    assert_eq!(spdx["files"][0]["checksums"][0]["checksumValue"], sha1);
    assert_eq!(spdx["files"][0]["checksums"][1]["checksumValue"], sha256);
    assert_eq!(cyclonedx["components"][0]["components"][0]["hashes"][0]["content"], sha256);
    // printf 'a9993e364706816aba3e25717850c26c9cd0d89dda39a3ee5e6b4b0d3255bfef95601890afd80709' | sha1sum
    let code = &spdx["packages"][1]["packageVerificationCode"]["packageVerificationCodeValue"];
    assert_eq!(code, "29d0dbdfff975c93e2d75e5024fe8b650ec847af");
}

#[test]
fn a_file_that_a_later_layer_replaces_is_still_listed() {
    let layers = vec![layer(&[("app", "old"), ("etc/a", "1")]), layer(&[("app", "new")])];
    let (spdx, cyclonedx) =
        documents(&bill(layers, Some(Crates::linked(&chain(2), &linked(2), "t", "1.0.0").unwrap())));
    assert_eq!(spdx["files"].as_array().unwrap().len(), 3);
    let generated = spdx["relationships"].as_array().unwrap();
    let generated: Vec<&Value> = generated.iter().filter(|one| one["relationshipType"] == "GENERATED_FROM").collect();
    assert_eq!(generated.len(), 1);
    assert_eq!(generated[0]["spdxElementId"], "SPDXRef-File-2-1", "the program is the one that runs");
    assert_eq!(cyclonedx["dependencies"][0]["ref"], "file:2:1");
}

fn linked(length: usize) -> Vec<LinkedCrate> {
    let one = |n: usize| LinkedCrate {
        name: format!("c_{n:05}"),
        version: "1.0.0".to_owned(),
        source: Some(lock::Spelling::new("registry+https://github.com/rust-lang/crates.io-index".to_owned())),
        license: Some("MIT".to_owned()),
        dependencies: if n + 1 < length { vec![n + 1] } else { Vec::new() },
    };
    (0..length).map(one).collect()
}

#[test]
fn names_that_spdx_cannot_tell_apart_get_different_identifiers() {
    let mut text = "version = 4\n".to_owned();
    for (name, version) in [("a_b", "1.0.0"), ("a-b", "1.0.0"), ("a", "1.0.0+x"), ("a", "1.0.0.x"), ("a", "1.0.0.x-2")]
    {
        text += &format!("[[package]]\nname = \"{name}\"\nversion = \"{version}\"\n");
    }
    let crates = Crates::of_lock_file(LockFile::parse(text.as_bytes()).unwrap());
    let (spdx, cyclonedx) = documents(&bill(Vec::new(), Some(crates)));
    for (list, key) in [(&spdx["packages"], "SPDXID"), (&cyclonedx["components"], "bom-ref")] {
        let ids: Vec<&str> = list.as_array().unwrap().iter().map(|one| one[key].as_str().unwrap()).collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{ids:?}");
    }
}

#[test]
fn a_lock_file_of_five_thousand_crates_is_written_out_whole() {
    let crates = Crates::linked(&chain(5000), &linked(5000), "t", "1.0.0").unwrap();
    let (spdx, cyclonedx) = documents(&bill(vec![layer(&[("app", "x")])], Some(crates)));
    let edges = spdx["relationships"].as_array().unwrap();
    assert_eq!(edges.iter().filter(|one| one["relationshipType"] == "DEPENDS_ON").count(), 4999 + 2);
    assert_eq!(cyclonedx["components"].as_array().unwrap().len(), 5000 + 2);
    assert_eq!(cyclonedx["components"][2]["purl"], "pkg:cargo/c_00000@1.0.0");
    assert_eq!(cyclonedx["components"][2]["licenses"][0]["expression"], "MIT");
}

#[test]
fn layers_that_are_not_what_they_should_be_are_refused() {
    let mut builder = LayerBuilder::new();
    builder.file("a", Access::root(0o644), vec![0; 1 << 20]).unwrap();
    let layer = builder.build().unwrap();
    let read = |descriptor: &Descriptor, diff_id: Digest, unpacked| {
        Contents::read(descriptor, &layer.bytes, &diff_id, &LayerLimits { unpacked, ..LayerLimits::default() })
    };
    let good = layer.descriptor();
    assert!(read(&good, layer.diff_id, 2 << 20).is_ok());
    assert!(matches!(read(&good, Digest::of("x"), 2 << 20), Err(SbomError::DiffId { .. })));
    assert!(matches!(read(&good, layer.diff_id, 1 << 19), Err(SbomError::Layer { .. })), "a bomb");
    let zstd = Descriptor { media_type: "application/vnd.oci.image.layer.v1.tar+zstd".to_owned(), ..good };
    assert!(matches!(read(&zstd, layer.diff_id, 2 << 20), Err(SbomError::Compression { .. })));
}
