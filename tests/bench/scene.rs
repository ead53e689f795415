//! What is measured: a registry behind the proxy, two images that three keys signed, and the commands that verify them.

use std::{
    fmt,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::Command,
};

use csign_tests::{
    image, peer,
    process::{Bench, Finished, PASSWORD},
    proxy::Proxy,
    registry::Registry,
};

use crate::measure::{Sample, measure};

const KEYS: [&str; 3] = ["builder", "one", "two"];

/// Which program, on an image that which program signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    Csign,
    Cosign,
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Csign => "csign",
            Self::Cosign => "cosign",
        })
    }
}

/// One thing to measure: all three keys verified on one image.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) verifier: Program,
    pub(crate) signer: Program,
    /// Run one after the other.
    commands: Vec<Vec<String>>,
}

/// Everything that is set up once.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) proxy: Proxy,
    pub(crate) subjects: Vec<Subject>,
    pub(crate) registry: &'static str,
    pub(crate) csign: PathBuf,
    pub(crate) cosign: Option<PathBuf>,
    bench: Bench,
    _registry: Registry,
}

impl Scene {
    /// Starts the registry and signs the images: one with csign and, where it is found, one with cosign.
    pub(crate) fn prepare(csign: Option<PathBuf>) -> Self {
        let bench = Bench::new();
        let csign = csign.unwrap_or_else(|| peer::csign().to_path_buf());
        let csign = csign.canonicalize().expect("the path of csign");
        let cosign = peer::find("cosign");
        let registry = Registry::with_referrers().expect("it is in this process");
        let registry_name = "the simulator's registry, which lists referrers";
        let proxy = Proxy::start(registry.address);
        let mut scene =
            Self { proxy, subjects: Vec::new(), registry: registry_name, csign, cosign, bench, _registry: registry };
        for key in KEYS {
            scene.generate_key(key);
        }
        let image = scene.push("csign");
        for key in KEYS {
            scene.csign(&["sign", &image, "--key", &format!("{key}.key")]);
        }
        scene.add_subjects(Program::Csign, &image);
        if let Some(cosign) = scene.cosign.clone() {
            let image = scene.push("cosign");
            for key in KEYS {
                let key = format!("{key}.key");
                let flags = ["-y", "--use-signing-config=false", "--tlog-upload=false", "--new-bundle-format=false"];
                scene.run(&cosign, &[&["sign"][..], &flags, &["--key", &key, &image]].concat());
            }
            scene.add_subjects(Program::Cosign, &image);
        } else {
            let _ = writeln!(io::stderr(), "cosign not found (run .ci/peers): csign is measured alone");
        }
        scene
    }

    /// Measures one subject at the proxy's present round trip time.
    pub(crate) fn measure(&self, subject: &Subject) -> Sample {
        let program = match subject.verifier {
            Program::Csign => &self.csign,
            Program::Cosign => self.cosign.as_ref().expect("cosign's subjects exist only where cosign does"),
        };
        subject.commands.iter().fold(Sample::default(), |sample, arguments| {
            self.proxy.take_traffic();
            let child = measure(|program| self.bench.command(program), program, arguments);
            sample.then(&child, &self.proxy.take_traffic())
        })
    }

    /// A command of this program, if it is there.
    pub(crate) fn command(&self, program: Program) -> Option<Command> {
        match program {
            Program::Csign => Some(self.bench.command(&self.csign)),
            Program::Cosign => self.cosign.as_ref().map(|cosign| self.bench.command(cosign)),
        }
    }

    fn add_subjects(&mut self, signer: Program, image: &str) {
        let keys = KEYS.iter().flat_map(|key| ["--key".to_owned(), format!("{key}.pub")]);
        let all_at_once = [vec!["verify".to_owned(), image.to_owned()], keys.collect()].concat();
        self.subjects.push(Subject { verifier: Program::Csign, signer, commands: vec![all_at_once] });
        if self.cosign.is_some() {
            let one = |key| format!("verify --insecure-ignore-tlog --key {key}.pub {image}");
            let commands = KEYS.iter().map(|key| one(key).split(' ').map(str::to_owned).collect()).collect();
            self.subjects.push(Subject { verifier: Program::Cosign, signer, commands });
        }
    }

    /// A key pair, by whichever program is there.
    pub(crate) fn generate_key(&self, name: &str) {
        match &self.cosign {
            Some(cosign) => self.run(cosign, &["generate-key-pair", "--output-key-prefix", name]),
            None => self.csign(&["generate-key-pair", "--output-key-prefix", name]),
        }
    }

    /// Pushes an image into a repository of this name; returns its name with digest.
    pub(crate) fn push(&self, name: &str) -> String {
        let layout = format!("layout-{name}");
        let digest = image::write_layout(&self.bench.path(&layout), name);
        let repository = format!("{}/bench/{name}", self.proxy.address);
        self.csign(&["push", &layout, &format!("{repository}:latest")]);
        format!("{repository}@{digest}")
    }

    fn csign(&self, arguments: &[&str]) {
        self.run(&self.csign, arguments);
    }

    fn run(&self, program: &Path, arguments: &[&str]) {
        Finished::of(self.bench.command(program).args(arguments).env("COSIGN_PASSWORD", PASSWORD)).success();
    }
}
