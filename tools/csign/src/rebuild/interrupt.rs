//! Ctrl-C while other programs work for us: they end first, then the command fails as any command does, and cleans up.

use std::{
    fs, io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use csign_trust::ExitStatus;
use rustix::process::{Pid, Signal, getpid, kill_process, set_child_subreaper};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};

use crate::failure::Failure;

/// How long the command may take to clean up after itself.
const PATIENCE: Duration = Duration::from_secs(30);

/// While it lives, SIGINT and SIGTERM end the programs that this process started, and what they started.
pub(crate) struct Interrupt {
    asked: Arc<AtomicBool>,
    /// Is there nothing left to clean up?
    clean: Arc<AtomicBool>,
    /// Dropped last: the watching thread ends.
    _alive: oneshot::Sender<()>,
}

impl Interrupt {
    /// Starts watching; a signal after this is not lost.
    pub(crate) fn watch() -> Result<Self, Failure> {
        let failed = |why: String| Failure::could_not_check(format_args!("watching for signals: {why}"));
        // What a program leaves behind stays our descendant, so that it is found. Where that cannot be had, most are.
        let _ = set_child_subreaper(Some(getpid()));
        let [asked, clean] = [(), ()].map(|()| Arc::new(AtomicBool::new(false)));
        let (alive, gone) = oneshot::channel();
        let (ready, is_ready) = mpsc::channel();
        let (flag, is_clean) = (Arc::clone(&asked), Arc::clone(&clean));
        thread::spawn(move || {
            if wait(&ready, gone) {
                flag.store(true, Ordering::SeqCst);
                end_descendants(&is_clean);
            }
        });
        match is_ready.recv() {
            Ok(Ok(())) => Ok(Self { asked, clean, _alive: alive }),
            Ok(Err(error)) => Err(failed(error.to_string())),
            Err(error) => Err(failed(error.to_string())),
        }
    }

    /// From now on there is nothing to clean up: a signal ends this process at once.
    pub(crate) fn nothing_left(&self) {
        self.clean.store(true, Ordering::SeqCst);
    }

    /// An error once somebody asked to stop.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        match self.asked.load(Ordering::SeqCst) {
            true => Err(Failure::could_not_check("interrupted; nothing was written")),
            false => Ok(()),
        }
    }
}

/// Says when it is ready, then waits: true for a signal, false if nobody needs this any more.
fn wait(ready: &mpsc::Sender<io::Result<()>>, gone: oneshot::Receiver<()>) -> bool {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = ready.send(Err(error));
            return false;
        }
    };
    runtime.block_on(async {
        let signals = signal(SignalKind::interrupt()).and_then(|int| Ok((int, signal(SignalKind::terminate())?)));
        let (mut int, mut term) = match signals {
            Ok(signals) => signals,
            Err(error) => {
                let _ = ready.send(Err(error));
                return false;
            }
        };
        let _ = ready.send(Ok(()));
        tokio::select! {
            _ = int.recv() => true,
            _ = term.recv() => true,
            _ = gone => false,
        }
    })
}

/// Asks every descendant to end, again and again, while this process cleans up and ends by itself; or is ended.
fn end_descendants(is_clean: &AtomicBool) {
    let began = Instant::now();
    while began.elapsed() < PATIENCE && !is_clean.load(Ordering::SeqCst) {
        let signal = if began.elapsed() < PATIENCE / 6 { Signal::TERM } else { Signal::KILL };
        for pid in descendants() {
            // One that is gone already is what we want.
            let _ = kill_process(pid, signal);
        }
        thread::sleep(Duration::from_millis(200));
    }
    std::process::exit(i32::from(ExitStatus::CouldNotCheck as u8));
}

/// All processes that this one started, directly or not.
fn descendants() -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pairs: Vec<(Pid, Pid)> =
        entries.filter_map(|entry| parent(&entry.ok()?.file_name().to_string_lossy())).collect();
    let mut found = vec![getpid()];
    let mut at = 0;
    while let Some(&one) = found.get(at) {
        found.extend(pairs.iter().filter(|(_, parent)| *parent == one).map(|(pid, _)| *pid));
        at += 1;
    }
    found.split_off(1)
}

/// A process and its parent; see proc(5), `/proc/PID/stat`.
fn parent(name: &str) -> Option<(Pid, Pid)> {
    let pid = name.parse().ok().and_then(Pid::from_raw)?;
    let stat = fs::read_to_string(format!("/proc/{name}/stat")).ok()?;
    // The name may hold spaces and parentheses.
    let (_, after) = stat.rsplit_once(") ")?;
    let parent = after.split(' ').nth(1)?.parse().ok().and_then(Pid::from_raw)?;
    Some((pid, parent))
}
