//! `/healthz`, `/readyz` and `/metrics`: what an operator's probes and Prometheus read. Anyone who reaches the port may
//! read it, so there is nothing in it that a party would hide from another.

use std::{convert::Infallible, io, time::Duration};

use csign_contract::Contract;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Body as _, Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};

use crate::{
    listener::{Bounds, HEAD_LIMIT, HEAD_TIME, Port, answer},
    log::Log,
    metrics::Metrics,
};

const BOUNDS: Bounds = Bounds { connections: 32, lifetime: Duration::from_secs(10) };
const TEXT: &str = "text/plain; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The health port, bound, if the contract has one.
///
/// # Errors
/// The system does not give the port.
pub(crate) async fn bind(contract: &Contract) -> io::Result<Option<Port>> {
    match contract.health {
        Some(health) => Port::bind("health", contract, health.port, BOUNDS).await.map(Some),
        None => Ok(None),
    }
}

/// Answers for ever: one request for each connection.
pub(crate) async fn serve(port: Port, metrics: Metrics, log: Log) {
    let shown = metrics.clone();
    port.serve(metrics, log, move |stream, _, guard| {
        let metrics = shown.clone();
        async move {
            let _guard = guard;
            let service = service_fn(move |request| {
                let answer = respond(&request, &metrics);
                async move { Ok::<_, Infallible>(answer) }
            });
            // A client that breaks off, or speaks no HTTP, is of no interest.
            let _ = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIME)
                .max_buf_size(HEAD_LIMIT)
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service)
                .await;
        }
    })
    .await;
}

fn respond(request: &Request<Incoming>, metrics: &Metrics) -> Response<Full<Bytes>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return answer(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD\n");
    }
    if !request.body().is_end_stream() {
        return answer(StatusCode::PAYLOAD_TOO_LARGE, TEXT, "no request here has a body\n");
    }
    match request.uri().path() {
        "/healthz" => answer(StatusCode::OK, TEXT, "alive\n"),
        "/readyz" => {
            let readiness = metrics.readiness();
            let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            answer(status, "application/json", serde_json::to_vec(&readiness).unwrap_or_default())
        }
        "/metrics" => answer(StatusCode::OK, OPEN_METRICS, metrics.text()),
        _ => answer(StatusCode::NOT_FOUND, TEXT, "there are /healthz, /readyz and /metrics\n"),
    }
}
