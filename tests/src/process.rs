//! Programs under test: an environment without the developer's own settings, and servers that end with the test.

use std::{
    ffi::OsStr,
    fmt,
    io::{BufRead as _, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Sender},
    thread,
    time::Duration,
};

/// The password of every private key that a test makes.
pub const PASSWORD: &str = "correct horse battery staple";

/// A temporary directory which is also the home and the working directory of the programs started in it.
#[derive(Debug)]
pub struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    /// An empty one.
    ///
    /// # Panics
    /// When no temporary directory can be made.
    #[allow(clippy::new_without_default, reason = "it touches the disk")]
    pub fn new() -> Self {
        Self { dir: tempfile::Builder::new().prefix("csign-test-").tempdir().expect("a temporary directory") }
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A path in the directory.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir().join(name)
    }

    /// A command with a scrubbed environment: nothing of the developer's registries, credentials or proxies.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.dir())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.dir())
            .env("DOCKER_CONFIG", self.path(".docker"))
            .env("COSIGN_PASSWORD", PASSWORD)
            .env("TZ", "UTC")
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null());
        command
    }

    /// Runs a program to its end.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn run<A: AsRef<OsStr>>(&self, program: impl AsRef<OsStr>, args: impl IntoIterator<Item = A>) -> Finished {
        Finished::of(self.command(program).args(args))
    }
}

/// How a program ended and what it printed.
pub struct Finished {
    /// The command as a person would type it.
    pub command: String,
    /// The exit code; `None` after a signal.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it said to people.
    pub stderr: String,
}

impl Finished {
    /// Runs `command` to its end.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn of(command: &mut Command) -> Self {
        let typed = format!("{command:?}");
        let output = command.output().unwrap_or_else(|e| panic!("starting {typed}: {e}"));
        Self {
            command: typed,
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Its standard output.
    ///
    /// # Panics
    /// When it did not succeed.
    #[track_caller]
    pub fn success(self) -> String {
        assert_eq!(self.code, Some(0), "{self}");
        self.stdout
    }

    /// What it said to people.
    ///
    /// # Panics
    /// When it did not end with `code`.
    #[track_caller]
    pub fn failure(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{self}");
        self.stderr
    }
}

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} ended with {:?}\n--- stdout\n{}\n--- stderr\n{}",
            self.command, self.code, self.stdout, self.stderr
        )
    }
}

/// A server that is killed when this is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
}

impl Server {
    /// Starts it and waits for the line that says where it listens; `port` takes the port out of such a line.
    ///
    /// # Panics
    /// When it cannot be started, or ends or is silent for a minute instead of listening.
    pub fn start(command: &mut Command, port: fn(&str) -> Option<u16>) -> (Self, u16) {
        let typed = format!("{command:?}");
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("starting {typed}: {e}"));
        let (sender, lines) = mpsc::channel();
        drain(child.stdout.take().expect("piped"), sender.clone());
        drain(child.stderr.take().expect("piped"), sender);
        let server = Self { child };
        let mut said = String::new();
        loop {
            match lines.recv_timeout(Duration::from_secs(60)) {
                Ok(line) => match port(&line) {
                    Some(port) => return (server, port),
                    None => said.push_str(&(line + "\n")),
                },
                Err(_) => panic!("{typed} does not say where it listens:\n{said}"),
            }
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads to the end so that the server never blocks on a full pipe.
fn drain(stream: impl Read + Send + 'static, lines: Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let _ = lines.send(line);
        }
    });
}
