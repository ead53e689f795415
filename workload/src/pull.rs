//! Pulling: streams of messages from Pub/Sub, and room in them.
//!
//! The service delivers on a stream until so many messages are without an answer. Messages that are set aside have none:
//! if a stopped collaborator's messages stood first in the subscription, they would fill the stream, and nobody else's
//! would come. So a stream that is filled by such messages is retired: nothing more is read from it, what it delivered
//! stays leased and can be answered, and a new stream with an empty window takes its place.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use google_cloud_pubsub::{
    client::Subscriber,
    subscriber::{MessageStream, ShutdownBehavior, ShutdownToken},
};
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval},
};

use crate::{
    credentials,
    delivery::{Delivery, Load},
    endpoints::Endpoints,
    kms::causes,
};

/// Messages that Pub/Sub may leave with one stream at a time.
pub(crate) const OUTSTANDING_MESSAGES: usize = 4000;
/// Their bytes: with what is set aside counted, and so an upper bound of what is in memory per stream.
pub(crate) const OUTSTANDING_BYTES: usize = 32 << 20;
/// How long a message may stay with the workload before the service may deliver it again.
pub(crate) const LEASE: Duration = Duration::from_secs(600);
/// By how much a lease is extended at a time: what a crash, or a stream that breaks, holds back is free again after it.
const LEASE_STEP: Duration = Duration::from_secs(15);
/// How often what waits is looked at.
const TICK: Duration = Duration::from_millis(100);
/// Messages that are taken from a stream before anything else is looked at.
const BATCH: usize = 256;

/// Why pulling ended.
pub(crate) enum Ended {
    Stopped,
    Broken(String),
}

/// What is done with deliveries.
pub(crate) trait Consumer {
    /// Begins to process one.
    fn begin(&self, delivery: Delivery, tasks: &mut JoinSet<()>);
    /// Looks after what waits.
    fn tick(&self, now: Instant);
    /// May messages that are set aside leave the window of the stream?
    fn may_set_aside_more(&self) -> bool;
}

/// The streams of one subscription.
pub(crate) struct Streams {
    subscriber: Subscriber,
    subscription: String,
    /// Streams that are not read any more, and the messages on them that have no answer yet.
    retired: Vec<(ShutdownToken, Arc<Load>)>,
}

impl Streams {
    /// Prepares a client; nothing is pulled yet.
    ///
    /// # Errors
    /// The client's own words.
    pub(crate) async fn connect(endpoints: &Endpoints, subscription: &str) -> Result<Self, String> {
        let credentials = credentials::machine(endpoints).map_err(|error| causes(&error))?;
        let subscriber = Subscriber::builder()
            .with_endpoint(endpoints.pubsub())
            .with_credentials(credentials)
            .with_grpc_subchannel_count(1)
            .build()
            .await
            .map_err(|error| causes(&error))?;
        Ok(Self { subscriber, subscription: subscription.to_owned(), retired: Vec::new() })
    }

    /// Pulls until the service refuses, or `stop`.
    pub(crate) async fn pull(
        &mut self,
        consumer: &impl Consumer,
        tasks: &mut JoinSet<()>,
        mut stop: Pin<&mut impl Future<Output = ()>>,
    ) -> Ended {
        let (mut stream, mut load) = self.open();
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let ended = loop {
            let next = tokio::select! {
                biased;
                () = stop.as_mut() => break Ended::Stopped,
                _ = ticks.tick() => {
                    consumer.tick(Instant::now());
                    self.retired.retain(|(_, load)| load.messages() > 0);
                    while tasks.try_join_next().is_some() {}
                    continue;
                }
                next = stream.next() => next,
            };
            let mut next = Some(next);
            let mut taken = 0;
            let broken = loop {
                match next {
                    Some(Some(Ok((message, handler)))) => consumer.begin(Delivery::new(message, handler, &load), tasks),
                    Some(Some(Err(error))) => break Some(causes(&error)),
                    Some(None) => break Some("Pub/Sub closed the stream".to_owned()),
                    None => break None,
                }
                taken += 1;
                next = if taken < BATCH { stream.next().now_or_never() } else { None };
            };
            while tasks.try_join_next().is_some() {}
            if let Some(why) = broken {
                break Ended::Broken(why);
            }
            if is_filled(&load) && consumer.may_set_aside_more() {
                // Emptied first: what the library has read and nobody has taken would stay leased.
                while let Some(Some(Ok((message, handler)))) = stream.next().now_or_never() {
                    consumer.begin(Delivery::new(message, handler, &load), tasks);
                }
                self.retire(stream, load);
                (stream, load) = self.open();
            }
        };
        self.retire(stream, load);
        ended
    }

    /// Waits until everything that was answered is known to the service. What still has no answer must have been dropped.
    pub(crate) async fn finish(self) {
        for (token, _) in self.retired {
            token.shutdown().await;
        }
    }

    fn open(&self) -> (MessageStream, Arc<Load>) {
        let stream = self
            .subscriber
            .subscribe(&self.subscription)
            .set_max_outstanding_messages(i64::try_from(OUTSTANDING_MESSAGES).unwrap_or(i64::MAX))
            .set_max_outstanding_bytes(i64::try_from(OUTSTANDING_BYTES).unwrap_or(i64::MAX))
            .set_max_lease(LEASE)
            .set_max_lease_extension(LEASE_STEP)
            .set_shutdown_behavior(ShutdownBehavior::WaitForProcessing)
            .build();
        (stream, Arc::default())
    }

    fn retire(&mut self, stream: MessageStream, load: Arc<Load>) {
        self.retired.push((stream.shutdown_token(), load));
    }
}

/// Is the window nearly full, and are messages in it that are set aside?
fn is_filled(load: &Load) -> bool {
    load.parked() > 0 && (load.messages() >= OUTSTANDING_MESSAGES / 4 * 3 || load.bytes() >= OUTSTANDING_BYTES / 4 * 3)
}
