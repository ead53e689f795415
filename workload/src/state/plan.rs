//! What a transaction changes. It is worked out here, for every store alike, from what the store holds; the store then
//! writes all of it or nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::{
    Recorded,
    codec::{Codec, Head, Key, Number},
    error::StateError,
};

/// Refused deliveries that are kept one by one; further ones are only counted, so that rubbish fills no disk.
const REFUSED_LIMIT: u64 = 100_000;

/// What one message does to the state.
pub(crate) struct Effect {
    /// Its row; where it is there already, the effect was had.
    id: Key,
    what: What,
}

enum What {
    Count(Vec<(Key, String, u64)>),
    Refuse(String),
}

impl Effect {
    /// A message's words go into the counts.
    pub(crate) fn count(codec: &Codec, collaborator: &str, message: &str, words: &BTreeMap<String, u64>) -> Self {
        let words = words.iter().map(|(word, times)| (codec.word(word), word.clone(), *times)).collect();
        Self { id: codec.message(collaborator, message), what: What::Count(words) }
    }

    /// A delivery was refused for good.
    pub(crate) fn refuse(codec: &Codec, delivery: &str, code: &str) -> Self {
        Self { id: codec.delivery(delivery), what: What::Refuse(code.to_owned()) }
    }

    pub(crate) const fn id(&self) -> Key {
        self.id
    }

    /// About how many bytes it holds.
    pub(crate) fn size(&self) -> usize {
        let words = match &self.what {
            What::Count(words) => words.iter().map(|(_, word, _)| size_of::<(Key, String, u64)>() + word.len()).sum(),
            What::Refuse(_) => 0,
        };
        size_of::<Self>() + words
    }
}

/// The rows that effects are about, sorted: what a store reads before [`Plan::of`].
pub(crate) fn rows(effects: &[Effect]) -> (Vec<Key>, Vec<Key>) {
    let ids: BTreeSet<Key> = effects.iter().map(Effect::id).collect();
    let mut words = BTreeSet::new();
    for effect in effects {
        if let What::Count(counted) = &effect.what {
            words.extend(counted.iter().map(|(key, _, _)| *key));
        }
    }
    (ids.into_iter().collect(), words.into_iter().collect())
}

/// What a transaction writes, and what became of each effect.
pub(crate) struct Plan {
    /// New rows of messages and deliveries, sorted.
    pub(crate) seen: Vec<Key>,
    /// New values of words, sorted by row.
    pub(crate) numbers: Vec<(Key, Vec<u8>)>,
    /// The new head, and the same sealed; `None` where nothing is to be written.
    pub(crate) head: Option<(Head, Vec<u8>)>,
    /// In the order of the effects.
    pub(crate) outcomes: Vec<Recorded>,
}

struct Touched {
    number: Number,
    before: Option<Vec<u8>>,
}

