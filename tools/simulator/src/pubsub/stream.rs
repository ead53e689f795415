//! `StreamingPull`: one task per stream, which delivers as the client's limits allow and obeys what the client sends.

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
    convert::received,
    grpc::token,
    messages as pb,
    queue::Consumer,
    service::{CONSUME, PubSub, next_consumer},
};
use crate::respond::{ApiError, Code};

/// Without leases to wait for, a stream still looks again after this time, and tells the client that it is alive.
const IDLE: Duration = Duration::from_secs(30);
/// Answers that may wait for a client that does not read.
const PENDING: usize = 2;

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
        let (sender, receiver) = mpsc::channel(PENDING);
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
    let heartbeats = first.protocol_version >= 1;
    if !obey(pubsub, &name, &first, sender).await? {
        return Ok(());
    }
    let mut generation = pubsub.generation.subscribe();
    let mut idle = false;
    loop {
        // Registered before looking, so that what is published in between is not missed.
        let changed = pubsub.changed.notified();
        let (deliveries, wake) = pubsub.take(&name, consumer).map_err(ApiError::into_status)?;
        let more = !deliveries.is_empty();
        if more || std::mem::take(&mut idle) && heartbeats {
            let properties = properties(pubsub, &name).map_err(ApiError::into_status)?;
            let response = pb::StreamingPullResponse {
                received_messages: deliveries.into_iter().map(received).collect(),
                subscription_properties: Some(properties),
                ..pb::StreamingPullResponse::default()
            };
            if sender.send(Ok(response)).await.is_err() {
                return Ok(());
            }
        }
        let wake = wake.unwrap_or_else(|| Instant::now() + IDLE).min(Instant::now() + IDLE);
        tokio::select! {
            biased;
            _ = generation.changed() => return Err(Status::unavailable("The service was unable to fulfill your request. Please try again.")),
            request = requests.next() => match request {
                Some(Ok(request)) => if !obey(pubsub, &name, &request, sender).await? { return Ok(()) },
                Some(Err(status)) => return Err(status),
                None => return Ok(()),
            },
            // One answer holds only so much: what is left goes out at once, but after what the client said.
            () = std::future::ready(()), if more => {}
            () = changed => {}
            () = sleep_until(wake) => idle = true,
        }
    }
}

fn properties(pubsub: &PubSub, name: &str) -> Result<pb::SubscriptionProperties, ApiError> {
    let broker = pubsub.broker();
    let setting = broker.setting(name)?;
    Ok(pb::SubscriptionProperties {
        exactly_once_delivery_enabled: setting.enable_exactly_once_delivery,
        message_ordering_enabled: setting.enable_message_ordering,
    })
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

/// Acknowledgements and deadlines that came on the stream itself; under exactly-once delivery each is confirmed. `false`
/// when the client is gone.
async fn obey(
    pubsub: &PubSub,
    name: &str,
    request: &pb::StreamingPullRequest,
    sender: &Sender,
) -> Result<bool, Status> {
    if request.ack_ids.is_empty() && request.modify_deadline_ack_ids.is_empty() {
        return Ok(true);
    }
    let confirmations = settle(pubsub, name, request).map_err(ApiError::into_status)?;
    pubsub.changed.notify_waiters();
    match confirmations {
        Some(response) => Ok(sender.send(Ok(response)).await.is_ok()),
        None => Ok(true),
    }
}

fn settle(
    pubsub: &PubSub,
    name: &str,
    request: &pb::StreamingPullRequest,
) -> Result<Option<pb::StreamingPullResponse>, ApiError> {
    if request.modify_deadline_seconds.len() != request.modify_deadline_ack_ids.len() {
        let message = "modify_deadline_seconds and modify_deadline_ack_ids must have the same length.";
        return Err(ApiError::new(Code::InvalidArgument, message));
    }
    let now = Instant::now();
    let mut broker = pubsub.broker();
    let ended = broker.acknowledge(name, &request.ack_ids, now)?;
    let acknowledged = confirmation(&request.ack_ids, ended);
    let mut ended = Vec::new();
    for (id, seconds) in request.modify_deadline_ack_ids.iter().zip(&request.modify_deadline_seconds) {
        ended.extend(broker.modify(name, std::slice::from_ref(id), *seconds, now)?);
    }
    let modified = confirmation(&request.modify_deadline_ack_ids, ended);
    Ok(broker.setting(name)?.enable_exactly_once_delivery.then(|| pb::StreamingPullResponse {
        acknowledge_confirmation: acknowledged,
        modify_ack_deadline_confirmation: modified,
        ..pb::StreamingPullResponse::default()
    }))
}

fn confirmation(asked: &[String], invalid_ack_ids: Vec<String>) -> Option<pb::Confirmation> {
    let ack_ids: Vec<String> = asked.iter().filter(|id| !invalid_ack_ids.contains(id)).cloned().collect();
    (!asked.is_empty()).then_some(pb::Confirmation { ack_ids, invalid_ack_ids })
}
