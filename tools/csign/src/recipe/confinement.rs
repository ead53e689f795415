//! Keeps a build from the network: a network namespace in which nothing is reachable, not even this machine itself.

use std::{
    ffi::OsStr,
    process::{Command, Stdio},
};

/// What a build can reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Confinement {
    /// What this process can; only the tools' own options keep them from the network.
    #[default]
    None,
    /// Nothing: a network namespace of its own, made with these options of `unshare`.
    Namespace(&'static [&'static str]),
}

/// `unshare` with privileges, and with those that a user namespace gives; older versions know only root there.
const WAYS: [&[&str]; 3] = [&["--net"], &["--net", "--map-current-user"], &["--net", "--map-root-user"]];

impl Confinement {
    /// The strongest one that this system allows.
    pub fn strongest() -> Self {
        let works = |options: &&&'static [&'static str]| {
            let mut probe = Self::Namespace(options).command("true");
            let probe = probe.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            probe.status().is_ok_and(|status| status.success())
        };
        WAYS.iter().find(works).map_or(Self::None, |options| Self::Namespace(options))
    }

    /// What a record says of it.
    pub const fn words(self) -> &'static str {
        match self {
            Self::None => "offline by option only",
            Self::Namespace(_) => "a network namespace of its own",
        }
    }

    pub(super) fn command(self, program: impl AsRef<OsStr>) -> Command {
        match self {
            Self::None => Command::new(program),
            Self::Namespace(options) => {
                let mut command = Command::new("unshare");
                command.args(options).arg("--").arg(program);
                command
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_confined_program_does_not_even_reach_this_machine() {
        let confinement = Confinement::strongest();
        if confinement == Confinement::None {
            assert!(std::env::var("CI_PEERS").as_deref() != Ok("required"), "this system has no network namespaces");
            eprintln!("skipped: this system has no network namespaces");
            return;
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connect = format!("exec 3<>/dev/tcp/127.0.0.1/{}", listener.local_addr().unwrap().port());
        let reached = |confinement: Confinement| {
            let mut shell = confinement.command("bash");
            shell.args(["-c", &connect]).stderr(Stdio::null()).status().unwrap().success()
        };
        assert!(reached(Confinement::None));
        assert!(!reached(confinement));
    }
}
