//! A sum over a set of rows that does not depend on their order: the sum of their tags modulo 2²⁵⁶ (Clarke and others,
//! "Incremental Multiset Hash Functions", 2003). The tags are HMACs under a secret key, so nobody without it finds
//! another set of rows with the same sum.

use std::fmt;

use serde::{Deserialize, Serialize, de};

use super::codec::Key;

/// The sum, as four words with the lowest first.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sum([u64; 4]);

impl Sum {
    /// A row is there now.
    pub(crate) fn add(&mut self, tag: &Key) {
        let mut carry = false;
        for (limb, other) in self.0.iter_mut().zip(limbs(tag)) {
            let (sum, first) = limb.overflowing_add(other);
            let (sum, second) = sum.overflowing_add(u64::from(carry));
            (*limb, carry) = (sum, first || second);
        }
    }

    /// A row is no longer there.
    pub(crate) fn remove(&mut self, tag: &Key) {
        let mut borrow = false;
        for (limb, other) in self.0.iter_mut().zip(limbs(tag)) {
            let (difference, first) = limb.overflowing_sub(other);
            let (difference, second) = difference.overflowing_sub(u64::from(borrow));
            (*limb, borrow) = (difference, first || second);
        }
    }
}

fn limbs(tag: &Key) -> [u64; 4] {
    let mut limbs = [0; 4];
    for (limb, bytes) in limbs.iter_mut().zip(tag.as_chunks::<8>().0) {
        *limb = u64::from_le_bytes(*bytes);
    }
    limbs
}

impl fmt::Debug for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d] = self.0;
        write!(f, "{d:016x}{c:016x}{b:016x}{a:016x}")
    }
}

impl Serialize for Sum {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{self:?}"))
    }
}

impl<'de> Deserialize<'de> for Sum {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let limb = |place: usize| text.get(place..place + 16).and_then(|hex| u64::from_str_radix(hex, 16).ok());
        match (text.len(), limb(48), limb(32), limb(16), limb(0)) {
            (64, Some(a), Some(b), Some(c), Some(d)) => Ok(Self([a, b, c, d])),
            _ => Err(de::Error::custom("a sum has 64 hexadecimal digits")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_does_not_depend_on_the_order_and_takes_back_what_it_was_given() {
        let tags: [Key; 3] = [[0xff; 32], [0x80; 32], [1; 32]];
        let mut forward = Sum::default();
        tags.iter().for_each(|tag| forward.add(tag));
        let mut backward = Sum::default();
        tags.iter().rev().for_each(|tag| backward.add(tag));
        assert_eq!(forward, backward);
        let text = serde_json::to_string(&forward).expect("writes");
        assert_eq!(serde_json::from_str::<Sum>(&text).expect("reads"), forward);
        tags.iter().for_each(|tag| forward.remove(tag));
        assert_eq!(forward, Sum::default());
        forward.remove(&[1; 32]);
        forward.add(&[1; 32]);
        assert_eq!(forward, Sum::default());
    }
}
