//! The program `simulator up`.

use std::{
    io::{BufReader, Read as _},
    process::{Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

#[test]
fn up_prints_where_it_listens_and_ends_cleanly_on_sigterm() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_simulator"))
        .args(["up", "--admin", "user:alice@example.com"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut stdout = BufReader::new(child.stdout.take().expect("stdout"));
    let mut text = Vec::new();
    let description: Value = loop {
        let mut byte = [0];
        stdout.read_exact(&mut byte).expect("a description before the end");
        text.push(byte[0]);
        if let Ok(value) = serde_json::from_slice(&text) {
            break value;
        }
    };
    assert_eq!(description["address"], description["environment"]["CSIGN_SIMULATOR"]);
    assert!(description["tokens"]["user:alice@example.com"].is_string());
    let address = description["address"].as_str().expect("address");
    std::net::TcpStream::connect(address).expect("it listens");
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("pid");
    kill_process(pid, Signal::TERM).expect("signal");
    assert!(child.wait().expect("ends").success());
    assert!(std::net::TcpStream::connect(address).is_err(), "the port is closed");
}

#[test]
fn entering_a_root_that_is_not_there_is_an_error_not_a_start_outside() {
    let output = Command::new(env!("CARGO_BIN_EXE_simulator"))
        .args(["enter-root", "/nonexistent-root", "65532", "65532", "/", "/bin/true"])
        .output()
        .expect("runs");
    assert_eq!(output.status.code(), Some(126));
    assert!(String::from_utf8_lossy(&output.stderr).contains("entering the container's root"));
}