impl Plan {
    /// Works it out from the head, from which of the effects' rows are there, and from the words' present values.
    ///
    /// # Errors
    /// A value does not open: somebody else wrote it.
    pub(crate) fn of(
        codec: &Codec,
        mut head: Head,
        effects: &[Effect],
        seen: &HashSet<Key>,
        mut values: HashMap<Key, Vec<u8>>,
    ) -> Result<Self, StateError> {
        let mut new = BTreeSet::new();
        let mut touched: BTreeMap<Key, Touched> = BTreeMap::new();
        let mut changed = false;
        let mut outcomes = Vec::with_capacity(effects.len());
        for effect in effects {
            if seen.contains(&effect.id) || new.contains(&effect.id) {
                outcomes.push(Recorded::Again);
                continue;
            }
            changed = true;
            let mut now = BTreeMap::new();
            match &effect.what {
                What::Refuse(code) => {
                    let refusals = head.refusals.entry(code.clone()).or_default();
                    *refusals = refusals.saturating_add(1);
                    if head.refused < REFUSED_LIMIT {
                        head.refused += 1;
                        new.insert(effect.id);
                    }
                }
                What::Count(words) => {
                    head.messages = head.messages.saturating_add(1);
                    new.insert(effect.id);
                    for (key, word, times) in words {
                        let number = match touched.entry(*key) {
                            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
                            std::collections::btree_map::Entry::Vacant(entry) => {
                                let before = values.remove(key);
                                let number = match &before {
                                    Some(value) => codec.open_number(key, value)?,
                                    None => Number { word: word.clone(), count: 0 },
                                };
                                entry.insert(Touched { number, before })
                            }
                        };
                        number.number.count = number.number.count.saturating_add(*times);
                        now.insert(word.clone(), number.number.count);
                    }
                }
            }
            outcomes.push(Recorded::Counted(now));
        }
        if !changed {
            return Ok(Self { seen: Vec::new(), numbers: Vec::new(), head: None, outcomes });
        }
        let mut sealer = codec.sealer()?;
        let mut numbers = Vec::with_capacity(touched.len());
        for (key, Touched { number, before }) in touched {
            let value = sealer.number(&key, &number)?;
            match before {
                Some(before) => head.sum.remove(&codec.number_tag(&key, &before)),
                None => head.words = head.words.saturating_add(1),
            }
            head.sum.add(&codec.number_tag(&key, &value));
            numbers.push((key, value));
        }
        for key in &new {
            head.sum.add(&codec.seen_tag(key));
        }
        head.sequence = head.sequence.saturating_add(1);
        let sealed = sealer.head(&head)?;
        Ok(Self { seen: new.into_iter().collect(), numbers, head: Some((head, sealed)), outcomes })
    }
}

/// Reads a whole store and holds it against its head.
pub(crate) struct Audit<'a> {
    codec: &'a Codec,
    counts: Option<BTreeMap<String, u64>>,
    found: Head,
}

impl<'a> Audit<'a> {
    /// `keep`: keep the words too.
    pub(crate) fn new(codec: &'a Codec, keep: bool) -> Self {
        Self { codec, counts: keep.then(BTreeMap::new), found: Head::default() }
    }

    /// A row of a message or delivery.
    pub(crate) fn seen(&mut self, key: &Key) {
        self.found.messages = self.found.messages.saturating_add(1);
        self.found.sum.add(&self.codec.seen_tag(key));
    }

    /// A word's row.
    ///
    /// # Errors
    /// It does not open.
    pub(crate) fn number(&mut self, key: &Key, value: &[u8]) -> Result<(), StateError> {
        let number = self.codec.open_number(key, value)?;
        self.found.words = self.found.words.saturating_add(1);
        self.found.sum.add(&self.codec.number_tag(key, value));
        if let Some(counts) = &mut self.counts {
            counts.insert(number.word, number.count);
        }
        Ok(())
    }

    /// The counts, where they are kept.
    ///
    /// # Errors
    /// The rows are not those that the head vouches for: some were removed, added or set back.
    pub(crate) fn finish(self, head: &Head) -> Result<BTreeMap<String, u64>, StateError> {
        let differ = |what: &str, found: u64, want: u64| {
            StateError::tampered(format!("it has {found} {what}, and its head vouches for {want}"))
        };
        let seen = head.messages.saturating_add(head.refused);
        if self.found.messages != seen {
            return Err(differ("messages", self.found.messages, seen));
        }
        if self.found.words != head.words {
            return Err(differ("words", self.found.words, head.words));
        }
        if self.found.sum != head.sum {
            return Err(StateError::tampered("its rows are not those that its head vouches for"));
        }
        Ok(self.counts.unwrap_or_default())
    }
}

/// The newest head that this workload saw: no later one may be older.
#[derive(Debug, Default)]
pub(crate) struct Newest(Option<Head>);

impl Newest {
    /// Accepts a head that is not older than the newest.
    ///
    /// # Errors
    /// It is older, or another one with the same number: somebody set the store back.
    pub(crate) fn accept(&mut self, head: &Head) -> Result<(), StateError> {
        if let Some(newest) = &self.0 {
            if head.sequence < newest.sequence {
                return Err(StateError::tampered(format!(
                    "it went back from transaction {} to {}",
                    newest.sequence, head.sequence
                )));
            }
            if head.sequence == newest.sequence && head != newest {
                return Err(StateError::tampered(format!("transaction {} was replaced by another", head.sequence)));
            }
        }
        self.0 = Some(head.clone());
        Ok(())
    }
}
