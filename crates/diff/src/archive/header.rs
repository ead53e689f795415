//! One header block of 512 bytes (POSIX.1-2017, pax, "ustar Interchange Format"; GNU tar manual, "Basic Tar Format").

/// Headers and content come in blocks of this many bytes.
pub(super) const BLOCK: usize = 512;

/// A header block, its checksum checked.
pub(super) struct Header<'a>(&'a [u8; BLOCK]);

impl<'a> Header<'a> {
    /// Reads a block that is not all zeros.
    pub(super) fn new(block: &'a [u8; BLOCK]) -> Result<Self, &'static str> {
        let header = Self(block);
        let want = number(header.field(148, 8)).ok_or("a header's checksum is no number")?;
        let outside = |at: &usize| !(148..156).contains(at);
        let sum = |as_number: fn(u8) -> i64| -> i64 {
            let bytes = block.iter().enumerate().filter(|(at, _)| outside(at));
            bytes.map(|(_, byte)| as_number(*byte)).sum::<i64>() + 8 * i64::from(b' ')
        };
        // Some old programs summed signed bytes.
        if want != sum(i64::from) && want != sum(|byte| i64::from(byte.cast_signed())) {
            return Err("a header's checksum is wrong; this is no tar archive, or a damaged one");
        }
        Ok(header)
    }

    fn field(&self, at: usize, length: usize) -> &'a [u8] {
        self.0.get(at..at + length).unwrap_or_default()
    }

    /// `ustar`, `gnu` or `v7`.
    pub(super) fn format(&self) -> &'static str {
        match self.field(257, 8) {
            b"ustar\x0000" => "ustar",
            b"ustar  \0" => "gnu",
            _ => "v7",
        }
    }

    /// The name, with a ustar prefix before it.
    pub(super) fn path(&self) -> Vec<u8> {
        let name = text(self.field(0, 100));
        let prefix = if self.format() == "ustar" { text(self.field(345, 155)) } else { b"" };
        if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
    }

    pub(super) fn link(&self) -> Vec<u8> {
        text(self.field(157, 100)).to_vec()
    }

    /// The type; old archives write a zero for a regular file.
    pub(super) fn kind(&self) -> u8 {
        match self.field(156, 1) {
            [0] => b'0',
            [kind] => *kind,
            _ => b'0',
        }
    }

    pub(super) fn owners(&self) -> (Vec<u8>, Vec<u8>) {
        match self.format() {
            "v7" => (Vec::new(), Vec::new()),
            _ => (text(self.field(265, 32)).to_vec(), text(self.field(297, 32)).to_vec()),
        }
    }

    pub(super) fn mode(&self) -> Option<i64> {
        number(self.field(100, 8))
    }
    pub(super) fn uid(&self) -> Option<i64> {
        number(self.field(108, 8))
    }
    pub(super) fn gid(&self) -> Option<i64> {
        number(self.field(116, 8))
    }
    pub(super) fn size(&self) -> Option<i64> {
        number(self.field(124, 12))
    }
    pub(super) fn mtime(&self) -> Option<i64> {
        number(self.field(136, 12))
    }

    /// Major and minor number of a device.
    pub(super) fn device(&self) -> Option<(i64, i64)> {
        match self.format() {
            "v7" => Some((0, 0)),
            _ => Some((number(self.field(329, 8))?, number(self.field(337, 8))?)),
        }
    }

    /// GNU's sparse map as it is stored here, whether it goes on in the next block, and the size of the whole.
    pub(super) fn sparse(&self) -> (&'a [u8], bool, Option<i64>) {
        (self.field(386, 96), self.field(482, 1) != [0], number(self.field(483, 12)))
    }
}

/// Up to the first zero byte.
fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Octal digits with spaces and zero bytes around them, or GNU's binary form. Nothing at all is zero.
fn number(field: &[u8]) -> Option<i64> {
    if let [first, rest @ ..] = field
        && first & 0x80 != 0
    {
        // Two's complement, big-endian; the first bit marks the form.
        let start = if first & 0x40 != 0 { i128::from(*first) - 0x100 } else { i128::from(first & 0x7f) };
        let value = rest.iter().try_fold(start, |sum, byte| sum.checked_mul(256)?.checked_add(i128::from(*byte)))?;
        return i64::try_from(value).ok();
    }
    let digits = field.split(|byte| *byte == 0).next().unwrap_or_default().trim_ascii();
    digits.iter().try_fold(0_i64, |sum, digit| match digit {
        b'0'..=b'7' => sum.checked_mul(8)?.checked_add(i64::from(digit - b'0')),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_are_octal_or_binary_and_nothing_else() {
        assert_eq!(number(b"0000644\0"), Some(0o644));
        assert_eq!(number(b"   644 \0"), Some(0o644));
        assert_eq!(number(b"\0\0\0\0"), Some(0));
        assert_eq!(number(b"00000000000000000000000000000000"), Some(0));
        assert_eq!(number(b"\x80\0\0\0\0\0\x01\0"), Some(256));
        assert_eq!(number(b"\xff\xff\xff\xff\xff\xff\xff\xfe"), Some(-2));
        for bad in [
            &b"0000648\0"[..],
            b"-1\0",
            b"0x12\0",
            b"7777777777777777777777777",
            b"\x80\xff\xff\xff\xff\xff\xff\xff\xff",
        ] {
            assert_eq!(number(bad), None, "{bad:?}");
        }
    }
}
