//! Why a content could not be looked into.

use std::io;

/// An error of reading ends the comparison; a format's error is part of its answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// The disk.
    Io(io::Error),
    /// The bytes do not follow the format that they claim, or go beyond a bound.
    Format(String),
}

impl Failure {
    pub(super) fn format(why: impl Into<String>) -> Self {
        Self::Format(why.into())
    }

    /// An error of a decoder, whose source is a content that can be read.
    pub(super) fn decoding(what: &str, error: &io::Error) -> Self {
        Self::Format(format!("{what}: {error}"))
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // A content ended before the format said so.
            io::ErrorKind::UnexpectedEof => Self::format("it ends too early"),
            _ => Self::Io(error),
        }
    }
}

impl From<object::read::Error> for Failure {
    fn from(error: object::read::Error) -> Self {
        Self::Format(error.to_string())
    }
}
