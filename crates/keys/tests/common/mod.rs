//! What tests of key providers share: a server that answers as it is told, and options that reach nothing.
#![allow(clippy::expect_used, dead_code, reason = "helpers of tests; none uses all of them")]

use std::{
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
    time::SystemTime,
};

use axum::{
    Router,
    body::{Body, Bytes},
    http::{HeaderMap, Method, StatusCode, Uri},
    response::Response,
};
use csign_keys::{
    AwsOptions, GcpClientOptions, KeyUri, KeysError, OpenOptions, Password, PluginOptions, Signer, TransitOptions,
};

/// A request as the server saw it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

/// A server on the loopback interface, and what it was asked.
#[derive(Clone)]
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Fake {
    pub(crate) async fn start(answer: impl Fn(&Seen, usize) -> Response<Body> + Send + Sync + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let fake = Self { address: listener.local_addr().expect("address"), seen: Arc::default() };
        let (seen, answer) = (Arc::clone(&fake.seen), Arc::new(answer));
        let handler = move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
            let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
            async move {
                let request = Seen { method, path: uri.to_string(), headers, body: body.to_vec() };
                let number = {
                    let mut seen = seen.lock().expect("lock");
                    seen.push(request.clone());
                    seen.len()
                };
                answer(&request, number)
            }
        };
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(handler)).await });
        fake
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("lock").clone()
    }
}

pub(crate) fn reply(status: u16, body: impl Into<Body>) -> Response<Body> {
    Response::builder().status(StatusCode::from_u16(status).expect("status")).body(body.into()).expect("response")
}

/// A body that never ends.
pub(crate) fn endless() -> Body {
    Body::from_stream(futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[b' '; 65536]))))
}

/// Settings of every provider; a test changes those of its own.
pub(crate) struct Settings {
    pub(crate) google: GcpClientOptions,
    pub(crate) transit: TransitOptions,
    pub(crate) aws: AwsOptions,
    pub(crate) plugins: PluginOptions,
}

impl Settings {
    pub(crate) fn new() -> Self {
        Self {
            google: GcpClientOptions::application_default(),
            transit: TransitOptions::default(),
            aws: AwsOptions::new(|| SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000)),
            plugins: PluginOptions::default(),
        }
    }

    pub(crate) async fn open(&self, uri: &str) -> Result<Signer, KeysError> {
        let password = |_: &Path| -> Result<Password, KeysError> { panic!("no provider but a file has a password") };
        let uri: KeyUri = uri.parse()?;
        Signer::open(&uri, &self.options(&password)).await
    }

    pub(crate) fn options<'a>(
        &'a self,
        password: &'a (dyn Fn(&Path) -> Result<Password, KeysError> + Sync),
    ) -> OpenOptions<'a> {
        OpenOptions { password, google: &self.google, transit: &self.transit, aws: &self.aws, plugins: &self.plugins }
    }
}
