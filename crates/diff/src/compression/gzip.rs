//! gzip (RFC 1952), member after member.

use std::io::Read;

use zlib_rs::{Inflate, InflateFlush, Status, crc32};

use super::{Failure, input::Input};
use crate::report::Value;

/// Bytes of a name, comment or extra field that are kept.
const KEPT: usize = 200;
/// Bytes of a member's header, which its name and comment make as long as they like.
const MAX_HEADER: usize = 64 << 10;

/// A decompressor, and what the first member's header said.
pub(super) struct Gzip {
    inflate: Inflate,
    state: State,
    members: i64,
    first: Header,
}

enum State {
    Between,
    Within { crc: u32, length: u32 },
    Ended,
}

#[derive(Default)]
struct Header {
    mtime: u32,
    extra_flags: u8,
    os: u8,
    name: Option<String>,
    comment: Option<String>,
    extra: Option<String>,
}

impl Gzip {
    pub(super) fn new() -> Self {
        Self { inflate: Inflate::new(false, 15), state: State::Between, members: 0, first: Header::default() }
    }

    pub(super) fn read(&mut self, input: &mut Input<impl Read>, out: &mut [u8]) -> Result<usize, Failure> {
        loop {
            match &mut self.state {
                State::Ended => return Ok(0),
                State::Between => self.begin(input)?,
                State::Within { crc, length } => {
                    let held = input.peek(1)?;
                    let at_end = held.is_empty();
                    let (consumed, produced) = (self.inflate.total_in(), self.inflate.total_out());
                    let status = self.inflate.decompress(held, out, InflateFlush::NoFlush);
                    let consumed = usize::try_from(self.inflate.total_in() - consumed).unwrap_or(usize::MAX);
                    let produced = usize::try_from(self.inflate.total_out() - produced).unwrap_or(usize::MAX);
                    input.consume(consumed);
                    let status = status.map_err(|error| Failure::Format(format!("gzip: {}", error.as_str())))?;
                    let made = out.get(..produced).unwrap_or_default();
                    *crc = crc32::crc32(*crc, made);
                    // The length is stored modulo 2^32.
                    *length = length.wrapping_add(u32::try_from(produced).unwrap_or_default());
                    if status == Status::StreamEnd {
                        let want = (*crc, *length);
                        self.end(input, want)?;
                    } else if produced == 0 && consumed == 0 && at_end {
                        return Err(Failure::Format("gzip: it ends in the middle".to_owned()));
                    }
                    if produced > 0 {
                        return Ok(produced);
                    }
                }
            }
        }
    }

    /// The header of a member, if another one follows.
    fn begin(&mut self, input: &mut Input<impl Read>) -> Result<(), Failure> {
        let bad = |why: &str| Failure::Format(format!("gzip: {why}"));
        let held = input.peek(MAX_HEADER)?;
        if held.is_empty() && self.members > 0 {
            self.state = State::Ended;
            return Ok(());
        }
        let Some(&[0x1f, 0x8b, 8, flags, m0, m1, m2, m3, extra_flags, os]) = held.first_chunk::<10>() else {
            return Err(bad(if self.members > 0 { "what follows its end is no gzip" } else { "no header" }));
        };
        if flags & 0xe0 != 0 {
            return Err(bad("unknown flags"));
        }
        let mut at = 10;
        let mut header = Header { mtime: u32::from_le_bytes([m0, m1, m2, m3]), extra_flags, os, ..Header::default() };
        if flags & 4 != 0 {
            let length = held.get(at..at + 2).and_then(|two| two.first_chunk::<2>()).ok_or_else(|| bad("no header"))?;
            let length = usize::from(u16::from_le_bytes(*length));
            let field = held.get(at + 2..at + 2 + length).ok_or_else(|| bad("a header that is too long"))?;
            header.extra = Some(shown(field));
            at += 2 + length;
        }
        for (flag, slot) in [(8, &mut header.name), (16, &mut header.comment)] {
            if flags & flag != 0 {
                let rest = held.get(at..).unwrap_or_default();
                let length = rest.iter().position(|byte| *byte == 0).ok_or_else(|| bad("a header that is too long"))?;
                *slot = Some(shown(rest.get(..length).unwrap_or_default()));
                at += length + 1;
            }
        }
        if flags & 2 != 0 {
            at += 2;
        }
        if at > held.len() {
            return Err(bad("no header"));
        }
        input.consume(at);
        if self.members == 0 {
            self.first = header;
        }
        self.members += 1;
        self.inflate.reset(false);
        self.state = State::Within { crc: 0, length: 0 };
        Ok(())
    }

    /// The checksum and length after a member.
    fn end(&mut self, input: &mut Input<impl Read>, (crc, length): (u32, u32)) -> Result<(), Failure> {
        let Some(&[c0, c1, c2, c3, l0, l1, l2, l3]) = input.peek(8)?.first_chunk::<8>() else {
            return Err(Failure::Format("gzip: it ends before its checksum".to_owned()));
        };
        if u32::from_le_bytes([c0, c1, c2, c3]) != crc || u32::from_le_bytes([l0, l1, l2, l3]) != length {
            return Err(Failure::Format("gzip: its checksum or length is wrong".to_owned()));
        }
        input.consume(8);
        self.state = State::Between;
        Ok(())
    }

    pub(super) fn parameters(&self) -> impl Iterator<Item = (&'static str, Value)> {
        let header = &self.first;
        let text = |name, text: &Option<String>| Some((name, Value::Text(text.clone()?)));
        [
            Some(("gzip.mtime", Value::Number(header.mtime.into()))),
            Some(("gzip.xfl", Value::Number(header.extra_flags.into()))),
            Some(("gzip.os", Value::Number(header.os.into()))),
            Some(("gzip.members", Value::Number(self.members))),
            text("gzip.name", &header.name),
            text("gzip.comment", &header.comment),
            text("gzip.extra", &header.extra),
        ]
        .into_iter()
        .flatten()
    }
}

fn shown(bytes: &[u8]) -> String {
    crate::archive::escaped(bytes.get(..KEPT).unwrap_or(bytes))
}
