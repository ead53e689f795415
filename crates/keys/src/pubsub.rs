//! Publishing to a Pub/Sub topic.

use google_cloud_pubsub::{client, error::PublishError, model::Message, publisher::PublishFuture};

use crate::{
    GcpClientOptions, KeysError, Service, ServiceFault,
    error::PUBLISHING,
    google::{backoff_policy, bounded, credentials_error, retry_policy, service_error},
};

/// Publishes to one topic.
pub struct Publisher {
    inner: client::Publisher,
    topic: String,
}

impl Publisher {
    /// Prepares a publisher for `topic`, `projects/P/topics/T`; nothing is sent yet.
    ///
    /// # Errors
    /// A malformed topic name, no credentials.
    pub async fn connect(topic: &str, options: &GcpClientOptions) -> Result<Self, KeysError> {
        let segments: Vec<&str> = topic.split('/').collect();
        if !matches!(segments[..], ["projects", project, "topics", name] if !project.is_empty() && !name.is_empty()) {
            return Err(KeysError::Invalid("a topic is written projects/P/topics/T"));
        }
        let mut builder = client::Publisher::builder(topic)
            .with_credentials(options.credentials()?)
            .with_retry_policy(retry_policy())
            .with_backoff_policy(backoff_policy());
        if let Some(endpoint) = options.endpoint() {
            builder = builder.with_endpoint(endpoint);
        }
        let inner = builder.build().await.map_err(|error| credentials_error(&error))?;
        Ok(Self { inner, topic: topic.to_owned() })
    }

    /// Publishes one message and waits until the service has stored it. Returns its message id.
    ///
    /// # Errors
    /// The service refuses or cannot be reached. After an "unavailable" the message may have been stored all the same.
    pub async fn publish(
        &self,
        data: Vec<u8>,
        attributes: impl IntoIterator<Item = (String, String)>,
    ) -> Result<String, KeysError> {
        self.begin(data, attributes).stored().await
    }

    /// Begins to publish one message; messages that are on their way together share requests.
    pub fn begin(&self, data: Vec<u8>, attributes: impl IntoIterator<Item = (String, String)>) -> Publishing<'_> {
        let message = Message::new().set_data(data).set_attributes(attributes);
        Publishing { publisher: self, future: self.inner.publish(message) }
    }

    /// Waits until everything that was published has been stored or has failed.
    ///
    /// # Errors
    /// The time is up.
    pub async fn flush(&self) -> Result<(), KeysError> {
        let flush = async {
            self.inner.flush().await;
            Ok(())
        };
        bounded(PUBLISHING, &self.topic, flush, |error: PublishError| self.error(&error)).await
    }

    fn error(&self, error: &PublishError) -> KeysError {
        match error {
            PublishError::Rpc(inner) => service_error(PUBLISHING, &self.topic, inner),
            other => KeysError::Service {
                service: Service::Google,
                doing: PUBLISHING,
                resource: self.topic.clone(),
                fault: ServiceFault::Unavailable,
                message: other.to_string(),
            },
        }
    }
}

/// A message on its way.
#[must_use = "it may still fail"]
pub struct Publishing<'a> {
    publisher: &'a Publisher,
    future: PublishFuture,
}

impl Publishing<'_> {
    /// Waits until the service has stored the message. Returns its message id.
    ///
    /// # Errors
    /// As [`Publisher::publish`].
    pub async fn stored(self) -> Result<String, KeysError> {
        let Self { publisher, future } = self;
        let id = bounded(PUBLISHING, &publisher.topic, future, |error| publisher.error(&error)).await?;
        if id.is_empty() {
            let why = "the service gave the message no id";
            return Err(KeysError::Integrity { doing: PUBLISHING, resource: publisher.topic.clone(), why });
        }
        Ok(id)
    }
}
