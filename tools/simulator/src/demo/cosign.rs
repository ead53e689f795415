//! A second opinion: real cosign verifies, with each party's key, what csign attached. Skipped where cosign is not.

use std::{
    env,
    path::PathBuf,
    process::{Command, Stdio},
};

use csign_oci::Pinned;

use super::{
    Result,
    ledger::{Ledger, quote, say},
    scene::{Scene, builder_key},
};

/// Where `.ci/peers` puts cosign, else where the search path has it.
fn find(scene: &Scene) -> Option<PathBuf> {
    let peers = env::var_os("CSIGN_PEERS").map_or_else(|| scene.source.join(".peers"), PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    let mut directories = std::iter::once(peers.join("bin")).chain(env::split_paths(&path));
    directories.find_map(|directory| Some(directory.join("cosign")).filter(|file| file.is_file()))
}

/// Asks cosign about each key.
pub(super) fn verify(scene: &Scene, image: &Pinned, ledger: &mut Ledger) -> Result<()> {
    let Some(cosign) = find(scene) else {
        if env::var_os("CI_PEERS").is_some_and(|peers| peers == "required") {
            return Err("cosign was not found and CI_PEERS=required: run .ci/peers".into());
        }
        say("    skipped: real cosign verifies the same (cosign not found; .ci/peers installs it)");
        return Ok(());
    };
    let step = ledger.begin("real cosign verifies what is attached, with each of the three keys", "say verified");
    let saved = scene.builder.csign(&["public-key", "--key", &builder_key(), "--outfile", "builder.pub"])?;
    if saved.status != 0 {
        return Err(saved.text().into());
    }
    let mut keys = vec![scene.builder.directory.join("builder.pub")];
    keys.extend(scene.collaborators.iter().map(|desk| desk.directory.join("signing.pub")));
    // The same registry under the address that cosign takes for a local one.
    let target = format!("{}/{}@{}", scene.simulator.address(), image.repository.path(), image.digest);
    let mut verified = 0;
    for key in keys {
        let mut command = Command::new(&cosign);
        command.args(["verify", "--insecure-ignore-tlog", "--key"]).arg(key).arg(&target).stdin(Stdio::null());
        let output =
            command.env("HOME", &scene.builder.directory).env("DOCKER_CONFIG", &scene.builder.directory).output()?;
        if output.status.success() {
            verified += 1;
        } else {
            quote(&String::from_utf8_lossy(&output.stderr));
        }
    }
    ledger.end(step, verified == 3, format!("cosign verified {verified} of 3 keys"));
    Ok(())
}
