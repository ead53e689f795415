//! The figures as a table and as JSON.

use std::{fmt::Write as _, fs, path::Path};

use serde::Serialize;

use crate::{
    counts::{self, Count},
    measure::Sample,
    scene::{Program, Scene, Subject},
    simulator::Simulator,
    workload::Workload,
};

/// All figures of one run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    registry: &'static str,
    rows: Vec<Row>,
    /// csign's figure divided by cosign's, on the same image at the same round trip time.
    ratios: Vec<Ratio>,
    counts: Vec<Count>,
    csign_binary_bytes: u64,
    cosign_binary_bytes: Option<u64>,
    workload: Option<Workload>,
    simulator: Simulator,
}

/// One program on one image at one round trip time: medians over the runs.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    round_trip_ms: u64,
    verifier: String,
    signed_by: String,
    runs: usize,
    requests: usize,
    connections: usize,
    wall_ms: f64,
    wall_min_ms: f64,
    wall_max_ms: f64,
    peak_kib: u64,
}

#[derive(Debug, Serialize)]
struct Ratio {
    round_trip_ms: u64,
    signed_by: String,
    requests: f64,
    wall: f64,
    peak: f64,
}

impl Row {
    /// Sums up the samples of one subject.
    pub(crate) fn new(round_trip_ms: u64, subject: &Subject, samples: &[Sample]) -> Self {
        let mut walls: Vec<_> = samples.iter().map(|sample| sample.wall.as_secs_f64() * 1000.0).collect();
        walls.sort_by(f64::total_cmp);
        Self {
            round_trip_ms,
            verifier: subject.verifier.to_string(),
            signed_by: subject.signer.to_string(),
            runs: samples.len(),
            requests: median(samples.iter().map(|sample| sample.requests)),
            connections: median(samples.iter().map(|sample| sample.connections)),
            wall_ms: walls[walls.len() / 2],
            wall_min_ms: walls[0],
            wall_max_ms: walls[walls.len() - 1],
            peak_kib: samples.iter().map(|sample| sample.peak_kib).max().unwrap_or_default(),
        }
    }
}

impl Report {
    /// Adds ratios and sizes.
    pub(crate) fn new(
        rows: Vec<Row>,
        counts: Vec<Count>,
        scene: &Scene,
        workload: Option<Workload>,
        simulator: Simulator,
    ) -> Self {
        let ratios = rows.iter().filter(|row| row.verifier == Program::Csign.to_string()).filter_map(|csign| {
            let cosign = rows.iter().find(|row| {
                row.verifier == Program::Cosign.to_string()
                    && (row.round_trip_ms, &row.signed_by) == (csign.round_trip_ms, &csign.signed_by)
            })?;
            Some(Ratio {
                round_trip_ms: csign.round_trip_ms,
                signed_by: csign.signed_by.clone(),
                requests: csign.requests as f64 / cosign.requests as f64,
                wall: csign.wall_ms / cosign.wall_ms,
                peak: csign.peak_kib as f64 / cosign.peak_kib as f64,
            })
        });
        Self {
            registry: scene.registry,
            ratios: ratios.collect(),
            counts,
            csign_binary_bytes: size(&scene.csign).unwrap_or_default(),
            cosign_binary_bytes: scene.cosign.as_deref().and_then(size),
            workload,
            simulator,
            rows,
        }
    }

    /// For programs.
    pub(crate) fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("plain figures serialize") + "\n"
    }

    /// For people.
    pub(crate) fn table(&self) -> String {
        let mut text = format!("three keys on one image; registry: {}; added round trip in ms\n\n", self.registry);
        let _ =
            writeln!(text, "round trip  verifier  signed by  requests  connections  wall ms (min-max)       peak MiB");
        for row in &self.rows {
            let range = format!("{:.1} ({:.1}-{:.1})", row.wall_ms, row.wall_min_ms, row.wall_max_ms);
            let (verifier, signer, peak) = (&row.verifier, &row.signed_by, row.peak_kib as f64 / 1024.0);
            let (round_trip, requests, connections) = (row.round_trip_ms, row.requests, row.connections);
            let _ = writeln!(
                text,
                "{round_trip:>10}  {verifier:<8}  {signer:<9}  {requests:>8}  {connections:>11}  {range:<22}  {peak:>8.1}"
            );
        }
        text.push_str("\ncsign / cosign\nround trip            signed by  requests               wall time               peak memory\n");
        for Ratio { round_trip_ms, signed_by, requests, wall, peak } in &self.ratios {
            let _ = writeln!(
                text,
                "{round_trip_ms:>10}            {signed_by:<9}  {requests:>8.3}               {wall:>9.3}               {peak:>11.3}"
            );
        }
        text.push_str(&counts::table(&self.counts));
        text.push_str(&self.simulator.table());
        let mut sizes = vec![("csign", Some(self.csign_binary_bytes)), ("cosign", self.cosign_binary_bytes)];
        sizes.push(("workload image", self.workload.as_ref().map(|workload| workload.image_bytes)));
        text.push('\n');
        for (name, bytes) in sizes {
            if let Some(bytes) = bytes {
                let _ = writeln!(text, "{name}: {:.1} MB", bytes as f64 / 1e6);
            }
        }
        if let Some(milliseconds) = self.workload.as_ref().and_then(|workload| workload.boot_ms) {
            let _ = writeln!(text, "workload boot, all checks: {milliseconds} ms");
        }
        text
    }
}

fn median(values: impl Iterator<Item = usize>) -> usize {
    let mut values: Vec<_> = values.collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn size(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().map(|metadata| metadata.len())
}
