//! The workload: how large its image is, and how long its boot takes until every check has passed.

use std::{fs, path::Path};

use csign_tests::{
    peer::{self, repository},
    process::Bench,
};
use serde::Serialize;
use serde_json::Value;

/// The workload's figures.
#[derive(Debug, Serialize)]
pub(crate) struct Workload {
    /// What a pull transfers: the manifest, the configuration and the layers.
    pub(crate) image_bytes: u64,
    /// From the program's start to a verified boot, as the workload itself reports it.
    pub(crate) boot_ms: Option<u64>,
}

impl Workload {
    /// Of an OCI layout: its size alone.
    pub(crate) fn of_layout(layout: &Path) -> Self {
        let read = |path: &Path| -> Value {
            let bytes = fs::read(path).unwrap_or_else(|e| panic!("reading {}: {e}", path.display()));
            serde_json::from_slice(&bytes).unwrap_or_else(|e| panic!("parsing {}: {e}", path.display()))
        };
        let descriptor = &read(&layout.join("index.json"))["manifests"][0];
        let digest = descriptor["digest"].as_str().expect("a layout's index lists a digest").replace(':', "/");
        let manifest = read(&layout.join("blobs").join(digest));
        let layers = manifest["layers"].as_array().into_iter().flatten();
        let parts = [descriptor, &manifest["config"]].into_iter().chain(layers);
        Self { image_bytes: parts.filter_map(|part| part["size"].as_u64()).sum(), boot_ms: None }
    }

    /// Of the image that the simulator's demo builds, signs and boots; building takes minutes.
    pub(crate) fn of_demo(csign: &Path) -> Self {
        let bench = Bench::new();
        let path = |path: &Path| path.to_str().expect("a path in UTF-8").to_owned();
        let (source, csign) = (path(&repository()), path(csign));
        let mut demo = std::process::Command::new(peer::simulator());
        demo.args(["demo", "--quick", "--keep", "kept", "--source", &source, "--csign", &csign])
            .current_dir(bench.dir());
        let finished = csign_tests::process::Finished::of(&mut demo);
        let reported = finished.stderr.lines().filter_map(|line| line.get(line.find('{')?..));
        let mut events = reported.filter_map(|text| serde_json::from_str::<Value>(text).ok());
        let boot = events.find(|event| event["event"] == "boot verified");
        let boot_ms = boot.and_then(|event| event["milliseconds"].as_u64());
        assert!(boot_ms.is_some() && finished.code == Some(0), "{finished}");
        Self { boot_ms, ..Self::of_layout(&bench.path("kept/builder/image")) }
    }
}
