//! The shim that shifts the clock of a build (tests/reproducible/clock.c), and the proof that programs live with it.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Seconds by which builders' clocks differ: a year and a bit, so that the year differs whatever the day is.
pub(crate) const YEAR: i64 = 400 * 24 * 3600;

/// Compiles a file of tests/reproducible; `None` where there is no C compiler.
pub(crate) fn compile(source: &str, output: &Path, flags: &[&str]) -> Option<PathBuf> {
    let source = crate::repository().join("tests/reproducible").join(source);
    let mut cc = Command::new("cc");
    cc.args(["-O2", "-Wall", "-Wextra", "-Werror"]).args(flags).arg("-o").arg(output).arg(source);
    match cc.status() {
        Ok(status) => {
            assert!(status.success(), "{cc:?} failed");
            Some(output.to_owned())
        }
        Err(_) => {
            crate::skip("there is no C compiler (cc)");
            None
        }
    }
}

/// The shim as a shared library.
pub(crate) fn shim(directory: &Path) -> Option<PathBuf> {
    compile("clock.c", &directory.join("clock.so"), &["-shared", "-fPIC"])
}

/// What a program prints; it is killed, and the test fails, when it hangs.
fn output(command: &mut Command) -> String {
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > Duration::from_mins(2) {
            child.kill().unwrap();
            panic!("{command:?} hangs");
        }
        thread::sleep(Duration::from_millis(10));
    }
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{command:?} failed");
    String::from_utf8(output.stdout).unwrap()
}

fn shifted(shim: &Path, seconds: i64, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env("LD_PRELOAD", shim).env("CSIGN_CLOCK_OFFSET", seconds.to_string());
    command
}

/// The difference between a clock that was read and the real one, in days.
fn days_off(seconds_since_1970: &str) -> i64 {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    (seconds_since_1970.trim().parse::<i64>().unwrap() - i64::try_from(now).unwrap() + 43200).div_euclid(86400)
}

#[test]
fn programs_see_the_shifted_clock() {
    let scratch = tempfile::tempdir().unwrap();
    let Some(shim) = shim(scratch.path()) else { return };
    let source = scratch.path().join("now.rs");
    let program = "fn main() { println!(\"{}\", std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()); }";
    std::fs::write(&source, program).unwrap();
    for seconds in [YEAR, -YEAR] {
        assert_eq!(days_off(&output(shifted(&shim, seconds, "date").arg("+%s"))), seconds / 86400);
        // rustc's allocator is what deadlocks below libfaketime.
        let program = scratch.path().join("now");
        output(shifted(&shim, seconds, "rustc").arg("-o").arg(&program).arg(&source).current_dir(scratch.path()));
        assert_eq!(days_off(&output(&mut shifted(&shim, seconds, &program))), seconds / 86400);
        assert!(output(shifted(&shim, seconds, "cargo").arg("--version")).starts_with("cargo"));
    }
    assert_eq!(days_off(&output(shifted(&shim, 0, "date").arg("+%s"))), 0);
}

/// A Java machine waits for moments of the wall clock; so does this program.
#[test]
fn waiting_for_a_moment_of_the_shifted_clock_takes_as_long_as_it_should() {
    let scratch = tempfile::tempdir().unwrap();
    let Some(shim) = shim(scratch.path()) else { return };
    let Some(waits) = compile("waits.c", &scratch.path().join("waits"), &["-pthread"]) else { return };
    for seconds in [YEAR, -YEAR] {
        assert_eq!(output(&mut shifted(&shim, seconds, &waits)), "0\n", "waits that were too short");
    }
}
