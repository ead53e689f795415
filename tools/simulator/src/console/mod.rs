//! The simulator's own side, below `/simulator/`: the page, its state, the audit log, and what a control token allows.
//!
//! Everything here is for the machine that the simulator runs on. Requests must name a loopback host, so that a name
//! that somebody else's server resolves to 127.0.0.1 reaches nothing (DNS rebinding); nothing can be framed or read from
//! another origin; and whatever starts a program or makes a token needs the control token besides.

mod control;
mod host;
mod page;
mod state;

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, Response, StatusCode, header},
    middleware::{self, Next},
    response::Redirect,
    routing::{get, post},
};

pub use self::control::{Launch, Report};
pub(crate) use self::{control::Control, host::is_loopback_host};
use crate::{audit, gcloud::Gcloud, respond, simulator::Services};

/// What the handlers work with.
#[derive(Clone)]
pub(crate) struct Console {
    pub(crate) services: Services,
    pub(crate) control: Control,
    pub(crate) gcloud: Gcloud,
}

/// All of `/simulator/`.
pub(crate) fn routes(console: Console) -> Router {
    let audit = audit::routes(&console.services.audit);
    let page = page::Page::new();
    Router::new()
        .route("/simulator", get(async || Redirect::permanent("/simulator/")))
        .route("/simulator/", get(move || std::future::ready(page.response())))
        .route("/simulator/state", get(snapshot))
        .route("/simulator/token", get(control::subject_token))
        .route("/simulator/launch", post(control::launch))
        .route("/simulator/gcloud", post(control::gcloud))
        .with_state(console)
        .merge(audit)
        .layer(middleware::from_fn(guard))
}

async fn snapshot(State(console): State<Console>) -> Response<Body> {
    respond::json(StatusCode::OK, &state::snapshot(&console.services))
}

/// Refuses hosts that are not of this machine; makes every answer private to its own origin.
async fn guard(request: Request, next: Next) -> Response<Body> {
    let named = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let named = named.or_else(|| request.uri().authority().map(|authority| authority.as_str()));
    if !named.is_some_and(is_loopback_host) {
        let message = "this is for the machine that the simulator runs on: use http://127.0.0.1:PORT/simulator/\n";
        return respond::text(StatusCode::MISDIRECTED_REQUEST, message);
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
