//! Values that must not be printed, copied or left in memory.

use std::fmt;

use zeroize::Zeroizing;

use crate::KeysError;

/// The password of a key file. It may be empty, as cosign's may.
pub struct Password(Zeroizing<Vec<u8>>);

impl Password {
    /// Takes over the bytes as they are.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    /// The content of a password file: one line ending at the end does not belong to the password.
    pub fn from_file_contents(bytes: Vec<u8>) -> Self {
        let mut password = Self::new(bytes);
        if password.0.last() == Some(&b'\n') {
            password.0.pop();
            if password.0.last() == Some(&b'\r') {
                password.0.pop();
            }
        }
        password
    }

    /// Is it empty? Then the key file protects nothing, which deserves a warning.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Are two entries of a password the same?
    pub fn matches(&self, other: &Self) -> bool {
        *self.0 == *other.0
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// A bearer token.
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes over a token.
    ///
    /// # Errors
    /// Empty, or with characters that cannot stand in an HTTP header.
    pub fn new(token: impl Into<String>) -> Result<Self, KeysError> {
        let token = Zeroizing::new(token.into());
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(KeysError::Invalid("the access token is empty or has characters that a token cannot have"));
        }
        Ok(Self(token))
    }

    /// The token itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_shows_nothing() {
        let shown = format!("{:?} {:?}", Password::new("hunter2"), Secret::new("ya29.token").expect("token"));
        assert_eq!(shown, "Password(…) Secret(…)");
    }

    #[test]
    fn one_line_ending_of_a_password_file_is_not_password() {
        for (contents, password) in [("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), (" a", " a"), ("\n", "")] {
            assert!(Password::from_file_contents(contents.into()).matches(&Password::new(password)), "{contents:?}");
        }
    }

    #[test]
    fn a_token_that_would_break_a_header_is_refused() {
        for token in ["", "a b", "a\r\nX-Other: b", "ä"] {
            assert!(Secret::new(token).is_err(), "{token:?}");
        }
    }
}
