//! Who must have signed, as commands that verify take it: a contract, keys, identities in certificates.

use std::{path::PathBuf, str::FromStr};

use csign_contract::Threshold;
use csign_envelope::{PublicKey, SignatureAlgorithm};
use csign_keyless::{PUBLIC_GOOD_AS_OF, Pattern, TrustedRoot};
use csign_oci::{Digest, Pinned};
use csign_trust::{Roster, Signer};

use crate::{
    context::{Context, read, read_public_key},
    failure::Failure,
    identities::{self, Certificates},
};

/// Who must have signed.
#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("roster").required(true).multiple(true))]
pub(crate) struct RosterArgs {
    /// The contract, whose parties must have signed
    #[arg(long, value_name = "FILE", group = "roster", conflicts_with_all = ["key", "certificate_identity", "certificate_identity_regexp"])]
    pub(crate) contract: Option<PathBuf>,
    /// Accept a contract for the simulator, whose verdicts no hardware protects
    #[arg(long, requires = "contract")]
    pub(crate) allow_simulated: bool,
    /// A public key that must have signed; give it once for each. #ALGORITHM behind the file states another algorithm than
    /// the usual one of its type, for instance alice.pub#RSASSA_PSS_SHA256
    #[arg(long, value_name = "FILE[#ALGORITHM]", group = "roster")]
    key: Vec<KeyArg>,
    /// An identity (mail address or URI) whose certificate must have signed; give it once for each
    #[arg(long, value_name = "NAME", group = "roster", requires = "issuer")]
    certificate_identity: Vec<String>,
    /// The same as a regular expression, which must match the whole name (cosign matches a part of it)
    #[arg(long, value_name = "REGEXP", group = "roster", requires = "issuer")]
    certificate_identity_regexp: Vec<String>,
    /// The OpenID Connect issuer that must have confirmed the identities: one for all, or one for each in their order
    #[arg(long, value_name = "URL", group = "issuer")]
    certificate_oidc_issuer: Vec<String>,
    /// The same as a regular expression, which must match the whole issuer
    #[arg(long, value_name = "REGEXP", group = "issuer")]
    certificate_oidc_issuer_regexp: Option<String>,
    /// Certificate authorities and logs that are trusted (sigstore's trusted_root.json)
    #[arg(long, value_name = "FILE")]
    trusted_root: Option<PathBuf>,
    /// How many of the keys and identities must have signed
    #[arg(long, value_name = "all|N", default_value = "all", conflicts_with = "contract")]
    threshold: ThresholdArg,
    /// Also accept signatures over the same digest that name this repository, for images that were copied
    #[arg(long, value_name = "REPOSITORY")]
    pub(crate) signed_as: Vec<String>,
    /// Look up nothing but the image's own registry; csign never does, so this changes nothing (cosign's option)
    #[arg(long)]
    offline: bool,
}

/// A key file, and the algorithm if one is stated.
#[derive(Clone)]
struct KeyArg {
    path: PathBuf,
    algorithm: Option<SignatureAlgorithm>,
}

impl FromStr for KeyArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.rsplit_once('#') {
            Some((path, algorithm)) => {
                let algorithm =
                    algorithm.parse().map_err(|error: csign_envelope::UnknownAlgorithm| error.to_string())?;
                Ok(Self { path: path.into(), algorithm: Some(algorithm) })
            }
            None => Ok(Self { path: text.into(), algorithm: None }),
        }
    }
}

impl KeyArg {
    fn read(&self) -> Result<PublicKey, Failure> {
        let key = read_public_key(&self.path)?;
        match self.algorithm {
            None => Ok(key),
            Some(algorithm) => key
                .with_algorithm(algorithm)
                .map_err(|error| Failure::usage(format_args!("{}: {error}", self.path.display()))),
        }
    }
}

#[derive(Clone, Copy)]
struct ThresholdArg(Threshold);

impl FromStr for ThresholdArg {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl RosterArgs {
    /// The roster for `image`.
    pub(crate) fn roster(&self, image: &Pinned, context: &Context) -> Result<Roster, Failure> {
        if let Some(path) = &self.contract {
            let contract = context.contract(path, self.allow_simulated)?;
            let repository = &contract.image.repository;
            if *repository != image.repository && !self.signed_as.iter().any(|name| *name == repository.to_string()) {
                return Err(Failure::rejected(format_args!("the contract is about {repository}, not {}", image.repository))
                    .hint("verify the image where the contract says that it is; for a copy add --signed-as with the contract's repository"));
            }
            return Ok(Roster::of_contract(&contract)?);
        }
        let key = |arg: &KeyArg| Ok(Signer::with_key(arg.path.display().to_string(), arg.read()?));
        let mut signers = self.key.iter().map(key).collect::<Result<Vec<_>, Failure>>()?;
        signers.extend(self.identities()?);
        Ok(Roster::new(signers, self.threshold.0)?)
    }

    fn identities(&self) -> Result<Vec<Signer>, Failure> {
        let exact = self.certificate_identity.iter().map(|text| Pattern::exact(text));
        let regexp = self.certificate_identity_regexp.iter().map(|text| Pattern::regexp(text));
        let names = exact.chain(regexp).collect::<Result<Vec<_>, _>>().map_err(Failure::usage)?;
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let issuers = match &self.certificate_oidc_issuer_regexp {
            Some(text) if self.certificate_oidc_issuer.is_empty() => vec![Pattern::regexp(text)],
            Some(_) => return Err(Failure::usage("an issuer is a text or a regular expression, not both")),
            None => self.certificate_oidc_issuer.iter().map(|text| Pattern::exact(text)).collect(),
        };
        let issuers = issuers.into_iter().collect::<Result<Vec<_>, _>>().map_err(Failure::usage)?;
        match issuers.as_slice() {
            [one] => Ok(names.into_iter().map(|name| identities::signer(name, one.clone())).collect()),
            all if all.len() == names.len() => {
                Ok(names.into_iter().zip(all).map(|(name, issuer)| identities::signer(name, issuer.clone())).collect())
            }
            all => Err(Failure::usage(format_args!("{} identities and {} issuers", names.len(), all.len()))
                .hint("give --certificate-oidc-issuer once for all identities, or once for each in their order")),
        }
    }

    /// What checks certificates, where identities were asked for.
    pub(crate) fn certificates(&self, image: &Digest, context: &Context) -> Result<Option<Certificates>, Failure> {
        if self.certificate_identity.is_empty() && self.certificate_identity_regexp.is_empty() {
            return Ok(None);
        }
        let root = match &self.trusted_root {
            Some(path) => TrustedRoot::parse(&read(path)?)
                .map_err(|error| Failure::usage(format_args!("{}: {error}", path.display()))),
            None => {
                context.note(format_args!(
                    "note: trusting sigstore's public services as of {PUBLIC_GOOD_AS_OF}; --trusted-root FILE takes a newer root"
                ));
                TrustedRoot::public_good().map_err(Failure::usage)
            }
        }?;
        Certificates::new(&root, context.now(), *image).map(Some)
    }
}
