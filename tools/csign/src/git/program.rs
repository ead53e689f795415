//! Runs git so that nothing of this machine, and nothing in a repository, decides what it does.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use csign_trust::report::printable;

use crate::failure::Failure;

/// Variables that only say whom TLS trusts; what is fetched is held against its commit id anyway.
const KEPT: [&str; 2] = ["GIT_SSL_CAINFO", "GIT_SSL_CAPATH"];

/// What holds for every call: no programs that a repository or a user's configuration names.
const ALWAYS: [&str; 4] = ["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"];

/// A call of git.
#[derive(Clone, Copy, Debug)]
pub(super) enum Setting<'a> {
    /// Questions about somebody's own work tree, under their configuration.
    Own,
    /// A fresh repository under no configuration but ours, that may fetch by these protocols (`https:ssh:git`, `file`).
    Fresh(&'a str),
}

/// Content is written as the commit has it: no filter, no other line ends, no other attributes than the commit's.
const FRESH: [&str; 16] = [
    "core.attributesFile=/dev/null",
    "core.autocrlf=false",
    "core.eol=lf",
    "core.excludesFile=/dev/null",
    "core.protectHFS=true",
    "core.protectNTFS=true",
    "core.symlinks=true",
    "core.fileMode=true",
    "core.sparseCheckout=false",
    "credential.helper=",
    "fetch.fsckObjects=true",
    "fetch.recurseSubmodules=false",
    "gc.auto=0",
    "protocol.version=2",
    "submodule.recurse=false",
    "transfer.fsckObjects=true",
];

/// How a call ended.
pub(super) struct Answer {
    pub(super) status: Option<i32>,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: String,
}

/// Runs git in `directory`, without the caller's `GIT_…` variables.
pub(super) fn run(directory: &Path, setting: Setting<'_>, args: &[&str]) -> Result<Answer, Failure> {
    let mut git = Command::new("git");
    let is_foreign =
        |name: &std::ffi::OsStr| name.as_encoded_bytes().starts_with(b"GIT_") && !KEPT.iter().any(|kept| name == *kept);
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_foreign(name)) {
        git.env_remove(name);
    }
    git.env("GIT_OPTIONAL_LOCKS", "0").env("GIT_NO_REPLACE_OBJECTS", "1").env("LC_ALL", "C");
    git.arg("-C").arg(directory).args(ALWAYS);
    if let Setting::Fresh(protocols) = setting {
        for (name, value) in [
            ("GIT_ALLOW_PROTOCOL", protocols),
            ("GIT_ATTR_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_SYSTEM", "/dev/null"),
            // A repository on this machine must not fetch by itself what it lacks.
            ("GIT_NO_LAZY_FETCH", "1"),
            ("GIT_TERMINAL_PROMPT", "0"),
        ] {
            git.env(name, value);
        }
        for setting in FRESH {
            git.args(["-c", setting]);
        }
    }
    let output = git.args(args).stdin(Stdio::null()).output().map_err(|error| {
        Failure::could_not_check(format_args!("starting git: {error}")).hint("install git, or build from an export")
    })?;
    Ok(Answer {
        status: output.status.code(),
        stdout: output.stdout,
        stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}

impl Answer {
    /// What git printed, if it ended with one of `accepted`.
    pub(super) fn expect(self, directory: &Path, args: &[&str], accepted: &[i32]) -> Result<String, Failure> {
        if !self.status.is_some_and(|code| accepted.contains(&code)) {
            let what = args.first().copied().unwrap_or_default();
            let said = printable(&self.stderr.replace('\n', "; "), 600);
            return Err(Failure::could_not_check(format_args!("git {what} failed in {}: {said}", directory.display())));
        }
        String::from_utf8(self.stdout).map_err(|error| {
            let name = String::from_utf8_lossy(error.as_bytes()).chars().take(80).collect::<String>();
            Failure::could_not_check(format_args!("git names something that is not UTF-8: {name:?}"))
        })
    }
}
