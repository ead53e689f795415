//! zip and jar archives by their central directory (PKWARE APPNOTE 6.3, sections 4.3.7, 4.3.12 and 4.3.16).

use std::io::BufReader;

use flate2::bufread::DeflateDecoder;

use super::{Member, Members, members};
use crate::{
    content::{
        Content, Context, Difference, Failure, bytes, escaped,
        window::{CHUNK, Slice, Spool, range, rewind, some},
    },
    report::{Change, Value},
};

/// The end record, and the longest comment after it.
const END: usize = 22;
const COMMENT: u64 = 0xffff;
/// Bytes of a central directory that are looked at.
const DIRECTORY: u64 = 4 << 20;
/// What a size or an offset says that is in a zip64 record instead.
const ZIP64: u64 = 0xffff_ffff;

const STORED: u64 = 0;
const DEFLATED: u64 = 8;

pub(in crate::content) fn compare(
    context: Context<'_>,
    a: &mut dyn Content,
    b: &mut dyn Content,
) -> Result<Difference, Failure> {
    let (of_a, of_b) = (read(a)?, read(b)?);
    members((a, of_a), (b, of_b), &mut |of_a, a, of_b, b| {
        let (packed_a, method_a) = packed(of_a, a)?;
        let (packed_b, method_b) = packed(of_b, b)?;
        let same = {
            let (mut a, mut b) = (Slice::new(a, packed_a, of_a.len)?, Slice::new(b, packed_b, of_b.len)?);
            method_a == method_b && bytes::scan(&mut a, &mut b)?.first.is_none()
        };
        if same {
            return Ok(Difference::default());
        }
        let unpack = |content: &mut dyn Content, start, len, method| {
            let mut part = Slice::new(content, start, len)?;
            rewind(&mut part)?;
            match method {
                STORED => Spool::of(&mut part, "zip", context.unpacked),
                DEFLATED => {
                    let mut decoder = DeflateDecoder::new(BufReader::with_capacity(CHUNK, &mut part));
                    Spool::of(&mut decoder, "zip", context.unpacked)
                }
                other => Err(Failure::format(format!("a member has the compression method {other}"))),
            }
        };
        let (mut a, mut b) = (unpack(a, packed_a, of_a.len, method_a)?, unpack(b, packed_b, of_b.len, method_b)?);
        if bytes::scan(&mut a, &mut b)?.first.is_none() {
            return Ok(Difference::from(Change::CompressionOnly));
        }
        Ok(context.deeper().difference(&of_a.name, &mut a, &mut b)?)
    })
}

/// Fixed-width little-endian numbers at their places.
struct Record<'a>(&'a [u8]);

impl Record<'_> {
    fn number(&self, at: usize, width: usize) -> Result<u64, Failure> {
        let bytes = at.checked_add(width).and_then(|end| self.0.get(at..end));
        let bytes = bytes.ok_or_else(|| Failure::format("zip: a record ends too early"))?;
        Ok(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn bytes(&self, at: u64, len: u64) -> Result<&[u8], Failure> {
        let start = usize::try_from(at).ok();
        let end = at.checked_add(len).and_then(|end| usize::try_from(end).ok());
        let bytes = start.zip(end).and_then(|(start, end)| self.0.get(start..end));
        bytes.ok_or_else(|| Failure::format("zip: a record ends too early"))
    }
}

fn read(content: &mut dyn Content) -> Result<Members, Failure> {
    let length = content.len();
    let tail_at = length.saturating_sub(END as u64 + COMMENT);
    let tail = some(content, tail_at, END + COMMENT as usize)?;
    let end = tail.windows(4).rposition(|window| window == b"PK\x05\x06");
    let end = end.ok_or_else(|| Failure::format("zip: no end of a central directory"))?;
    let end = Record(tail.get(end..).unwrap_or_default());
    let (count, size, offset) = (end.number(10, 2)?, end.number(12, 4)?, end.number(16, 4)?);
    if size == ZIP64 || offset == ZIP64 {
        return Err(Failure::format("it is a zip64 archive"));
    }
    let directory = range(content, offset, size, DIRECTORY)?;
    let mut out = Members::default();
    let mut at = 0;
    for _ in 0..count {
        let all = Record(&directory);
        let record = Record(all.bytes(at, size.saturating_sub(at))?);
        if record.bytes(0, 4)? != b"PK\x01\x02" {
            return Err(Failure::format("zip: a damaged central directory"));
        }
        let (name, extra, comment) = (record.number(28, 2)?, record.number(30, 2)?, record.number(32, 2)?);
        let (start, len) = (record.number(42, 4)?, record.number(20, 4)?);
        if start == ZIP64 || len == ZIP64 {
            return Err(Failure::format("it is a zip64 archive"));
        }
        let attributes = vec![
            ("method", Some(Value::from(record.number(10, 2)?))),
            ("time", Some(dos_time(record.number(14, 2)?, record.number(12, 2)?).into())),
            ("extra", extra_time(record.bytes(46 + name, extra)?).map(Value::from)),
            ("mode", Some(format!("{:06o}", record.number(38, 4)? >> 16).into())),
            ("made by", Some(Value::from(record.number(4, 2)?))),
            ("crc-32", Some(format!("{:08x}", record.number(16, 4)?).into())),
            ("size", Some(Value::from(record.number(24, 4)?))),
        ];
        out.push(Member { name: escaped(record.bytes(46, name)?), attributes, start, len })?;
        at += 46 + name + extra + comment;
    }
    Ok(out)
}

/// Where a member's bytes begin, from its local header, and its method.
fn packed(member: &Member, content: &mut dyn Content) -> Result<(u64, u64), Failure> {
    let header = range(content, member.start, 30, 30)?;
    let header = Record(&header);
    if header.bytes(0, 4)? != b"PK\x03\x04" {
        return Err(Failure::format("zip: a member without a local header"));
    }
    Ok((member.start + 30 + header.number(26, 2)? + header.number(28, 2)?, header.number(8, 2)?))
}

/// Seconds since 1970 of the extended timestamp (extra field 0x5455).
fn extra_time(extra: &[u8]) -> Option<u64> {
    let (record, mut at) = (Record(extra), 0);
    while let (Ok(kind), Ok(size)) = (record.number(at, 2), record.number(at + 2, 2)) {
        if kind == 0x5455 {
            return record.number(at + 5, 4).ok();
        }
        at = at.checked_add(4)?.checked_add(usize::try_from(size).ok()?)?;
    }
    None
}

/// A local time without its zone (section 4.4.6).
fn dos_time(date: u64, time: u64) -> String {
    let (year, month, day) = (1980 + (date >> 9), date >> 5 & 15, date & 31);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}", time >> 11, time >> 5 & 63, (time & 31) * 2)
}
