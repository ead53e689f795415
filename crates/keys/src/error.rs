//! Why a key could not be read, opened or used, and what to do about it.

use std::{fmt, io, path::PathBuf};

use crate::TransitFlavor;

/// Failures of this crate. [`KeysError::hint`] says what to do; no variant carries a password, a token or plaintext.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The file system refused.
    #[error("{doing} {}", path.display())]
    Io {
        /// What was being done, for instance "reading private key".
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The password does not open the key. A changed ciphertext looks the same: the cipher authenticates both at once.
    #[error("wrong password for this private key, or the file is damaged")]
    WrongPassword,
    /// A password is needed and there is no way to get one.
    #[error("this private key needs a password: {0}")]
    NoPassword(String),
    /// Not a private key in the format that belongs there.
    #[error("malformed private key: {0}")]
    Malformed(&'static str),
    /// A private key that anyone who reads the file could use.
    #[error("this private key is not encrypted; csign signs only with encrypted key files")]
    Unencrypted,
    /// A public key where a private one belongs.
    #[error("this is a public key; the private key is needed here")]
    Public,
    /// Key derivation with parameters that csign does not run: too weak, or so heavy that they would stall the machine.
    #[error("the key file asks for scrypt with N={n} r={r} p={p}; accepted are N=32768, 65536 or 131072 with r=8 p=1")]
    Kdf {
        /// Cost.
        n: u64,
        /// Block size.
        r: u64,
        /// Parallelism.
        p: u64,
    },
    /// A private key of a type that csign does not sign with.
    #[error(
        "the private key is of type {0}; accepted are ECDSA P-256 and P-384, Ed25519, and RSA of 2048 to 4096 bits"
    )]
    KeyType(&'static str),
    /// The algorithm is none that this key, or its provider, signs with.
    #[error(transparent)]
    Algorithm(csign_envelope::KeyError),
    /// A file that holds no public key.
    #[error("{}: {error}", path.display())]
    PublicKey {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: csign_envelope::KeyError,
    },
    /// The operating system gave no random bytes.
    #[error("reading random bytes from the operating system failed")]
    Random,
    /// Not a key reference.
    #[error("{uri:?} is not a key reference: {why}")]
    Uri {
        /// The text as given.
        uri: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A KMS key without a version.
    #[error(
        "{uri:?} names no key version; an unpinned key can move to another version, whose signatures nobody expects"
    )]
    Unpinned {
        /// The reference as given.
        uri: String,
        /// One with a version, and how to find the right one.
        example: String,
    },
    /// A name that can be pointed at another key.
    #[error("{0:?} names an alias, which can move to another key, whose signatures nobody expects")]
    Alias(String),
    /// A key provider that csign does not have.
    #[error("keys of type {0:?} are not supported yet")]
    UnsupportedProvider(String),
    /// An endpoint of a simulator that is not on this machine.
    #[error("the simulator's address {0} is not a loopback address; tokens go there unencrypted")]
    NotLoopback(std::net::SocketAddr),
    /// A value that cannot be what it is used as, for instance a token with a line break.
    #[error("{0}")]
    Invalid(&'static str),
    /// A setting that this key's provider needs is absent.
    #[error("{key} needs {setting}, which is not set")]
    NotSet {
        /// The key.
        key: String,
        /// The environment variable, or what stands for it.
        setting: &'static str,
    },
    /// An address that tokens and signatures must not be sent to.
    #[error("{setting}: {address:?} is not an address that csign speaks to: {why}")]
    Address {
        /// Where the address comes from.
        setting: &'static str,
        /// The address, without what could be a password.
        address: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// AWS credentials could not be found.
    #[error("getting AWS credentials: {0}")]
    AwsCredentials(String),
    /// The program for a scheme is not installed.
    #[error("{key}: there is no program {executable} in the directories of PATH")]
    NoPlugin {
        /// The key.
        key: String,
        /// The program that was looked for.
        executable: String,
    },
    /// A key that should be created exists.
    #[error("{0} exists already; a key is never replaced")]
    KeyExists(String),
    /// Google credentials could not be found or exchanged for a token.
    #[error("getting Google credentials: {0}")]
    Credentials(String),
    /// A service answered with an error, or not at all.
    #[error("{doing} {resource}: {fault}: {message}")]
    Service {
        /// Whose service.
        service: Service,
        /// What was being done, for instance "signing with".
        doing: &'static str,
        /// The key version, key or topic.
        resource: String,
        /// Which class of failure.
        fault: ServiceFault,
        /// The service's own words, made printable and cut.
        message: String,
    },
    /// A KMS key of an algorithm that csign does not sign with.
    #[error(
        "{resource} has the algorithm {got}; accepted are ECDSA P-256 and P-384, Ed25519, and RSA with PKCS#1 v1.5 or PSS"
    )]
    KmsAlgorithm {
        /// The key version.
        resource: String,
        /// Its algorithm.
        got: String,
    },
    /// What came back is not what was sent, signed or asked for. Nothing of it is used.
    #[error("{doing} {resource}: {why}; the answer was discarded")]
    Integrity {
        /// What was being done.
        doing: &'static str,
        /// The key version or key.
        resource: String,
        /// Which check failed.
        why: &'static str,
    },
}

