//! The program `simulator`: `up`, `init` and `enter-root`.

use std::{
    io::{BufReader, Read as _},
    path::Path,
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use simulator::{Config, Simulator};

const EXAMPLE: &str = include_str!("../../simulator.toml");

/// `simulator up`, and what it printed.
struct Up {
    child: Child,
    description: Value,
}

impl Up {
    fn start(args: &[&str]) -> Self {
        let mut child =
            Command::new(crate::scene::program()).arg("up").args(args).stdout(Stdio::piped()).spawn().expect("starts");
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
        Self { child, description }
    }

    fn address(&self) -> &str {
        self.description["address"].as_str().expect("address")
    }

    fn variable(&self, name: &str) -> &str {
        self.description["environment"][name].as_str().unwrap_or_else(|| panic!("no {name} in {}", self.description))
    }

    /// Whether it ended well.
    fn stop(&mut self) -> bool {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("pid");
        kill_process(pid, Signal::TERM).expect("signal");
        self.child.wait().expect("ends").success()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn up_prints_where_it_listens_and_ends_cleanly_on_sigterm() {
    let mut up = Up::start(&["--admin", "user:alice@example.com"]);
    assert_eq!(up.description["address"], up.description["environment"]["CSIGN_SIMULATOR"]);
    assert!(up.description["tokens"]["user:alice@example.com"].is_string());
    std::net::TcpStream::connect(up.address()).expect("it listens");
    assert!(up.stop());
    assert!(std::net::TcpStream::connect(up.address()).is_err(), "the port is closed");
}

/// The release build has less; the limit is what whoever runs it beside their own program may count on.
#[test]
fn a_simulator_that_serves_everything_has_less_than_60_mib_resident() {
    let mut up = Up::start(&[]);
    let mut stream = std::net::TcpStream::connect(up.address()).expect("connects");
    let request = b"GET /simulator/state HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    std::io::Write::write_all(&mut stream, request).expect("writes");
    stream.read_to_end(&mut Vec::new()).expect("answers");
    let status = std::fs::read_to_string(format!("/proc/{}/status", up.child.id())).expect("status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the largest size so far");
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    assert!(kib < 60 * 1024, "{kib} KiB");
    assert!(up.stop());
}

#[test]
fn the_printed_environment_names_files_that_are_there_while_it_runs_and_gone_afterwards() {
    let directory = tempfile::tempdir().expect("a directory");
    let (config, env) = (directory.path().join("simulator.toml"), directory.path().join("env"));
    std::fs::write(&config, EXAMPLE).expect("writes");
    let path = |path: &Path| path.to_str().expect("text").to_owned();
    let mut up = Up::start(&["--config", &path(&config), "--env-file", &path(&env)]);
    let endpoint = format!("http://{}", up.address());
    assert_eq!((up.variable("HTTPS_PROXY"), up.variable("https_proxy")), (endpoint.as_str(), endpoint.as_str()));
    let ca = std::fs::read_to_string(up.variable("SSL_CERT_FILE")).expect("the authority");
    assert_eq!(up.description["ca"], ca);
    let credentials = up.variable("GOOGLE_APPLICATION_CREDENTIALS").to_owned();
    let file: Value = serde_json::from_str(&std::fs::read_to_string(&credentials).expect("reads")).expect("json");
    assert_eq!(
        (&file["type"], &file["token_url"]),
        (&"external_account".into(), &"https://sts.googleapis.com/v1/token".into())
    );
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&credentials).expect("there").permissions());
    assert_eq!(mode & 0o077, 0, "the file holds the control token");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !env.exists() && std::time::Instant::now() < deadline {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let shell =
        Command::new("sh").args(["-c", ". \"$0\"; echo \"$CSIGN_SIMULATOR\"", &path(&env)]).output().expect("runs");
    assert_eq!(String::from_utf8_lossy(&shell.stdout).trim(), up.address());
    assert!(up.stop());
    assert!(!Path::new(&credentials).exists());
}

#[test]
fn the_emulator_variables_and_the_proxy_are_never_mixed() {
    let mut up = Up::start(&["--clients", "emulator"]);
    assert_eq!(up.variable("PUBSUB_EMULATOR_HOST"), up.address());
    assert_eq!(up.variable("STORAGE_EMULATOR_HOST"), format!("http://{}", up.address()));
    assert!(up.description["environment"].get("HTTPS_PROXY").is_none());
    assert!(up.stop());
}

#[tokio::test]
async fn the_example_configuration_starts_and_names_every_setting() {
    let config = Config::from_toml(EXAMPLE).expect("parses");
    Simulator::start(config).await.expect("starts");
    let defaults = serde_json::to_value(Config::default()).expect("serializes");
    for name in defaults.as_object().expect("an object").keys() {
        let mut lines = EXAMPLE.lines().map(|line| line.trim_start_matches("# "));
        let there = |line: &str| {
            line.starts_with(&format!("{name} =")) || line == format!("[{name}]") || line == format!("[[{name}]]")
        };
        assert!(lines.any(there), "simulator.toml does not show the setting {name}");
    }
}

#[test]
fn gcloud_comes_first_in_the_path_if_it_is_asked_for_and_works_on_this_simulator() {
    let directory = tempfile::tempdir().expect("a directory");
    let env = directory.path().join("env");
    let mut up = Up::start(&["--gcloud", "--env-file", env.to_str().expect("text")]);
    assert!(
        up.description["environment"].get("CLOUDSDK_CORE_PROJECT").is_none(),
        "it would win over what gcloud is told"
    );
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !env.exists() && std::time::Instant::now() < deadline {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let script = ". \"$0\"; gcloud projects create another-project && gcloud config set project another-project && \
                  gcloud pubsub topics create topic-1 && gcloud pubsub topics list --format='value(name)'; \
                  gcloud compute disks list";
    let output = Command::new("sh").args(["-c", script]).arg(&env).output().expect("runs");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "projects/another-project/topics/topic-1\n", "{output:?}");
    assert_eq!(output.status.code(), Some(2), "what it does not know is refused");
    let gcloud =
        up.variable("PATH").split(':').next().map(|first| Path::new(first).join("gcloud")).expect("a directory");
    assert!(gcloud.exists());
    assert!(up.stop());
    assert!(!gcloud.exists());
    let mut without = Up::start(&[]);
    assert!(without.description["environment"].get("PATH").is_none());
    assert!(without.stop());
}

#[test]
fn a_mistake_in_the_configuration_is_reported_with_file_line_and_key() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("simulator.toml");
    for (text, wanted) in [
        ("port = 0\nprot = 1\n", ["line 2", "prot"]),
        ("topics = [\n\"projects/p/topics/one\",\n\"projects/p/topics/one\"]\n", ["line 2", "already exists"]),
        ("[[keys]]\nname = \"projects/p/key\"\npurpose = \"ENCRYPT_DECRYPT\"\n", ["line 2", "cryptoKeys"]),
    ] {
        std::fs::write(&path, text).expect("writes");
        let output = Command::new(crate::scene::program()).arg("up").arg("--config").arg(&path).output().expect("runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && stderr.contains("simulator.toml: "), "{stderr}");
        assert!(wanted.iter().all(|wanted| stderr.contains(wanted)), "{stderr}");
    }
}

#[test]
fn init_writes_the_example_and_never_over_another_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("simulator.toml");
    let init = || Command::new(crate::scene::program()).arg("init").arg(&path).output().expect("runs");
    assert!(init().status.success());
    assert_eq!(std::fs::read_to_string(&path).expect("reads"), EXAMPLE);
    std::fs::write(&path, "mine").expect("writes");
    assert!(!init().status.success());
    assert_eq!(std::fs::read_to_string(&path).expect("reads"), "mine");
}

#[test]
fn an_audit_log_that_cannot_be_written_stops_the_start_and_one_that_fills_up_fails_the_end() {
    let output = Command::new(crate::scene::program())
        .args(["up", "--audit-log", "/nonexistent/audit.jsonl"])
        .output()
        .expect("runs");
    assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("/nonexistent/audit.jsonl"));
    let mut up = Up::start(&["--audit-log", "/dev/full"]);
    let mut stream = std::net::TcpStream::connect(up.address()).expect("connects");
    std::io::Write::write_all(&mut stream, b"CONNECT example.com:443 HTTP/1.1\r\n\r\n").expect("writes");
    let _ = stream.read_to_end(&mut Vec::new());
    assert!(!up.stop(), "a log with a hole must not look complete");
}

#[test]
fn entering_a_root_that_is_not_there_is_an_error_not_a_start_outside() {
    let output = Command::new(crate::scene::program())
        .args(["enter-root", "/nonexistent-root", "65532", "65532", "/", "/bin/true"])
        .output()
        .expect("runs");
    assert_eq!(output.status.code(), Some(126));
    assert!(String::from_utf8_lossy(&output.stderr).contains("entering the container's root"));
}
