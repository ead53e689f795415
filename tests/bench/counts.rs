//! Requests per verification in both formats, by number of signers, all of whom must have signed: csign in one run, and
//! cosign in one run per key. Counted at the proxy, so one run is enough.

use std::fmt::Write as _;

use csign_tests::process::{Finished, PASSWORD};
use serde::Serialize;

use crate::scene::{Program, Scene};

const SIGNERS: [usize; 3] = [1, 3, 16];
const FORMATS: [&str; 2] = ["legacy", "bundle"];

/// One image's verification by both programs.
#[derive(Debug, Serialize)]
pub(crate) struct Count {
    format: &'static str,
    signed_by: String,
    signers: usize,
    /// `None` where the program cannot verify this.
    csign: Option<Cost>,
    cosign: Option<Cost>,
}

#[derive(Debug, Default, Serialize)]
struct Cost {
    runs: usize,
    requests: usize,
    connections: usize,
}

/// Signs the images and counts. Leaves out what a program cannot sign.
pub(crate) fn count(scene: &Scene) -> Vec<Count> {
    let keys: Vec<String> = (1..=SIGNERS[SIGNERS.len() - 1]).map(|number| format!("signer{number}")).collect();
    for key in &keys {
        scene.generate_key(key);
    }
    let mut counts = Vec::new();
    for format in FORMATS {
        for signer in [Program::Csign, Program::Cosign] {
            for signers in SIGNERS {
                let keys = &keys[..signers];
                let image = scene.push(&format!("{signer}-{format}-{signers}"));
                if !keys.iter().all(|key| sign(scene, signer, format, &image, key)) {
                    continue;
                }
                let csign = cost(scene, Program::Csign, &image, &[keys]);
                let each: Vec<&[String]> = keys.chunks(1).collect();
                let cosign = cost(scene, Program::Cosign, &image, &each);
                counts.push(Count { format, signed_by: signer.to_string(), signers, csign, cosign });
            }
        }
    }
    counts
}

/// Could it?
fn sign(scene: &Scene, signer: Program, format: &str, image: &str, key: &str) -> bool {
    let key = format!("{key}.key");
    let flags: &[&str] = match (signer, format) {
        (Program::Csign, "legacy") => &[], // without a contract, the default
        (Program::Csign, _) => &["--format", format],
        (Program::Cosign, "legacy") => {
            &["-y", "--use-signing-config=false", "--tlog-upload=false", "--new-bundle-format=false"]
        }
        (Program::Cosign, _) => &["-y", "--use-signing-config=false", "--tlog-upload=false"],
    };
    let Some(mut command) = scene.command(signer) else { return false };
    Finished::of(command.args(["sign", "--key", &key, image]).args(flags).env("COSIGN_PASSWORD", PASSWORD)).code
        == Some(0)
}

/// What one run per group of keys takes together; `None` when one of them does not verify.
fn cost(scene: &Scene, verifier: Program, image: &str, groups: &[&[String]]) -> Option<Cost> {
    let mut cost = Cost::default();
    for keys in groups {
        let mut command = scene.command(verifier)?;
        command.args(["verify", image]).args(keys.iter().map(|key| format!("--key={key}.pub")));
        if verifier == Program::Cosign {
            command.arg("--insecure-ignore-tlog");
        }
        scene.proxy.take_traffic();
        let finished = Finished::of(&mut command);
        let traffic = scene.proxy.take_traffic();
        if finished.code != Some(0) {
            return None;
        }
        cost.runs += 1;
        cost.requests += traffic.requests.len();
        cost.connections += traffic.connections;
    }
    Some(cost)
}

/// For people.
pub(crate) fn table(counts: &[Count]) -> String {
    let mut text = "\nrequests to verify all signers, connections in parentheses; cosign runs once per key\n\n\
                    format  signed by  signers  csign      cosign\n"
        .to_owned();
    let cell = |cost: &Option<Cost>| match cost {
        Some(Cost { requests, connections, .. }) => format!("{requests} ({connections})"),
        None => "cannot".to_owned(),
    };
    for Count { format, signed_by, signers, csign, cosign } in counts {
        let (csign, cosign) = (cell(csign), cell(cosign));
        let _ = writeln!(text, "{format:<6}  {signed_by:<9}  {signers:>7}  {csign:<9}  {cosign}");
    }
    text
}
