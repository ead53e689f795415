//! `csign publish`: directly, as an envelope, and line by line.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use csign_contract::{
    Contract,
    envelope::{DataKey, Envelope},
    message::Encryption,
};
use serde_json::{Value, json};
use simulator::{Config, Simulator, config::Subscription, kms::Purpose};

use crate::world::World;

const KEY: &str = "projects/p/locations/global/keyRings/r/cryptoKeys/k";
const TOPIC: &str = "projects/o/topics/messages";
const SUBSCRIPTION: &str = "projects/o/subscriptions/messages";
const COLLABORATOR: &str = "user:a@example.com";

/// A world whose contract is about a simulator's topic and key.
struct Place {
    world: World,
    simulator: Simulator,
    contract: Contract,
}

impl Place {
    fn new() -> Self {
        let world = World::new();
        let simulator = world.block_on(async {
            Simulator::start(Config {
                topics: vec![TOPIC.to_owned()],
                subscriptions: vec![Subscription {
                    name: SUBSCRIPTION.to_owned(),
                    topic: TOPIC.to_owned(),
                    ack_deadline_seconds: 10,
                    dead_letter: None,
                    ..Subscription::default()
                }],
                ..Config::default()
            })
            .await
            .expect("simulator")
        });
        simulator.kms().create_key(KEY, Purpose::EncryptDecrypt).expect("key");
        for (resource, permission) in [
            (KEY, "cloudkms.cryptoKeyVersions.useToEncrypt"),
            (KEY, "cloudkms.cryptoKeyVersions.useToDecrypt"),
            (TOPIC, "pubsub.topics.publish"),
            (SUBSCRIPTION, "pubsub.subscriptions.consume"),
        ] {
            simulator.iam().bind(resource, permission, COLLABORATOR);
        }
        world.key("a");
        let text = format!(
            "version = 1\nname = \"test\"\n[image]\nrepository = \"registry.simulator.localhost/team/app\"\n\
             [build]\nrecipe = \"cargo-musl\"\n[environment]\nkind = \"simulated\"\n\
             issuer = \"http://attestation.simulator.localhost\"\nissuer_keys = [\"x\"]\n\
             [operator]\nproject_id = \"o\"\nservice_account = \"vm@o.iam.gserviceaccount.com\"\n\
             [platform]\nhardware = [\"GCP_INTEL_TDX\"]\n\
             [messages]\ntopic = \"{TOPIC}\"\nsubscription = \"{SUBSCRIPTION}\"\n\
             [[party]]\nname = \"a\"\npublic_key = \"\"\"\n{}\"\"\"\n[party.collaborator]\nkms_key = \"{KEY}\"\n\
             identity_provider = \"//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/x\"\n",
            world.read("a.pub")
        );
        world.write("collaboration.toml", &text);
        let contract = Contract::from_toml(&text).expect("contract");
        Self { world, simulator, contract }
    }

    fn publish(&self, arguments: &[&str], status: i32, words: &[&str]) -> Vec<String> {
        let fixed = ["publish", "--allow-simulated", "--collaborator", "a"];
        let mut command = self.world.command(&[&fixed, arguments].concat());
        let token = self.simulator.admin_token(COLLABORATOR).expect("token");
        command.env("CSIGN_SIMULATOR", self.simulator.address().to_string()).env("GOOGLE_OAUTH_ACCESS_TOKEN", token);
        let done = crate::world::Done::from(command.output().expect("csign runs")).expect(status, words);
        done.stdout.lines().map(str::to_owned).collect()
    }

