//! The same sources give the same image whoever builds them, wherever, whenever and however their machine is set up.
//!
//! Every build runs in a process of its own, because umask, environment, user, mounts and clock belong to a process. The
//! small fixture is built with each variation alone and with all at once; the same fixture with leaks, in which a build
//! script and a macro embed whatever they can see, proves that each variation is real: the digest must differ then. The
//! test prints a table.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says what it skips"
)]

mod builder;
mod clock;
mod fixture;
mod noise;
mod refusals;
mod table;
mod variation;

use std::{
    env, fs,
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use builder::{Answer, Site};
use table::Table;
use variation::{Powers, Variation};

/// Says that something is not tested here; where CI runs, that is a failure.
fn skip(why: &str) {
    assert!(env::var("CI_PEERS").as_deref() != Ok("required"), "{why}");
    let test = thread::current().name().unwrap_or("test").to_owned();
    let _ = writeln!(io::stderr(), "{test} skipped: {why}");
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Where builds take place, and whether the order of files on disk can be chosen there.
fn scratch() -> (tempfile::TempDir, bool) {
    let memory = tempfile::tempdir_in("/dev/shm").ok().filter(|memory| {
        let (a, b) = (memory.path().join("a"), memory.path().join("b"));
        for (directory, names) in [(&a, ["1", "2"]), (&b, ["2", "1"])] {
            fs::create_dir(directory).unwrap();
            names.into_iter().for_each(|name| fs::write(directory.join(name), "").unwrap());
        }
        let order = |directory| fs::read_dir(directory).unwrap().map(|e| e.unwrap().file_name()).collect::<Vec<_>>();
        let program = a.join("true");
        let runs = fs::copy("/bin/true", &program).is_ok() && Command::new(program).status().is_ok_and(|s| s.success());
        runs && order(&a).into_iter().filter(|name| name != "true").ne(order(&b))
    });
    let (directory, order) = memory.map_or_else(|| (tempfile::tempdir().unwrap(), false), |memory| (memory, true));
    open_to_others(directory.path());
    (directory, order)
}

/// Another user builds below it.
fn open_to_others(directory: &Path) {
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
}

/// What varies in the build that varies everything: the clock goes one way only.
fn at_once(powers: &Powers) -> Vec<Variation> {
    let possible = |variation: &Variation| *variation != Variation::ClockBehind && powers.missing(*variation).is_none();
    Variation::ALL.into_iter().filter(possible).collect()
}

#[test]
fn digest_does_not_depend_on_the_builder() {
    let (scratch, order) = scratch();
    let shim = clock::shim(scratch.path());
    let powers = Powers { clock: shim.is_some(), order, ..Powers::of_this_machine() };
    let possible: Vec<Variation> = Variation::ALL.into_iter().filter(|v| powers.missing(*v).is_none()).collect();
    let mut builds: Vec<Vec<Variation>> = vec![Vec::new(), Vec::new(), at_once(&powers)];
    builds.extend(possible.iter().map(|variation| vec![*variation]));

    // Two lanes beside each other, each always at one place, so that only the variations differ.
    let lane = |name: &str, make: fn(&Path), builds: &[Vec<Variation>]| -> Vec<Answer> {
        let sources = scratch.path().join(name).join("repository");
        make(&sources);
        fixture::commit(&sources);
        let site = Site {
            powers: &powers,
            place: scratch.path().join(name).join("place"),
            target_dir: None,
            repository: &sources,
            shim: shim.as_deref(),
            network: true,
        };
        builds.iter().map(|variations| site.build(variations)).collect()
    };
    let (clean, leaking, optimized) = thread::scope(|scope| {
        let leaking = scope.spawn(|| lane("leaking", fixture::leaking_fixture, &builds));
        let clean = lane("clean", fixture::fixture, &builds);
        let optimized = lane("optimized", fixture::optimized_fixture, &builds[1..3]);
        (clean, leaking.join().unwrap(), optimized)
    });
    if let Some(why) = &clean[0].missing {
        return skip(why);
    }

    assert!(clean.iter().all(|answer| answer.facts.is_empty()), "the clean fixture embeds something");
    let mut table = Table::new(&clean[0], &leaking[0]);
    table.again(&clean[1], &leaking[1]);
    let mut rest = clean[3..].iter().zip(&leaking[3..]);
    for variation in Variation::ALL {
        match powers.missing(variation) {
            Some(why) => table.skipped(variation, why),
            None => {
                let (clean, leaking) = rest.next().unwrap();
                table.row(variation, clean, leaking);
            }
        }
    }
    table.at_once(&builds[2], &clean[2], &leaking[2]);
    table.optimized(&optimized[0], &optimized[1]);
    table.judge();
}

/// Two full builds of the real workload at HEAD take minutes, so this runs where `CSIGN_FULL_REPRO` is set.
#[test]
fn digest_of_the_real_workload_does_not_depend_on_the_builder() {
    if env::var_os("CSIGN_FULL_REPRO").is_none() {
        eprintln!("SKIPPED: CSIGN_FULL_REPRO is not set");
        return;
    }
    let (scratch, order) = scratch();
    let shim = clock::shim(scratch.path());
    let powers = Powers { clock: shim.is_some(), order, ..Powers::of_this_machine() };
    let fetched = Command::new("cargo").args(["fetch", "--locked"]).current_dir(repository()).status().unwrap();
    assert!(fetched.success(), "fetching the crates failed");
    // A copy, since somebody may commit in the meantime.
    let sources = scratch.path().join("repository");
    let mut git = Command::new("git");
    git.args(["clone", "--quiet", "--no-local"]).arg(repository()).arg(&sources);
    assert!(git.status().unwrap().success(), "{git:?} failed");
    // What cargo writes would fill the memory.
    let disk = tempfile::tempdir().unwrap();
    open_to_others(disk.path());
    let site = Site {
        powers: &powers,
        place: scratch.path().join("place"),
        target_dir: Some(disk.path().join("t")),
        repository: &sources,
        shim: shim.as_deref(),
        network: false,
    };
    let variations = at_once(&powers);
    let (plain, varied) = (site.build(&[]), site.build(&variations));
    if let Some(why) = &plain.missing {
        return skip(why);
    }
    let left_out = Variation::ALL.into_iter().filter(|variation| !variations.contains(variation)).collect::<Vec<_>>();
    eprintln!("plain  {}\nvaried {}\nnot varied: {left_out:?}", plain.image, varied.image);
    assert_eq!(plain, varied, "the small fixture's table says which variation matters");
}
