//! Compares `csign verify` with `cosign verify`: requests, wall time and peak memory, at several round trip times; and
//! requests alone in both formats, for 1, 3 and 16 signers. Then the simulator's start and size.
//!
//! For the times, both check the same three signatures on the same images in the same registry, turn by turn; cosign
//! takes one key at a time, so it runs three times. Nothing here passes or fails by a time: it prints figures.
#![allow(clippy::expect_used, reason = "a benchmark that cannot measure stops and says why")]

mod counts;
mod measure;
mod report;
mod scene;
mod simulator;
mod workload;

use std::{
    env,
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::Parser;

use crate::{
    measure::Sample,
    report::{Report, Row},
    scene::Scene,
    workload::Workload,
};

/// Compares `csign verify` with `cosign verify`.
///
/// Example: csign-bench --runs 9 --demo --json
#[derive(Debug, Parser)]
struct Arguments {
    /// How often each program is measured.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
    /// Added round trip times, in milliseconds.
    #[arg(long, value_delimiter = ',', default_values_t = [0, 20])]
    round_trip: Vec<u64>,
    /// An OCI layout of the workload's image, to report its size.
    #[arg(long)]
    layout: Option<PathBuf>,
    /// Play the simulator's demo first, to report its workload's image size and boot time.
    #[arg(long, conflicts_with = "layout")]
    demo: bool,
    /// A csign that is built already (default: cargo builds it).
    #[arg(long)]
    csign: Option<PathBuf>,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    if let Some(status) = measure::runner(env::args_os()) {
        return status;
    }
    let arguments = Arguments::parse();
    let scene = Scene::prepare(arguments.csign.clone());
    let workload = match &arguments.layout {
        Some(layout) => Some(Workload::of_layout(layout)),
        None => arguments.demo.then(|| Workload::of_demo(&scene.csign)),
    };
    let mut samples: Vec<Vec<Vec<Sample>>> = vec![vec![Vec::new(); scene.subjects.len()]; arguments.round_trip.len()];
    // The first round warms caches and is not counted.
    for round in 0..=arguments.runs {
        let _ = write!(io::stderr(), "\rround {round} of {}", arguments.runs);
        for (milliseconds, samples) in arguments.round_trip.iter().zip(&mut samples) {
            scene.proxy.set_round_trip(Duration::from_millis(*milliseconds));
            for (subject, samples) in scene.subjects.iter().zip(samples) {
                let sample = scene.measure(subject);
                if round > 0 {
                    samples.push(sample);
                }
            }
        }
    }
    let _ = writeln!(io::stderr());
    let rows = arguments.round_trip.iter().zip(samples).flat_map(|(milliseconds, samples)| {
        let pairs = scene.subjects.iter().zip(samples);
        pairs.map(|(subject, samples)| Row::new(*milliseconds, subject, &samples)).collect::<Vec<_>>()
    });
    let rows = rows.collect();
    scene.proxy.set_round_trip(Duration::ZERO);
    let simulator = simulator::Simulator::measure(arguments.runs);
    let report = Report::new(rows, counts::count(&scene), &scene, workload, simulator);
    let text = if arguments.json { report.json() } else { report.table() };
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