/// Whose service a key lives in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Google Cloud.
    Google,
    /// A transit secrets engine.
    Transit(TransitFlavor),
    /// AWS KMS, or what gives its credentials.
    Aws,
    /// A program that stands for a key provider.
    Plugin,
}

/// Classes of service failure; each calls for something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceFault {
    /// The token is missing, expired or not accepted.
    Unauthenticated,
    /// The caller is known and may not do this.
    PermissionDenied,
    /// No such resource.
    NotFound,
    /// The resource exists and is not usable, for instance a disabled key version.
    Unusable,
    /// The service did not understand or accept the request.
    Refused,
    /// A quota is exhausted.
    Throttled,
    /// No answer, or an answer that says "later", until the time was up.
    Unavailable,
}

impl fmt::Display for ServiceFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unauthenticated => "not authenticated",
            Self::PermissionDenied => "permission denied",
            Self::NotFound => "not found",
            Self::Unusable => "not usable in its present state",
            Self::Refused => "request refused",
            Self::Throttled => "quota exhausted",
            Self::Unavailable => "service unavailable",
        })
    }
}

impl KeysError {
    /// Is it a service or the network that failed, so that trying later can help? Everything else is for the caller to
    /// correct.
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Service { fault, .. } => matches!(fault, ServiceFault::Unavailable | ServiceFault::Throttled),
            Self::Credentials(_) | Self::AwsCredentials(_) | Self::Integrity { .. } => true,
            _ => false,
        }
    }

    /// What to do about it, where there is something to say.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                "csign generate-key-pair makes a key pair; --key takes its path".to_owned()
            }
            Self::WrongPassword => {
                "the password is taken from --password-file, COSIGN_PASSWORD or the prompt, in this order".to_owned()
            }
            Self::NoPassword(_) => "set COSIGN_PASSWORD, or give --password-file FILE".to_owned(),
            Self::Unencrypted => {
                "csign import-key-pair --key FILE encrypts a PKCS#8, PKCS#1 or SEC1 key with a password".to_owned()
            }
            Self::Kdf { .. } => "encrypt the key anew with cosign or csign, which use N=65536 r=8 p=1".to_owned(),
            Self::KeyType(_) => "make a new key pair with csign generate-key-pair".to_owned(),
            Self::Unpinned { example, .. } => format!("append the version, for instance {example}"),
            Self::Alias(uri) => {
                let alias = uri.splitn(4, '/').nth(3).unwrap_or("alias/NAME");
                format!("aws kms describe-key --key-id {alias} shows the key's ARN; awskms:///ARN names it for good")
            }
            Self::UnsupportedProvider(_) | Self::Uri { .. } => REFERENCES.to_owned(),
            Self::NotSet { setting, .. } => format!("set {setting} in the environment"),
            Self::Address { .. } => "https://HOST[:PORT] is needed; http only on the loopback interface".to_owned(),
            Self::AwsCredentials(_) => {
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (aws configure export-credentials --format env prints \
                 them), or AWS_PROFILE to a profile that has both"
                    .to_owned()
            }
            Self::NoPlugin { .. } => format!("install the program that belongs to this key; {REFERENCES}"),
            Self::Credentials(_) => "run gcloud auth application-default login, or set GOOGLE_APPLICATION_CREDENTIALS \
                                     to a credentials file"
                .to_owned(),
            Self::KmsAlgorithm { .. } => {
                "Confidential Space reads signatures of ECDSA P-256 (EC_SIGN_P256_SHA256, ecdsa-p256, ECC_NIST_P256) and \
                 RSA keys; make one of these"
                    .to_owned()
            }
            Self::Integrity { .. } => {
                "try again; if it persists, something between this machine and the service changes its answers"
                    .to_owned()
            }
            Self::Service { service, doing, resource, fault, .. } => {
                return match service {
                    Service::Google => google_hint(doing, resource, *fault),
                    other => other_hint(*other, *fault),
                };
            }
            _ => return None,
        };
        Some(hint)
    }
}

