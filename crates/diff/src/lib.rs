//! Why two images differ: manifest → configuration → layer → file → bytes, and the likely cause.
//!
//! [`compare`] reads two [`Source`]s and gives a [`Report`]; everything that prints reads that. Layers are streamed:
//! what is kept of them does not depend on their size. Digests are checked before anything is concluded.

mod archive;
mod causes;
mod compression;
mod content;
mod error;
#[doc(hidden)]
pub mod fuzzing;
mod html;
mod image;
mod layer;
mod limits;
pub mod report;
pub mod source;
mod text;

pub use causes::causes;
pub use error::DiffError;
pub use html::html;
pub use image::{Options, Platform, compare};
pub use limits::Limits;
pub use report::{Cause, CauseKind, Change, Evidence, Hunk, Kind, Line, Node, Report, Side, Value};
pub use source::{Blob, Root, Source, open};
pub use text::{Style, text};
