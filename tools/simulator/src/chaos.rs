//! Faults at random: each service answers with errors, late, or not at all, as often as its rates say.
//!
//! The n-th request of a service meets the same fate in every run with the same seed; which request is the n-th depends
//! on the clients.

use std::{
    collections::BTreeMap,
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::{Request, State},
    http::{Response, StatusCode, header},
    middleware::Next,
};
use http_body_util::BodyExt as _;
use hyper::body::Frame;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

/// The services that can be told apart by a request's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Service {
    /// `/v2/`.
    Registry,
    /// The token exchange.
    Sts,
    /// Cloud KMS, and whatever else is below `/v1/`.
    Kms,
    /// Pub/Sub.
    Pubsub,
    /// The GCE metadata server.
    Metadata,
    /// The attestation issuer's documents.
    Attestation,
}

impl Service {
    /// Every service.
    pub const ALL: [Self; 6] = [Self::Registry, Self::Sts, Self::Kms, Self::Pubsub, Self::Metadata, Self::Attestation];

    fn of(path: &str) -> Option<Self> {
        let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| path.starts_with(prefix));
        match path {
            "/v1/token" => Some(Self::Sts),
            _ if starts(&["/v2/"]) => Some(Self::Registry),
            _ if starts(&["/google.pubsub."]) => Some(Self::Pubsub),
            _ if starts(&["/computeMetadata/"]) => Some(Self::Metadata),
            _ if starts(&["/v1/"]) => Some(Self::Kms),
            _ if starts(&["/.well-known/"]) => Some(Self::Attestation),
            _ => None,
        }
    }
}

/// How often what goes wrong, in requests of a thousand. They are tried in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rates {
    /// Answered with an error of the service's own kind, unprocessed.
    pub error: u32,
    /// The connection is cut before the request is processed.
    pub cut: u32,
    /// The request is processed, and the connection is cut before its answer gets out.
    pub lost: u32,
    /// Processed so much later: up to `slow_ms`.
    pub slow: u32,
    /// Most milliseconds by which a slow request is late.
    pub slow_ms: u64,
    /// Most milliseconds that an answer which streams goes on before it is cut; 0 is for ever.
    pub stream_ms: u64,
}

/// What goes wrong at random, from the start: `[faults]` of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Plan {
    /// Which of the possible runs it is.
    pub seed: u64,
    /// Rates per service; a service that is not named has no faults.
    pub services: BTreeMap<Service, Rates>,
}

/// The plan in force; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Chaos(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    plan: Plan,
    requests: BTreeMap<Service, u64>,
    outages: BTreeMap<Service, Instant>,
    faults: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Fine,
    Error(u64),
    Cut,
    Lost,
    Slow(Duration),
}

impl Chaos {
    pub(crate) fn new(plan: Plan) -> Self {
        Self(Arc::new(Mutex::new(Inner { plan, ..Inner::default() })))
    }

    /// From now on this plan is in force.
    pub fn set(&self, plan: Plan) {
        self.inner().plan = plan;
    }

    /// From now on nothing goes wrong.
    pub fn stop(&self) {
        let mut inner = self.inner();
        inner.plan.services.clear();
        inner.outages.clear();
    }

    /// A service answers nothing but errors for so long.
    pub fn outage(&self, service: Service, length: Duration) {
        self.inner().outages.insert(service, Instant::now() + length);
    }

    /// How many requests met a fault so far.
    pub fn faults(&self) -> u64 {
        self.inner().faults
    }

