//! What is written: formats, signatures and every type of attestation, each with a predicate to attest.

use std::fmt;

/// How it is stored beside the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Layers of the image under the tag `.sig` or `.att`.
    Legacy,
    /// A Sigstore bundle as a referrer.
    Bundle,
}

impl Format {
    pub(crate) const ALL: [Self; 2] = [Self::Legacy, Self::Bundle];
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Legacy => "legacy",
            Self::Bundle => "bundle",
        })
    }
}

/// What is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Signature,
    /// A signature on an image that carries a bundle by another key already.
    SignatureBesideBundle,
    Attestation {
        /// What `--type` takes.
        name: &'static str,
        /// The file that `--predicate` names.
        predicate: &'static str,
    },
}

impl Kind {
    pub(crate) const ALL: [Self; 13] = [
        Self::Signature,
        Self::SignatureBesideBundle,
        Self::Attestation { name: "custom", predicate: "foo is bar" },
        Self::Attestation { name: "slsaprovenance", predicate: SLSA_02 },
        Self::Attestation { name: "slsaprovenance02", predicate: SLSA_02 },
        Self::Attestation { name: "slsaprovenance1", predicate: SLSA_1 },
        Self::Attestation { name: "spdx", predicate: "SPDXVersion: SPDX-2.3\nDataLicense: CC0-1.0\n" },
        Self::Attestation {
            name: "spdxjson",
            predicate: r#"{"spdxVersion":"SPDX-2.3","SPDXID":"SPDXRef-DOCUMENT","name":"app"}"#,
        },
        Self::Attestation {
            name: "cyclonedx",
            predicate: r#"{"bomFormat":"CycloneDX","specVersion":"1.6","version":1}"#,
        },
        Self::Attestation { name: "link", predicate: LINK },
        Self::Attestation { name: "vuln", predicate: VULN },
        Self::Attestation { name: "openvex", predicate: OPENVEX },
        Self::Attestation { name: "https://example.com/predicate/v1", predicate: r#"{"answer":42}"# },
    ];

    /// Does this exist in `format`? (A bundle beside a bundle is nothing special.)
    pub(crate) fn exists_in(self, format: Format) -> bool {
        self != Self::SignatureBesideBundle || format == Format::Legacy
    }

    /// The type of attestation.
    pub(crate) fn attestation(self) -> Option<&'static str> {
        match self {
            Self::Attestation { name, .. } => Some(name),
            Self::Signature | Self::SignatureBesideBundle => None,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signature => f.write_str("signature"),
            Self::SignatureBesideBundle => f.write_str("signature, beside a bundle by another key"),
            Self::Attestation { name, .. } if name.contains(':') => f.write_str("attestation, type a URI"),
            Self::Attestation { name, .. } => write!(f, "attestation, type `{name}`"),
        }
    }
}

const SLSA_02: &str = r#"{"builder":{"id":"https://builder.example"},"buildType":"https://builder.example/type",
"invocation":{"configSource":{}},"materials":[]}"#;

const SLSA_1: &str = r#"{"buildDefinition":{"buildType":"https://builder.example/type","externalParameters":{},
"resolvedDependencies":[]},"runDetails":{"builder":{"id":"https://builder.example"},"metadata":{"invocationId":"1"}}}"#;

const LINK: &str = r#"{"_type":"link","name":"build","command":["make"],"materials":{},"products":{},"byproducts":{},
"environment":{}}"#;

const VULN: &str = r#"{"invocation":{"uri":"https://scan.example","event_id":"1","builder.id":"b","parameters":[]},
"scanner":{"uri":"https://scan.example","version":"1","db":{"uri":"","version":""},"result":{}},
"metadata":{"scanStartedOn":"2024-01-01T00:00:00Z","scanFinishedOn":"2024-01-01T00:00:00Z"}}"#;

const OPENVEX: &str = r#"{"@context":"https://openvex.dev/ns/v0.2.0","@id":"https://vex.example/1","author":"a",
"timestamp":"2024-01-01T00:00:00Z","version":1,"statements":[]}"#;
