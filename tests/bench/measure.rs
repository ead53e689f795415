//! Wall time and peak resident memory of one program.
//!
//! The kernel reports memory for all children of a process together. So each measurement is made by a fresh copy of
//! this program, the runner, which has exactly one child.

use std::{
    env,
    ffi::{OsStr, OsString},
    io::{self, Write as _},
    path::Path,
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use csign_tests::{process::Finished, proxy::Traffic};
use nix::sys::resource::{UsageWho, getrusage};
use serde::{Deserialize, Serialize};

const RUNNER: &str = "--measure-one-child";

/// What one command, or several in a row, took.
#[allow(dead_code, reason = "two benchmarks share this file")]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sample {
    pub(crate) wall: Duration,
    pub(crate) peak_kib: u64,
    pub(crate) requests: usize,
    pub(crate) connections: usize,
}

#[allow(dead_code, reason = "two benchmarks share this file")]
impl Sample {
    /// Adds a command that ran after these: its time is added, memory is the larger of the two.
    pub(crate) fn then(self, child: &Child, traffic: &Traffic) -> Self {
        Self {
            wall: self.wall + child.wall(),
            peak_kib: self.peak_kib.max(child.peak_kib),
            requests: self.requests + traffic.requests.len(),
            connections: self.connections + traffic.connections,
        }
    }
}

/// What the runner reports of its child.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Child {
    wall_micros: u64,
    peak_kib: u64,
    status: Option<i32>,
}

#[allow(dead_code, reason = "two benchmarks share this file, and one of them adds commands up")]
impl Child {
    /// How long it ran.
    pub(crate) fn wall(&self) -> Duration {
        Duration::from_micros(self.wall_micros)
    }

    /// Its peak memory.
    pub(crate) fn peak_kib(&self) -> u64 {
        self.peak_kib
    }
}

/// Measures one command, which must succeed; `command` prepares the environment of a program.
#[allow(dead_code, reason = "two benchmarks share this file")]
pub(crate) fn measure(command: impl Fn(&OsStr) -> Command, program: &Path, arguments: &[String]) -> Child {
    measure_status(command, program, arguments, 0)
}

/// Measures one command, which must end with this exit status.
pub(crate) fn measure_status<A: AsRef<OsStr>>(
    command: impl Fn(&OsStr) -> Command,
    program: &Path,
    arguments: &[A],
    status: i32,
) -> Child {
    let runner = env::current_exe().expect("the path of the running program");
    let finished = Finished::of(command(runner.as_os_str()).arg(RUNNER).arg(program).args(arguments));
    let child = serde_json::from_str::<Child>(&finished.stdout).ok().filter(|child| child.status == Some(status));
    child.unwrap_or_else(|| panic!("{finished}"))
}

/// If this process was started as a runner: runs the program named after the flag and reports.
pub(crate) fn runner(mut arguments: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    arguments.next();
    if arguments.next()? != RUNNER {
        return None;
    }
    let mut command = Command::new(arguments.next()?);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
    let started = Instant::now();
    let status = command.status();
    let wall = started.elapsed();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN);
    let (Ok(status), Ok(usage)) = (status, usage) else { return Some(ExitCode::FAILURE) };
    let child = Child {
        wall_micros: u64::try_from(wall.as_micros()).unwrap_or(u64::MAX),
        peak_kib: u64::try_from(usage.max_rss()).unwrap_or(0),
        status: status.code(),
    };
    let text = serde_json::to_string(&child).unwrap_or_default();
    Some(if io::stdout().write_all(text.as_bytes()).is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
