//! Why two images differ: manifest → configuration → layer → file → bytes, and the likely cause.
//!
//! [`report`] is what is found; everything that prints reads it.

pub mod report;

pub use report::{Cause, CauseKind, Change, Evidence, Hunk, Kind, Line, Node, Report, Side, Value};
