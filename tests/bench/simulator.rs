//! How long the simulator takes from its start until it answers, and how much memory it then has.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Child, Stdio},
    time::Instant,
};

use csign_tests::{peer, process::Bench};
use serde::Serialize;

/// The simulator's figures.
#[derive(Debug, Serialize)]
pub(crate) struct Simulator {
    runs: usize,
    /// Medians, and the slowest start.
    start_ms: f64,
    start_max_ms: f64,
    resident_kib: u64,
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Simulator {
    /// Starts `simulator up`, with all that it serves, this often, after one that warms the disk's cache.
    pub(crate) fn measure(runs: u32) -> Self {
        let bench = Bench::new();
        let mut samples: Vec<(f64, u64)> = (0..=runs).map(|_| start(&bench)).skip(1).collect();
        samples.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut resident: Vec<u64> = samples.iter().map(|sample| sample.1).collect();
        resident.sort_unstable();
        let half = samples.len() / 2;
        let (start_ms, start_max_ms) = (samples[half].0, samples[samples.len() - 1].0);
        Self { runs: samples.len(), start_ms, start_max_ms, resident_kib: resident[half] }
    }

    /// For people.
    pub(crate) fn table(&self) -> String {
        let Self { runs, start_ms, start_max_ms, resident_kib } = self;
        let resident = *resident_kib as f64 / 1024.0;
        format!(
            "\nsimulator, {runs} starts: {start_ms:.1} ms until it answers (slowest {start_max_ms:.1}), {resident:.1} MiB \
             resident\n"
        )
    }
}

/// Milliseconds until the first answer, and resident KiB after it.
fn start(bench: &Bench) -> (f64, u64) {
    let mut command = bench.command(peer::simulator());
    command.arg("up").stdout(Stdio::piped());
    let began = Instant::now();
    let mut child = Killed(command.spawn().expect("the simulator starts"));
    let mut lines = BufReader::new(child.0.stdout.take().expect("piped")).lines().map_while(Result::ok);
    let address =
        lines.find_map(|line| Some(line.trim().strip_prefix("\"address\": \"")?.split('"').next()?.to_owned()));
    let mut stream = TcpStream::connect(address.expect("the simulator says where it listens")).expect("it listens");
    stream.write_all(b"GET /v2/ HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let took = began.elapsed().as_secs_f64() * 1000.0;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let status = fs::read_to_string(format!("/proc/{}/status", child.0.id())).expect("the process's status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its resident size");
    let kib = line.trim().trim_end_matches(" kB").parse().expect("a number of kB");
    (took, kib)
}
