//! Symbols by their demangled names: which came, went, grew, or hold other bytes.
//!
//! When code is inserted, whatever lies behind it moves and every reference to it changes; so the contents of symbols are
//! compared only where the section's size stayed the same.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io,
};

use object::{Endianness, elf, read::elf::Sym};

use super::{Elf, Section};
use crate::{
    content::{
        Content, Difference, Failure, attribute, bytes, escaped, shortened,
        window::{Slice, range},
    },
    report::{Change, Kind, Node, Side, Value},
};

/// Bytes of a symbol table and of its names that are looked at.
const SYMBOLS: u64 = 1 << 20;
const NAMES: u64 = 3 << 20;
/// Symbols that are listed of each kind of difference.
const LISTED: usize = 48;

/// Functions with little that differs that are listed one by one.
const FEW: usize = 8;

/// Sections whose bytes differ while nothing moved: their numbers on both sides, and the ranges.
pub(super) type Code = [(usize, usize, Vec<(u64, u64)>)];

/// All symbols of one name: generic code has many.
#[derive(Clone, Copy, Debug)]
struct Symbol {
    /// In the order of the table.
    order: usize,
    /// Of the name, in the table of names.
    name: u32,
    count: u64,
    size: u64,
    section: usize,
    value: u64,
}

struct Table {
    by_hash: HashMap<u64, Symbol>,
    names: Vec<u8>,
}

/// Compares the symbol tables, if one side has one; `None` if nothing differs.
pub(super) fn compare(
    (elf_a, a): (&Elf, &mut dyn Content),
    (elf_b, b): (&Elf, &mut dyn Content),
    code: &Code,
) -> Result<Option<Node>, Failure> {
    let table = |elf: &Elf| elf.sections.iter().position(|section| section.kind == elf::SHT_SYMTAB.0);
    let (of_a, of_b) = match (table(elf_a), table(elf_b)) {
        (None, None) => return Ok(None),
        (Some(_), None) => return Ok(Some(whole(Side::A))),
        (None, Some(_)) => return Ok(Some(whole(Side::B))),
        (Some(at_a), Some(at_b)) => (read(elf_a, at_a, a)?, read(elf_b, at_b, b)?),
    };
    let mut out = Difference::default();
    let (mut only_a, mut only_b, mut resized) = (Vec::new(), Vec::new(), Vec::new());
    let mut moved = 0_u64;
    for (hash, symbol) in in_order(&of_a.by_hash) {
        match of_b.by_hash.get(&hash) {
            None => only_a.push(node(&of_a, symbol, Change::Only { side: Side::A })),
            Some(other) if (symbol.size, symbol.count) != (other.size, other.count) => {
                let size = attribute("st_size", Some(symbol.size), Some(other.size));
                resized.push(node(&of_a, symbol, size));
            }
            Some(other) => moved += u64::from(symbol.value != other.value),
        }
    }
    for (hash, symbol) in in_order(&of_b.by_hash) {
        if !of_a.by_hash.contains_key(&hash) {
            only_b.push(node(&of_b, symbol, Change::Only { side: Side::B }));
        }
    }
    for list in [resized, only_a, only_b] {
        out.omitted += list.len().saturating_sub(LISTED) as u64;
        out.children.extend(list.into_iter().take(LISTED));
    }
    changed((elf_a, &of_a, a), (elf_b, &of_b, b), code, &mut out)?;
    if moved > 0 {
        out.changes.push(attribute(
            "moved",
            None::<Value>,
            Some(format!("{moved} symbols of the same size lie elsewhere")),
        ));
    }
    Ok((!out.is_empty()).then(|| out.into_node(Kind::Section, ".symtab")))
}

fn whole(side: Side) -> Node {
    // Listed as a section already; this says what it means.
    let says = "has symbols";
    let (a, b) = if side == Side::A { (Some(says), None) } else { (None, Some(says)) };
    Difference::from(attribute("symbols", a, b)).into_node(Kind::Header, "symbols")
}

fn in_order(symbols: &HashMap<u64, Symbol>) -> Vec<(u64, Symbol)> {
    let mut list: Vec<_> = symbols.iter().map(|(hash, symbol)| (*hash, *symbol)).collect();
    list.sort_by_key(|(_, symbol)| symbol.order);
    list
}

fn node(table: &Table, symbol: Symbol, change: Change) -> Node {
    Difference::from(change).into_node(Kind::Symbol, shortened(&demangled(table.name(symbol.name))))
}

