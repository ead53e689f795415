//! Reads what an ELF file says about itself: bounded, and owned, so that the contents can be read afterwards.

use object::{
    Endianness, elf,
    read::{
        ReadCache, ReadRef,
        elf::{Dyn as _, FileHeader, ProgramHeader as _, SectionHeader as _, SectionTable},
    },
};

use crate::{
    content::{Content, Failure, escaped, window::some},
    report::Value,
};

/// Sections and segments that are looked at, and bytes of all sections' names.
const SECTIONS: u32 = 32 << 10;
const SEGMENTS: u32 = 4 << 10;
const NAMES: usize = 1 << 20;
/// Bytes of the dynamic section.
const DYNAMIC: u64 = 256 << 10;

/// What both sides are compared by.
#[derive(Debug)]
pub(super) struct Elf {
    /// Fields of the ELF header, always the same ones.
    pub(super) header: Vec<(&'static str, Value)>,
    /// Program headers: type, flags, alignment.
    pub(super) segments: Vec<String>,
    pub(super) sections: Vec<Section>,
    /// Dynamic entries that name something: needed libraries, search paths, flags.
    pub(super) dynamic: Vec<String>,
    pub(super) big_endian: bool,
    pub(super) is_64: bool,
}

#[derive(Debug)]
pub(super) struct Section {
    pub(super) index: usize,
    pub(super) name: String,
    pub(super) kind: u32,
    pub(super) flags: u64,
    pub(super) addr: u64,
    pub(super) offset: u64,
    pub(super) size: u64,
    pub(super) align: u64,
    pub(super) link: usize,
}

impl Section {
    /// Has it bytes in the file?
    pub(super) fn is_stored(&self) -> bool {
        self.kind != elf::SHT_NOBITS.0
    }

    /// Does most of it say where other things lie?
    pub(super) fn holds_addresses(&self) -> bool {
        let by_kind = [elf::SHT_REL.0, elf::SHT_RELA.0, elf::SHT_DYNAMIC.0, elf::SHT_GNU_HASH.0, elf::SHT_DYNSYM.0];
        let by_name = [".got", ".plt", ".eh_frame", ".init", ".fini", ".data.rel", ".gcc_except_table", ".debug_"];
        let is_text = self.name.ends_with("str");
        by_kind.contains(&self.kind) || !is_text && by_name.iter().any(|name| self.name.starts_with(name))
    }
}

pub(super) fn read(content: &mut dyn Content) -> Result<Elf, Failure> {
    let class = some(content, 4, 1)?;
    let cache = ReadCache::new(content);
    match class.first() {
        Some(1) => describe::<elf::FileHeader32<Endianness>, _>(&cache),
        Some(2) => describe::<elf::FileHeader64<Endianness>, _>(&cache),
        _ => Err(Failure::format("ELF: neither 32 nor 64 bits")),
    }
}

fn describe<'c, E: FileHeader<Endian = Endianness>, R: ReadRef<'c>>(cache: R) -> Result<Elf, Failure> {
    let header = E::parse(cache)?;
    let endian = header.endian()?;
    // The number of sections may stand in the first section, where it may be anything.
    let (sections, segments) = (header.shnum(endian, cache)?, header.phnum(endian, cache)?);
    if sections > SECTIONS || segments > SEGMENTS {
        return Err(Failure::format(format!("ELF: {sections} sections and {segments} segments are too many")));
    }
    let ident = header.e_ident();
    let fields = vec![
        ("EI_DATA", u64::from(ident.data.0)),
        ("EI_OSABI", u64::from(ident.os_abi.0)),
        ("e_type", u64::from(header.e_type(endian).0)),
        ("e_machine", u64::from(header.e_machine(endian).0)),
        ("e_flags", u64::from(header.e_flags(endian).0)),
        ("e_entry", header.e_entry(endian).into()),
    ];
    let header_fields = fields.into_iter().map(|(name, value)| (name, Value::from(value))).collect();
    let segments = header.program_headers(endian, cache)?.iter().map(|segment| {
        let (kind, flags) = (segment.p_type(endian).0, segment.p_flags(endian).0);
        format!("p_type {kind:#x} p_flags {flags:#x} p_align {:#x}", segment.p_align(endian).into())
    });
    let table = header.sections(endian, cache)?;
    Ok(Elf {
        header: header_fields,
        segments: segments.collect(),
        sections: list(endian, &table)?,
        dynamic: dynamic(endian, &table, cache).unwrap_or_default(),
        big_endian: header.is_big_endian(),
        is_64: header.is_type_64(),
    })
}

fn list<'c, E: FileHeader<Endian = Endianness>, R: ReadRef<'c>>(
    endian: Endianness,
    table: &SectionTable<'c, E, R>,
) -> Result<Vec<Section>, Failure> {
    let mut names = 0;
    let mut out = Vec::new();
    // The first one is no section.
    for (index, section) in table.iter().enumerate().skip(1) {
        let name = escaped(table.section_name(endian, section).unwrap_or(b"?"));
        names += name.len();
        if names > NAMES {
            return Err(Failure::format("ELF: the names of its sections are too long"));
        }
        out.push(Section {
            index,
            name,
            kind: section.sh_type(endian).0,
            flags: section.sh_flags(endian).0,
            addr: section.sh_addr(endian).into(),
            offset: section.sh_offset(endian).into(),
            size: section.sh_size(endian).into(),
            align: section.sh_addralign(endian).into(),
            link: usize::try_from(section.sh_link(endian)).unwrap_or_default(),
        });
    }
    Ok(out)
}

/// Entries whose values are no addresses; addresses say what the sections say.
fn dynamic<'c, E: FileHeader<Endian = Endianness>, R: ReadRef<'c>>(
    endian: Endianness,
    table: &SectionTable<'c, E, R>,
    cache: R,
) -> Option<Vec<String>> {
    let section = table.iter().find(|section| section.sh_type(endian) == elf::SHT_DYNAMIC)?;
    if section.sh_size(endian).into() > DYNAMIC || cache.len().is_err() {
        return None;
    }
    let (entries, link) = section.dynamic(endian, cache).ok()??;
    let strings = table.strings(endian, cache, link).ok()?;
    let mut out = Vec::new();
    for entry in entries {
        let (tag, value): (i64, u64) = (entry.d_tag(endian).0, entry.d_val(endian).into());
        let text = || {
            let at = u32::try_from(value).ok()?;
            Some(escaped(strings.get(at).ok()?))
        };
        match tag {
            1 => out.push(format!("NEEDED {}", text()?)),
            14 => out.push(format!("SONAME {}", text()?)),
            15 => out.push(format!("RPATH {}", text()?)),
            29 => out.push(format!("RUNPATH {}", text()?)),
            24 => out.push("BIND_NOW".to_owned()),
            30 => out.push(format!("FLAGS {value:#x}")),
            0x6fff_fffb => out.push(format!("FLAGS_1 {value:#x}")),
            _ => {}
        }
        if out.len() > 1024 {
            break;
        }
    }
    Some(out)
}
