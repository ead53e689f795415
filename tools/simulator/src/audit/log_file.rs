//! The log's file: one line of JSON for each entry, appended with one write, so that a reader never sees half a line.

use std::{
    fs::{File, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
};

use super::AuditEntry;
use crate::{Error, Result};

#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    error: Option<String>,
}

impl LogFile {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(path);
        let file = file.map_err(Error::io(format!("opening the audit log {}", path.display())))?;
        Ok(Self { path: path.to_owned(), file, error: None })
    }

    /// After a failure nothing more is written: a file with a hole in it would look complete.
    pub(super) fn append(&mut self, entry: &AuditEntry) {
        if self.error.is_some() {
            return;
        }
        let written = serde_json::to_vec(entry).map_err(std::io::Error::from).and_then(|mut line| {
            line.push(b'\n');
            self.file.write_all(&line)
        });
        if let Err(error) = written {
            let (path, sequence) = (self.path.display(), entry.sequence);
            self.error = Some(format!("{path} holds nothing from entry {sequence} on: {error}"));
        }
    }

    pub(super) fn error(&self) -> Option<String> {
        self.error.clone()
    }
}
