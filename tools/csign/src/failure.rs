//! How a command fails: an exit status, what happened, and what to do about it.

use std::{fmt, io, path::Path};

use csign_trust::ExitStatus;

/// A failed command.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: ExitStatus,
    message: String,
    hint: Option<String>,
}

impl Failure {
    pub(crate) fn new(status: ExitStatus, message: impl fmt::Display) -> Self {
        Self { status, message: message.to_string(), hint: None }
    }

    /// Called wrongly, or a file that makes no sense.
    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self::new(ExitStatus::Usage, message)
    }

    /// Checked, and not to be trusted.
    pub(crate) fn rejected(message: impl fmt::Display) -> Self {
        Self::new(ExitStatus::Rejected, message)
    }

    /// Something needed for the answer could not be read or written.
    pub(crate) fn could_not_check(message: impl fmt::Display) -> Self {
        Self::new(ExitStatus::CouldNotCheck, message)
    }

    /// A file that cannot be read is a wrong call; one that cannot be written is not.
    pub(crate) fn reading(path: &Path, error: &io::Error) -> Self {
        let status =
            if error.kind() == io::ErrorKind::NotFound { ExitStatus::Usage } else { ExitStatus::CouldNotCheck };
        Self::new(status, format_args!("reading {}: {error}", path.display()))
    }

    pub(crate) fn writing(path: &Path, error: &io::Error) -> Self {
        Self::could_not_check(format_args!("writing {}: {error}", path.display()))
    }

    /// The same, about this file.
    pub(crate) fn in_file(mut self, path: &Path) -> Self {
        self.message = format!("{}: {}", path.display(), self.message);
        self
    }

    pub(crate) fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    /// What happened.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it.
    pub(crate) fn advice(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// What a person reads on stderr.
    pub(crate) fn text(&self) -> String {
        match &self.hint {
            Some(hint) => format!("error: {}\nhint: {hint}\n", self.message),
            None => format!("error: {}\n", self.message),
        }
    }
}

impl From<csign_registry::Error> for Failure {
    fn from(error: csign_registry::Error) -> Self {
        Self::could_not_check(&error).hint(error.hint())
    }
}

impl From<csign_attestation::TokenError> for Failure {
    fn from(error: csign_attestation::TokenError) -> Self {
        let failure = Self::rejected(&error);
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

impl From<csign_keys::KeysError> for Failure {
    fn from(error: csign_keys::KeysError) -> Self {
        let failure = if error.is_unavailable() { Self::could_not_check(&error) } else { Self::usage(&error) };
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

/// What a person gave is refused: a policy, or what is to be trusted. A check reports signatures itself.
impl From<csign_keyless::KeylessError> for Failure {
    fn from(error: csign_keyless::KeylessError) -> Self {
        match error.hint() {
            Some(hint) => Self::usage(&error).hint(hint),
            None => Self::usage(&error),
        }
    }
}

impl From<csign_contract::ContractError> for Failure {
    fn from(error: csign_contract::ContractError) -> Self {
        Self::usage(error).hint("csign init writes a commented contract to compare with")
    }
}

impl From<csign_policy::PolicyError> for Failure {
    fn from(error: csign_policy::PolicyError) -> Self {
        let failure = if error.is_unavailable() { Self::could_not_check(&error) } else { Self::usage(&error) };
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

impl From<csign_policy::ContractPolicyError> for Failure {
    fn from(error: csign_policy::ContractPolicyError) -> Self {
        Self::usage(error).hint("csign policy check FILE shows what is wrong with the policy's text")
    }
}

impl From<csign_trust::RosterError> for Failure {
    fn from(error: csign_trust::RosterError) -> Self {
        Self::usage(error)
    }
}

impl From<csign_oci::ReferenceError> for Failure {
    fn from(error: csign_oci::ReferenceError) -> Self {
        let tagged = match &error {
            csign_oci::ReferenceError::NotPinned(text) => {
                Some(format!("csign digest {text} shows what the tag names now"))
            }
            _ => None,
        };
        match tagged {
            Some(hint) => Self::usage(error).hint(hint),
            None => Self::usage(error),
        }
    }
}

impl From<csign_oci::OciError> for Failure {
    fn from(error: csign_oci::OciError) -> Self {
        Self::could_not_check(error)
    }
}

impl From<csign_trust::exchange::RequestError> for Failure {
    fn from(error: csign_trust::exchange::RequestError) -> Self {
        match error {
            csign_trust::exchange::RequestError::Mismatch { .. } => Self::rejected(error)
                .hint("ask the builder for a request made from the same contract (csign contract digest)"),
            _ => Self::usage(error),
        }
    }
}

impl From<crate::recipe::RecipeError> for Failure {
    fn from(error: crate::recipe::RecipeError) -> Self {
        use crate::recipe::RecipeError;
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(deeper) = cause {
            text.push_str(&format!(": {deeper}"));
            cause = deeper.source();
        }
        match error {
            RecipeError::OtherImage(_) => Self::rejected(text),
            RecipeError::NoContractFile | RecipeError::NoLabel { .. } => Self::usage(text),
            _ => Self::could_not_check(text),
        }
    }
}

impl From<csign_trust::exchange::RecordError> for Failure {
    fn from(error: csign_trust::exchange::RecordError) -> Self {
        use csign_trust::exchange::RecordError;
        match error {
            RecordError::Mismatch { .. } | RecordError::NotRebuilt => {
                Self::rejected(error).hint("rebuild again for this very request: csign rebuild")
            }
            RecordError::Json(_) | RecordError::Kind { .. } => Self::usage(error),
        }
    }
}

impl From<csign_trust::exchange::ApprovalError> for Failure {
    fn from(error: csign_trust::exchange::ApprovalError) -> Self {
        use csign_trust::exchange::ApprovalError;
        match error {
            ApprovalError::Json(_) | ApprovalError::Kind { .. } => Self::usage(error),
            _ => Self::rejected(error).hint("ask that party to approve the present request again"),
        }
    }
}

impl From<csign_envelope::statement::StatementError> for Failure {
    fn from(error: csign_envelope::statement::StatementError) -> Self {
        Self::usage(error)
    }
}

impl From<csign_sbom::SbomError> for Failure {
    fn from(error: csign_sbom::SbomError) -> Self {
        use csign_sbom::SbomError;
        let failure = match error {
            SbomError::DiffId { .. } => Self::rejected(&error),
            SbomError::Layer { .. } | SbomError::Compression { .. } => Self::could_not_check(&error),
            _ => Self::usage(&error),
        };
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}
