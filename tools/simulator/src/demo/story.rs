//! The collaboration as it should go.

use std::time::Duration;

use csign_oci::Pinned;
use serde_json::Value;
use simulator::{LaunchRequest, Running, attestation::Image, launcher::Lines};

use super::{
    Result,
    ledger::{Ledger, quote},
    scene::{REPOSITORY, Scene, builder_key},
    sources::Sources,
};

/// How long a workload may take to boot or to count a message before the demo gives up.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Build, push, sign, request, rebuild, approve, collect, verify. Returns the image on which all agreed.
pub(super) async fn agree(scene: &Scene, quick: bool, ledger: &mut Ledger) -> Result<Pinned> {
    let (builder, contract) = (&scene.builder, &["--allow-simulated"][..]);
    let step =
        ledger.begin("builder: csign build (the real workload, for musl; minutes if it is the first time)", "build");
    let sources = scene.sources()?;
    // The same files as the commit's, built where they are: what was built there before is built already.
    let built_from = scene.source.to_string_lossy().into_owned();
    let args = [&["build", "--source", &built_from, "--out", "image", "--output", "json"], contract].concat();
    let built = builder.csign_slowly(&args)?;
    if built.status != 0 {
        return Err("csign build failed; its own messages say why".into());
    }
    let image: Pinned = built.member("image")?.parse()?;
    ledger.end(step, true, image.digest.to_string());

    let step = ledger.begin("builder: csign push", "keep the digest");
    let pushed = builder.csign(&["push", "image", &format!("{REPOSITORY}:demo"), "--output", "json"])?;
    quote(&pushed.stderr);
    ledger.end(step, pushed.status == 0 && pushed.member("image")? == image.to_string(), "same digest in the registry");

    let step = ledger.begin("builder: csign sign with its KMS key", "sign");
    let target = image.to_string();
    let key = builder_key();
    let signed =
        builder.csign(&[&["sign", &target, "--key", &key, "--contract", "collaboration.toml"], contract].concat())?;
    quote(&signed.text());
    ledger.end(step, signed.status == 0, "signed by a key that never left KMS");

    let step = ledger.begin("builder: csign request", "name the payloads");
    let committed = sources.path.to_string_lossy().into_owned();
    let args = [&["request", "--layout", "image", "--source", &committed], contract].concat();
    let requested = builder.csign(&args)?;
    quote(&requested.text());
    scene.hand_out("request.json")?;
    ledger.end(step, requested.status == 0, "request.json goes to the collaborators");

    let evidence = match quick || !sources.has_commit {
        true => "--not-rebuilt",
        false => rebuild(scene, &sources, &image, ledger)?,
    };
    approve(scene, 0, evidence, ledger)?;
    approve(scene, 1, "--not-rebuilt", ledger)?;
    let approvals = gather(scene)?;

    super::refusals::incomplete(scene, &image, &approvals, ledger).await?;

    let step = ledger.begin("builder: csign collect, all approvals in one write", "verify");
    let collected = builder.csign(&[&["collect", &approvals[0], &approvals[1]], contract].concat())?;
    quote(&collected.text());
    ledger.end(step, collected.status == 0, "three signatures are attached, none was lost");

    let step = ledger.begin("operator: csign verify", "verify");
    let args = [&["verify", &target, "--contract", "collaboration.toml"], contract].concat();
    let verified = scene.collaborators[1].csign(&args)?;
    quote(&verified.text());
    quote(&builder.csign(&["tree", &target])?.stdout);
    ledger.end(step, verified.status == 0, "builder, collaborator-1 and collaborator-2 signed");
    super::cosign::verify(scene, &image, ledger)?;
    scene.release_keys(image.digest)?;
    Ok(image)
}

/// Collaborator 1 rebuilds the request's commit. Returns its argument for approve.
fn rebuild(scene: &Scene, sources: &Sources, image: &Pinned, ledger: &mut Ledger) -> Result<&'static str> {
    let desk = &scene.collaborators[0];
    let step = ledger.begin(
        "collaborator-1: csign rebuild: a fresh checkout of the commit, no network (minutes)",
        "get the same digest",
    );
    let from = sources.path.to_string_lossy();
    let args = ["rebuild", "request.json", "--from", &from, "--work", "work", "--output", "json", "--allow-simulated"];
    let rebuilt = desk.csign_slowly(&args)?;
    if rebuilt.status != 0 {
        ledger.end(step, false, "csign rebuild failed; its own messages say why");
        return Ok("--not-rebuilt");
    }
    let result: Value = serde_json::from_str(&rebuilt.stdout)?;
    let facts = &result["rebuild"]["reproduced"];
    let same = rebuilt.member("image")? == image.to_string();
    let network = facts["rebuild"]["network"].as_str().unwrap_or("unknown").to_owned();
    ledger.end(step, same, format!("the same digest; network: {network}"));
    Ok("--rebuilt=rebuild.json")
}

