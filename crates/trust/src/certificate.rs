//! Signatures made with short-lived certificates. Checking one needs a trust root and an X.509 library, neither of which
//! the workload has; whoever has them hands in a [`CertificateVerifier`].

use std::collections::BTreeMap;

/// What a certificate confirmed about whoever signed, after every check of certificate, log and time passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certified {
    /// The subject alternative name: a mail address, or the URI of a workflow.
    pub subject: String,
    /// The OpenID Connect issuer that identified the subject.
    pub issuer: String,
}

/// Checks what was signed with a certificate: chain, validity when it was signed, transparency log, time stamps, and the
/// signature itself. The error says which check failed.
pub trait CertificateVerifier: Send + Sync {
    /// A sigstore bundle with a DSSE envelope. Returns the envelope's payload.
    ///
    /// # Errors
    /// The check that failed, in words for a person.
    fn bundle(&self, bundle: &[u8]) -> Result<(Certified, Vec<u8>), String>;

    /// A layer of a `.sig` or `.att` tag: its bytes, its signature (for `.att`, `None`: it is in the envelope), and its
    /// annotations, which hold certificate, chain, log entry and time stamp. Returns what was signed: the payload itself,
    /// or the envelope's payload.
    ///
    /// # Errors
    /// The check that failed, in words for a person.
    fn layer(
        &self,
        bytes: &[u8],
        signature: Option<&[u8]>,
        annotations: &BTreeMap<String, String>,
    ) -> Result<(Certified, Vec<u8>), String>;
}

/// Annotation of a layer that a certificate signed, with the certificate in PEM.
pub const CERTIFICATE_ANNOTATION: &str = "dev.sigstore.cosign/certificate";
