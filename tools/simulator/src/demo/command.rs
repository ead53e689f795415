//! Runs csign as a party would: its own directory, its own credentials, nothing of the others'.

use std::{
    ffi::OsString,
    io::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;

use super::Result;

/// A party at its own machine.
pub(super) struct Desk {
    pub(super) csign: PathBuf,
    /// Working directory: everything that this party has.
    pub(super) directory: PathBuf,
    pub(super) simulator: SocketAddr,
    /// This party's Google access token.
    pub(super) token: String,
}

/// How a command ended.
pub(super) struct Done {
    pub(super) status: i32,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Done {
    /// Everything that the command said, for people.
    pub(super) fn text(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// The line of an error.
    pub(super) fn error(&self) -> String {
        let line = self.stderr.lines().find_map(|line| line.strip_prefix("error: "));
        line.unwrap_or("no error was printed").to_owned()
    }

    /// A member of the JSON result.
    pub(super) fn member(&self, name: &str) -> Result<String> {
        let value: Value = serde_json::from_str(&self.stdout)?;
        Ok(value[name].as_str().ok_or_else(|| format!("csign's result has no {name:?}"))?.to_owned())
    }
}

impl Desk {
    /// Runs csign with `args`.
    pub(super) fn csign(&self, args: &[&str]) -> Result<Done> {
        self.run(self.command(&self.csign, args), &[], false)
    }

    /// As [`Desk::csign`], with `stdin`.
    pub(super) fn csign_with(&self, args: &[&str], stdin: &[u8]) -> Result<Done> {
        self.run(self.command(&self.csign, args), stdin, false)
    }

    /// As [`Desk::csign`], where stderr is progress that people want to see.
    pub(super) fn csign_slowly(&self, args: &[&str]) -> Result<Done> {
        self.run(self.command(&self.csign, args), &[], true)
    }

    /// As [`Desk::csign`], cut off from every network where the system can do that; the second value says how.
    pub(super) fn csign_offline(&self, args: &[&str]) -> Result<(Done, &'static str)> {
        for options in [&["--net"][..], &["--net", "--map-root-user"]] {
            let probe = Command::new("unshare").args(options).arg("true").stderr(Stdio::null()).status();
            if probe.is_ok_and(|status| status.success()) {
                let mut all: Vec<OsString> = options.iter().map(Into::into).collect();
                all.push(self.csign.clone().into());
                all.extend(args.iter().map(Into::into));
                return Ok((self.run(self.command(Path::new("unshare"), &all), &[], false)?, "network cut off"));
            }
        }
        let mut command = self.command(&self.csign, args);
        command.env_remove("CSIGN_SIMULATOR").env_remove("GOOGLE_OAUTH_ACCESS_TOKEN");
        Ok((self.run(command, &[], false)?, "this system cannot cut off a network: ran without any address or token"))
    }

    fn command<S: AsRef<std::ffi::OsStr>>(&self, program: &Path, args: &[S]) -> Command {
        let mut command = Command::new(program);
        command
            .args(args)
            .current_dir(&self.directory)
            .env("CSIGN_SIMULATOR", self.simulator.to_string())
            .env("GOOGLE_OAUTH_ACCESS_TOKEN", &self.token)
            .env("COSIGN_PASSWORD", "demo")
            // Whatever logins this machine's user has are nobody's in this play.
            .env("DOCKER_CONFIG", &self.directory);
        command
    }

    fn run(&self, mut command: Command, stdin: &[u8], show: bool) -> Result<Done> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command.stderr(if show { Stdio::inherit() } else { Stdio::piped() });
        let mut child = command.spawn().map_err(|error| format!("starting {:?}: {error}", command.get_program()))?;
        if let Some(mut pipe) = child.stdin.take() {
            // A program that does not read its input says why by its status.
            let _ = pipe.write_all(stdin);
        }
        let output = child.wait_with_output()?;
        Ok(Done {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}
