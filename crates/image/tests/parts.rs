//! What Bazel is given, and what is accepted of it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::{fs, path::Path};

use csign_contract::Contract;
use csign_image::{
    Difference, compare,
    parts::{self, PartsError},
};
use csign_oci::{Access, ImageConfig, LayerBuilder, Layout, assemble};

fn example() -> String {
    fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../workload/example-contract.toml")).unwrap()
}

fn read(text: &str) -> Result<Contract, PartsError> {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("contract");
    fs::write(&path, text).unwrap();
    parts::read_contract(&path)
}

#[test]
fn both_spellings_of_a_contract_give_the_same_parts() {
    let scratch = tempfile::tempdir().unwrap();
    let from_toml = read(&example()).unwrap();
    let from_json = read(&String::from_utf8(from_toml.canonical()).unwrap()).unwrap();
    for (name, contract) in [("toml", &from_toml), ("json", &from_json)] {
        let directory = scratch.path().join(name);
        fs::create_dir(&directory).unwrap();
        parts::write(contract, &directory).unwrap();
    }
    let part = |name: &str, file: &str| fs::read(scratch.path().join(name).join(file)).unwrap();
    let files: Vec<_> =
        fs::read_dir(scratch.path().join("toml")).unwrap().flatten().map(|file| file.file_name()).collect();
    assert_eq!(files.len(), 8);
    for file in files.iter().map(|file| file.to_str().unwrap()) {
        assert_eq!(part("toml", file), part("json", file), "{file}");
    }
    assert_eq!(part("toml", "contract.json"), from_toml.canonical());
    assert_eq!(part("toml", "ports.txt"), b"8080/tcp");
    assert_eq!(part("toml", "entrypoint.txt"), b"/workload\n");
    assert!(part("toml", "labels.txt").starts_with(b"tee.launch_policy.allow_cmd_override=false\n"));
}

#[test]
fn a_contract_for_another_recipe_or_none_is_refused() {
    let other = read(&example().replace("recipe = \"bazel\"", "recipe = \"cargo-musl\""));
    assert!(matches!(other, Err(PartsError::Recipe { .. })), "{other:?}");
    assert!(matches!(read("version = 1"), Err(PartsError::Contract { .. })));
    assert!(matches!(read("{\"version\": 1}"), Err(PartsError::Contract { .. })), "JSON that is not canonical");
    assert!(matches!(read(&"#".repeat(1 << 21)), Err(PartsError::TooLarge { .. })));
    assert!(matches!(parts::read_contract(Path::new("/nonexistent/contract")), Err(PartsError::Io { .. })));
}

/// A layout with the contract's image, changed by `change`.
fn layout(at: &Path, contract: &Contract, change: impl FnOnce(&mut ImageConfig, &mut Vec<LayerBuilder>)) -> Layout {
    let image =
        csign_image::image(b"program".to_vec(), &contract.canonical(), contract.labels(), &contract.ports()).unwrap();
    let mut config = ImageConfig::parse(&image.blobs[0].1).unwrap();
    let mut more = Vec::new();
    change(&mut config, &mut more);
    let mut layers: Vec<_> = image.blobs[1..]
        .iter()
        .map(|(_, bytes)| {
            let mut layer = LayerBuilder::new();
            for entry in csign_oci::read_layer(bytes, &csign_oci::LayerLimits::default()).unwrap().entries {
                match entry.node {
                    csign_oci::Node::File(content) => layer.file(&entry.path, entry.access, content).map(|_| ()),
                    _ => layer.directory(&entry.path, entry.access).map(|_| ()),
                }
                .unwrap();
            }
            (layer.mtime(1).build().unwrap(), "another builder")
        })
        .collect();
    layers.extend(more.into_iter().map(|layer| (layer.build().unwrap(), "more")));
    let image = assemble(config.config, layers).unwrap();
    let builder = Layout::create(at).unwrap();
    let descriptor = builder.add_image(&image).unwrap();
    builder.finish(vec![descriptor]).unwrap();
    Layout::open(at).unwrap()
}

fn verdict(change: impl FnOnce(&mut ImageConfig, &mut Vec<LayerBuilder>)) -> Result<Vec<u8>, Difference> {
    let scratch = tempfile::tempdir().unwrap();
    let contract = read(&example()).unwrap();
    let layout = layout(&scratch.path().join("image"), &contract, change);
    compare(&layout, &contract.canonical(), contract.labels(), &contract.ports())
}

#[test]
fn an_image_with_other_layers_but_the_same_content_is_accepted() {
    assert_eq!(verdict(|_, _| {}).unwrap(), b"program");
}

#[test]
fn anything_more_in_an_image_is_refused() {
    let file = |path: &str| {
        let mut layer = LayerBuilder::new();
        layer.file(path, Access::root(0o755), "#!").unwrap();
        layer
    };
    for (path, what) in [("bin/sh", "Extra"), ("etc/passwd", "Hidden"), ("workload", "Hidden")] {
        let refused = verdict(|_, more| more.push(file(path))).expect_err(path);
        assert!(format!("{refused:?}").starts_with(what), "{path}: {refused}");
    }
}

#[test]
fn another_configuration_is_refused() {
    type Change = fn(&mut ImageConfig);
    let changes: [(&str, Change); 5] = [
        ("user", |config| config.config.user = "0:0".to_owned()),
        ("entry point", |config| config.config.entrypoint.push("--debug".to_owned())),
        ("environment", |config| config.config.env.push("LD_PRELOAD=/x".to_owned())),
        ("label", |config| config.config.labels.clear()),
        ("port", |config| config.config.extra.clear()),
    ];
    for (what, change) in changes {
        let refused = verdict(|config, _| change(config)).expect_err(what);
        assert!(matches!(refused, Difference::Configuration { .. }), "{what}: {refused}");
    }
}
