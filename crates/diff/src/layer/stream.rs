//! A layer's bytes after decompression, made by a thread of their own, which checks size and digest meanwhile.

use std::{
    io::{self, Read},
    sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    thread::Scope,
};

use csign_oci::{Descriptor, Digest};
use sha2::{Digest as _, Sha256};

use super::{Context, Side};
use crate::{
    archive::Input,
    compression::{CHUNK, Decoder},
    error::DiffError,
    report::Value,
    source::Blob,
};

/// Pieces on their way, per side.
const PIECES: usize = 4;

/// What is known of a layer once it was read to its end.
#[derive(Debug)]
pub(crate) struct Facts {
    /// Digest after decompression.
    pub(crate) diff_id: Digest,
    /// How it was compressed.
    pub(crate) parameters: Vec<(&'static str, Value)>,
}

/// The reader's end.
pub(crate) struct Stream {
    what: String,
    pieces: Receiver<Message>,
    empty: Sender<Vec<u8>>,
    piece: Vec<u8>,
    start: usize,
    end: Option<End>,
}

enum Message {
    Piece(Vec<u8>),
    End(Result<Facts, DiffError>),
}

enum End {
    Facts(Facts),
    /// The reason was handed out.
    Failed,
}

impl Stream {
    /// Starts the thread.
    pub(super) fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        blob: Blob,
        side: Side<'scope>,
        context: &'scope Context<'_>,
    ) -> Self {
        let Side { descriptor, what, .. } = side;
        let (sender, pieces) = sync_channel(PIECES);
        let (empty, empties) = channel();
        for _ in 0..PIECES {
            let _ = empty.send(Vec::new());
        }
        let (limits, progress) = (context.limits, context.progress);
        scope.spawn(move || {
            let producer = Producer { descriptor, what, window: limits.zstd_window, limit: limits.unpacked, progress };
            let facts = producer.run(blob, &empties, &sender);
            // Nobody listens after a failure of the other side.
            let _ = sender.send(Message::End(facts));
        });
        Self { what: what.to_owned(), pieces, empty, piece: Vec::new(), start: 0, end: None }
    }

    /// Reads to the end. Nothing if it is malformed, which whoever read it was told or is of no interest any more.
    ///
    /// # Errors
    /// Another size or digest than the descriptor says; everything that keeps it from being read.
    pub(super) fn finish(mut self) -> Result<Option<Facts>, DiffError> {
        loop {
            match self.fill() {
                Ok([]) => break,
                Ok(held) => {
                    let count = held.len();
                    self.consume(count);
                }
                Err(error) if error.is_malformed() => break,
                Err(error) => return Err(error),
            }
        }
        match self.end {
            Some(End::Facts(facts)) => Ok(Some(facts)),
            _ => Ok(None),
        }
    }
}

impl Input for Stream {
    fn fill(&mut self) -> Result<&[u8], DiffError> {
        if self.start == self.piece.len() && self.end.is_none() {
            self.start = 0;
            // The thread ends when it has nothing more to say.
            let _ = self.empty.send(std::mem::take(&mut self.piece));
            match self.pieces.recv() {
                Ok(Message::Piece(piece)) => self.piece = piece,
                Ok(Message::End(Ok(facts))) => self.end = Some(End::Facts(facts)),
                Ok(Message::End(Err(error))) => {
                    self.end = Some(End::Failed);
                    return Err(error);
                }
                Err(_) => return Err(DiffError::Interrupted(self.what.clone())),
            }
        }
        Ok(self.piece.get(self.start..).unwrap_or_default())
    }

    fn consume(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.piece.len());
    }
}

/// The thread's end.
struct Producer<'a> {
    descriptor: &'a Descriptor,
    what: &'a str,
    window: u64,
    limit: u64,
    progress: &'a (dyn Fn(u64) + Sync),
}

impl Producer<'_> {
    fn run(&self, blob: Blob, empties: &Receiver<Vec<u8>>, out: &SyncSender<Message>) -> Result<Facts, DiffError> {
        let (want, got) = (self.descriptor.size, blob.length());
        if want != got {
            return Err(DiffError::Size { what: self.what.to_owned(), want, got });
        }
        let source = Hashing { inner: blob, hasher: Sha256::new(), progress: self.progress };
        let mut decoder = Decoder::new(source, self.window)?;
        let unpacked = match self.unpack(&mut decoder, empties, out) {
            Err(error) if !error.is_malformed() => return Err(error),
            other => other,
        };
        // Damaged bytes are no statement about the image before they are known to be the image's.
        decoder.drain().map_err(DiffError::io(format!("reading {}", self.what)))?;
        let got = Digest::from_bytes(decoder.source().hasher.clone().finalize().into());
        if got != self.descriptor.digest {
            return Err(DiffError::Mismatch { what: self.what.to_owned(), want: self.descriptor.digest, got });
        }
        Ok(Facts { diff_id: unpacked?.unwrap_or(got), parameters: decoder.parameters() })
    }

    /// The digest of what comes out, unless it is what went in.
    fn unpack(
        &self,
        decoder: &mut Decoder<Hashing<'_>>,
        empties: &Receiver<Vec<u8>>,
        out: &SyncSender<Message>,
    ) -> Result<Option<Digest>, DiffError> {
        let gone = || DiffError::Interrupted(self.what.to_owned());
        let (mut hasher, mut total) = (Sha256::new(), 0_u64);
        let is_plain = decoder.is_plain();
        loop {
            let mut piece = empties.recv().map_err(|_| gone())?;
            piece.resize(CHUNK, 0);
            let mut filled = 0;
            let mut failure = None;
            while let Some(room) = piece.get_mut(filled..).filter(|room| !room.is_empty()) {
                match decoder.read(room) {
                    Ok(0) => break,
                    Ok(count) => filled += count,
                    Err(error) => {
                        failure = Some(error);
                        break;
                    }
                }
            }
            piece.truncate(filled);
            total += filled as u64;
            if total > self.limit {
                let what = format!("{}, decompressed,", self.what);
                return Err(DiffError::Limit { what, limit: self.limit, unit: "bytes" });
            }
            if !is_plain {
                hasher.update(&piece);
            }
            if filled > 0 {
                out.send(Message::Piece(piece)).map_err(|_| gone())?;
            }
            if let Some(failure) = failure {
                return Err(failure.about(self.what));
            }
            if filled == 0 {
                return Ok((!is_plain).then(|| Digest::from_bytes(hasher.finalize().into())));
            }
        }
    }
}

/// Hashes what is read, before decompression.
struct Hashing<'a> {
    inner: Blob,
    hasher: Sha256,
    progress: &'a (dyn Fn(u64) + Sync),
}

impl Read for Hashing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(buffer.get(..count).unwrap_or_default());
        (self.progress)(count as u64);
        Ok(count)
    }
}
