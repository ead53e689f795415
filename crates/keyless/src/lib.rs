//! Keyless signatures: the signer is named by a short-lived certificate, and a public log says when it signed.
//!
//! Pure: a trusted root, the bytes and the time come in; nothing is fetched. (One trap of the library below: besides our
//! `now` it compares times with the machine's clock, and refuses what lies ahead of that too.)
//!
//! ```
//! use csign_keyless::{Artifact, IdentityPolicy, KeylessError, Pattern, TrustedRoot, Verifier};
//! use csign_oci::Digest;
//!
//! fn verify(root: &[u8], bundle: &[u8], image: &Digest, now: i64) -> Result<Vec<u8>, KeylessError> {
//!     let policy = IdentityPolicy {
//!         identity: Pattern::exact("release@example.com")?,
//!         issuer: Pattern::exact("https://accounts.example.com")?,
//!     };
//!     let verifier = Verifier::new(&TrustedRoot::parse(root)?, now)?;
//!     let certified = verifier.verify_bundle(bundle, Artifact::Digest(image))?;
//!     policy.check(&certified.identity)?;
//!     match certified.content {
//!         // Now Statement::parse_about(&statement, SIGN_PREDICATE, image) must hold.
//!         csign_keyless::Content::Statement(statement) => Ok(statement),
//!         csign_keyless::Content::Artifact => Ok(Vec::new()),
//!     }
//! }
//! # assert!(verify(b"{}", b"{}", &Digest::of(b"image"), 0).is_err());
//! ```

mod error;
mod identity;
pub mod legacy;
mod provider;
mod trusted_root;
mod verifier;

pub use error::KeylessError;
pub use identity::{Identity, IdentityPolicy, Pattern, SanKind};
pub use trusted_root::{MAX_TRUSTED_ROOT, PUBLIC_GOOD_AS_OF, TrustedRoot};
pub use verifier::{Artifact, Certified, Content, LogEntry, MAX_BUNDLE, MAX_PROOFS, Verifier};
