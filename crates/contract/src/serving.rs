//! What the workload serves, if the contract says so: health on one port, collaborators' data over TLS on another.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize, de};

use crate::Contract;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";
/// Bytes of a certificate; real ones have under 2 KiB.
const CERTIFICATE_LIMIT: usize = 16 << 10;

/// `[health]`: `/healthz`, `/readyz` and `/metrics` without TLS. They say how many messages were counted, and no content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// TCP port; 0 lets the system pick one, under a simulated contract only.
    pub port: u16,
}

/// `[ingest]`: collaborators send data directly, over TLS 1.3 with client certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ingest {
    /// TCP port; 0 lets the system pick one, under a simulated contract only.
    pub port: u16,
}

/// `[party.collaborator.ingest]`: how a collaborator's clients are known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CollaboratorIngest {
    /// The TLS server name under which this collaborator's clients connect: it chooses `client_ca`. A lowercase DNS name;
    /// it need not resolve.
    pub server_name: String,
    /// The certificate authority of this collaborator's clients (PEM, one certificate), its own and nobody else's.
    pub client_ca: Certificate,
}

/// An X.509 certificate, read from PEM. Only its framing is checked here.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Certificate(Vec<u8>);

impl Certificate {
    /// Parses PEM text with exactly one certificate and nothing else.
    ///
    /// # Errors
    /// Other text, no base64, or no DER sequence of exactly that length.
    pub fn from_pem(text: &str) -> Result<Self, &'static str> {
        let body = text.trim().strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(END));
        let body = body.ok_or("a certificate is one PEM block \"CERTIFICATE\" and nothing else")?;
        let body: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        if body.len() > CERTIFICATE_LIMIT {
            return Err("the certificate is larger than 12 KiB");
        }
        let der = BASE64_STANDARD.decode(body).map_err(|_| "the PEM block does not hold base64")?;
        Self::from_der(&der)
    }

    /// Takes a certificate's DER bytes.
    ///
    /// # Errors
    /// No DER sequence of exactly that length.
    pub fn from_der(der: &[u8]) -> Result<Self, &'static str> {
        if is_sequence(der) { Ok(Self(der.to_vec())) } else { Err("the PEM block does not hold a certificate") }
    }

    /// The DER bytes.
    pub fn der(&self) -> &[u8] {
        &self.0
    }

    /// PEM in its one canonical form: lines of 64 characters.
    pub fn pem(&self) -> String {
        let mut pem = format!("{BEGIN}\n");
        let mut rest = BASE64_STANDARD.encode(&self.0);
        while !rest.is_empty() {
            let tail = rest.split_off(rest.len().min(64));
            pem.push_str(&rest);
            pem.push('\n');
            rest = tail;
        }
        pem + END + "\n"
    }
}

/// One DER SEQUENCE with a definite length that covers all bytes.
fn is_sequence(der: &[u8]) -> bool {
    match der {
        [0x30, length, content @ ..] if *length < 0x80 => content.len() == usize::from(*length),
        [0x30, 0x81, length, content @ ..] => content.len() == usize::from(*length),
        [0x30, 0x82, high, low, content @ ..] => content.len() == usize::from(u16::from_be_bytes([*high, *low])),
        _ => false,
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({} bytes)", self.0.len())
    }
}

impl Serialize for Certificate {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.pem())
    }
}

impl<'de> Deserialize<'de> for Certificate {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_pem(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

impl Contract {
    /// The TCP ports that the image exposes, sorted; Confidential Space opens no other.
    pub fn ports(&self) -> Vec<u16> {
        let ports = [self.health.map(|health| health.port), self.ingest.map(|ingest| ingest.port)];
        let mut ports: Vec<u16> = ports.into_iter().flatten().filter(|port| *port != 0).collect();
        ports.sort_unstable();
        ports
    }

    /// The audience of the tokens that prove an ingest endpoint: a token for one contract says nothing under another.
    pub fn ingest_audience(&self) -> String {
        format!("https://csign.dev/ingest/{}", self.digest())
    }
}
