//! `StreamingPull`: one task per stream, which delivers as the client's limits allow and obeys what the client sends.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::{body::Body, extract::Request, http::Response};
use futures_util::StreamExt as _;
use tokio::{
    sync::mpsc,
    time::{Duration, Instant, sleep_until},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Status, Streaming,
    server::{Grpc, StreamingService},
};
use tonic_prost::ProstCodec;

use super::{
    broker::Consumer,
    grpc::{PubSub, received, token},
    messages as pb,
};
use crate::respond::{ApiError, Code};

pub(super) const CONSUME: &str = "pubsub.subscriptions.consume";
/// Without leases to wait for, a stream still looks again after this time.
const IDLE: Duration = Duration::from_secs(30);

static NEXT_CONSUMER: AtomicU64 = AtomicU64::new(1);

pub(super) fn next_consumer() -> u64 {
    NEXT_CONSUMER.fetch_add(1, Ordering::Relaxed)
}

pub(super) async fn serve(pubsub: PubSub, request: Request) -> Response<Body> {
    let token = match token(&request) {
        Ok(token) => token,
        Err(status) => return status.into_http(),
    };
    let codec = ProstCodec::<pb::StreamingPullResponse, pb::StreamingPullRequest>::default();
    Grpc::new(codec).streaming(Service { pubsub, token }, request).await.map(Body::new)
}

struct Service {
    pubsub: PubSub,
    token: Option<String>,
}

type Sender = mpsc::Sender<Result<pb::StreamingPullResponse, Status>>;

impl StreamingService<pb::StreamingPullRequest> for Service {
    type Response = pb::StreamingPullResponse;
    type ResponseStream = ReceiverStream<Result<pb::StreamingPullResponse, Status>>;
    type Future = std::future::Ready<Result<tonic::Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: tonic::Request<Streaming<pb::StreamingPullRequest>>) -> Self::Future {
        let (sender, receiver) = mpsc::channel(16);
        let (pubsub, token) = (self.pubsub.clone(), self.token.clone());
        tokio::spawn(async move {
            let closed = sender.clone();
            tokio::select! {
                ended = run(&pubsub, token.as_deref(), request.into_inner(), &sender) => {
                    if let Err(status) = ended {
                        let _ = sender.send(Err(status)).await;
                    }
                }
                () = closed.closed() => {}
            }
        });
        std::future::ready(Ok(tonic::Response::new(ReceiverStream::new(receiver))))
    }
}

/// Runs a stream until the client closes its side or something is wrong.
async fn run(
    pubsub: &PubSub,
    token: Option<&str>,
    mut requests: Streaming<pb::StreamingPullRequest>,
    sender: &Sender,
) -> Result<(), Status> {
    let Some(first) = requests.message().await? else { return Ok(()) };
    let name = first.subscription.clone();
    let consumer = pubsub
        .allowed("streamingPull", token, CONSUME, &name, || {
            pubsub.broker().setting(&name)?;
            consumer(&first)
        })
        .map_err(ApiError::into_status)?;
    obey(pubsub, &name, &first).map_err(ApiError::into_status)?;
    let mut generation = pubsub.generation.subscribe();
    let mut lease_ended = false;
    loop {
        // Registered before looking, so that what is published in between is not missed.
        let changed = pubsub.changed.notified();
        let (deliveries, wake) = {
            let mut broker = pubsub.broker();
            let deliveries = broker.pull(&name, consumer, Instant::now()).map_err(ApiError::into_status)?;
            (deliveries, broker.next_expiry(&name).unwrap_or_else(|| Instant::now() + IDLE))
        };
        if std::mem::take(&mut lease_ended) {
            // What a dead-letter policy moved waits for other streams.
            pubsub.changed.notify_waiters();
        }
        if !deliveries.is_empty() {
            let response = pb::StreamingPullResponse {
                received_messages: deliveries.into_iter().map(received).collect(),
                subscription_properties: Some(pb::SubscriptionProperties::default()),
            };
            if sender.send(Ok(response)).await.is_err() {
                return Ok(());
            }
        }
        tokio::select! {
            () = changed => {}
            () = sleep_until(wake) => lease_ended = true,
            _ = generation.changed() => return Err(Status::unavailable("The service was unable to fulfill your request. Please try again.")),
            request = requests.next() => match request {
                Some(Ok(request)) => obey(pubsub, &name, &request).map_err(ApiError::into_status)?,
                Some(Err(status)) => return Err(status),
                None => return Ok(()),
            },
        }
    }
}

fn consumer(first: &pb::StreamingPullRequest) -> Result<Consumer, ApiError> {
    let seconds = first.stream_ack_deadline_seconds;
    if !(10..=600).contains(&seconds) {
        let message = format!("Invalid stream ack deadline given ({seconds}); it must be 10 to 600 seconds.");
        return Err(ApiError::new(Code::InvalidArgument, message));
    }
    Ok(Consumer {
        id: next_consumer(),
        max_messages: u64::try_from(first.max_outstanding_messages).unwrap_or(0),
        max_bytes: u64::try_from(first.max_outstanding_bytes).unwrap_or(0),
        lease: u64::try_from(seconds).ok().map(Duration::from_secs),
    })
}

/// Acknowledgements and deadlines that came on the stream itself.
fn obey(pubsub: &PubSub, name: &str, request: &pb::StreamingPullRequest) -> Result<(), ApiError> {
    if request.modify_deadline_seconds.len() != request.modify_deadline_ack_ids.len() {
        let message = "modify_deadline_seconds and modify_deadline_ack_ids must have the same length.";
        return Err(ApiError::new(Code::InvalidArgument, message));
    }
    let now = Instant::now();
    let mut broker = pubsub.broker();
    broker.acknowledge(name, &request.ack_ids, now)?;
    for (id, seconds) in request.modify_deadline_ack_ids.iter().zip(&request.modify_deadline_seconds) {
        broker.modify(name, std::slice::from_ref(id), *seconds, now)?;
    }
    drop(broker);
    if !request.ack_ids.is_empty() || !request.modify_deadline_ack_ids.is_empty() {
        pubsub.changed.notify_waiters();
    }
    Ok(())
}
