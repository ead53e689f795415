//! A running container: its output, its end, and the ways to end it.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader},
    process::{Child, Command},
    sync::{Notify, mpsc, watch},
    task::JoinHandle,
};

use super::{request::RestartPolicy, teeserver::TeeServer};
use crate::{Error, Result};

/// Lines that are kept; a program that writes more is not read any further into memory.
const MAX_LINES: usize = 100_000;
/// A machine that reboots needs its time; programs that end at once must not be started without a pause.
const REBOOT: Duration = Duration::from_secs(1);
/// How long output is awaited from whoever still holds the pipes after the program's end.
const DRAIN: Duration = Duration::from_secs(1);

/// Where a line was written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// The launcher's own messages.
    Launcher,
}

/// A line of output, without its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Where it was written to.
    pub stream: Stream,
    /// The text; bytes that are not UTF-8 are replaced.
    pub text: String,
}

/// What the launcher's end does to the machine: its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MachineEnd {
    /// 0: the workload ended well; the machine is switched off.
    Finished,
    /// 1: the workload or the launcher failed; the machine is switched off.
    Failed,
    /// 3: the machine reboots, and so launches again.
    Reboot,
    /// 4: a debug image holds the machine, whatever happened, so that somebody can look.
    Hold,
}

impl MachineEnd {
    /// After a workload that ended well or not, or a launcher whose failure another attempt could mend.
    pub(super) const fn after(succeeded: bool, restart: RestartPolicy, hardened: bool) -> Self {
        match (hardened, restart, succeeded) {
            (false, _, _) => Self::Hold,
            (true, RestartPolicy::Always, _) | (true, RestartPolicy::OnFailure, false) => Self::Reboot,
            (true, _, true) => Self::Finished,
            (true, RestartPolicy::Never, false) => Self::Failed,
        }
    }

    /// The launcher's exit code.
    pub const fn code(self) -> u8 {
        match self {
            Self::Finished => 0,
            Self::Failed => 1,
            Self::Reboot => 3,
            Self::Hold => 4,
        }
    }

    /// The launcher's words for it.
    pub const fn message(self) -> &'static str {
        match self {
            Self::Finished => "workload finished successfully, shutting down the VM",
            Self::Failed => "workload or launcher error, shutting down the VM",
            Self::Reboot => "rebooting VM",
            Self::Hold => "VM remains running",
        }
    }
}

impl fmt::Display for MachineEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TEE container launcher exiting, exit code: {} ({})", self.code(), self.message())
    }
}

/// All output so far; grows until the program has ended.
#[derive(Debug, Default)]
pub(super) struct Output {
    lines: Mutex<Vec<Line>>,
    ended: watch::Sender<Option<(ExitStatus, MachineEnd)>>,
    grown: Notify,
}

impl Output {
    pub(super) fn push(&self, stream: Stream, text: impl Into<String>) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() < MAX_LINES {
            lines.push(Line { stream, text: text.into() });
        }
        drop(lines);
        self.grown.notify_waiters();
    }

    /// How the program ended; `None` while it runs.
    pub(super) fn status(&self) -> Option<ExitStatus> {
        self.ended.borrow().map(|(status, _)| status)
    }
}

/// Reads a container's output from the first line on, waiting for more.
#[derive(Debug)]
pub struct Lines {
    output: Arc<Output>,
    next: usize,
}

impl Lines {
    /// The next line; `None` when the program has ended and everything was read.
    pub async fn next(&mut self) -> Option<Line> {
        let mut ended = self.output.ended.subscribe();
        loop {
            let grown = self.output.grown.notified();
            let over = ended.borrow_and_update().is_some();
            let line = self.output.lines.lock().unwrap_or_else(PoisonError::into_inner).get(self.next).cloned();
            if let Some(line) = line {
                self.next += 1;
                return Some(line);
            }
            if over {
                return None;
            }
            tokio::select! {
                () = grown => {}
                changed = ended.changed() => if changed.is_err() { return None },
            }
        }
    }

    /// The next line that satisfies `wanted`; `None` if the program ends without one.
    pub async fn find(&mut self, wanted: impl Fn(&str) -> bool) -> Option<Line> {
        while let Some(line) = self.next().await {
            if wanted(&line.text) {
                return Some(line);
            }
        }
        None
    }
}

/// A launched container. Dropping it kills the program.
pub struct Running {
    output: Arc<Output>,
    signals: mpsc::UnboundedSender<Signal>,
    supervisor: JoinHandle<()>,
    root: PathBuf,
    claims_token: PathBuf,
    _tee: TeeServer,
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("root", &self.root).finish_non_exhaustive()
    }
}

/// How to start the program, again and again if need be.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) file: PathBuf,
    pub(super) args: Vec<String>,
    pub(super) env: Vec<(String, String)>,
    pub(super) directory: PathBuf,
    pub(super) restart: RestartPolicy,
    /// Every image but a debug one.
    pub(super) hardened: bool,
}

impl Program {
    fn spawn(&self) -> io::Result<Child> {
        Command::new(&self.file)
            .args(&self.args)
            .env_clear()
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
    }
}

impl Running {
    pub(super) fn start(program: Program, output: Arc<Output>, tee: TeeServer, root: PathBuf) -> Result<Self> {
        let doing = format!("starting {}", program.file.display());
        let child = program.spawn().map_err(Error::io(doing))?;
        let (signals, receiver) = mpsc::unbounded_channel();
        let supervisor = tokio::spawn(supervise(program, child, Arc::clone(&output), receiver));
        let claims_token = tee.token_file().to_owned();
        Ok(Self { output, signals, supervisor, root, claims_token, _tee: tee })
    }

