//! Compares `csign diff` with `diffoscope` and with reading the same bytes once: two generated images that differ in one
//! file, and pairs of images in a directory. Nothing here passes or fails by a time: it prints figures.
#![allow(clippy::expect_used, reason = "a benchmark that cannot measure stops and says why")]

mod images;
mod measure;

use std::{
    env,
    ffi::OsStr,
    fmt::Write as _,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use clap::Parser;
use csign_tests::{peer, planted};
use serde::Serialize;

use crate::{
    images::{Form, Pair},
    measure::Child,
};

/// Compares `csign diff` with diffoscope and sha256sum.
///
/// Example: csign-bench-diff --size 1000 --runs 5
#[derive(Debug, Parser)]
struct Arguments {
    /// Millions of bytes of each generated image.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    size: u64,
    /// How often csign and sha256sum are measured; diffoscope once.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
    /// Directory of directories with images `a` and `b` each, to be measured besides.
    #[arg(long)]
    pairs: Option<PathBuf>,
    /// Measure the pairs of images that differ for a known reason, too.
    #[arg(long)]
    planted: bool,
    /// Measure diffoscope on the generated images, too, which takes minutes.
    #[arg(long)]
    diffoscope: bool,
    /// A csign that is built already (default: cargo builds it).
    #[arg(long)]
    csign: Option<PathBuf>,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// One program on one pair: medians over the runs.
#[derive(Debug, Serialize)]
struct Row {
    pair: String,
    program: &'static str,
    wall_ms: f64,
    peak_kib: u64,
    /// Divided by csign's figure on the same pair.
    wall_ratio: f64,
    peak_ratio: f64,
}

fn main() -> ExitCode {
    if let Some(status) = measure::runner(env::args_os()) {
        return status;
    }
    let arguments = Arguments::parse();
    let csign = arguments.csign.clone().unwrap_or_else(|| peer::csign().to_owned());
    let diffoscope = peer::find("diffoscope");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut rows = Vec::new();
    for form in Form::ALL {
        let _ = writeln!(io::stderr(), "generating {form}");
        let pair = Pair::generate(&directory.path().join(form.to_string()), form, arguments.size);
        let _ = writeln!(io::stderr(), "measuring {form}");
        let layers = [&pair.layers.0, &pair.layers.1].map(|path| path.as_os_str().to_owned());
        let csign = repeat(&csign, &["diff".as_ref(), pair.a.as_ref(), pair.b.as_ref()], 1, arguments.runs);
        let sha = repeat(Path::new("sha256sum"), &layers.each_ref().map(OsStr::new), 0, arguments.runs);
        let mut figures = vec![("csign diff", csign), ("sha256sum", sha)];
        if let Some(diffoscope) = diffoscope.as_ref().filter(|_| arguments.diffoscope) {
            let figure = repeat(diffoscope, &layers.each_ref().map(OsStr::new), 1, 1);
            figures.push(("diffoscope", figure));
        }
        rows.extend(ratios(&format!("{} MB, {form}", arguments.size), figures));
        pair.remove();
    }
    let planted = arguments.planted.then(|| {
        let _ = writeln!(io::stderr(), "making pairs with planted causes");
        planted::write_all(&directory.path().join("planted"));
        directory.path().join("planted")
    });
    for (name, a, b) in arguments.pairs.iter().chain(&planted).flat_map(|path| pairs(path)) {
        let mut figures =
            vec![("csign diff", repeat(&csign, &["diff".as_ref(), a.as_ref(), b.as_ref()], 1, arguments.runs))];
        if let Some(diffoscope) = &diffoscope {
            figures.push(("diffoscope", repeat(diffoscope, &[a.as_ref(), b.as_ref()], 1, 1)));
        }
        rows.extend(ratios(&name, figures));
    }
    let text = if arguments.json { serde_json::to_string_pretty(&rows).expect("rows serialize") } else { table(&rows) };
    match writeln!(io::stdout(), "{text}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Medians of time and memory; the first run warms caches and is not counted.
fn repeat(program: &Path, arguments: &[&OsStr], status: i32, runs: u32) -> (f64, u64) {
    let once = || -> Child { measure::measure_status(|runner| Command::new(runner), program, arguments, status) };
    if runs > 1 {
        once();
    }
    let samples: Vec<Child> = (0..runs).map(|_| once()).collect();
    let mut walls: Vec<f64> = samples.iter().map(|child| child.wall().as_secs_f64() * 1000.0).collect();
    let mut peaks: Vec<u64> = samples.iter().map(Child::peak_kib).collect();
    walls.sort_by(f64::total_cmp);
    peaks.sort_unstable();
    (walls[walls.len() / 2], peaks[peaks.len() / 2])
}

fn ratios(pair: &str, figures: Vec<(&'static str, (f64, u64))>) -> Vec<Row> {
    let (_, (wall, peak)) = figures[0];
    let row = |(program, (wall_ms, peak_kib)): (&'static str, (f64, u64))| Row {
        pair: pair.to_owned(),
        program,
        wall_ms,
        peak_kib,
        wall_ratio: wall_ms / wall,
        peak_ratio: peak_kib as f64 / peak as f64,
    };
    figures.into_iter().map(row).collect()
}

/// Directories with two images, by name.
fn pairs(path: &Path) -> Vec<(String, PathBuf, PathBuf)> {
    let mut found: Vec<_> = fs::read_dir(path)
        .expect("the directory of pairs")
        .flatten()
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path().join("a"), entry.path().join("b")))
        .filter(|(_, a, b)| a.exists() && b.exists())
        .collect();
    found.sort();
    found
}

fn table(rows: &[Row]) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{:<34} {:<12} {:>10} {:>10} {:>8} {:>8}",
        "PAIR", "PROGRAM", "TIME ms", "PEAK KiB", "x TIME", "x PEAK"
    );
    for row in rows {
        let Row { pair, program, wall_ms, peak_kib, wall_ratio, peak_ratio } = row;
        let _ = writeln!(
            out,
            "{pair:<34} {program:<12} {wall_ms:>10.0} {peak_kib:>10} {wall_ratio:>8.2} {peak_ratio:>8.2}"
        );
    }
    out
}
