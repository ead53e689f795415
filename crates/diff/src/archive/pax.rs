//! Extended headers: `LENGTH KEY=VALUE\n` (POSIX.1-2017, pax, "pax Extended Header").

use std::collections::BTreeMap;

/// Keys and values. A key that comes twice has the later value, as the specification asks.
pub(super) type Records = BTreeMap<String, Vec<u8>>;

/// Reads all records.
pub(super) fn parse(mut bytes: &[u8], into: &mut Records) -> Result<(), &'static str> {
    const BAD: &str = "an extended header is malformed";
    while !bytes.is_empty() {
        let space = bytes.iter().take(12).position(|byte| *byte == b' ').ok_or(BAD)?;
        let digits = bytes.get(..space).unwrap_or_default();
        let length: usize = std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok()).ok_or(BAD)?;
        let record = bytes.get(space + 1..length).ok_or(BAD)?;
        let record = record.strip_suffix(b"\n").ok_or(BAD)?;
        let equals = record.iter().position(|byte| *byte == b'=').ok_or(BAD)?;
        let (key, value) = (record.get(..equals).unwrap_or_default(), record.get(equals + 1..).unwrap_or_default());
        let key = std::str::from_utf8(key).map_err(|_| BAD)?;
        into.insert(key.to_owned(), value.to_vec());
        bytes = bytes.get(length..).unwrap_or_default();
    }
    Ok(())
}

/// A decimal number.
pub(super) fn number(value: &[u8]) -> Option<i64> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_by_their_length_whatever_is_in_them() {
        let mut records = Records::new();
        parse(b"12 path=a\nb\n8 k=\xff=\n\n", &mut records).unwrap();
        assert_eq!(records["path"], b"a\nb");
        assert_eq!(records["k"], b"\xff=\n");
        for bad in
            [&b"5 a=b"[..], b"99 a=b\n", b"a=b\n", b"0 a=b\n", b"1 \n", b"6 ab\n\n", b"18446744073709551616 a=b\n"]
        {
            assert!(parse(bad, &mut Records::new()).is_err(), "{bad:?}");
        }
    }
}
