//! From evidence to trust: what was found becomes a report, and only a report that holds becomes a [`Verified`].
//!
//! No I/O, no clock, no environment: bytes, keys and `now` come in. `csign verify` and the workload's boot call the same
//! functions, so what is printed and what is decided share one path.

mod attestation;
mod boot;
pub mod certificate;
pub mod exchange;
mod image;
mod image_report;
pub mod report;
mod roster;
mod tally;

pub use attestation::{AttestationCheck, AttestationReport, Attested, AttestedStatement, Judgement, StatementPolicy};
pub use boot::{Boot, BootCheck, BootPolicy, BootReport, PolicyReport};
pub use image::{ImageCheck, Need, TokenSignature};
pub use image_report::{ImageReport, PartyRow, PartyStatus, Source, Stray};
pub use report::{Check, ExitStatus, Outcome, Refused, Verdict};
pub use roster::{Credential, Identity, Roster, RosterError, Signer};

/// A `T` that passed every check that its report lists.
///
/// There is no public constructor: the only way to one is a report's `into_verified`.
///
/// ```compile_fail
/// let forged = csign_trust::Verified { value: 1 };
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Verified<T> {
    value: T,
}

impl<T> Verified<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self { value }
    }

    /// What was verified.
    pub const fn get(&self) -> &T {
        &self.value
    }

    /// What was verified, giving up the proof.
    pub fn into_inner(self) -> T {
        self.value
    }
}
