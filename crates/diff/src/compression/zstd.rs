//! zstd (RFC 8878), frame after frame; frames to be skipped are skipped.

use std::io::Read;

use ruzstd::decoding::FrameDecoder;

use super::{Failure, input::Input};
use crate::report::Value;

/// Longest header of a frame: magic number, descriptor, window, dictionary, content size.
const MAX_HEADER: usize = 18;
/// A block holds at most 128 KiB.
const BLOCK: usize = 128 << 10;

/// A decompressor, and what the first frame's header said.
pub(super) struct Zstd {
    decoder: FrameDecoder,
    state: State,
    frames: i64,
    skipped: i64,
    first: Option<u8>,
}

enum State {
    Between,
    Within,
    Ended,
}

impl Zstd {
    pub(super) fn new(window: u64) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(window);
        Self { decoder, state: State::Between, frames: 0, skipped: 0, first: None }
    }

    pub(super) fn read(&mut self, input: &mut Input<impl Read>, out: &mut [u8]) -> Result<usize, Failure> {
        loop {
            match self.state {
                State::Ended => return Ok(0),
                State::Between => self.begin(input)?,
                State::Within => {
                    if !self.decoder.is_finished() && self.decoder.can_collect() < BLOCK {
                        let strategy = ruzstd::decoding::BlockDecodingStrategy::UptoBlocks(1);
                        self.decoder.decode_blocks(&mut *input, strategy).map_err(|error| format(&error))?;
                    }
                    let count = self.decoder.read(out)?;
                    if count > 0 {
                        return Ok(count);
                    }
                    if self.decoder.is_finished() {
                        self.state = State::Between;
                    }
                }
            }
        }
    }

    /// The header of a frame, if another one follows.
    fn begin(&mut self, input: &mut Input<impl Read>) -> Result<(), Failure> {
        let held = input.peek(MAX_HEADER)?;
        if held.is_empty() && self.frames > 0 {
            self.state = State::Ended;
            return Ok(());
        }
        match held {
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, l0, l1, l2, l3, ..] => {
                let mut left = u64::from(u32::from_le_bytes([*l0, *l1, *l2, *l3])) + 8;
                while left > 0 {
                    let held = input.peek(1)?.len();
                    if held == 0 {
                        return Err(Failure::Format("zstd: it ends in the middle".to_owned()));
                    }
                    let count = held.min(usize::try_from(left).unwrap_or(held));
                    input.consume(count);
                    left -= count as u64;
                }
                self.skipped += 1;
                Ok(())
            }
            [0x28, 0xb5, 0x2f, 0xfd, descriptor, ..] => {
                self.first.get_or_insert(*descriptor);
                self.frames += 1;
                self.decoder.reset(&mut *input).map_err(|error| format(&error))?;
                self.state = State::Within;
                Ok(())
            }
            _ => Err(Failure::Format("zstd: what follows its end is no zstd".to_owned())),
        }
    }

    pub(super) fn parameters(&self) -> impl Iterator<Item = (&'static str, Value)> {
        [
            ("zstd.descriptor", Value::Number(self.first.unwrap_or_default().into())),
            ("zstd.frames", Value::Number(self.frames)),
            ("zstd.skipped", Value::Number(self.skipped)),
        ]
        .into_iter()
    }
}

fn format(error: &dyn std::error::Error) -> Failure {
    Failure::Format(format!("zstd: {error}"))
}
