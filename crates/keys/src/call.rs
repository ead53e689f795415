//! One operation on one key of a service, for errors that name both.

use crate::{KeysError, Service, ServiceFault};

/// What is done with which key of whose service.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) service: Service,
    /// For instance "signing with".
    pub(crate) doing: &'static str,
    pub(crate) resource: &'a str,
}

impl Call<'_> {
    /// The answer is not what it must be.
    pub(crate) fn integrity(&self, why: &'static str) -> KeysError {
        KeysError::Integrity { doing: self.doing, resource: self.resource.to_owned(), why }
    }

    /// Checks an answer.
    pub(crate) fn that(&self, holds: bool, otherwise: &'static str) -> Result<(), KeysError> {
        if holds { Ok(()) } else { Err(self.integrity(otherwise)) }
    }

    /// The service refused; `message` is made fit for a terminal.
    pub(crate) fn fault(&self, fault: ServiceFault, message: &str) -> KeysError {
        let (resource, message) = (self.resource.to_owned(), printable(message));
        KeysError::Service { service: self.service, doing: self.doing, resource, fault, message }
    }

    /// The key has an algorithm that csign does not sign with.
    pub(crate) fn algorithm(&self, got: &str) -> KeysError {
        KeysError::KmsAlgorithm { resource: self.resource.to_owned(), got: printable(got) }
    }
}

/// A service's words for a terminal: one line, no control characters, not endless.
pub(crate) fn printable(message: &str) -> String {
    message.chars().take(600).map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_message_cannot_control_the_terminal() {
        assert_eq!(printable("\u{1b}[2Jgone\r\nnext\u{9b}x"), "[2Jgone  next x");
        assert_eq!(printable(&"x".repeat(5000)).len(), 600);
    }
}