/// Symbols that did not move, in whose bytes something differs.
fn changed(
    (elf_a, of_a, a): (&Elf, &Table, &mut dyn Content),
    (elf_b, of_b, b): (&Elf, &Table, &mut dyn Content),
    code: &Code,
    out: &mut Difference,
) -> io::Result<()> {
    for (index_a, index_b, ranges) in code {
        let section = |elf: &'_ Elf, index: usize| {
            elf.sections.iter().find(|section| section.index == index).map(|s| (s.addr, s.offset))
        };
        let (Some(at_a), Some(at_b)) = (section(elf_a, *index_a), section(elf_b, *index_b)) else { continue };
        let mut differing = Vec::new();
        for (hash, symbol) in in_order(&of_a.by_hash) {
            let Some(other) = of_b.by_hash.get(&hash) else { continue };
            let unmoved =
                symbol.value == other.value && symbol.size == other.size && symbol.count == 1 && other.count == 1;
            if symbol.section != *index_a || symbol.size == 0 || !unmoved {
                continue;
            }
            let Some(start) = symbol.value.checked_sub(at_a.0) else { continue };
            if !ranges.iter().any(|(from, to)| *from < start.saturating_add(symbol.size) && start < *to) {
                continue;
            }
            let place = |(_, offset): (u64, u64)| offset.checked_add(start);
            let (Some(start_a), Some(start_b)) = (place(at_a), place(at_b)) else { continue };
            let (Ok(mut part_a), Ok(mut part_b)) =
                (Slice::new(&mut *a, start_a, symbol.size), Slice::new(&mut *b, start_b, symbol.size))
            else {
                continue;
            };
            let scan = bytes::scan(&mut part_a, &mut part_b)?;
            if let Some(change) = bytes::change(&scan, &mut part_a, &mut part_b)? {
                differing.push((scan.differing.saturating_mul(10) > symbol.size, node(of_a, symbol, change)));
            }
        }
        let references = differing.iter().filter(|(much, _)| !much).count();
        if references > FEW {
            // Each has little that differs: what they refer to moved.
            differing.retain(|(much, _)| *much);
            let text = format!("{references} functions of the same size differ in less than a tenth of their bytes");
            out.changes.push(attribute("references", None::<Value>, Some(text)));
        }
        for (_, node) in differing {
            if out.children.len() < 3 * LISTED {
                out.children.push(node);
            } else {
                out.omitted += 1;
            }
        }
    }
    Ok(())
}

impl Table {
    /// Bytes up to the next NUL.
    fn name(&self, at: u32) -> &[u8] {
        let rest = usize::try_from(at).ok().and_then(|at| self.names.get(at..)).unwrap_or_default();
        rest.split(|byte| *byte == 0).next().unwrap_or_default()
    }
}

fn read(elf: &Elf, at: usize, content: &mut dyn Content) -> Result<Table, Failure> {
    let section = elf.sections.get(at).ok_or_else(|| Failure::format("no such section"))?;
    let strings = elf.sections.iter().find(|strings| strings.index == section.link);
    let strings = strings.ok_or_else(|| Failure::format("a symbol table without names"))?;
    let names = range(content, strings.offset, strings.size, NAMES)?;
    let mut table = Table { by_hash: HashMap::new(), names };
    let endian = if elf.big_endian { Endianness::Big } else { Endianness::Little };
    if elf.is_64 {
        entries::<elf::Sym64<Endianness>>(section, endian, content, &mut table)?;
    } else {
        entries::<elf::Sym32<Endianness>>(section, endian, content, &mut table)?;
    }
    Ok(table)
}

fn entries<S: Sym<Endian = Endianness>>(
    section: &Section,
    endian: Endianness,
    content: &mut dyn Content,
    table: &mut Table,
) -> Result<(), Failure> {
    let bytes = range(content, section.offset, section.size, SYMBOLS)?;
    let symbols = object::pod::slice_from_all_bytes::<S>(&bytes);
    let symbols = symbols.map_err(|()| Failure::format("a damaged symbol table"))?;
    for (order, symbol) in symbols.iter().enumerate() {
        let kind = symbol.st_type();
        let defined = !symbol.is_undefined(endian) && (kind == elf::STT_FUNC || kind == elf::STT_OBJECT);
        if !defined {
            continue;
        }
        let name = symbol.st_name(endian);
        let mut hasher = DefaultHasher::new();
        demangled(table.name(name)).hash(&mut hasher);
        let (size, value): (u64, u64) = (symbol.st_size(endian).into(), symbol.st_value(endian).into());
        let section = usize::from(symbol.st_shndx(endian).0);
        let entry = table.by_hash.entry(hasher.finish());
        entry
            .and_modify(|earlier| {
                earlier.count += 1;
                earlier.size = earlier.size.saturating_add(size);
            })
            .or_insert(Symbol { order, name, count: 1, size, section, value });
    }
    Ok(())
}

/// Without the hash that the compiler appends, so that another version's `name` is still `name`; and without numbers
/// that compilers give to what has no name.
fn demangled(name: &[u8]) -> String {
    let text = escaped(name);
    let plain = format!("{:#}", rustc_demangle::demangle(&text));
    match plain.split_once("anon.") {
        Some((before, _)) => format!("{before}anon."),
        None => plain,
    }
}
