//! Just enough DER to write certificates and time stamps, wrong ones too.

use time::{OffsetDateTime, macros::format_description};

pub(crate) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut out = vec![tag];
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => out.push(short),
        Ok(short) => out.extend([0x81, short]),
        Err(_) => {
            out.push(0x82);
            out.extend(u16::try_from(length).expect("less than 64 KiB").to_be_bytes());
        }
    }
    out.extend_from_slice(content);
    out
}

pub(crate) fn seq(parts: &[&[u8]]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

/// The parts in DER's order.
pub(crate) fn set(mut parts: Vec<Vec<u8>>) -> Vec<u8> {
    parts.sort();
    tlv(0x31, &parts.concat())
}

pub(crate) fn integer(value: u32) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(3);
    let mut content = bytes[first..].to_vec();
    if content[0] & 0x80 != 0 {
        content.insert(0, 0);
    }
    tlv(2, &content)
}

pub(crate) fn bits(content: &[u8]) -> Vec<u8> {
    tlv(3, &[&[0], content].concat())
}

pub(crate) fn octets(content: &[u8]) -> Vec<u8> {
    tlv(4, content)
}

pub(crate) fn oid(dotted: &str) -> Vec<u8> {
    let arcs: Vec<u64> = dotted.split('.').map(|arc| arc.parse().expect("a number")).collect();
    let mut content = Vec::new();
    for arc in std::iter::once(arcs[0] * 40 + arcs[1]).chain(arcs[2..].iter().copied()) {
        let mut groups = vec![(arc & 0x7f) as u8];
        let mut rest = arc >> 7;
        while rest > 0 {
            groups.push((rest & 0x7f) as u8 | 0x80);
            rest >>= 7;
        }
        content.extend(groups.iter().rev());
    }
    tlv(6, &content)
}

pub(crate) fn utf8(text: &str) -> Vec<u8> {
    tlv(12, text.as_bytes())
}

/// GeneralizedTime.
pub(crate) fn time(seconds: i64) -> Vec<u8> {
    let format = format_description!("[year][month][day][hour][minute][second]Z");
    let text = OffsetDateTime::from_unix_timestamp(seconds).expect("a time").format(&format).expect("formats");
    tlv(24, text.as_bytes())
}

/// A distinguished name with a common name alone.
pub(crate) fn name(common: &str) -> Vec<u8> {
    seq(&[&set(vec![seq(&[&oid("2.5.4.3"), &utf8(common)])])])
}

pub(crate) fn extension(id: &str, critical: bool, value: &[u8]) -> Vec<u8> {
    let flag = if critical { tlv(1, &[0xff]) } else { Vec::new() };
    seq(&[&oid(id), &flag, &octets(value)])
}
