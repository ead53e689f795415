//! The pinned toolchain and its targets.

use std::{fs, path::Path, path::PathBuf, process::Stdio};

use csign_envelope::statement::Tool;
use csign_oci::Digest;

use super::{Plan, environment::Host, error::RecipeError};

/// The compiler that a build used, as it describes itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toolchain {
    /// Version, for instance `1.95.0`.
    pub release: String,
    /// Commit of the compiler's sources.
    pub commit_hash: String,
    /// The machine on which it runs.
    pub host: String,
    /// `rustc -vV`.
    pub rustc: String,
    /// `cargo -V`.
    pub cargo: String,
    pub(super) sysroot: PathBuf,
}

/// Reads the exact version that `rust-toolchain.toml` pins.
pub(super) fn pinned_channel(source: &Path) -> Result<String, RecipeError> {
    let path = source.join("rust-toolchain.toml");
    let text = fs::read_to_string(&path).map_err(RecipeError::io("reading", &path))?;
    channel_of(&text).map_err(|why| RecipeError::NotPinned { path, why })
}

fn channel_of(text: &str) -> Result<String, String> {
    let file: toml::Table = text.parse().map_err(|error: toml::de::Error| error.message().to_owned())?;
    let toolchain = file.get("toolchain").ok_or("it has no [toolchain]")?;
    let channel = toolchain.get("channel").and_then(toml::Value::as_str).ok_or("it has no channel")?;
    let parts: Vec<&str> = channel.split('.').collect();
    let exact = parts.len() == 3 && parts.iter().all(|part| part.parse::<u32>().is_ok_and(|n| n.to_string() == *part));
    if exact { Ok(channel.to_owned()) } else { Err(format!("channel {channel:?} moves")) }
}

impl Toolchain {
    /// Asks rustc and cargo who they are; both must be the pinned version.
    pub(super) fn find(host: &Host, channel: &str) -> Result<Self, RecipeError> {
        let rustc = answer(host, "rustc", &["-vV"])?;
        let cargo = answer(host, "cargo", &["-V"])?;
        let sysroot = PathBuf::from(answer(host, "rustc", &["--print", "sysroot"])?);
        let field = |name: &str| {
            let found = rustc.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            found.map(str::to_owned).ok_or_else(|| RecipeError::Output(format!("rustc -vV names no {name}")))
        };
        let (release, commit_hash, host) = (field("release")?, field("commit-hash")?, field("host")?);
        let cargo_release = cargo.split(' ').nth(1).unwrap_or_default().to_owned();
        for (program, got) in [("rustc", &release), ("cargo", &cargo_release)] {
            if got != channel {
                let (want, got) = (channel.to_owned(), got.clone());
                return Err(RecipeError::OtherToolchain { program, want, got });
            }
        }
        Ok(Self { release, commit_hash, host, rustc, cargo, sysroot })
    }

    /// Adds the target's standard library through rustup if it is missing.
    pub(super) fn provide_target(&self, host: &Host, target: &'static str, network: bool) -> Result<(), RecipeError> {
        if self.has_target(target) {
            return Ok(());
        }
        let missing = |why: String| RecipeError::MissingTarget { target, channel: self.release.clone(), why };
        if !network {
            return Err(missing("the network is not to be used".to_owned()));
        }
        let mut rustup = host.command("rustup");
        rustup.args(["target", "add", "--toolchain", &self.release, target]);
        match rustup.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).output() {
            Err(error) => Err(missing(format!("rustup could not be started ({error})"))),
            Ok(done) if !done.status.success() => {
                Err(missing(format!("rustup said: {}", String::from_utf8_lossy(&done.stderr).trim())))
            }
            Ok(_) if self.has_target(target) => Ok(()),
            Ok(_) => Err(missing("rustup added it to another toolchain than the one in PATH".to_owned())),
        }
    }

    fn has_target(&self, target: &str) -> bool {
        self.sysroot.join("lib/rustlib").join(target).join("lib").is_dir()
    }

    /// The linker of `plan`: the toolchain's own, or one of this machine.
    pub(super) fn linker(&self, host: &Host, plan: &Plan) -> Result<Tool, RecipeError> {
        let own = self.sysroot.join("lib/rustlib").join(&self.host).join("bin").join(plan.linker);
        let (path, args): (_, &[&str]) = match own.is_file() {
            true => (own, &["-flavor", "gnu", "--version"]),
            false => (host.find(plan.linker)?, &["--version"]),
        };
        let version = answer(host, &path.to_string_lossy(), args)?;
        let digest = fs::read(&path).map(Digest::of).map_err(RecipeError::io("reading", &path))?;
        let version = version.lines().next().unwrap_or_default().to_owned();
        Ok(Tool { name: plan.linker.to_owned(), version, digest })
    }

    /// The compiler itself rather than a proxy, where the toolchain has it in the usual place.
    pub(super) fn rustc_path(&self) -> PathBuf {
        let path = self.sysroot.join("bin/rustc");
        if path.is_file() { path } else { PathBuf::from("rustc") }
    }
}

fn answer(host: &Host, program: &str, args: &[&str]) -> Result<String, RecipeError> {
    let output = host.command(program).args(args).stdin(Stdio::null()).output();
    let output = output.map_err(|source| RecipeError::Start { program: program.to_owned(), source })?;
    if !output.status.success() {
        return Err(RecipeError::Failed {
            command: format!("{program} {}", args.join(" ")),
            status: output.status.to_string(),
            stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        });
    }
    let text =
        String::from_utf8(output.stdout).map_err(|_| RecipeError::Output(format!("{program} printed no UTF-8")))?;
    Ok(text.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exact_versions_are_pins() {
        assert_eq!(channel_of("[toolchain]\nchannel = \"1.95.0\"").as_deref(), Ok("1.95.0"));
        for bad in ["stable", "nightly", "1.95", "1", "nightly-2026-01-01", "1.95.x", "01.95.0", "+1.95.0"] {
            assert!(channel_of(&format!("[toolchain]\nchannel = {bad:?}")).is_err(), "{bad} was accepted");
        }
        for bad in ["", "[toolchain]\npath = \"/opt/rust\"", "channel = \"1.95.0\"", "1.95.0"] {
            assert!(channel_of(bad).is_err(), "{bad:?} was accepted");
        }
    }
}
