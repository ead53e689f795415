//! Who is said to have made a signature. Nothing here is verified: it is for people who look at what is attached.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use csign_envelope::{KeyId, simple_signing};
use csign_oci::{Descriptor, json};
use csign_trust::report::printable;
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use serde::Serialize;
use serde_json::Value;
use x509_cert::{
    Certificate,
    der::{
        Decode as _,
        asn1::{ObjectIdentifier, Utf8StringRef},
    },
    ext::pkix::{SubjectAltName, name::GeneralName},
};

/// Annotation of a layer with the signer's certificate, in PEM.
pub(crate) const CERTIFICATE: &str = "dev.sigstore.cosign/certificate";
/// Annotation of a layer with the certificates above it, in PEM.
pub(crate) const CHAIN: &str = "dev.sigstore.cosign/chain";
/// Fulcio's certificate extensions with the OIDC issuer: the present one, then the older one, whose value is no ASN.1.
const ISSUER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.8");
const ISSUER_OLD: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.1");
/// Longest text shown, in characters.
const WIDTH: usize = 200;

/// Who is said to have signed; all of it may be absent, and all of it may be a lie.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Signer {
    /// Key id, of a payload's annotation or a bundle's hint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key_id: Option<String>,
    /// Subject of a certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) identity: Option<String>,
    /// OIDC issuer in a certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) issuer: Option<String>,
}

impl Signer {
    /// Of a layer under `.sig` or `.att`; `payload` is a simple-signing payload, where there is one.
    pub(crate) fn of_layer(layer: &Descriptor, payload: Option<&[u8]>) -> Self {
        let pem = layer.annotations.get(CERTIFICATE).map_or("", String::as_str);
        if let Some(der) = pem_certificates(pem).first() {
            return Self::of_certificate(der);
        }
        let key_id = payload.and_then(simple_signing::claimed_key).map(|key| key.id().to_string());
        Self { key_id, ..Self::default() }
    }

    /// Of a sigstore bundle.
    pub(crate) fn of_bundle(bytes: &[u8]) -> Self {
        let Ok(bundle) = json::value_from_slice(bytes) else { return Self::default() };
        let text = |pointer: &str| bundle.pointer(pointer).and_then(Value::as_str);
        let decode = |text: &str| BASE64_STANDARD.decode(text).ok();
        let certificate = text("/verificationMaterial/certificate/rawBytes")
            .or_else(|| text("/verificationMaterial/x509CertificateChain/certificates/0/rawBytes"));
        if let Some(der) = certificate.and_then(decode) {
            return Self::of_certificate(&der);
        }
        let hint = text("/verificationMaterial/publicKey/hint");
        let key_id = hint.and_then(decode).filter(|hash| hash.len() == 32).and_then(|hash| {
            let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
            KeyId::parse(&hex).map(|id| id.to_string())
        });
        Self { key_id, ..Self::default() }
    }

    fn of_certificate(der: &[u8]) -> Self {
        let Ok(certificate) = Certificate::from_der(der) else { return Self::default() };
        let identity = subject(&certificate);
        let extensions = certificate.tbs_certificate.extensions.unwrap_or_default();
        let value = |id: ObjectIdentifier| extensions.iter().find(|e| e.extn_id == id).map(|e| e.extn_value.as_bytes());
        let issuer = value(ISSUER)
            .and_then(|bytes| Some(Utf8StringRef::from_der(bytes).ok()?.as_str().to_owned()))
            .or_else(|| Some(String::from_utf8_lossy(value(ISSUER_OLD)?).into_owned()));
        Self { key_id: None, identity, issuer: issuer.map(|issuer| printable(&issuer, WIDTH)) }
    }

    /// What a person reads; `None` if nothing is known.
    pub(crate) fn text(&self) -> Option<String> {
        let issuer = self.issuer.as_deref().map(|issuer| format!(" by {issuer}")).unwrap_or_default();
        match (&self.identity, &self.key_id) {
            (Some(identity), _) => Some(format!("claims {identity}{issuer}")),
            (None, Some(id)) => Some(format!("claims key {id}")),
            (None, None) => None,
        }
    }
}

fn subject(certificate: &Certificate) -> Option<String> {
    let (_, names) = certificate.tbs_certificate.get::<SubjectAltName>().ok()??;
    let name = names.0.into_iter().find_map(|name| match name {
        GeneralName::Rfc822Name(text) | GeneralName::DnsName(text) | GeneralName::UniformResourceIdentifier(text) => {
            Some(text.as_str().to_owned())
        }
        // Fulcio's "username" identities.
        GeneralName::OtherName(other) => {
            other.value.decode_as::<Utf8StringRef<'_>>().ok().map(|text| text.as_str().to_owned())
        }
        _ => None,
    });
    name.map(|name| printable(&name, WIDTH))
}

/// The certificates of a PEM text, in DER, as far as it is well formed.
pub(crate) fn pem_certificates(pem: &str) -> Vec<Vec<u8>> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).map_while(Result::ok).map(|der| der.to_vec()).collect()
}

#[cfg(test)]
#[allow(clippy::expect_used, reason = "this is a test")]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_no_certificate_names_a_signer() {
        for pem in ["", "-----BEGIN CERTIFICATE-----", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
        {
            let mut layer = Descriptor::of(simple_signing::MEDIA_TYPE, b"");
            layer.annotations.insert(CERTIFICATE.to_owned(), pem.to_owned());
            assert_eq!(Signer::of_layer(&layer, Some(b"{}")), Signer::default(), "{pem}");
        }
        for bundle in ["", "{}", r#"{"verificationMaterial":{"publicKey":{"hint":"AAAA"}}}"#, "[[["] {
            assert_eq!(Signer::of_bundle(bundle.as_bytes()), Signer::default(), "{bundle}");
        }
    }

    #[test]
    fn a_bundles_hint_is_the_key_id() {
        let bundle =
            format!(r#"{{"verificationMaterial":{{"publicKey":{{"hint":"{}"}}}}}}"#, BASE64_STANDARD.encode([7; 32]));
        assert_eq!(Signer::of_bundle(bundle.as_bytes()).key_id, Some("07".repeat(32)));
    }
}
