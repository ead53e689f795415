//! What must hold in the end.

use std::collections::BTreeMap;

use simulator::pubsub::Published;
use workload::{Metrics, State};

use crate::{
    load::{DEAD_SUBSCRIPTION, Load, MARK},
    support::Site,
};

/// Messages whose presence is looked up one by one.
const SAMPLE: usize = 5000;

pub(crate) async fn check(site: &Site, load: &Load) {
    let state = State::open(&site.contract, &site.setting(), &Metrics::new(&site.contract)).await.unwrap();
    let counts = state.counts().await.unwrap();
    if counts != load.counts {
        let words = counts.keys().chain(load.counts.keys());
        let differ: BTreeMap<_, _> = words
            .map(|word| (word, (counts.get(word).copied().unwrap_or(0), load.counts.get(word).copied().unwrap_or(0))))
            .filter(|(_, (got, wanted))| got != wanted)
            .collect();
        panic!("{} words are not counted exactly; word: (got, wanted): {differ:?}", differ.len());
    }
    assert_eq!(state.messages().await.unwrap(), load.counted.len() as u64, "messages in the counts");
    let step = load.counted.len().div_ceil(SAMPLE).max(1);
    for (collaborator, message) in load.counted.iter().step_by(step) {
        assert!(state.is_counted(collaborator, message).await.unwrap(), "{collaborator}/{message} is not known");
    }
    let mut refusals = BTreeMap::new();
    for code in load.poison.values() {
        *refusals.entry((*code).to_owned()).or_default() += 1;
    }
    assert_eq!(state.refusals().await.unwrap(), refusals, "refused messages, by reason");
    state.close().await;
    // Published at least once: a workload may be killed between that and the acknowledgement.
    let letters = site.simulator.pubsub().waiting(DEAD_SUBSCRIPTION).unwrap();
    let text = |letter: &Published, name: &str| letter.attributes.get(name).cloned().unwrap_or_default();
    let told: BTreeMap<String, String> =
        letters.iter().map(|letter| (text(letter, "csign_delivery"), text(letter, "csign_reason"))).collect();
    let wanted: BTreeMap<String, String> =
        load.poison.iter().map(|(id, code)| (id.clone(), (*code).to_owned())).collect();
    assert!(told == wanted, "{} poisonous messages, {} of them in the dead-letter topic", wanted.len(), told.len());
    assert!(!letters.iter().any(|letter| holds_plaintext(&letter.data)), "words in the dead-letter topic");
}

/// Is a word in there as it was written?
pub(crate) fn holds_plaintext(bytes: &[u8]) -> bool {
    String::from_utf8_lossy(bytes).contains(MARK)
}
