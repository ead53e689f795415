//! Plain HTTP and plain gRPC: what clients other than Google's Rust ones send.

use prost::Message;
use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use simulator::Simulator;

/// A request with a token.
pub(crate) fn request(simulator: &Simulator, method: Method, path: &str, token: &str) -> RequestBuilder {
    let request = reqwest::Client::new().request(method, format!("{}{path}", simulator.endpoint()));
    if token.is_empty() { request } else { request.bearer_auth(token) }
}

/// The status and the JSON of an answer.
pub(crate) async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.expect("answers");
    let status = response.status().as_u16();
    let body = response.bytes().await.expect("body");
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

pub(crate) async fn get(simulator: &Simulator, path: &str, token: &str) -> (u16, Value) {
    answer(request(simulator, Method::GET, path, token)).await
}

pub(crate) async fn post(simulator: &Simulator, path: &str, token: &str, body: &Value) -> (u16, Value) {
    answer(request(simulator, Method::POST, path, token).json(body)).await
}

/// A unary gRPC call: the reply, or the status code and message.
pub(crate) async fn grpc<A: Message + Default>(
    simulator: &Simulator,
    method: &str,
    token: &str,
    question: &impl Message,
) -> Result<A, (String, String)> {
    let mut frame = vec![0];
    frame.extend(u32::try_from(question.encoded_len()).expect("small").to_be_bytes());
    frame.extend(question.encode_to_vec());
    let client = reqwest::Client::builder().http2_prior_knowledge().build().expect("client");
    let request = client.post(format!("{}/{method}", simulator.endpoint())).bearer_auth(token);
    let request = request.header("content-type", "application/grpc").header("te", "trailers").body(frame);
    let response = request.send().await.expect("answers");
    // A refusal has no body, and its status among the headers.
    if let Some(code) = response.headers().get("grpc-status") {
        let message = response.headers().get("grpc-message").map(|m| m.to_str().expect("text").replace("%20", " "));
        return Err((code.to_str().expect("text").to_owned(), message.unwrap_or_default()));
    }
    let body = response.bytes().await.expect("body");
    Ok(A::decode(&body[5..]).expect("a message"))
}
