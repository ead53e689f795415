//! What travels between parties: the builder's request and each party's approval, with the record of its rebuild, and the
//! checks that they must pass.

mod approval;
mod rebuild;
mod request;

pub use approval::{Approval, ApprovalError, Signed};
pub use rebuild::{RebuildRecord, RecordError, Variables, environment_digest};
pub use request::{Request, RequestError, RequestedSignature, Source};

use csign_envelope::{PublicKey, simple_signing};
use csign_oci::Pinned;

/// The one payload that `key` signs for `image`: nothing in a request can change it.
pub fn payload(image: &Pinned, key: &PublicKey) -> Vec<u8> {
    let annotations = simple_signing::annotations(key, &std::collections::BTreeMap::new());
    simple_signing::payload(&image.repository, &image.digest, &annotations)
}
