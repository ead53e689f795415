//! One bash for the whole document, as a reader has one terminal.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

/// A command that hangs fails the test instead of stopping it for ever.
const PATIENCE: Duration = Duration::from_secs(900);

pub(crate) struct Session {
    shell: Child,
    input: ChildStdin,
    statuses: Receiver<String>,
    directory: PathBuf,
}

/// How a command ended, and everything that it printed.
pub(crate) struct Ended {
    pub(crate) status: i32,
    pub(crate) text: String,
}

impl Drop for Session {
    fn drop(&mut self) {
        // The simulator and what it started are in the shell's process group.
        let _ = Command::new("kill").args(["-TERM", "--", &format!("-{}", self.shell.id())]).status();
        let _ = self.shell.wait();
    }
}

impl Session {
    /// Starts the shell that `bash` describes; files of this harness go below `directory`.
    pub(crate) fn start(bash: &mut Command, directory: &Path) -> Self {
        let mut shell = bash
            .args(["--noprofile", "--norc"])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("bash starts");
        let mut input = shell.stdin.take().expect("piped");
        let output = BufReader::new(shell.stdout.take().expect("piped"));
        let (sender, statuses) = channel();
        thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        // What fails within a block counts, as it does under `set -e`.
        writeln!(input, "exec 3>&1; set -u -o pipefail; failed=0; trap 'failed=$?' ERR").expect("bash reads");
        Self { shell, input, statuses, directory: directory.to_path_buf() }
    }

    /// Runs one command to its end. A block fails if any command in it does.
    pub(crate) fn run(&mut self, text: &str, is_block: bool) -> Ended {
        let (command, output) = (self.directory.join("command"), self.directory.join("output"));
        fs::write(&command, format!("{text}\n")).expect("writes");
        let result = if is_block { "$failed" } else { "$?" };
        let (from, to) = (command.display(), output.display());
        writeln!(self.input, "failed=0; . '{from}' </dev/null >'{to}' 2>&1; echo \"{result}\" >&3")
            .expect("bash reads");
        let status = self.statuses.recv_timeout(PATIENCE);
        let text = String::from_utf8_lossy(&fs::read(&output).unwrap_or_default()).into_owned();
        // A shell that ended, or a command that hangs, is no status of any command.
        let status = status.ok().and_then(|line| line.parse().ok()).unwrap_or(-1);
        Ended { status, text }
    }
}
