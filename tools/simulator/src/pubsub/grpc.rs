//! The gRPC services `Publisher` and `Subscriber`: which method, and how its messages travel.

use std::pin::Pin;

use axum::{
    Router,
    body::Body,
    extract::{Path, Request, State},
    http::{Response, header},
    routing::post,
};
use tonic::{
    Status,
    server::{Grpc, UnaryService},
};
use tonic_prost::ProstCodec;

use super::{
    limits::REQUEST_BYTES,
    messages as pb,
    service::{Answer, PubSub},
    stream,
};
use crate::respond;

/// A request's limit in the service's own terms is checked by [`super::limits`]; this is what is read at all.
const FRAME_BYTES: usize = REQUEST_BYTES + (2 << 20);

/// The gRPC routes.
pub(crate) fn routes(pubsub: &PubSub) -> Router {
    Router::new()
        .route("/google.pubsub.v1.Publisher/{method}", post(publisher))
        .route("/google.pubsub.v1.Subscriber/{method}", post(subscriber))
        .with_state(pubsub.clone())
}

async fn publisher(State(pubsub): State<PubSub>, Path(method): Path<String>, request: Request) -> Response<Body> {
    match method.as_str() {
        "Publish" => unary(pubsub, request, PubSub::publish_all).await,
        "CreateTopic" => unary(pubsub, request, PubSub::create_topic_call).await,
        "GetTopic" => unary(pubsub, request, PubSub::get_topic).await,
        "DeleteTopic" => unary(pubsub, request, PubSub::delete_topic).await,
        "ListTopics" => unary(pubsub, request, PubSub::list_topics).await,
        "ListTopicSubscriptions" => unary(pubsub, request, PubSub::list_topic_subscriptions).await,
        _ => unimplemented(&method),
    }
}

async fn subscriber(State(pubsub): State<PubSub>, Path(method): Path<String>, request: Request) -> Response<Body> {
    match method.as_str() {
        "StreamingPull" => stream::serve(pubsub, request).await,
        "Acknowledge" => unary(pubsub, request, PubSub::acknowledge).await,
        "ModifyAckDeadline" => unary(pubsub, request, PubSub::modify).await,
        "CreateSubscription" => unary(pubsub, request, PubSub::create_subscription_call).await,
        "GetSubscription" => unary(pubsub, request, PubSub::get_subscription).await,
        "UpdateSubscription" => unary(pubsub, request, PubSub::update_subscription).await,
        "DeleteSubscription" => unary(pubsub, request, PubSub::delete_subscription).await,
        "ListSubscriptions" => unary(pubsub, request, PubSub::list_subscriptions).await,
        "Pull" => serve(request, |token| Pull { pubsub, token }).await,
        _ => unimplemented(&method),
    }
}

fn unimplemented(method: &str) -> Response<Body> {
    Status::unimplemented(format!("the simulator does not know {method}")).into_http()
}

/// The access token of a call: gRPC metadata are HTTP headers.
pub(super) fn token(request: &Request) -> Result<Option<String>, Status> {
    let token = respond::bearer(request.headers()).map(str::to_owned);
    if token.is_none() && request.headers().contains_key(header::AUTHORIZATION) {
        return Err(Status::unauthenticated("the authorization metadata is not one bearer token"));
    }
    Ok(token)
}

async fn unary<Q, A>(
    pubsub: PubSub,
    request: Request,
    method: fn(&PubSub, Option<&str>, Q) -> Answer<A>,
) -> Response<Body>
where
    Q: prost::Message + Default + 'static,
    A: prost::Message + Default + 'static,
{
    serve(request, |token| Unary { pubsub, token, method }).await
}

async fn serve<Q, A, S>(request: Request, service: impl FnOnce(Option<String>) -> S) -> Response<Body>
where
    Q: prost::Message + Default + 'static,
    A: prost::Message + Default + 'static,
    S: UnaryService<Q, Response = A>,
{
    let token = match token(&request) {
        Ok(token) => token,
        Err(status) => return status.into_http(),
    };
    let mut grpc = Grpc::new(ProstCodec::<A, Q>::default()).max_decoding_message_size(FRAME_BYTES);
    grpc.unary(service(token), request).await.map(Body::new)
}

struct Unary<Q, A> {
    pubsub: PubSub,
    token: Option<String>,
    method: fn(&PubSub, Option<&str>, Q) -> Answer<A>,
}

impl<Q, A> UnaryService<Q> for Unary<Q, A> {
    type Response = A;
    type Future = std::future::Ready<Result<tonic::Response<A>, Status>>;

    fn call(&mut self, request: tonic::Request<Q>) -> Self::Future {
        let answer = (self.method)(&self.pubsub, self.token.as_deref(), request.into_inner());
        std::future::ready(answer.map(tonic::Response::new))
    }
}

/// The one call that waits.
struct Pull {
    pubsub: PubSub,
    token: Option<String>,
}

impl UnaryService<pb::PullRequest> for Pull {
    type Response = pb::PullResponse;
    type Future = Pin<Box<dyn Future<Output = Result<tonic::Response<pb::PullResponse>, Status>> + Send>>;

    fn call(&mut self, request: tonic::Request<pb::PullRequest>) -> Self::Future {
        let (pubsub, token) = (self.pubsub.clone(), self.token.take());
        Box::pin(async move { pubsub.pull(token, request.into_inner()).await.map(tonic::Response::new) })
    }
}
