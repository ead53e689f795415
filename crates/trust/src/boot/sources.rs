//! Two sources that must agree: a party has signed only if both show its signature.

use crate::{ImageReport, PartyStatus, Source};

/// The registry's report, in which a party stays signed only if it is signed in the token's too.
pub(super) fn agreed(token: &ImageReport, mut registry: ImageReport) -> ImageReport {
    for row in &mut registry.parties {
        let signed = |status: &PartyStatus| matches!(status, PartyStatus::Signed { .. });
        let in_token = token.parties.iter().any(|other| other.key_id == row.key_id && signed(&other.status));
        row.status = match (in_token, &row.status) {
            (false, PartyStatus::Signed { .. }) => PartyStatus::OneSource { missing: Source::Token },
            (true, PartyStatus::Missing) => PartyStatus::OneSource { missing: Source::Registry },
            (_, status) => status.clone(),
        };
    }
    registry
}
