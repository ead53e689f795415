//! A library of another language behind a script: a line of JSON asks, a line of JSON answers.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::Mutex,
};

use serde_json::Value;

use crate::table::readers::Verdict;

/// A running script.
pub(crate) struct Library {
    child: Child,
    pipes: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
}

impl Library {
    pub(crate) fn start(interpreter: PathBuf, script: &Path) -> Self {
        let mut child = Command::new(interpreter)
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("starting the interpreter");
        let pipes = (child.stdin.take().expect("piped"), BufReader::new(child.stdout.take().expect("piped")));
        Self { child, pipes: Mutex::new(pipes) }
    }

    /// What the library called `name` says to `request`.
    pub(crate) fn ask(&self, name: &str, request: &Value) -> Verdict {
        let mut pipes = self.pipes.lock().expect("no thread panicked with it");
        writeln!(pipes.0, "{request}").expect("the script reads");
        let mut line = String::new();
        pipes.1.read_line(&mut line).expect("the script answers");
        let answer: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{name} answers {line:?}: {e}"));
        match answer.get(name) {
            Some(Value::Null) => Ok(()),
            Some(Value::String(refusal)) => Err(refusal.clone()),
            _ => panic!("{name} answers {line:?}"),
        }
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