fn approve(scene: &Scene, index: usize, evidence: &str, ledger: &mut Ledger) -> Result<()> {
    let step = ledger.begin(format!("collaborator-{}: csign approve, offline", index + 1), "sign without a network");
    let args = ["approve", "request.json", "--key", "signing.key", evidence, "--allow-simulated"];
    let (approved, how) = scene.collaborators[index].csign_offline(&args)?;
    quote(&approved.text());
    ledger.end(step, approved.status == 0, how);
    Ok(())
}

/// The approvals as files on the builder's desk.
fn gather(scene: &Scene) -> Result<[String; 2]> {
    let names = ["collaborator-1.json", "collaborator-2.json"].map(str::to_owned);
    for (desk, name) in scene.collaborators.iter().zip(&names) {
        std::fs::copy(desk.directory.join("approval.json"), scene.builder.directory.join(name))?;
    }
    Ok(names)
}

/// The operator launches the image; the workload verifies itself.
pub(super) async fn launch(scene: &Scene, image: &Pinned, ledger: &mut Ledger) -> Result<Running> {
    let step = ledger.begin("operator: launches the image; the workload verifies itself", "boot");
    let running = scene.simulator.launcher().launch(request(scene, image, "workload", Image::Production)).await?;
    let verdict = tokio::time::timeout(PATIENCE, verdict(&mut running.follow())).await??;
    let booted = verdict["event"] == "boot verified";
    if !booted {
        quote(&running.text());
        ledger.end(step, false, "the workload refused to boot");
        return Err("the workload refused to boot".into());
    }
    quote(&verdict.to_string());
    ledger.end(step, booted, "token, platform and three signatures hold");
    Ok(running)
}

/// The launch that the operator asks for.
pub(super) fn request(scene: &Scene, image: &Pinned, instance: &str, kind: Image) -> LaunchRequest {
    let mut request = LaunchRequest::new(image.clone(), scene.vm(instance, kind));
    request.env.insert("CSIGN_SIMULATOR".to_owned(), scene.simulator.address().to_string());
    request
}

/// The workload's own verdict over its boot.
pub(super) async fn verdict(lines: &mut Lines) -> Result<Value> {
    event(lines, |event| event["event"] == "boot verified" || event["event"] == "boot refused").await
}

/// The next event in a workload's log that is `wanted`.
pub(super) async fn event(lines: &mut Lines, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
    let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    let line =
        lines.find(|text| wanted(&parse(text))).await.ok_or("the workload ended before it said what was awaited")?;
    Ok(parse(&line.text))
}

/// Both collaborators send the same word; the workload counts it twice without printing it.
pub(super) async fn count(scene: &Scene, running: &Running, ledger: &mut Ledger) -> Result<()> {
    let step = ledger.begin("both collaborators: csign publish \"alice\", each with its own KMS key", "count 2");
    for (index, desk) in scene.collaborators.iter().enumerate() {
        let name = format!("collaborator-{}", index + 1);
        let args = ["publish", "--collaborator", &name, "--message", "greeting", "--allow-simulated", "-"];
        let published = desk.csign_with(&args, b"alice")?;
        if published.status != 0 {
            return Err(published.text().into());
        }
    }
    let twice = |event: &Value| event["event"] == "word counts" && event["counts"][0] == 2;
    let counted = tokio::time::timeout(PATIENCE, event(&mut running.follow(), twice)).await;
    let log = running.text();
    let silent = !log.contains("alice");
    match counted {
        Ok(Ok(event)) => {
            quote(&event.to_string());
            ledger.end(step, silent, "one word, counted 2; the log does not name it");
        }
        _ => {
            quote(&log);
            ledger.end(step, false, "the count 2 never came");
        }
    }
    Ok(())
}

/// SIGTERM: the workload finishes and ends cleanly.
pub(super) async fn stop(running: &Running, ledger: &mut Ledger) -> Result<()> {
    let step = ledger.begin("operator: stops the workload (SIGTERM)", "finish and exit 0");
    let status = running.stop(Duration::from_secs(20)).await?;
    let last = running.lines().into_iter().rev().find(|line| line.text.contains("\"stopped\""));
    if let Some(line) = &last {
        quote(&line.text);
    }
    ledger.end(step, status.success() && last.is_some(), "all messages are accounted for");
    Ok(())
}
