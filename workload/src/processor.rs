//! What is done with a collaborator's data: its words are counted. Another processor goes here.

use std::collections::BTreeMap;

use crate::kms::Plaintext;

/// Code of a message that decrypts and is no text.
pub(crate) const NOT_TEXT: &str = "not-text";

/// How often each word occurs in one message.
#[derive(PartialEq, Eq)]
pub(crate) struct Words(pub(crate) BTreeMap<String, u64>);

/// Splits UTF-8 text at white space.
///
/// # Errors
/// [`NOT_TEXT`]: the message is poison; it will never be text.
pub(crate) fn words(plaintext: &Plaintext) -> Result<Words, &'static str> {
    words_of(plaintext.expose())
}

/// The same of bytes that arrived in the clear.
pub(crate) fn words_of(bytes: &[u8]) -> Result<Words, &'static str> {
    let text = std::str::from_utf8(bytes).map_err(|_| NOT_TEXT)?;
    let mut words = BTreeMap::new();
    for word in text.split_whitespace() {
        *words.entry(word.to_owned()).or_default() += 1;
    }
    Ok(Words(words))
}

impl Words {
    /// How many words there are, repetitions included.
    pub(crate) fn total(&self) -> u64 {
        self.0.values().sum()
    }
}
