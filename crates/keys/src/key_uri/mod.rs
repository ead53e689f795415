//! Key references as they stand on the command line and in a contract: a file, or a resource of a key provider.

mod aws;
mod gcp;
mod plugin;
mod transit;

use std::{fmt, path::PathBuf, str::FromStr};

pub use aws::AwsKey;
#[cfg(feature = "awskms")]
pub(crate) use aws::is_region as is_aws_region;
pub use gcp::{KmsKey, KmsKeyVersion};
pub use plugin::PluginKey;
pub use transit::{TransitFlavor, TransitKey, TransitKeyVersion};

use crate::KeysError;

/// What cosign takes for keys and csign does not: no provider of them signs through an interface that csign speaks.
const UNSUPPORTED: [&str; 7] = ["pkcs11:", "k8s:", "gitlab:", "github:", "env:", "http:", "https:"];

/// Where a signing key is. A new provider is a file beside this one with a variant here, an arm in
/// [`KeyUri::from_str`] and an arm in [`crate::Signer::open`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyUri {
    /// A file in cosign's encrypted format.
    File(PathBuf),
    /// A version of a Cloud KMS key.
    GcpKms(KmsKeyVersion),
    /// A version of a key in a transit secrets engine of Vault or OpenBao.
    Transit(TransitKeyVersion),
    /// A key of AWS KMS.
    AwsKms(AwsKey),
    /// Any other scheme: a key that the program `sigstore-kms-SCHEME` knows.
    Plugin(PluginKey),
}

impl FromStr for KeyUri {
    type Err = KeysError;

    /// # Errors
    /// A provider that is not supported, a malformed resource name, a key that could change behind its name.
    fn from_str(text: &str) -> Result<Self, KeysError> {
        if text.is_empty() {
            return Err(KeysError::Uri { uri: String::new(), why: "it is empty" });
        }
        if let Some(scheme) = UNSUPPORTED.iter().find(|scheme| text.starts_with(**scheme)) {
            return Err(KeysError::UnsupportedProvider(scheme.trim_end_matches(':').to_owned()));
        }
        let Some((scheme, resource)) = text.split_once("://") else {
            // One slash too few must not become the name of a file.
            return match ["awskms:", "azurekms:", "gcpkms:", "hashivault:", "openbao:"]
                .iter()
                .any(|s| text.starts_with(s))
            {
                true => Err(KeysError::Uri { uri: text.to_owned(), why: "two slashes must follow the scheme" }),
                false => Ok(Self::File(text.into())),
            };
        };
        match scheme {
            "gcpkms" => KmsKeyVersion::parse(resource, text).map(Self::GcpKms),
            "hashivault" => TransitKeyVersion::parse(TransitFlavor::HashiVault, resource, text).map(Self::Transit),
            "openbao" => TransitKeyVersion::parse(TransitFlavor::OpenBao, resource, text).map(Self::Transit),
            "awskms" => AwsKey::parse(resource, text).map(Self::AwsKms),
            scheme => PluginKey::parse(scheme, resource, text).map(Self::Plugin),
        }
    }
}

impl fmt::Display for KeyUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::GcpKms(version) => write!(f, "{}{version}", gcp::SCHEME),
            Self::Transit(version) => version.fmt(f),
            Self::AwsKms(key) => key.fmt(f),
            Self::Plugin(key) => key.fmt(f),
        }
    }
}

