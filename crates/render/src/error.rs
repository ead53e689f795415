//! Why nothing is rendered.

/// Why a target cannot be rendered. Nothing is left for the reader to fill in: what is not known is a refusal.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The settings are no TOML, or have an unknown or mistyped member.
    #[error("parsing the settings: {0}")]
    Settings(#[from] toml::de::Error),
    /// A setting that this target needs and that has no default.
    #[error("the setting {key} is missing: {what}")]
    Missing {
        /// The member of the settings.
        key: &'static str,
        /// What it is.
        what: &'static str,
    },
    /// A value that the service it is for would not accept, or that could be read as something else than a name.
    #[error("{at}: {value:?} is no {want}")]
    Value {
        /// The member of the contract or of the settings.
        at: String,
        /// What stands there.
        value: String,
        /// What belongs there.
        want: &'static str,
    },
    /// The contract has no party of this name that contributes data.
    #[error("{0:?} is no collaborator of the contract: it has {1}")]
    NoCollaborator(String, String),
    /// The role has nothing of this kind.
    #[error("{target} has nothing for the role {role}: it is for {wanted}")]
    Role {
        /// The target.
        target: &'static str,
        /// The role that was asked for.
        role: String,
        /// The roles that it is for.
        wanted: &'static str,
    },
    /// A target that releases something to images, without an image.
    #[error("no image is named, and {0} is about one")]
    NoDigest(&'static str),
    /// A machine runs one image.
    #[error("{0} images are named, and a machine runs one")]
    ManyDigests(usize),
    /// Google accepts no condition or mapping of this length.
    #[error("the {what} has {length} characters, and Google accepts {longest}")]
    TooLong {
        /// What it is.
        what: &'static str,
        /// Its length in characters.
        length: usize,
        /// Google's bound.
        longest: usize,
    },
    /// The contract asks for signatures of which the attestation token can show too few.
    #[error(
        "the grant \"signers\" has nothing to rest on: Confidential Space reads the keys of no party that must sign"
    )]
    NoReadableSigner,
    /// The images are the same.
    #[error("the image {0} is to be replaced by itself")]
    SameDigest(csign_oci::Digest),
    /// Old and new image cannot be admitted side by side.
    #[error("{at} changes from {from:?} to {to:?}, which is a migration and no rotation")]
    Migration {
        /// The member of the contract.
        at: String,
        /// What it was.
        from: String,
        /// What it is to be.
        to: String,
    },
    /// Nothing of this role names an image.
    #[error("{0} has nothing to do in this rotation: the contract stays as it is")]
    NoPart(String),
    /// Vault compares each claim with a list, so it cannot keep two contracts apart.
    #[error("{0} differs between the contracts, and a role in Vault cannot ask for one or the other")]
    VaultDiffers(String),
    /// One image cannot be told from the others that all signed.
    #[error("{0} releases the key to every image that all signed, so none of them can be revoked")]
    SignersKeep(String),
}

impl RenderError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Settings(_) | Self::Missing { .. } => {
                "csign render settings writes a file with every setting explained"
            }
            Self::Value { .. } => "correct it; nothing that is no plain name gets into a script",
            Self::NoCollaborator(..) => "--role collaborator=NAME names a party with a [party.collaborator] table",
            Self::Role { .. } => "choose another role or another target",
            Self::NoDigest(_) => "--digest sha256:… names the image that all agreed on",
            Self::ManyDigests(_) => "give one --digest; the others are for collaborators, who may admit several",
            Self::TooLong { .. } => "admit fewer images at once, or let collaborator.grant be \"signers\"",
            Self::SameDigest(_) => "--from names the image that runs now, --to the one that is to run",
            Self::Migration { .. } => {
                "set the new deployment up beside the old one with csign render, move, and tear the old one down"
            }
            Self::NoPart(_) => "let collaborators and the operator do their parts",
            Self::VaultDiffers(_) => {
                "let vault.role name another role for the new contract, made with csign render vault"
            }
            Self::SignersKeep(_) => {
                "let collaborator.grant be \"digest\" and rotate again; or revoke without --to: then nothing is admitted"
            }
            Self::NoReadableSigner => {
                "let the parties sign with ECDSA P-256 or RSA keys, or let collaborator.grant be \"digest\""
            }
        }
    }
}
