//! `ar` archives: static libraries, `.rlib`, Debian packages.

use object::read::{ReadCache, archive::ArchiveFile};

use super::{Member, Members, members, stored};
use crate::{
    content::{Content, Context, Difference, Failure, escaped},
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
    let cache = ReadCache::new(content);
    let archive = ArchiveFile::parse(&cache)?;
    let mut out = Members::default();
    // The table of symbols follows from the members, but for its time.
    for member in archive.members() {
        let member = member?;
        let (start, len) = member.file_range();
        let number = |value: Option<u64>| value.map(Value::from);
        // GNU ar writes the kind of file there or not, depending on its own flags.
        let mode = member.mode().map(|mode| format!("{:04o}", mode & 0o7777));
        let attributes = vec![
            ("ar_date", number(member.date())),
            ("ar_uid", number(member.uid())),
            ("ar_gid", number(member.gid())),
            ("ar_mode", mode.map(Value::from)),
            ("ar_size", Some(Value::from(len))),
        ];
        out.push(Member { name: escaped(member.name()), attributes, start, len })?;
    }
    Ok(out)
}