/// A version number as it stands in a reference: one spelling each, `1`, never `01` or `+1`.
fn version(text: &str) -> Option<u32> {
    text.parse().ok().filter(|number: &u32| *number > 0 && number.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GCP: &str = "projects/p-1/locations/europe-west3/keyRings/r/cryptoKeys/k";
    const UUID: &str = "1234abcd-12ab-34cd-56ef-1234567890ab";

    fn uri(text: &str) -> Result<KeyUri, KeysError> {
        text.parse()
    }

    #[test]
    fn both_spellings_of_a_version_are_one_key() {
        let long = uri(&format!("gcpkms://{GCP}/cryptoKeyVersions/3")).expect("long");
        assert_eq!(uri(&format!("gcpkms://{GCP}/versions/3")).expect("short"), long);
        assert_eq!(long.to_string(), format!("gcpkms://{GCP}/cryptoKeyVersions/3"));
        assert_eq!(uri("keys/cosign.key").expect("file"), KeyUri::File("keys/cosign.key".into()));
    }

    #[test]
    fn every_reference_is_written_as_it_was_read() {
        for text in [
            "keys/cosign.key".to_owned(),
            format!("gcpkms://{GCP}/cryptoKeyVersions/1"),
            "hashivault://team-1.key/versions/2".to_owned(),
            "openbao://k/versions/10".to_owned(),
            format!("awskms:///{UUID}"),
            format!("awskms:///mrk-{}", UUID.replace('-', "")),
            format!("awskms://localhost:4566/{UUID}"),
            format!("awskms:///arn:aws:kms:us-east-2:111122223333:key/{UUID}"),
            format!("awskms://[::1]:4566/arn:aws-cn:kms:cn-north-1:111122223333:key/{UUID}"),
            "my-hsm://slot/1?x=y".to_owned(),
        ] {
            assert_eq!(uri(&text).expect(&text).to_string(), text);
        }
    }

    #[test]
    fn an_unpinned_kms_key_is_refused_with_an_explanation() {
        for (text, advice) in [
            (format!("gcpkms://{GCP}"), format!("gcpkms://{GCP}/cryptoKeyVersions/1; gcloud kms keys versions list")),
            ("hashivault://k".to_owned(), "hashivault://k/versions/1; vault read transit/keys/k".to_owned()),
            ("openbao://k".to_owned(), "openbao://k/versions/1; bao read transit/keys/k".to_owned()),
        ] {
            let error = uri(&text).expect_err("unpinned");
            assert!(matches!(error, KeysError::Unpinned { .. }), "{error:?}");
            assert!(error.hint().expect("hint").contains(&advice), "{:?}", error.hint());
        }
    }

    #[test]
    fn an_alias_of_an_aws_key_is_refused_since_it_can_move_to_another_key() {
        for alias in ["alias/team", "arn:aws:kms:us-east-2:111122223333:alias/team"] {
            let error = uri(&format!("awskms:///{alias}")).expect_err("alias");
            assert!(matches!(error, KeysError::Alias(_)), "{error:?}");
            assert!(error.hint().expect("hint").contains(&format!("describe-key --key-id {alias}")));
        }
    }

    #[test]
    fn malformed_names_are_refused() {
        for tail in [
            "/",
            "/cryptoKeyVersions/0",
            "/cryptoKeyVersions/01",
            "/cryptoKeyVersions/latest",
            "/cryptoKeyVersions/1/x",
        ] {
            assert!(matches!(uri(&format!("gcpkms://{GCP}{tail}")), Err(KeysError::Uri { .. })), "{tail}");
        }
        for text in [
            "gcpkms://projects/p",
            "gcpkms://projects//locations/l/keyRings/r/cryptoKeys/k/versions/1",
            "gcpkms://",
            "gcpkms://projects/../locations/l/keyRings/r/cryptoKeys/k/versions/1",
            "hashivault://",
            "hashivault:k",
            "hashivault://../sys/versions/1",
            "hashivault://-k/versions/1",
            "hashivault://a/b/versions/1",
            "hashivault://k?x=y/versions/1",
            "openbao://k/versions/0",
            "openbao://k/versions/01",
            "openbao://k/versions/latest",
            "openbao://k/versions/1/2",
            "awskms://",
            "awskms:///",
            "awskms:///1234",
            "awskms:///1234abcd-12ab-34cd-56ef-1234567890ag",
            "awskms://user@host/1234abcd-12ab-34cd-56ef-1234567890ab",
            "awskms://host?x/1234abcd-12ab-34cd-56ef-1234567890ab",
            "awskms:///arn:aws:kms:us-east-2:11112222333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            "awskms:///arn:aws:kms:us.east:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            "awskms:///arn:aws:s3:us-east-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            "../bin/x://key",
            "-x://key",
            "://key",
            "my-hsm://",
            "my-hsm://a\nb",
            "",
        ] {
            assert!(matches!(uri(text), Err(KeysError::Uri { .. })), "{text}: {:?}", uri(text));
        }
    }

    #[test]
    fn other_providers_are_named_and_never_taken_for_files() {
        for text in ["pkcs11:token=x", "k8s://a/b", "env://COSIGN_PRIVATE_KEY", "https://example.com/cosign.pub"] {
            assert!(matches!(uri(text), Err(KeysError::UnsupportedProvider(_))), "{text}");
        }
        for text in ["azurekms://v/k", "s3://b/k"] {
            assert!(matches!(uri(text), Ok(KeyUri::Plugin(_))), "{text}");
        }
    }

    #[test]
    fn an_encryption_key_has_no_version() {
        assert_eq!(GCP.parse::<KmsKey>().expect("key").name(), GCP);
        assert_eq!(format!("gcpkms://{GCP}").parse::<KmsKey>().expect("key").name(), GCP);
        assert!(format!("{GCP}/cryptoKeyVersions/1").parse::<KmsKey>().is_err());
    }
}