    /// Everything that the program has written so far.
    pub fn lines(&self) -> Vec<Line> {
        self.output.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All lines so far as one text, for reports.
    pub fn text(&self) -> String {
        self.lines().into_iter().map(|line| line.text + "\n").collect()
    }

    /// Follows the output from its first line.
    pub fn follow(&self) -> Lines {
        Lines { output: Arc::clone(&self.output), next: 0 }
    }

    /// The extracted image on this machine.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The default token's file on this machine.
    pub fn claims_token(&self) -> &Path {
        &self.claims_token
    }

    /// Sends SIGTERM; the program is not started again.
    pub fn terminate(&self) {
        // A closed channel means that it has ended already.
        let _ = self.signals.send(Signal::TERM);
    }

    /// Sends SIGKILL; the program is not started again.
    pub fn kill(&self) {
        let _ = self.signals.send(Signal::KILL);
    }

    /// Waits until the program has ended for good and its output is complete.
    ///
    /// # Errors
    /// It could not be waited for.
    pub async fn wait(&self) -> Result<ExitStatus> {
        let mut ended = self.output.ended.subscribe();
        let status = ended.wait_for(Option::is_some).await.ok().and_then(|status| *status);
        let status =
            status.ok_or_else(|| Error::Resource("the container's supervisor ended without a status".to_owned()));
        Ok(status?.0)
    }

    /// What became of the machine; `None` while it runs. A program that was stopped from here, or a reboot that did not
    /// succeed, ends as with the restart policy `Never`.
    pub fn machine_end(&self) -> Option<MachineEnd> {
        self.output.ended.borrow().as_ref().map(|(_, end)| *end)
    }

    /// SIGTERM, and SIGKILL if the program still runs after `grace`.
    ///
    /// # Errors
    /// It could not be waited for.
    pub async fn stop(&self, grace: Duration) -> Result<ExitStatus> {
        self.terminate();
        if let Ok(status) = tokio::time::timeout(grace, self.wait()).await {
            return status;
        }
        self.kill();
        self.wait().await
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.supervisor.abort();
    }
}

/// Starts, reads, signals and restarts, until the policy or a signal says that it is over.
async fn supervise(
    program: Program,
    mut child: Child,
    output: Arc<Output>,
    mut signals: mpsc::UnboundedReceiver<Signal>,
) {
    let (status, end) = loop {
        let (status, stopped) = run(&mut child, &output, &mut signals).await;
        let succeeded = status.as_ref().is_ok_and(ExitStatus::success);
        output.push(
            Stream::Launcher,
            match succeeded {
                true => "workload task ended and returned 0",
                false => "workload task ended and returned non-zero",
            },
        );
        let final_end = MachineEnd::after(succeeded, RestartPolicy::Never, program.hardened);
        let end = MachineEnd::after(succeeded, program.restart, program.hardened);
        if stopped || end != MachineEnd::Reboot {
            break (status, final_end);
        }
        output.push(Stream::Launcher, end.to_string());
        tokio::select! {
            () = tokio::time::sleep(REBOOT) => {}
            _ = signals.recv() => break (status, final_end),
        }
        output.push(Stream::Launcher, format!("restarting the program ({})", program.restart.as_str()));
        child = match program.spawn() {
            Ok(child) => child,
            Err(error) => {
                output.push(Stream::Launcher, format!("the program does not start again: {error}"));
                break (status, final_end);
            }
        };
    };
    output.push(Stream::Launcher, end.to_string());
    let status = status.unwrap_or_else(|error| {
        output.push(Stream::Launcher, format!("waiting for the program: {error}"));
        std::os::unix::process::ExitStatusExt::from_raw(1 << 8)
    });
    output.ended.send_replace(Some((status, end)));
}

/// One life of the program; whether somebody asked it to end.
async fn run(
    child: &mut Child,
    output: &Arc<Output>,
    signals: &mut mpsc::UnboundedReceiver<Signal>,
) -> (io::Result<ExitStatus>, bool) {
    let stdout = child.stdout.take().map(|pipe| tokio::spawn(read(pipe, Stream::Stdout, Arc::clone(output))));
    let stderr = child.stderr.take().map(|pipe| tokio::spawn(read(pipe, Stream::Stderr, Arc::clone(output))));
    let mut stopped = false;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status,
            Some(signal) = signals.recv() => {
                stopped = true;
                // `id` is none once the process was reaped, so the number is not yet somebody else's.
                let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
                if let Some(Err(error)) = pid.map(|pid| kill_process(pid, signal)) {
                    output.push(Stream::Launcher, format!("sending {signal:?}: {error}"));
                }
            }
        }
    };
    for reader in [stdout, stderr].into_iter().flatten() {
        let abort = reader.abort_handle();
        if tokio::time::timeout(DRAIN, reader).await.is_err() {
            abort.abort();
        }
    }
    (status, stopped)
}

async fn read(pipe: impl AsyncRead + Unpin, stream: Stream, output: Arc<Output>) {
    let mut reader = BufReader::new(pipe);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).await.is_ok_and(|count| count > 0) {
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        output.push(stream, String::from_utf8_lossy(text));
        line.clear();
    }
}
