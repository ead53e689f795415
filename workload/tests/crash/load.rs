//! What is published: honest messages, repetitions, and poison; and what must come of them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use futures_util::{StreamExt as _, stream};

use crate::{
    Run,
    random::Random,
    support::{COLLABORATORS, PUBLISHER, Site, image, kms_key},
};
use serde_json::{Value, json};
use simulator::{kms::Purpose, sts::Provider};

/// Every word begins like this, so that one that is where it must not be is found.
pub(crate) const MARK: &str = "plaintext-of-";
const VOCABULARY: u64 = 500;
/// Requests to Cloud KMS at a time while messages are made.
const AT_A_TIME: usize = 16;
/// Repetitions that are held back until more than so many wait.
const LATER: usize = 100;

/// What was published.
pub(crate) struct Load {
    /// Messages, with repetitions.
    pub(crate) published: u64,
    /// What the counts must be.
    pub(crate) counts: BTreeMap<String, u64>,
    /// Collaborator and id of every message that must be in the counts.
    pub(crate) counted: BTreeSet<(String, String)>,
    /// Pub/Sub's ids of the messages that must be refused, and why.
    pub(crate) poison: BTreeMap<String, &'static str>,
}

const STATE_KEY: &str = "projects/keeper/locations/global/keyRings/csign/cryptoKeys/state";
const STATE_POOL: &str = "projects/9/locations/global/workloadIdentityPools/pool";

/// The contract's text with this state, which is encrypted.
pub(crate) fn with_state(text: &str, state: &str) -> String {
    let key = format!(
        "kms_key = \"{STATE_KEY}\"\nidentity_provider = \"//iam.googleapis.com/{STATE_POOL}/providers/attestation\""
    );
    format!("{text}\n[state]\n{state}\n[state.key]\n{key}\n")
}

/// Lets the image use the state's key.
pub(crate) fn let_in(site: &Site) {
    let simulator = &site.simulator;
    simulator.kms().create_key(STATE_KEY, Purpose::EncryptDecrypt).unwrap();
    let name = format!("{STATE_POOL}/providers/attestation");
    simulator.sts().set_provider(Provider::for_images(name, [image()])).unwrap();
    let member = format!("principalSet://iam.googleapis.com/{STATE_POOL}/attribute.image_digest/{}", image());
    for permission in ["useToEncrypt", "useToDecrypt"] {
        simulator.iam().bind(STATE_KEY, &format!("cloudkms.cryptoKeyVersions.{permission}"), &member);
    }
}

enum Kind {
    Honest,
    Repeated,
    Poison(&'static str),
}

/// What the message with this number is. Poison is refused for a reason that another message's fate does not touch.
fn kind(random: &mut Random) -> Kind {
    match random.below(100) {
        0..5 => Kind::Repeated,
        5 => Kind::Poison("undecryptable"),
        6 => Kind::Poison("not-text"),
        7 => Kind::Poison("unknown-collaborator"),
        8 => Kind::Poison("missing-attribute"),
        9 => Kind::Poison("no-ciphertext"),
        _ => Kind::Honest,
    }
}

impl Load {
    pub(crate) async fn publish(site: &Site, run: Run) -> Self {
        let mut load =
            Self { published: 0, counts: BTreeMap::new(), counted: BTreeSet::new(), poison: BTreeMap::new() };
        let kms = Kms::new(site);
        let made = stream::iter(0..run.messages).map(|number| make(&kms, run.seed, number));
        let mut made = std::pin::pin!(made.buffered(AT_A_TIME));
        let mut later = VecDeque::new();
        while let Some(message) = made.next().await {
            load.add(site, &message);
            if matches!(message.kind, Kind::Repeated) {
                later.push_back(message);
            }
            if later.len() > LATER
                && let Some(message) = later.pop_front()
            {
                load.add(site, &message);
            }
        }
        later.iter().for_each(|message| load.add(site, message));
        load
    }

    fn add(&mut self, site: &Site, message: &Message) {
        let attributes: Vec<(&str, &str)> = message.attributes.iter().map(|(k, v)| (*k, v.as_str())).collect();
        let id = site.publish_raw(message.data.clone(), &attributes);
        self.published += 1;
        if let Kind::Poison(code) = message.kind {
            self.poison.insert(id, code);
        } else if self.counted.insert((message.collaborator.clone(), message.id.clone())) {
            for word in &message.words {
                *self.counts.entry(word.clone()).or_default() += 1;
            }
        }
    }
}

/// Cloud KMS as the collaborators' clients use it.
struct Kms<'a> {
    site: &'a Site,
    client: reqwest::Client,
    token: String,
}

impl<'a> Kms<'a> {
    fn new(site: &'a Site) -> Self {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { site, client, token: site.simulator.admin_token(PUBLISHER).unwrap() }
    }

    async fn encrypt(&self, collaborator: &str, message: &str, plaintext: &[u8]) -> Vec<u8> {
        let additional_data = self.site.contract.additional_data(collaborator, message);
        let url = format!("{}/v1/{}:encrypt", self.site.simulator.endpoint(), kms_key(collaborator));
        let body = json!({
            "plaintext": BASE64_STANDARD.encode(plaintext),
            "additionalAuthenticatedData": BASE64_STANDARD.encode(additional_data),
        });
        let answer = self.client.post(url).bearer_auth(&self.token).body(body.to_string()).send().await.unwrap();
        let answer: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        BASE64_STANDARD.decode(answer["ciphertext"].as_str().unwrap()).unwrap()
    }
}

struct Message {
    kind: Kind,
    collaborator: String,
    id: String,
    words: Vec<String>,
    data: Vec<u8>,
    attributes: Vec<(&'static str, String)>,
}

async fn make(kms: &Kms<'_>, seed: u64, number: u64) -> Message {
    let mut random = Random::new(seed.wrapping_mul(0x1000_0001).wrapping_add(number));
    let kind = kind(&mut random);
    let collaborator = COLLABORATORS[random.below(2) as usize].to_owned();
    let id = format!("m{number}");
    let words: Vec<String> = (0..=random.below(3)).map(|_| format!("{MARK}{}", random.below(VOCABULARY))).collect();
    let mut text = words.join(" ").into_bytes();
    if matches!(kind, Kind::Poison("not-text")) {
        text.extend([0xff, 0xfe]);
    }
    let mut data = match kind {
        Kind::Poison("no-ciphertext") => Vec::new(),
        Kind::Poison("unknown-collaborator" | "missing-attribute") => vec![7; 100],
        _ => kms.encrypt(&collaborator, &id, &text).await,
    };
    if matches!(kind, Kind::Poison("undecryptable"))
        && let Some(last) = data.last_mut()
    {
        *last ^= 1;
    }
    let named =
        if matches!(kind, Kind::Poison("unknown-collaborator")) { "mallory".to_owned() } else { collaborator.clone() };
    let mut attributes = vec![("version", "1".to_owned()), ("collaborator", named), ("message", id.clone())];
    if matches!(kind, Kind::Poison("missing-attribute")) {
        attributes.pop();
    }
    Message { kind, collaborator, id, words, data, attributes }
}
