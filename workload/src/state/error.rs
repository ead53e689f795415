//! Why the state cannot be read or written, and what to do about it.

use csign_trust::ExitStatus;

/// Why the state cannot be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// The file, the database or the way to it does not work now; it may later.
    #[error("{doing} the state: {why}")]
    Unavailable {
        /// What was being done.
        doing: &'static str,
        /// The system's or the server's answer.
        why: String,
    },
    /// The store was made for another contract.
    #[error("the state belongs to the contract {found}, not to this one, {want}")]
    AnotherContract {
        /// The digest that the store names.
        found: String,
        /// This contract's.
        want: String,
    },
    /// A newer workload made the store.
    #[error("the state has format {found}; this workload knows formats up to {known}")]
    Newer {
        /// The store's format.
        found: u64,
        /// The newest that is known here.
        known: u64,
    },
    /// Somebody else wrote into the store, or took from it, or set it back.
    #[error("the state was tampered with: {what}")]
    Tampered {
        /// What shows it.
        what: String,
    },
    /// The store's key cannot be obtained.
    #[error("obtaining the state's key: {0}")]
    Key(String),
    /// The database's password cannot be obtained.
    #[error("obtaining the database's password: {0}")]
    Password(String),
    /// The contract describes a store that cannot be.
    #[error("the contract's [state]: {0}")]
    Contract(String),
    /// The machine has no random bytes, or a value is larger than any can be.
    #[error("sealing the state failed")]
    Cryptography,
    /// The workload is stopping.
    #[error("the state is closed")]
    Closed,
}

impl StateError {
    pub(crate) fn tampered(what: impl Into<String>) -> Self {
        Self::Tampered { what: what.into() }
    }

    pub(crate) fn opening(why: impl ToString) -> Self {
        Self::Unavailable { doing: "opening", why: why.to_string() }
    }

    pub(crate) fn reading(why: impl ToString) -> Self {
        Self::Unavailable { doing: "reading", why: why.to_string() }
    }

    pub(crate) fn writing(why: impl ToString) -> Self {
        Self::Unavailable { doing: "writing", why: why.to_string() }
    }

    /// Will it never work again while this workload runs?
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Tampered { .. } | Self::AnotherContract { .. } | Self::Newer { .. })
    }

    /// Untrusted, wrongly made, or could not check.
    pub const fn status(&self) -> ExitStatus {
        match self {
            Self::Tampered { .. } => ExitStatus::Rejected,
            Self::AnotherContract { .. } | Self::Newer { .. } | Self::Contract(_) => ExitStatus::Usage,
            Self::Unavailable { .. } | Self::Key(_) | Self::Password(_) | Self::Cryptography | Self::Closed => {
                ExitStatus::CouldNotCheck
            }
        }
    }

    /// What to do about it.
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Unavailable { .. } => "the store must be reachable, writable and have free space",
            Self::AnotherContract { .. } => "give every contract a database of its own",
            Self::Newer { .. } => "run the workload that made it; formats only go forward",
            Self::Tampered { .. } => {
                "find out who changed the database or restored a backup; the counts in it can no longer be relied on"
            }
            Self::Key(_) => "may the workload's identity encrypt and decrypt with the key that [state.key] names?",
            Self::Password(_) => "may the machine's account read the version that password_secret names?",
            Self::Contract(_) => "correct the contract, then build and have it signed again",
            Self::Cryptography => "look at the machine's kernel log",
            Self::Closed => "the workload is stopping; the message will be delivered again",
        }
    }
}

/// Why a transaction was not written.
#[derive(Debug)]
pub(crate) enum CommitError {
    /// Something in it cannot be written; the other effects may be.
    Refused(StateError),
    /// Nothing can be written now, or ever.
    Failed(StateError),
}
