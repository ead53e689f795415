//! Who must have signed, as commands that verify take it: a contract, keys, identities in certificates.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
};

use csign_contract::{Contract, Threshold};
use csign_envelope::{PublicKey, SignatureAlgorithm};
use csign_keyless::{IdentityPolicy, PUBLIC_GOOD_AS_OF, Pattern, TrustedRoot, Verifier};
use csign_keys::{KeyUri, KeysError};
use csign_oci::{Layout, OciError, Pinned, Repository};
use csign_registry::{Client, evidence::Place};
use csign_trust::{Credential, Roster, Signer};

use crate::{
    context::{Context, read, read_public_key},
    failure::Failure,
};

/// Who must have signed.
#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("roster").required(true).multiple(true))]
#[command(group = clap::ArgGroup::new("identity").multiple(true))]
#[command(group = clap::ArgGroup::new("issuer").multiple(true))]
pub(crate) struct RosterArgs {
    /// The contract, whose parties must have signed
    #[arg(long, value_name = "FILE", group = "roster", conflicts_with_all = ["key", "certificate_identity", "certificate_identity_regexp"])]
    pub(crate) contract: Option<PathBuf>,
    /// Accept a contract for the simulator, whose verdicts no hardware protects
    #[arg(long, requires = "contract")]
    pub(crate) allow_simulated: bool,
    /// Ask for this party of the contract only, and all who are named so: what a builder checks before the others have
    /// signed. The contract's threshold and policies are not looked at then
    // clap drops the requirement when something that conflicts with the contract is there, so the conflicts stand here too.
    #[arg(long, value_name = "NAME", requires = "contract", conflicts_with_all = ["key", "certificate_identity", "certificate_identity_regexp"])]
    party: Vec<String>,
    /// A public key that must have signed: a file, or a key of a provider (gcpkms://, awskms://, hashivault://, …); give it
    /// once for each. #ALGORITHM behind a file states another algorithm than the usual one of its type, for instance
    /// alice.pub#RSASSA_PSS_SHA256
    #[arg(long, value_name = "KEY[#ALGORITHM]", group = "roster")]
    key: Vec<KeyArg>,
    /// An identity (mail address or URI) whose certificate must have signed; give it once for each
    #[arg(long, value_name = "NAME", groups = ["roster", "identity"], requires = "issuer")]
    certificate_identity: Vec<String>,
    /// The same as a regular expression, which must match the whole name (cosign matches a part of it)
    #[arg(long, value_name = "REGEXP", groups = ["roster", "identity"], requires = "issuer")]
    certificate_identity_regexp: Vec<String>,
    /// The OpenID Connect issuer that must have confirmed the identities: one for all, or one for each in their order
    #[arg(long, value_name = "URL", group = "issuer", requires = "identity")]
    certificate_oidc_issuer: Vec<String>,
    /// The same as a regular expression, which must match the whole issuer
    #[arg(long, value_name = "REGEXP", group = "issuer", requires = "identity")]
    certificate_oidc_issuer_regexp: Option<String>,
    /// Certificate authorities and logs that are trusted (sigstore's trusted_root.json), instead of those in cosign's
    /// SIGSTORE_* variables, instead of the public ones
    #[arg(long, value_name = "FILE", requires = "identity")]
    trusted_root: Option<PathBuf>,
    /// How many of the keys and identities must have signed
    #[arg(long, value_name = "all|N", default_value = "all", conflicts_with = "contract")]
    threshold: ThresholdArg,
    /// Also accept signatures over the same digest that name this repository, for images that were copied
    #[arg(long, value_name = "REPOSITORY")]
    pub(crate) signed_as: Vec<String>,
    /// Verify the image of this layout, with what csign save or cosign save stored beside it, without any network
    #[arg(long, value_name = "DIR")]
    local_image: Option<PathBuf>,
    /// Look up nothing but the image's own registry; csign never does, so this changes nothing (cosign's option)
    #[arg(long)]
    offline: bool,
}

/// A key, and the algorithm if one is stated.
#[derive(Clone)]
struct KeyArg {
    text: String,
    key: KeyUri,
    algorithm: Option<SignatureAlgorithm>,
}

impl FromStr for KeyArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, algorithm) = match text.rsplit_once('#') {
            Some((name, algorithm)) => {
                let parsed = algorithm.parse().map_err(|error: csign_envelope::UnknownAlgorithm| error.to_string())?;
                (name, Some(parsed))
            }
            None => (text, None),
        };
        Ok(Self { text: text.to_owned(), key: super::key_uri(name)?, algorithm })
    }
}

