//! gzip (RFC 1952) and Zstandard (RFC 8878): the headers' fields, and what is inside.

use std::io::{BufReader, Seek as _, SeekFrom};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::{
    StreamingDecoder,
    errors::{FrameDecoderError, ReadFrameHeaderError},
};

use super::{
    Content, Context, Difference, Failure, bytes, differing,
    format::Format,
    window::{CHUNK, Spool, rewind, some},
};
use crate::report::{Change, Kind, Value};

/// Bytes of a gzip header that are looked at: fixed fields, and a name.
const HEADER: usize = 10 + 256;

pub(super) fn compare(
    context: Context<'_>,
    format: Format,
    name: &str,
    a: &mut dyn Content,
    b: &mut dyn Content,
) -> Result<Difference, Failure> {
    let mut difference = Difference::default();
    if format == Format::Gzip {
        difference.changes = headers(&gzip_header(a)?, &gzip_header(b)?);
    }
    let unpack = |content: &mut dyn Content| match format {
        Format::Gzip => gunzip(content, context),
        _ => unzstd(content, context),
    };
    let (mut inner_a, mut inner_b) = (unpack(a)?, unpack(b)?);
    if bytes::scan(&mut inner_a, &mut inner_b)?.first.is_none() {
        difference.changes.push(Change::CompressionOnly);
        return Ok(difference);
    }
    let name = name.rsplit('/').next().unwrap_or(name);
    let inner = [".gz", ".zst", ".tgz"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
    let within = context.deeper().difference(inner, &mut inner_a, &mut inner_b)?;
    difference.child(within.into_node(Kind::Member, inner));
    Ok(difference)
}

fn gunzip(content: &mut dyn Content, context: Context<'_>) -> Result<Spool, Failure> {
    rewind(content)?;
    let mut decoder = MultiGzDecoder::new(BufReader::with_capacity(CHUNK, content));
    Spool::of(&mut decoder, "gzip", context.unpacked)
}

/// All frames one after the other.
fn unzstd(content: &mut dyn Content, context: Context<'_>) -> Result<Spool, Failure> {
    let damaged = |error: FrameDecoderError| Failure::format(format!("zstd: {error}"));
    rewind(content)?;
    let mut out = Spool::new();
    while content.stream_position()? < content.len() {
        match StreamingDecoder::new_with_max_window_size(&mut *content, context.zstd_window) {
            Ok(mut frame) => out.append(&mut frame, "zstd", context.unpacked)?,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                content.seek(SeekFrom::Current(length.into()))?;
            }
            Err(error) => return Err(damaged(error)),
        }
    }
    out.rewind()?;
    Ok(out)
}

/// MTIME, XFL, OS and the name (RFC 1952, section 2.3.1).
type Header = (Option<u64>, Option<u64>, Option<u64>, Option<String>);

fn gzip_header(content: &mut dyn Content) -> Result<Header, Failure> {
    const NAME: u8 = 1 << 3;
    const EXTRA: u8 = 1 << 2;
    let head = some(content, 0, HEADER)?;
    let byte = |at: usize| head.get(at).copied().map(u64::from);
    let mtime =
        head.get(4..8).and_then(|bytes| bytes.try_into().ok()).map(|bytes| u64::from(u32::from_le_bytes(bytes)));
    let flags = head.get(3).copied().unwrap_or_default();
    let name = (flags & NAME != 0 && flags & EXTRA == 0).then(|| {
        super::escaped(head.get(10..).unwrap_or_default().split(|byte| *byte == 0).next().unwrap_or_default())
    });
    Ok((mtime, byte(8), byte(9), name))
}

fn headers(a: &Header, b: &Header) -> Vec<Change> {
    let number = |a: Option<u64>| a.map(Value::from);
    let pairs = [("gzip.mtime", a.0, b.0), ("gzip.xfl", a.1, b.1), ("gzip.os", a.2, b.2)];
    let numbers = pairs.into_iter().filter_map(|(name, a, b)| differing(name, number(a), number(b)));
    numbers.chain(differing("gzip.name", a.3.clone(), b.3.clone())).collect()
}
