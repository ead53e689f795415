//! Keyless signatures: the signer is named by a short-lived certificate, and a public log says when it signed.
//!
//! Pure: a trusted root, the bytes and the time come in; nothing is fetched. (One trap of the library below: besides our
//! `now` it compares times with the machine's clock, and refuses what lies ahead of that too.)
//!
//! A roster counts identities: [`Verifier`] is the [`CertificateVerifier`](csign_trust::certificate::CertificateVerifier)
//! that a check asks, an [`IdentityPolicy`] becomes a roster's [`Identity`](csign_trust::Identity).
//!
//! ```
//! use csign_contract::Threshold;
//! use csign_keyless::{IdentityPolicy, KeylessError, Pattern, TrustedRoot, Verifier};
//! use csign_oci::{Digest, Pinned, Repository};
//! use csign_trust::{Credential, ImageCheck, Roster, Signer, Verdict};
//!
//! fn verdict(root: &[u8], image: &Pinned, bundle: &[u8], now: i64) -> Result<Verdict, KeylessError> {
//!     let policy = IdentityPolicy {
//!         identity: Pattern::exact("release@example.com")?,
//!         issuer: Pattern::exact("https://accounts.example.com")?,
//!     };
//!     let signer = Signer { name: "one".to_owned(), credential: Credential::Identity(policy.into()) };
//!     let roster = Roster::new(vec![signer], Threshold::All).expect("one signer");
//!     let verifier = Verifier::new(&TrustedRoot::parse(root)?, now)?;
//!     let mut check = ImageCheck::new(image, &roster).with_certificates(&verifier);
//!     check.bundle(bundle);
//!     Ok(check.report().verdict())
//! }
//! # let image = Repository::parse("registry.example.com/app").expect("a repository").at(Digest::of(b"image"));
//! # let root = include_bytes!("../../../tests/fixtures/keyless/trusted_root.json");
//! # assert_eq!(verdict(root, &image, b"{}", 0).expect("a verdict"), Verdict::Rejected);
//! ```
//!
//! [`Verifier::verify_bundle`], [`Verifier::verify_legacy`] and [`Verifier::verify_legacy_attestation`] answer in more
//! detail: log entries, times, and the reason of a refusal as a [`KeylessError`] with its hint.

mod error;
mod identity;
pub mod legacy;
mod pem_roots;
mod provider;
mod trust;
mod trusted_root;
mod verifier;

pub use error::KeylessError;
pub use identity::{Identity, IdentityPolicy, Pattern, SanKind};
pub use pem_roots::PemRoots;
pub use trusted_root::{MAX_TRUSTED_ROOT, PUBLIC_GOOD_AS_OF, TrustedRoot};
pub use verifier::{Artifact, Certified, Content, LogEntry, MAX_BUNDLE, MAX_PROOFS, Verifier};
