//! Why a rebuild came to another digest: the comparison of `csign diff`, as far as the builder's image can be had.

use std::path::Path;

use csign_oci::Layout;

use crate::{context::Context, failure::Failure};

/// Compares the builder's image with ours.
pub(crate) async fn explain(
    _against: &str,
    _ours: &Layout,
    _page: Option<&Path>,
    _context: &Context,
) -> Result<csign_diff::Report, Failure> {
    Err(Failure::could_not_check("csign diff is not here yet"))
}
