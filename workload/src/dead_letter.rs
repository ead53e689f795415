//! The dead-letter topic: messages that can never be processed, as they came, with the reason. It is published before
//! the message is acknowledged, at least once; `csign_delivery` tells repetitions apart.
//!
//! The bytes are passed on unchanged: they are ciphertext, or something that its sender published in the clear and the
//! message's own topic holds already. Nothing that was decrypted ever comes here.

use std::time::Duration;

use csign_contract::{
    envelope::MAX_ENVELOPE,
    message::{COLLABORATOR, ENCRYPTION, MESSAGE, VERSION},
};
use google_cloud_pubsub::{client::Publisher, model::Message};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use crate::{
    circuit::{Circuit, Load, Severity},
    credentials,
    delivery::{Delivery, Ticket},
    endpoints::Endpoints,
    kms::causes,
    log::Log,
    parking::Parking,
};

/// For publishing one message, with the library's own retries.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Refused messages that are released at a time after the topic could not be written.
const AT_A_TIME: usize = 1000;
/// Attributes that are passed on; others may hold anything.
const PASSED_ON: [&str; 6] = [VERSION, COLLABORATOR, MESSAGE, ENCRYPTION, "key", "audience"];
/// Bytes of one attribute that is passed on, as Pub/Sub limits them.
const ATTRIBUTE_LIMIT: usize = 1024;

/// Where messages go that can never be processed.
pub(crate) struct DeadLetters {
    pub(crate) parking: Parking,
    topic: String,
    subscription: String,
    endpoints: Endpoints,
    publisher: Mutex<Option<Publisher>>,
    circuit: Circuit,
    log: Log,
}

impl DeadLetters {
    pub(crate) fn new(topic: &str, subscription: &str, endpoints: Endpoints, log: &Log) -> Self {
        Self {
            parking: Parking::default(),
            topic: topic.to_owned(),
            subscription: subscription.to_owned(),
            endpoints,
            publisher: Mutex::default(),
            circuit: Circuit::default(),
            log: log.clone(),
        }
    }

    /// Can nothing be published now?
    pub(crate) fn is_stopped(&self) -> bool {
        self.circuit.load(Instant::now()) == Load::Nothing
    }

    /// Sets a message aside until the topic can be written.
    pub(crate) fn later(&self, ticket: Ticket) {
        self.parking.wait(ticket);
    }

    /// Gives back what may be tried now.
    pub(crate) fn tick(&self, now: Instant) {
        self.parking.tick(now);
        match self.circuit.load(now) {
            Load::All => self.parking.release(AT_A_TIME),
            Load::Probe => self.parking.release(1),
            Load::Nothing => {}
        }
    }

    /// Publishes a message that is refused for `code`. Did the service store it?
    pub(crate) async fn publish(&self, delivery: &Delivery, code: &str) -> bool {
        let Ok(pass) = self.circuit.pass(Instant::now()) else { return false };
        match timeout(TIMEOUT, self.send(delivery, code)).await {
            Ok(Ok(())) => {
                if pass.succeeded() {
                    self.log.info("dead-letter topic works again", &[("topic", self.topic.as_str().into())]);
                }
                true
            }
            failed => {
                let why = match failed {
                    Ok(Err(why)) => why,
                    _ => format!("no answer within {} seconds", TIMEOUT.as_secs()),
                };
                *self.publisher.lock().await = None;
                if let Some(pause) = pass.failed(Severity::Certain, None, Instant::now()) {
                    self.log.error(
                        "a refused message could not be published to the dead-letter topic; it will be delivered again",
                        &[
                            ("topic", self.topic.as_str().into()),
                            ("reason", why.into()),
                            ("hint", "grant pubsub.topics.publish on it to the machine's account".into()),
                            ("pause_milliseconds", u64::try_from(pause.as_millis()).unwrap_or(u64::MAX).into()),
                        ],
                    );
                }
                false
            }
        }
    }

    async fn send(&self, delivery: &Delivery, code: &str) -> Result<(), String> {
        let publisher = self.publisher().await?;
        let id = publisher.publish(self.message(delivery, code)).await.map_err(|error| causes(&error))?;
        if id.is_empty() { Err("the service gave the message no id".to_owned()) } else { Ok(()) }
    }

    fn message(&self, delivery: &Delivery, code: &str) -> Message {
        let fits = |value: &str| value.len() <= ATTRIBUTE_LIMIT && value.chars().all(|c| !c.is_control());
        let passed_on = PASSED_ON.iter().filter_map(|name| {
            let value = delivery.attributes.get(*name).filter(|value| fits(value))?;
            Some(((*name).to_owned(), value.clone()))
        });
        let added =
            [("csign_reason", code), ("csign_delivery", &delivery.id), ("csign_subscription", &self.subscription)];
        let added = added.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let too_large = delivery.data.len() > MAX_ENVELOPE;
        let omitted = too_large.then(|| ("csign_omitted_bytes".to_owned(), delivery.data.len().to_string()));
        let message = Message::new().set_attributes(passed_on.chain(added).chain(omitted));
        if too_large { message } else { message.set_data(delivery.data.clone()) }
    }

    async fn publisher(&self) -> Result<Publisher, String> {
        let mut slot = self.publisher.lock().await;
        if let Some(publisher) = slot.as_ref() {
            return Ok(publisher.clone());
        }
        let credentials = credentials::machine(&self.endpoints).map_err(|error| causes(&error))?;
        let publisher = Publisher::builder(&self.topic)
            .with_endpoint(self.endpoints.pubsub())
            .with_credentials(credentials)
            .with_grpc_subchannel_count(1)
            .build()
            .await
            .map_err(|error| causes(&error))?;
        Ok(slot.insert(publisher).clone())
    }
}
