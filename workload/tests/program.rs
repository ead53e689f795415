//! The program itself: its exit statuses and its signals.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::{process::Stdio, sync::Arc};

use serde_json::Value;
use support::{COLLABORATORS, Site};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

fn program(site: &Site) -> Command {
    let mut command = Command::new(std::path::absolute(env!("CARGO_BIN_EXE_workload")).expect("an absolute path"));
    command
        .env_clear()
        .env("CONTAINER_ROOT", site.root.path())
        .env("CSIGN_SIMULATOR", site.simulator.address().to_string())
        // Credentials that must not be looked at.
        .env("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere/credentials.json")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    if let Some(file) = std::env::var_os("SSL_CERT_FILE") {
        command.env("SSL_CERT_FILE", file);
    }
    command
}

fn terminate(child: &Child) {
    let pid = i32::try_from(child.id().unwrap()).unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), rustix::process::Signal::TERM).unwrap();
}

#[tokio::test]
async fn it_counts_until_sigterm_and_exits_0() {
    let site = Site::ready().await;
    site.publish(COLLABORATORS[0], "m1", "alice").await;
    let mut child = program(&site).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut signalled = false;
    let mut last = Value::Null;
    while let Some(line) = lines.next_line().await.unwrap() {
        last = serde_json::from_str(&line).unwrap();
        if last["event"] == "word counts" && !signalled {
            terminate(&child);
            signalled = true;
        }
    }
    assert_eq!(child.wait().await.unwrap().code(), Some(0));
    assert_eq!(last["event"], "stopped");
    assert_eq!(last["messages"], 1);
}

#[tokio::test]
async fn its_exit_status_says_what_happened() {
    let mut site = Site::new().await;
    let status = async |site: &Site| program(site).output().await.unwrap();
    assert_eq!(status(&site).await.status.code(), Some(3), "no launcher");
    site.sign_in_token(&support::PARTIES[..1]);
    site.listen(Arc::new(|_, _| {}));
    let refused = status(&site).await;
    assert_eq!(refused.status.code(), Some(1), "signatures are missing");
    let table = String::from_utf8(refused.stderr).unwrap();
    assert!(table.contains("signature of collaborator-1") && table.contains("hint: "), "{table}");
    site.write("etc/csign/contract.json", b"{}");
    assert_eq!(status(&site).await.status.code(), Some(2), "the contract makes no sense");
}