impl KeyArg {
    async fn read(&self, context: &Context) -> Result<PublicKey, Failure> {
        let key = match &self.key {
            KeyUri::File(path) => read_public_key(path)?,
            provider => {
                let password = |_: &Path| Err(KeysError::NoPassword("a public key needs none".to_owned()));
                csign_keys::public_key(provider, &context.key_services(provider)?.options(&password)).await?
            }
        };
        match self.algorithm {
            None => Ok(key),
            Some(algorithm) => {
                key.with_algorithm(algorithm).map_err(|error| Failure::usage(format_args!("{}: {error}", self.text)))
            }
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

/// What is verified, and where what is attached to it is read.
pub(crate) struct Subject {
    pub(crate) image: Pinned,
    client: Option<Client>,
    layout: Option<Layout>,
    attachments: Pinned,
}

impl Subject {
    pub(crate) fn place(&self) -> Result<Place<'_>, Failure> {
        match (&self.client, &self.layout) {
            (Some(client), _) => Ok(Place::Registry(client, self.attachments.clone())),
            (None, Some(layout)) => Ok(Place::Layout(layout, self.attachments.clone())),
            (None, None) => Err(Failure::usage("there is no image")),
        }
    }
}

impl RosterArgs {
    /// The image: as given, or that of the layout, in the repository of `image`, of the contract or of --signed-as.
    pub(crate) fn subject(&self, image: Option<&str>, context: &Context) -> Result<Subject, Failure> {
        let image = image.map(Pinned::parse).transpose()?;
        let Some(path) = &self.local_image else {
            let image = image.ok_or_else(|| Failure::usage("there is no image").hint("give IMAGE@DIGEST"))?;
            let attachments = context.attachments_of(&image);
            return Ok(Subject { image, client: Some(context.registry()?), layout: None, attachments });
        };
        let layout = Layout::open(path)?;
        let digest = layout.check_image().map_err(damaged)?.digest;
        let image = match image {
            Some(image) if image.digest == digest => image,
            Some(image) => {
                return Err(Failure::rejected(format_args!("the layout holds {digest}, not {}", image.digest)));
            }
            None => self.repository(context)?.at(digest),
        };
        Ok(Subject { attachments: image.clone(), image, client: None, layout: Some(layout) })
    }

    /// The contract, where the roster comes from one.
    pub(crate) fn contract(&self, context: &Context) -> Result<Option<Contract>, Failure> {
        self.contract.as_ref().map(|path| context.contract(path, self.allow_simulated)).transpose()
    }

    /// Are only some parties asked for?
    pub(crate) const fn is_partial(&self) -> bool {
        !self.party.is_empty()
    }

    fn repository(&self, context: &Context) -> Result<Repository, Failure> {
        if let Some(path) = &self.contract {
            return Ok(context.contract(path, self.allow_simulated)?.image.repository);
        }
        let named = self.signed_as.first().ok_or_else(|| {
            Failure::usage("a layout does not say which repository its image is from, and signatures name one")
                .hint("give IMAGE@DIGEST, --contract, or --signed-as REPOSITORY")
        })?;
        Ok(Repository::parse(named)?)
    }

    /// The roster for `image`.
    pub(crate) async fn roster(&self, image: &Pinned, context: &Context) -> Result<Roster, Failure> {
        if let Some(path) = &self.contract {
            let contract = context.contract(path, self.allow_simulated)?;
            let repository = &contract.image.repository;
            if *repository != image.repository && !self.signed_as.iter().any(|name| *name == repository.to_string()) {
                return Err(Failure::rejected(format_args!("the contract is about {repository}, not {}", image.repository))
                    .hint("verify the image where the contract says that it is; for a copy add --signed-as with the contract's repository"));
            }
            if self.party.is_empty() {
                return Ok(Roster::of_contract(&contract)?);
            }
            context.note(format_args!(
                "note: only {} asked for; the contract requires {} of {} parties",
                self.party.join(", "),
                contract.signatures.threshold.required(contract.parties.len()),
                contract.parties.len()
            ));
            return Ok(Roster::of_parties(&contract, &self.party)?);
        }
        let mut signers = Vec::new();
        for key in &self.key {
            signers.push(Signer::with_key(&key.text, key.read(context).await?));
        }
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
            [one] => Ok(names.into_iter().map(|name| by_certificate(name, one.clone())).collect()),
            all if all.len() == names.len() => {
                Ok(names.into_iter().zip(all).map(|(name, issuer)| by_certificate(name, issuer.clone())).collect())
            }
            all => Err(Failure::usage(format_args!("{} identities and {} issuers", names.len(), all.len()))
                .hint("give --certificate-oidc-issuer once for all identities, or once for each in their order")),
        }
    }

    /// What checks certificates, where identities were asked for.
    pub(crate) fn certificates(&self, context: &Context) -> Result<Option<Verifier>, Failure> {
        if self.certificate_identity.is_empty() && self.certificate_identity_regexp.is_empty() {
            return Ok(None);
        }
        Ok(Some(Verifier::new(&self.trusted_root(context)?, context.now())?))
    }

    /// --trusted-root, else what cosign's variables name, else the public services.
    fn trusted_root(&self, context: &Context) -> Result<TrustedRoot, Failure> {
        let sigstore = &context.environment.sigstore;
        if let Some(path) = &self.trusted_root {
            let set = sigstore.set();
            if !set.is_empty() {
                context.note(format_args!("note: --trusted-root is used; {} not looked at", set.join(", ")));
            }
            return TrustedRoot::parse(&read(path)?).map_err(|error| Failure::from(error).in_file(path));
        }
        if let Some(root) = sigstore.trusted_root()? {
            return Ok(root);
        }
        context.note(format_args!(
            "note: trusting sigstore's public services as of {PUBLIC_GOOD_AS_OF}; --trusted-root FILE takes a newer root"
        ));
        Ok(TrustedRoot::public_good()?)
    }
}

/// Content that is not what its digest says is no image that anyone signed.
pub(crate) fn damaged(error: OciError) -> Failure {
    match error {
        OciError::Mismatch { .. } | OciError::Size { .. } => {
            Failure::rejected(format_args!("the layout is damaged: {error}"))
        }
        other => other.into(),
    }
}

fn by_certificate(identity: Pattern, issuer: Pattern) -> Signer {
    let name = identity.to_string();
    Signer { name, credential: Credential::Identity(IdentityPolicy { identity, issuer }.into()) }
}