    /// What happens to the next request of a service, and how long its answer may stream.
    fn next(&self, service: Service) -> (Fate, Option<Duration>) {
        let mut inner = self.inner();
        let number = inner.requests.entry(service).or_default();
        *number += 1;
        let random =
            mix(inner.plan.seed ^ mix(service as u64 + 1) ^ mix(inner.requests.get(&service).copied().unwrap_or(0)));
        if inner.outages.get(&service).is_some_and(|end| *end > Instant::now()) {
            inner.faults += 1;
            return (Fate::Error(random >> 32), None);
        }
        let Some(rates) = inner.plan.services.get(&service).copied() else { return (Fate::Fine, None) };
        let (mut draw, share) = ((random % 1000) as u32, random >> 32);
        let mut within = |rate: u32| {
            let hit = draw < rate;
            draw = draw.saturating_sub(rate);
            hit
        };
        let late = Duration::from_millis(share.checked_rem(rates.slow_ms).unwrap_or(0));
        let fate = if within(rates.error) {
            Fate::Error(share)
        } else if within(rates.cut) {
            Fate::Cut
        } else if within(rates.lost) {
            Fate::Lost
        } else if within(rates.slow) {
            Fate::Slow(late)
        } else {
            Fate::Fine
        };
        inner.faults += u64::from(fate != Fate::Fine);
        let stream = share.checked_rem(rates.stream_ms).map(|ms| Duration::from_millis(ms.max(100)));
        (fate, stream)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Middleware of all routes.
pub(crate) async fn apply(State(chaos): State<Chaos>, request: Request, next: Next) -> Response<Body> {
    let Some(service) = Service::of(request.uri().path()) else { return next.run(request).await };
    let streams = request.uri().path().ends_with("/StreamingPull");
    let (fate, stream) = chaos.next(service);
    match fate {
        Fate::Error(share) => return error(service, share),
        Fate::Cut => return Response::new(Body::new(Cut)),
        Fate::Slow(late) => sleep(late).await,
        Fate::Fine | Fate::Lost => {}
    }
    let response = next.run(request).await;
    match (fate, stream) {
        (_, Some(length)) if streams => {
            response.map(|body| Body::new(Ending { body, end: Box::pin(sleep_until(Instant::now() + length)) }))
        }
        (Fate::Lost, _) if !streams => {
            // The answer is waited for, so that the request's effect is sure to have happened.
            let _ = response.into_body().collect().await;
            Response::new(Body::new(Cut))
        }
        _ => response,
    }
}

/// An error that a client must take for a passing one.
fn error(service: Service, share: u64) -> Response<Body> {
    if service == Service::Pubsub {
        let message = "a fault at random";
        let status = match share % 3 {
            0 => tonic::Status::unavailable(message),
            1 => tonic::Status::internal(message),
            _ => tonic::Status::resource_exhausted(message),
        };
        return status.into_http();
    }
    let (status, text) = match share % 3 {
        0 => (StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE"),
        1 => (StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL"),
        _ => (StatusCode::TOO_MANY_REQUESTS, "RESOURCE_EXHAUSTED"),
    };
    let body = json!({"error": {"code": status.as_u16(), "message": "a fault at random", "status": text}});
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}

/// A body that fails at once: the connection, or with HTTP/2 the stream, is torn down.
struct Cut;

impl HttpBody for Cut {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Poll::Ready(Some(Err(io::Error::other("cut at random"))))
    }
}

/// A body that fails after some time.
struct Ending {
    body: Body,
    end: Pin<Box<Sleep>>,
}

impl HttpBody for Ending {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.end.as_mut().poll(context).is_ready() {
            return Poll::Ready(Some(Err(axum::Error::new(io::Error::other("cut at random")))));
        }
        Pin::new(&mut self.body).poll_frame(context)
    }
}

/// Spreads a number over all bits (the finalizer of SplitMix64).
fn mix(number: u64) -> u64 {
    let mut x = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(seed: u64) -> Plan {
        let rates = Rates { error: 100, cut: 50, lost: 50, slow: 100, slow_ms: 20, stream_ms: 0 };
        Plan { seed, services: BTreeMap::from([(Service::Kms, rates)]) }
    }

    fn fates(seed: u64) -> Vec<Fate> {
        let chaos = Chaos::new(plan(seed));
        (0..2000).map(|_| chaos.next(Service::Kms).0).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_faults_about_as_often_as_the_rates_say() {
        let first = fates(1);
        assert_eq!(first, fates(1));
        assert_ne!(first, fates(2));
        let count = |wanted: fn(&Fate) -> bool| first.iter().filter(|fate| wanted(fate)).count();
        assert!((140..260).contains(&count(|f| matches!(f, Fate::Error(_)))));
        assert!((60..140).contains(&count(|f| matches!(f, Fate::Cut))));
        assert!((60..140).contains(&count(|f| matches!(f, Fate::Lost))));
        assert!(first.iter().all(|fate| !matches!(fate, Fate::Slow(late) if late.as_millis() >= 20)));
    }

    #[test]
    fn services_are_told_apart_and_those_without_rates_have_no_faults() {
        for (path, service) in [
            ("/v2/a/manifests/v1", Some(Service::Registry)),
            ("/v1/token", Some(Service::Sts)),
            ("/v1/projects/p/locations/l/keyRings/r/cryptoKeys/k:decrypt", Some(Service::Kms)),
            ("/google.pubsub.v1.Publisher/Publish", Some(Service::Pubsub)),
            ("/computeMetadata/v1/universe/universe-domain", Some(Service::Metadata)),
            ("/.well-known/openid-configuration", Some(Service::Attestation)),
            ("/", None),
        ] {
            assert_eq!(Service::of(path), service, "{path}");
        }
        let chaos = Chaos::new(plan(1));
        assert!((0..1000).all(|_| chaos.next(Service::Sts).0 == Fate::Fine));
        chaos.stop();
        assert!((0..1000).all(|_| chaos.next(Service::Kms).0 == Fate::Fine));
    }
}
