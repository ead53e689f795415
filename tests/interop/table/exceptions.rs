//! What is refused although it is well signed, and why: each becomes a footnote.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::table::kinds::{Format, Kind};

/// A refusal that is expected.
pub(crate) struct Exception {
    reader: &'static str,
    applies: fn(Format, Kind) -> bool,
    /// One of these is in what the reader says, so that no other refusal hides behind this one.
    says: &'static [&'static str],
    /// The footnote.
    pub(crate) reason: &'static str,
    met: AtomicBool,
}

pub(crate) static EXCEPTIONS: [Exception; 5] = [
    exception(
        "cosign",
        |_, kind| kind == Kind::SignatureBesideBundle,
        &["no matching"],
        "cosign looks at no legacy signature once the image carries a bundle; csign takes the union.",
    ),
    exception(
        "cosign",
        |_, kind| kind.attestation() == Some("spdx"),
        &["none of the attestations matched the predicate type", "failed to fetch envelope statement"],
        "An SPDX tag-value document is a JSON string as predicate; cosign writes that, but its verification wants an \
         object.",
    ),
    exception(
        "in-toto-attestation",
        |_, kind| kind.attestation() == Some("spdx"),
        &["Failed to parse predicate field"],
        "This library wants an object as predicate, too.",
    ),
    exception(
        "in-toto-attestation",
        |_, kind| kind.attestation().is_some(),
        &["Wrong statement type"],
        "cosign's attestations are statements of version 0.1, and this library knows version 1 alone.",
    ),
    exception(
        "in-toto-attestation",
        |_, kind| kind.attestation().is_none(),
        &["Predicate object required"],
        "The predicate of a signature in a bundle is empty, and this library wants something in it.",
    ),
];

const fn exception(
    reader: &'static str,
    applies: fn(Format, Kind) -> bool,
    says: &'static [&'static str],
    reason: &'static str,
) -> Exception {
    Exception { reader, applies, says, reason, met: AtomicBool::new(false) }
}

/// The number of the exception that explains this refusal.
pub(crate) fn explain(reader: &str, format: Format, kind: Kind, refusal: &str) -> Option<usize> {
    let found = EXCEPTIONS.iter().position(|exception| {
        exception.reader == reader
            && (exception.applies)(format, kind)
            && exception.says.iter().any(|said| refusal.contains(said))
    })?;
    EXCEPTIONS[found].met.store(true, Ordering::Relaxed);
    Some(found)
}

/// Exceptions that no refusal needed.
pub(crate) fn unmet() -> Vec<&'static str> {
    EXCEPTIONS.iter().filter(|exception| !exception.met.load(Ordering::Relaxed)).map(|e| e.reason).collect()
}
