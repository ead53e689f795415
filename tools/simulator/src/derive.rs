//! Keys that follow from a seed: the same configuration has the same keys. Nothing real may rest on such a key.

use rand_core::{TryCryptoRng, TryRng};
use sha2::{Digest as _, Sha256};
use std::convert::Infallible;

/// SHA-256 of the seed, a purpose and a name, each with its length, so that no two combinations collide.
pub(crate) fn derive(seed: &str, purpose: &str, name: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [seed, purpose, name] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// A deterministic stream of bytes: SHA-256 over the seed and a counter.
pub(crate) struct SeededRng {
    seed: [u8; 32],
    counter: u64,
    block: [u8; 32],
    used: usize,
}

impl SeededRng {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self { seed, counter: 0, block: [0; 32], used: 32 }
    }

    fn byte(&mut self) -> u8 {
        if self.used == self.block.len() {
            let mut hash = Sha256::new();
            hash.update(self.seed);
            hash.update(self.counter.to_be_bytes());
            self.block = hash.finalize().into();
            self.counter += 1;
            self.used = 0;
        }
        let byte = self.block[self.used];
        self.used += 1;
        byte
    }
}

impl TryRng for SeededRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, target: &mut [u8]) -> Result<(), Infallible> {
        for slot in target {
            *slot = self.byte();
        }
        Ok(())
    }
}

impl TryCryptoRng for SeededRng {}

/// The P-256 signing key of `name`: the first derived candidate that is a valid scalar.
pub(crate) fn p256_key(seed: &str, name: &str) -> crate::Result<p256::ecdsa::SigningKey> {
    (0..8)
        .find_map(|attempt| {
            let candidate = derive(seed, &format!("p256 {attempt}"), name);
            p256::ecdsa::SigningKey::from_slice(&candidate).ok()
        })
        .ok_or_else(|| crate::Error::Key(format!("no valid P-256 scalar for {name}")))
}