    /// What Cloud KMS decrypts, if it does.
    fn unwrap(&self, ciphertext: &[u8], additional_data: &[u8]) -> Option<Vec<u8>> {
        let body = json!({
            "ciphertext": BASE64_STANDARD.encode(ciphertext),
            "additionalAuthenticatedData": BASE64_STANDARD.encode(additional_data),
        })
        .to_string();
        let mut connection = TcpStream::connect(self.simulator.address()).expect("connects");
        let token = self.simulator.admin_token(COLLABORATOR).expect("token");
        let length = body.len();
        let head = format!(
            "POST /v1/{KEY}:decrypt HTTP/1.1\r\nhost: kms\r\nauthorization: Bearer {token}\r\n\
             connection: close\r\ncontent-length: {length}\r\n\r\n"
        );
        connection.write_all((head + &body).as_bytes()).expect("sends");
        let mut answer = String::new();
        connection.read_to_string(&mut answer).expect("answers");
        let answer: Value = serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()?;
        BASE64_STANDARD.decode(answer["plaintext"].as_str()?).ok()
    }

    fn calls(&self, method: &str) -> usize {
        self.simulator.audit().iter().filter(|entry| entry.service == "kms" && entry.method == method).count()
    }
}

#[test]
fn lines_travel_in_envelopes_under_one_data_key_and_each_opens_under_its_own_id_only() {
    let place = Place::new();
    place.world.write("orders.txt", "alice bob\n\ncarol\r\nlast");
    let ids = place.publish(&["--message", "orders", "--lines", "orders.txt"], 0, &[]);
    assert_eq!(ids, ["orders-1", "orders-3", "orders-4"], "an empty line keeps its number");
    assert_eq!(place.calls("encrypt"), 1, "one data key for the run");
    let messages = place.simulator.pubsub().waiting(SUBSCRIPTION).expect("subscription");
    let mut texts = Vec::new();
    for (id, message) in ids.iter().zip(&messages) {
        assert_eq!(message.attributes["encryption"], "envelope");
        let admitted = place.contract.admit(message.attributes.iter().map(|(k, v)| (&**k, &**v))).expect("admitted");
        assert_eq!((&admitted.message, admitted.encryption), (id, Encryption::Envelope));
        let envelope = Envelope::parse(&message.data).expect("an envelope");
        let binding = place.contract.binding();
        let opened = place.unwrap(envelope.wrapped_key, &binding.data_key("a")).expect("unwraps");
        let key = DataKey::new(&opened).expect("a data key");
        let plaintext = key.open(&envelope, &binding.message(Encryption::Envelope, "a", id)).expect("opens");
        texts.push(String::from_utf8(plaintext.to_vec()).expect("text"));
        assert!(key.open(&envelope, &binding.message(Encryption::Envelope, "a", "orders-2")).is_err());
        assert_eq!(place.unwrap(envelope.wrapped_key, &binding.data_key("b")), None);
    }
    assert_eq!(texts, ["alice bob", "carol", "last"]);
}

#[test]
fn one_message_goes_to_cloud_kms_unless_it_is_too_large_for_that() {
    let place = Place::new();
    place.world.write("small.txt", "alice");
    place.world.write("large.txt", &"alice ".repeat(20_000));
    assert_eq!(place.publish(&["--message", "m1", "small.txt"], 0, &[]), ["m1"]);
    place.publish(&["--message", "m2", "large.txt"], 2, &["64 KiB", "--envelope"]);
    assert_eq!(place.publish(&["--message", "m2", "--envelope", "large.txt"], 0, &[]), ["m2"]);
    assert_eq!(place.publish(&["--message", "m3", "small.txt", "large.txt"], 0, &[]), ["m3-1", "m3-2"]);
    let messages = place.simulator.pubsub().waiting(SUBSCRIPTION).expect("subscription");
    let encryption: Vec<_> = messages.iter().map(|message| message.attributes.get("encryption").cloned()).collect();
    let envelope = Some("envelope".to_owned());
    assert_eq!(encryption, [None, envelope.clone(), envelope.clone(), envelope]);
    let binding = place.contract.binding();
    let opened = place.unwrap(&messages[0].data, &binding.message(Encryption::Direct, "a", "m1"));
    assert_eq!(opened.as_deref(), Some(b"alice".as_slice()));
    place.publish(&["--message", "m/1", "small.txt"], 2, &["is no message id"]);
    assert_eq!(place.simulator.pubsub().waiting(SUBSCRIPTION).expect("subscription").len(), 4);
}
