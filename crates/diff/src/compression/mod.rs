//! Decompression of layers, with what their containers say about how they were compressed.

mod gzip;
mod input;
mod zstd;

use std::io::{self, Read};

use self::{gzip::Gzip, input::Input, zstd::Zstd};
use crate::{error::DiffError, report::Value};

/// How much is read and unpacked at once, in bytes.
pub(crate) const CHUNK: usize = 256 << 10;

/// How something is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Gzip,
    Zstd,
}

/// What the first bytes say.
pub(crate) fn magic(start: &[u8]) -> Option<Algorithm> {
    match start {
        [0x1f, 0x8b, 8, ..] => Some(Algorithm::Gzip),
        // A frame, or a frame to be skipped, which comes first in some files.
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Algorithm::Zstd),
        _ => None,
    }
}

/// Why no more can be decompressed.
#[derive(Debug)]
pub(crate) enum Failure {
    Io(io::Error),
    Format(String),
}

impl Failure {
    pub(crate) fn about(self, what: &str) -> DiffError {
        match self {
            Self::Io(source) => DiffError::Io { doing: format!("reading {what}"), source },
            Self::Format(why) => DiffError::malformed(what, why),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Decompresses what it recognizes by its first bytes, and passes on everything else.
pub(crate) struct Decoder<R> {
    input: Input<R>,
    method: Method,
}

enum Method {
    Plain,
    Gzip(Box<Gzip>),
    Zstd(Box<Zstd>),
}

impl<R: Read> Decoder<R> {
    /// `window`: most bytes of memory that a zstd frame may ask for.
    pub(crate) fn new(source: R, window: u64) -> Result<Self, DiffError> {
        let mut input = Input::new(source);
        let start = input.peek(4).map_err(DiffError::io("reading"))?;
        let method = match magic(start) {
            Some(Algorithm::Gzip) => Method::Gzip(Box::new(Gzip::new())),
            Some(Algorithm::Zstd) => Method::Zstd(Box::new(Zstd::new(window))),
            None => Method::Plain,
        };
        Ok(Self { input, method })
    }

    pub(crate) fn is_plain(&self) -> bool {
        matches!(self.method, Method::Plain)
    }

    /// Fills some of `out`; 0 at the end.
    pub(crate) fn read(&mut self, out: &mut [u8]) -> Result<usize, Failure> {
        match &mut self.method {
            Method::Plain => Ok(self.input.read(out)?),
            Method::Gzip(gzip) => gzip.read(&mut self.input, out),
            Method::Zstd(zstd) => zstd.read(&mut self.input, out),
        }
    }

    /// Reads whatever is left of the source, without decompressing it.
    pub(crate) fn drain(&mut self) -> io::Result<()> {
        self.input.drain()
    }

    /// The source.
    pub(crate) fn source(&self) -> &R {
        self.input.source()
    }

    /// How it is compressed: names and values, the same names for the same algorithm. Complete at the end only.
    pub(crate) fn parameters(&self) -> Vec<(&'static str, Value)> {
        let text = |text: &str| Value::Text(text.to_owned());
        match &self.method {
            Method::Plain => vec![("compression", text("none"))],
            Method::Gzip(gzip) => [("compression", text("gzip"))].into_iter().chain(gzip.parameters()).collect(),
            Method::Zstd(zstd) => [("compression", text("zstd"))].into_iter().chain(zstd.parameters()).collect(),
        }
    }
}
