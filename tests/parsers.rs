//! The fuzzed functions over mutated seeds: a small, repeatable dose of what `just fuzz` does at length.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failure here fails the test")]

#[allow(unreachable_pub, reason = "it is public where it is a library")]
#[path = "../fuzz/src/parsers.rs"]
mod parsers;
#[path = "../fuzz/src/seeds.rs"]
mod seeds;

use std::panic;

use crate::parsers::{PARSERS, Parser};

/// Mutations of one seed.
const ROUNDS: usize = 400;

#[test]
fn every_parser_accepts_its_seed_and_refuses_a_question_mark() {
    for Parser { name, accepts, seed } in PARSERS {
        assert!(accepts(&seed()), "{name} refuses its seed");
        assert!(!accepts(b"?"), "{name} accepts a question mark");
    }
}

#[test]
fn no_parser_panics_on_a_truncated_or_damaged_seed() {
    for Parser { name, accepts, seed } in PARSERS {
        let seed = seed();
        let mut random = Random(0x5eed);
        let truncated = (0..seed.len()).map(|length| seed[..length].to_vec());
        let damaged = std::iter::repeat_with(|| damage(&seed, &mut random)).take(ROUNDS);
        for input in truncated.chain(damaged) {
            let outcome = panic::catch_unwind(|| accepts(&input));
            assert!(outcome.is_ok(), "{name} panics on {:?}", String::from_utf8_lossy(&input));
        }
    }
}

#[test]
fn every_parser_has_a_name_of_its_own() {
    for (index, Parser { name, .. }) in PARSERS.iter().enumerate() {
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name} names a file");
        assert!(PARSERS[..index].iter().all(|earlier| earlier.name != *name), "{name} is there twice");
    }
}

/// What parsers stumble over.
const WORDS: [&[u8]; 16] =
    [b"\"", b"{", b"[", b"]", b"}", b",", b":", b"\\", b"\0", b"\xff", b"null", b"-1", b"1e999", b"=", b"\n", b"../"];

fn damage(seed: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len() + 1);
        let end = at + random.below((bytes.len() - at).min(40) + 1);
        match random.below(4) {
            0 => bytes.splice(at..end, []).for_each(drop),
            1 => bytes.splice(at..at, bytes[at..end].to_vec()).for_each(drop),
            2 => bytes.splice(at..end, WORDS[random.below(WORDS.len())].to_vec()).for_each(drop),
            _ => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << random.below(8)),
        }
    }
    bytes
}

/// xorshift64: the same mutations on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }
}
