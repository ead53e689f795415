//! Checks that a program runs without anything else: no interpreter, no shared library.

const PT_DYNAMIC: u64 = 2;
const PT_INTERP: u64 = 3;
const DT_NEEDED: u64 = 1;
const EM_X86_64: u64 = 62;

/// Accepts static ELF programs for x86-64, position independent or not.
pub(super) fn check_static(elf: &[u8]) -> Result<(), &'static str> {
    const DAMAGED: &str = "its ELF headers are damaged";
    // 64 bits, little endian, version 1.
    if !elf.starts_with(b"\x7fELF\x02\x01\x01") {
        return Err("it is not a 64-bit little-endian ELF file");
    }
    if number(elf, 18, 2) != Some(EM_X86_64) {
        return Err("it is not for x86-64");
    }
    if !matches!(number(elf, 16, 2), Some(2 | 3)) {
        return Err("it is not a program");
    }
    let start = number(elf, 32, 8).ok_or(DAMAGED)?;
    let size = number(elf, 54, 2).ok_or(DAMAGED)?;
    let count = number(elf, 56, 2).ok_or(DAMAGED)?;
    if size < 56 || count == 0 {
        return Err(DAMAGED);
    }
    for index in 0..count {
        let at = start.checked_add(index * size).ok_or(DAMAGED)?;
        let kind = number(elf, at, 4).ok_or(DAMAGED)?;
        if kind == PT_INTERP {
            return Err("it asks for a dynamic linker (PT_INTERP)");
        }
        if kind == PT_DYNAMIC {
            let offset = number(elf, at + 8, 8).ok_or(DAMAGED)?;
            let length = number(elf, at + 32, 8).ok_or(DAMAGED)?;
            for entry in 0..length / 16 {
                let tag = offset.checked_add(entry * 16).and_then(|at| number(elf, at, 8)).ok_or(DAMAGED)?;
                if tag == DT_NEEDED {
                    return Err("it asks for a shared library (DT_NEEDED)");
                }
            }
        }
    }
    Ok(())
}

fn number(bytes: &[u8], at: u64, width: usize) -> Option<u64> {
    let at = usize::try_from(at).ok()?;
    let field = bytes.get(at..at.checked_add(width)?)?;
    Some(field.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elf(kind: u32, tag: u64) -> Vec<u8> {
        let mut out = vec![0; 64 + 56 + 16];
        out[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        out[16] = 3;
        out[18] = 62;
        out[32] = 64;
        out[54] = 56;
        out[56] = 1;
        out[64..68].copy_from_slice(&kind.to_le_bytes());
        out[72] = 120;
        out[96] = 16;
        out[120..128].copy_from_slice(&tag.to_le_bytes());
        out
    }

    #[test]
    fn dynamic_programs_are_refused() {
        assert_eq!(check_static(&elf(1, 0)), Ok(()));
        assert_eq!(check_static(&elf(2, 30)), Ok(()), "static-pie has a dynamic section");
        assert!(check_static(&elf(3, 0)).is_err(), "interpreter");
        assert!(check_static(&elf(2, 1)).is_err(), "needed library");
        assert!(check_static(&fs_self()).is_err(), "this test is a dynamic program");
    }

    fn fs_self() -> Vec<u8> {
        if cfg!(target_env = "gnu") { std::fs::read(std::env::current_exe().unwrap()).unwrap() } else { elf(3, 0) }
    }

    #[test]
    fn damage_is_refused() {
        let good = elf(2, 30);
        for end in 0..good.len() - 8 {
            assert!(check_static(&good[..end]).is_err(), "{end} bytes");
        }
        let mut far = good.clone();
        far[39] = 0xff;
        assert!(check_static(&far).is_err());
        let mut long = good;
        long[103] = 0x7f;
        assert!(check_static(&long).is_err());
    }
}
