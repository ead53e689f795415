//! What is published: honest messages, repetitions, and poison; and what must come of them.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Mutex,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use csign_contract::{
    envelope::Sealer,
    message::{Binding, Encryption, MESSAGE, attributes},
};
use csign_oci::Digest;
use futures_util::{StreamExt as _, stream};

use crate::{
    Run,
    random::Random,
    support::{COLLABORATORS, MACHINE, PUBLISHER, Site, image, kms_key},
};
use serde_json::{Value, json};
use simulator::{config::Subscription, kms::Purpose, sts::Provider};

/// Every word begins like this, so that one that is where it must not be is found.
pub(crate) const MARK: &str = "plaintext-of-";
const VOCABULARY: u64 = 500;
/// Honest messages of a hundred that Cloud KMS encrypts itself; the others are envelopes.
const DIRECT: u64 = 15;
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

/// Where poison goes, and what collects it.
const DEAD: &str = "projects/operator/topics/dead";
pub(crate) const DEAD_SUBSCRIPTION: &str = "projects/operator/subscriptions/dead";
/// Data keys per collaborator: a few, so that workloads unwrap some again after they were killed.
const DATA_KEYS: u64 = 8;

/// The contract's text with this state, which is encrypted, and a dead-letter topic.
pub(crate) fn with_state(text: &str, state: &str) -> String {
    let key = format!(
        "kms_key = \"{STATE_KEY}\"\nidentity_provider = \"//iam.googleapis.com/{STATE_POOL}/providers/attestation\""
    );
    let text = text.replace("[messages]", &format!("[messages]\ndead_letter = \"{DEAD}\""));
    format!("{text}\n[state]\n{state}\n[state.key]\n{key}\n")
}

/// Lets the image use the state's key, and the machine publish what is poison.
pub(crate) fn let_in(site: &Site) {
    let simulator = &site.simulator;
    simulator.pubsub().create_topic(DEAD).unwrap();
    let (name, topic) = (DEAD_SUBSCRIPTION.to_owned(), DEAD.to_owned());
    simulator.pubsub().create_subscription(&Subscription { name, topic, ..Subscription::default() }).unwrap();
    simulator.iam().bind(DEAD, "pubsub.topics.publish", MACHINE);
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
        10 => Kind::Poison("not-authentic"),
        _ => Kind::Honest,
    }
}

impl Load {
    pub(crate) async fn publish(site: &Site, run: Run) -> Self {
        let mut load =
            Self { published: 0, counts: BTreeMap::new(), counted: BTreeSet::new(), poison: BTreeMap::new() };
        let kms = Kms::new(site).await;
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
        let attributes: Vec<(&str, &str)> = message.attributes.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let id = site.publish_raw(message.data.clone(), &attributes);
        self.published += 1;
        if let Kind::Poison(code) = message.kind {
            self.poison.insert(id, code);
        } else if self.counted.insert((message.collaborator.to_owned(), message.id.clone())) {
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
    binding: Binding,
    sealers: Vec<[Mutex<Sealer>; 2]>,
}

impl<'a> Kms<'a> {
    async fn new(site: &'a Site) -> Self {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let token = site.simulator.admin_token(PUBLISHER).unwrap();
        let mut kms = Self { site, client, token, binding: site.contract.binding(), sealers: Vec::new() };
        for number in 0..DATA_KEYS {
            let [first, second] = COLLABORATORS;
            kms.sealers.push([kms.sealer(first, number).await, kms.sealer(second, number).await]);
        }
        kms
    }

    async fn sealer(&self, collaborator: &str, number: u64) -> Mutex<Sealer> {
        let key = *Digest::of(format!("{collaborator} {number}")).as_bytes();
        let wrapped = self.wrap(collaborator, &key, &self.binding.data_key(collaborator)).await;
        Mutex::new(Sealer::new(&key, wrapped).unwrap())
    }

    /// Encrypts directly, or seals with one of the data keys.
    async fn encrypt(&self, encryption: Encryption, of: usize, number: u64, plaintext: &[u8]) -> Vec<u8> {
        let (collaborator, id) = (COLLABORATORS[of], id(number));
        let bound = self.binding.message(encryption, collaborator, &id);
        match encryption {
            Encryption::Direct => self.wrap(collaborator, plaintext, &bound).await,
            Encryption::Envelope => {
                let mut nonce = [0; 12];
                nonce[..8].copy_from_slice(&number.to_be_bytes());
                let sealer = &self.sealers[(number % DATA_KEYS) as usize][of];
                sealer.lock().unwrap().seal(nonce, plaintext, &bound).unwrap()
            }
        }
    }

    async fn wrap(&self, collaborator: &str, plaintext: &[u8], additional_data: &[u8]) -> Vec<u8> {
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

fn id(number: u64) -> String {
    format!("m{number}")
}

struct Message {
    kind: Kind,
    collaborator: &'static str,
    id: String,
    words: Vec<String>,
    data: Vec<u8>,
    attributes: Vec<(String, String)>,
}

async fn make(kms: &Kms<'_>, seed: u64, number: u64) -> Message {
    let mut random = Random::new(seed.wrapping_mul(0x1000_0001).wrapping_add(number));
    let kind = kind(&mut random);
    let of = random.below(2) as usize;
    let words: Vec<String> = (0..=random.below(3)).map(|_| format!("{MARK}{}", random.below(VOCABULARY))).collect();
    let direct = random.below(100) < DIRECT;
    let encryption = match kind {
        Kind::Poison("undecryptable") => Encryption::Direct,
        Kind::Poison("not-authentic") => Encryption::Envelope,
        _ if direct => Encryption::Direct,
        _ => Encryption::Envelope,
    };
    let mut text = words.join(" ").into_bytes();
    if matches!(kind, Kind::Poison("not-text")) {
        text.extend([0xff, 0xfe]);
    }
    let mut data = match kind {
        Kind::Poison("no-ciphertext") => Vec::new(),
        _ => kms.encrypt(encryption, of, number, &text).await,
    };
    let named = if matches!(kind, Kind::Poison("unknown-collaborator")) { "mallory" } else { COLLABORATORS[of] };
    let encryption = if data.is_empty() { Encryption::Direct } else { encryption };
    let mut attributes = attributes(encryption, named, &id(number));
    match kind {
        Kind::Poison("undecryptable" | "not-authentic") => *data.last_mut().unwrap() ^= 1,
        Kind::Poison("missing-attribute") => attributes.retain(|(name, _)| name != MESSAGE),
        _ => {}
    }
    Message { kind, collaborator: COLLABORATORS[of], id: id(number), words, data, attributes }
}
