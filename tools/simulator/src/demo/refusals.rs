//! What must be refused, each by the program whose job it is, in its own words.

use csign_oci::Pinned;
use serde_json::Value;
use simulator::{Running, attestation::Image};

use super::{
    Result,
    ledger::{Ledger, quote},
    patch,
    scene::{REPOSITORY, Scene, TOPIC, data_key},
    story::{PATIENCE, event, request, verdict},
};

/// One approval missing: collect writes nothing, and a workload that is launched all the same does not boot.
pub(super) async fn incomplete(
    scene: &Scene,
    image: &Pinned,
    approvals: &[String; 2],
    ledger: &mut Ledger,
) -> Result<()> {
    let step = ledger.begin("refused: csign collect with one approval missing", "exit 1, nothing written");
    let collected = scene.builder.csign(&["collect", &approvals[0], "--allow-simulated"])?;
    quote(&collected.text());
    ledger.end(step, collected.status == 1 && collected.stderr.contains("collaborator-2"), collected.error());

    let step = ledger.begin("refused: launch while collaborator-2 has not signed", "workload exits 1");
    let partial = scene.builder.csign(&["collect", &approvals[0], "--allow-simulated", "--partial"])?;
    let reason = refused_boot(scene, image, "early", Image::Production).await?;
    let expected =
        partial.status == 0 && reason.as_deref().is_some_and(|text| text.contains("signature of collaborator-2"));
    ledger.end(step, expected, reason.unwrap_or_else(|| "it booted".to_owned()));
    Ok(())
}

/// An image that nobody signed, and a machine that an operator can look into.
pub(super) async fn images(scene: &Scene, image: &Pinned, ledger: &mut Ledger) -> Result<()> {
    let builder = &scene.builder;
    let step = ledger.begin("refused: image with one byte changed, csign verify", "exit 1");
    let changed = patch::one_byte(&builder.directory.join("image"), &builder.directory.join("changed"), "workload")?;
    let changed = image.repository.at(changed);
    let pushed = builder.csign(&["push", "changed", REPOSITORY])?;
    let target = changed.to_string();
    let verified = builder.csign(&["verify", &target, "--contract", "collaboration.toml", "--allow-simulated"])?;
    quote(&verified.text());
    ledger.end(step, pushed.status == 0 && verified.status == 1, "nobody signed this digest");

    let step = ledger.begin("csign diff: what was changed in it", "exit 1, name the file");
    let compared = builder.csign(&["diff", "image", "changed"])?;
    quote(&compared.text());
    ledger.end(
        step,
        compared.status == 1 && compared.stdout.contains("/workload"),
        "it is /workload, and nothing else",
    );

    let step = ledger.begin("refused: image with one byte changed, launched", "workload exits 1");
    let reason = refused_boot(scene, &changed, "changed", Image::Production).await?;
    let expected = reason.as_deref().is_some_and(|text| text.contains("signature of builder"));
    ledger.end(step, expected, reason.unwrap_or_else(|| "it booted".to_owned()));

    let step = ledger.begin("refused: the signed image on a debug machine", "workload exits 1");
    let reason = refused_boot(scene, image, "debug", Image::Debug).await?;
    let expected = reason.as_deref().is_some_and(|text| text.contains("dbgstat"));
    ledger.end(step, expected, reason.unwrap_or_else(|| "it booted".to_owned()));
    Ok(())
}

/// Launches an image whose workload must refuse itself with exit status 1. `None` if it booted.
async fn refused_boot(scene: &Scene, image: &Pinned, instance: &str, kind: Image) -> Result<Option<String>> {
    let running = scene.simulator.launcher().launch(request(scene, image, instance, kind)).await?;
    let verdict = tokio::time::timeout(PATIENCE, verdict(&mut running.follow())).await??;
    if verdict["event"] != "boot refused" {
        running.kill();
        return Ok(None);
    }
    let status = tokio::time::timeout(PATIENCE, running.wait()).await??;
    quote(&running.text());
    if status.code() != Some(1) {
        return Err(format!("the workload ended with {status}, not with exit status 1").into());
    }
    Ok(Some(verdict["reason"].as_str().unwrap_or("no reason").to_owned()))
}

/// Messages that the contract does not admit.
pub(super) async fn messages(scene: &Scene, running: &Running, ledger: &mut Ledger) -> Result<()> {
    let key = data_key(1);
    type Attributes<'a> = &'a [(&'a str, &'a str)];
    let cases: [(&str, &str, Attributes<'_>); 2] = [
        (
            "refused: message of an unknown collaborator",
            "unknown-collaborator",
            &[("version", "1"), ("collaborator", "mallory"), ("message", "m1")],
        ),
        (
            "refused: message of collaborator-1 that names collaborator-2's key",
            "foreign-key",
            &[("version", "1"), ("collaborator", "collaborator-1"), ("message", "m2"), ("key", &key)],
        ),
    ];
    for (name, code, attributes) in cases {
        let step = ledger.begin(name, "not decrypted, not counted");
        scene.simulator.pubsub().publish(TOPIC, b"ciphertext".as_slice(), attributes.iter().copied())?;
        let wanted = |event: &Value| event["event"] == "message refused" && event["code"] == code;
        let refused = tokio::time::timeout(PATIENCE, event(&mut running.follow(), wanted)).await;
        match refused {
            Ok(Ok(event)) => {
                quote(&event.to_string());
                ledger.end(step, true, code);
            }
            _ => {
                quote(&running.text());
                ledger.end(step, false, "the workload did not refuse it");
            }
        }
    }
    Ok(())
}
