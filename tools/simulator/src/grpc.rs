//! Answers a unary gRPC call with a function: what the services with generated clients share.

use axum::{body::Body, extract::Request, http::Response};
use tonic::{
    Status,
    server::{Grpc, UnaryService},
};
use tonic_prost::ProstCodec;

use crate::respond::{self, ApiError};

/// Decodes the request, calls `answer` with the access token, encodes what it returns.
pub(crate) async fn unary<Q, A>(
    request: Request,
    answer: impl FnOnce(Option<&str>, Q) -> Result<A, ApiError> + Send + 'static,
) -> Response<Body>
where
    Q: prost::Message + Default + 'static,
    A: prost::Message + Default + 'static,
{
    let token = respond::bearer(request.headers()).map(str::to_owned);
    if token.is_none() && request.headers().contains_key(axum::http::header::AUTHORIZATION) {
        return Status::unauthenticated("the authorization metadata is not one bearer token").into_http();
    }
    let service = Unary { token, answer: Some(answer), question: std::marker::PhantomData };
    Grpc::new(ProstCodec::<A, Q>::default()).unary(service, request).await.map(Body::new)
}

/// A method that the simulator does not have.
pub(crate) fn unknown(method: &str) -> Response<Body> {
    Status::unimplemented(format!("the simulator does not know {method}")).into_http()
}

struct Unary<F, Q> {
    token: Option<String>,
    answer: Option<F>,
    question: std::marker::PhantomData<fn(Q)>,
}

impl<F, Q, A> UnaryService<Q> for Unary<F, Q>
where
    F: FnOnce(Option<&str>, Q) -> Result<A, ApiError>,
    Q: prost::Message + Default + 'static,
    A: prost::Message + Default + 'static,
{
    type Response = A;
    type Future = std::future::Ready<Result<tonic::Response<A>, Status>>;

    fn call(&mut self, request: tonic::Request<Q>) -> Self::Future {
        let answer = match self.answer.take() {
            Some(answer) => answer(self.token.as_deref(), request.into_inner()),
            None => return std::future::ready(Err(Status::internal("a unary call has one request"))),
        };
        std::future::ready(answer.map(tonic::Response::new).map_err(ApiError::into_status))
    }
}
