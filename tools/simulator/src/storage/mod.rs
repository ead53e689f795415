//! Cloud Storage: buckets and objects over the JSON API. An object's bytes are in a temporary file, never in memory as
//! a whole: they are written and read in pieces.

mod blob;
mod list;
mod serve;
mod store;
mod upload;

pub(crate) use serve::routes;
pub use store::Storage;
