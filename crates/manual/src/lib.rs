//! The manual of a program, made from its command line: one [`Page`] for each command, printed as Markdown
//! ([`Page::markdown`]) for the repository and as a man page ([`Page::man`]) for `man`.
//!
//! Both printers print one model, so they cannot disagree; and it holds nothing that is kept by hand but [`Facts`].
//! A help text's blocks `Examples:` and `Exit status:` become sections; a command without its own `Exit status:` has
//! its program's.

mod date;
mod index;
mod man;
mod markdown;
mod model;
mod page;
mod text;

pub use date::date;
pub use index::{Difference, compare, update};
pub use model::{Entry, Facts, Group, Item, Page, Variable};
pub use page::pages;
