//! tar archives that lie in files.

use super::{Member, Members, members, stored};
use crate::{
    content::{Content, Context, Difference, Failure, escaped, window::rewind},
    report::Value,
};

pub(in crate::content) fn compare(
    context: Context<'_>,
    a: &mut dyn Content,
    b: &mut dyn Content,
) -> Result<Difference, Failure> {
    let (of_a, of_b) = (read(a)?, read(b)?);
    members((a, of_a), (b, of_b), &mut |of_a, a, of_b, b| stored(context, of_a, a, of_b, b))
}

fn read(content: &mut dyn Content) -> Result<Members, Failure> {
    rewind(content)?;
    let damaged = |error: std::io::Error| Failure::decoding("tar", &error);
    let mut archive = tar::Archive::new(content);
    let mut out = Members::default();
    for entry in archive.entries_with_seek().map_err(damaged)? {
        let entry = entry.map_err(damaged)?;
        let header = entry.header();
        if header.entry_type().is_gnu_sparse() {
            return Err(Failure::format("it has sparse members"));
        }
        let number = |value: std::io::Result<u64>| value.ok().map(Value::from);
        let text = |bytes: Option<&[u8]>| bytes.filter(|bytes| !bytes.is_empty()).map(|bytes| escaped(bytes).into());
        let mode = header.mode().ok().map(|mode| format!("{mode:04o}"));
        let attributes = vec![
            ("type", Some(Value::from(escaped(&[header.entry_type().as_byte()])))),
            ("mode", mode.map(Value::from)),
            ("uid", number(header.uid())),
            ("gid", number(header.gid())),
            ("uname", text(header.username_bytes())),
            ("gname", text(header.groupname_bytes())),
            ("mtime", number(header.mtime())),
            ("linkname", text(entry.link_name_bytes().as_deref())),
            ("size", Some(Value::from(entry.size()))),
        ];
        let name = escaped(&entry.path_bytes());
        out.push(Member { name, attributes, start: entry.raw_file_position(), len: entry.size() })?;
    }
    Ok(out)
}
