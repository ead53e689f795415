//! Reads tar archives as a stream (POSIX.1-2017 pax, ustar, GNU), keeping what the format can say twice or not at all.

mod entry;
mod header;
mod input;
mod pax;
mod walker;

pub(crate) use self::{
    entry::{Entry, Kept, escaped},
    input::{FileInput, Input},
    walker::{Tail, Walker},
};
