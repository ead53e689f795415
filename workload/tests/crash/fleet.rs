//! The workloads as processes: started, killed, stopped and started again; and a launcher that does not always answer.

use std::{
    fs::File,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    extract::{Request, State},
    http::StatusCode,
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse as _, Response},
};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::{random::Random, support::Site};

/// For a workload that was asked to stop; the launcher would kill it after ten seconds.
const STOPPING: Duration = Duration::from_secs(30);
/// Exit status of a boot that could not be checked: right while services fail.
const COULD_NOT_CHECK: i32 = 3;

pub(crate) struct Fleet {
    places: Vec<Place>,
    logs: TempDir,
    root: PathBuf,
    simulator: String,
    starts: u64,
}

struct Place {
    child: Child,
    log: PathBuf,
}

impl Fleet {
    pub(crate) fn start(site: &Site, workloads: usize) -> Self {
        let mut fleet = Self {
            places: Vec::new(),
            logs: TempDir::new().unwrap(),
            root: site.root.path().to_owned(),
            simulator: site.simulator.address().to_string(),
            starts: 0,
        };
        fleet.places = (0..workloads).map(|place| fleet.spawn(place)).collect();
        fleet
    }

    /// SIGKILL: nothing is finished.
    pub(crate) async fn kill(&mut self, place: usize) {
        let _ = self.places[place].child.kill().await;
    }

    /// SIGTERM: it must end in time, and say that nothing went wrong.
    pub(crate) async fn stop(&mut self, place: usize) {
        let status = self.terminate(place).await;
        // A workload that was still booting may have given up just then.
        let code = status.code();
        assert!(matches!(code, Some(0 | COULD_NOT_CHECK)), "SIGTERM ended in {status}\n{}", self.said());
    }

    pub(crate) fn restart(&mut self, place: usize) {
        self.places[place] = self.spawn(place);
    }

    /// Starts those again that gave up because something could not be checked; no other end is right.
    pub(crate) async fn mend(&mut self) {
        for place in 0..self.places.len() {
            if let Some(status) = self.places[place].child.try_wait().unwrap() {
                assert_eq!(status.code(), Some(COULD_NOT_CHECK), "a workload ended on its own\n{}", self.said());
                self.restart(place);
            }
        }
    }

    /// Stops all of them.
    pub(crate) async fn end(&mut self) {
        for place in 0..self.places.len() {
            let status = self.terminate(place).await;
            assert_eq!(status.code(), Some(0), "SIGTERM without faults\n{}", self.said());
        }
    }

    /// The last lines of every workload.
    pub(crate) fn said(&self) -> String {
        let tail = |place: &Place| {
            let text = std::fs::read_to_string(&place.log).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(12)..].join("\n")
        };
        self.places.iter().map(tail).collect::<Vec<_>>().join("\n---\n")
    }

    /// Everything that any workload ever wrote.
    pub(crate) fn logs(&self) -> String {
        let files = std::fs::read_dir(self.logs.path()).unwrap().map(|entry| entry.unwrap().path());
        files.map(|path| String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned()).collect()
    }

    async fn terminate(&mut self, place: usize) -> ExitStatus {
        let child = &mut self.places[place].child;
        if let Some(id) = child.id() {
            let pid = Pid::from_raw(i32::try_from(id).unwrap()).unwrap();
            let _ = kill_process(pid, Signal::TERM);
        }
        let ended = tokio::time::timeout(STOPPING, child.wait()).await;
        match ended {
            Ok(status) => status.unwrap(),
            Err(_) => panic!("a workload does not stop\n{}", self.said()),
        }
    }

    fn spawn(&mut self, place: usize) -> Place {
        self.starts += 1;
        let log = self.logs.path().join(format!("{place}-{}", self.starts));
        let file = File::create(&log).unwrap();
        let mut command = Command::new(std::path::absolute(env!("CARGO_BIN_EXE_workload")).expect("an absolute path"));
        command
            .env_clear()
            .env("CONTAINER_ROOT", &self.root)
            .env("CSIGN_SIMULATOR", &self.simulator)
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .kill_on_drop(true);
        if let Some(file) = std::env::var_os("SSL_CERT_FILE") {
            command.env("SSL_CERT_FILE", file);
        }
        Place { child: command.spawn().unwrap(), log }
    }
}

/// The launcher's socket: one answer in twenty is an error or late.
pub(crate) fn launcher_that_fails(site: &mut Site, seed: u64) {
    let requests = Arc::new(AtomicU64::new(seed));
    let router = site.launcher(Arc::new(|_, _| {})).layer(from_fn_with_state(requests, sometimes));
    site.serve(router);
}

async fn sometimes(State(requests): State<Arc<AtomicU64>>, request: Request, next: Next) -> Response {
    let mut random = Random::new(requests.fetch_add(1, Ordering::Relaxed));
    match random.below(40) {
        0 => (StatusCode::INTERNAL_SERVER_ERROR, "a fault at random").into_response(),
        1 => {
            tokio::time::sleep(Duration::from_millis(random.below(500))).await;
            next.run(request).await
        }
        _ => next.run(request).await,
    }
}