/// What `--key` takes.
const REFERENCES: &str = "a key is a file, \
    gcpkms://projects/P/locations/L/keyRings/R/cryptoKeys/K/cryptoKeyVersions/N, hashivault://KEY/versions/N, \
    openbao://KEY/versions/N, awskms:///ID-OR-ARN, or SCHEME://… with a program sigstore-kms-SCHEME on PATH";

fn other_hint(service: Service, fault: ServiceFault) -> Option<String> {
    let hint = match (service, fault) {
        (Service::Plugin, _) | (_, ServiceFault::Refused) => return None,
        (Service::Transit(_), ServiceFault::PermissionDenied | ServiceFault::Unauthenticated) => {
            "the token is not valid, or its policy lacks read on MOUNT/keys/KEY or update on MOUNT/sign/KEY/*"
        }
        (Service::Transit(_), ServiceFault::NotFound) => {
            "check the key's name and version, TRANSIT_SECRET_ENGINE_PATH (default transit) and the namespace"
        }
        (_, ServiceFault::Unauthenticated) => "the AWS credentials are expired or not accepted; renew them",
        (_, ServiceFault::PermissionDenied) => "the caller needs kms:GetPublicKey and kms:Sign on the key",
        (_, ServiceFault::NotFound) => "check the key's id and the region (AWS_REGION, or the ARN's)",
        (_, ServiceFault::Unusable) => "aws kms describe-key shows its state; aws kms enable-key enables it",
        (_, ServiceFault::Throttled) => "wait a little and try again",
        (_, ServiceFault::Unavailable) => "check the network connection and the service's address, and try again",
    };
    Some(hint.to_owned())
}

fn google_hint(doing: &str, resource: &str, fault: ServiceFault) -> Option<String> {
    Some(match fault {
        ServiceFault::Unauthenticated => {
            "the credentials are expired or not accepted; run gcloud auth application-default login".to_owned()
        }
        ServiceFault::PermissionDenied => match doing {
            SIGNING => "grant roles/cloudkms.signer on the key to the account that signs".to_owned(),
            FETCHING_KEY => "grant roles/cloudkms.publicKeyViewer (or roles/cloudkms.signerVerifier) on the key to \
                             the account in use"
                .to_owned(),
            ENCRYPTING => "grant roles/cloudkms.cryptoKeyEncrypter on the key to the account in use".to_owned(),
            PUBLISHING => "grant roles/pubsub.publisher on the topic to the account in use".to_owned(),
            _ => return None,
        },
        ServiceFault::NotFound => {
            format!("check project, location and names in {resource}; a missing permission can look the same")
        }
        ServiceFault::Unusable => match doing {
            SIGNING | FETCHING_KEY => {
                "gcloud kms keys versions describe shows its state; gcloud kms keys versions enable enables it"
                    .to_owned()
            }
            ENCRYPTING => "its primary version must be enabled: see gcloud kms keys describe".to_owned(),
            _ => return None,
        },
        ServiceFault::Refused => return None,
        ServiceFault::Throttled => "wait a little and try again, or raise the quota of the project".to_owned(),
        ServiceFault::Unavailable => "check the network connection and try again".to_owned(),
    })
}

pub(crate) const FETCHING_KEY: &str = "fetching the public key of";
pub(crate) const SIGNING: &str = "signing with";
pub(crate) const ENCRYPTING: &str = "encrypting with";
#[cfg(feature = "transit")]
pub(crate) const CREATING: &str = "creating";
pub(crate) const PUBLISHING: &str = "publishing to";
