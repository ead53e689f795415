//! TLS under Google's names, and the proxy that leads there and nowhere else.

use std::io::{Read as _, Write as _};

use reqwest::{Certificate, Client, Proxy, StatusCode, header};
use simulator::{Config, Simulator, config::Tls};

use crate::scene::start as without_tls;

async fn start() -> Simulator {
    let _ = rustls_graviola::default_provider().install_default();
    Simulator::start(Config { tls: Some(Tls::default()), ..Config::default() }).await.expect("starts")
}

/// A client that knows the proxy and the authority, as the printed environment tells it.
fn client(simulator: &Simulator) -> reqwest::ClientBuilder {
    let ca = Certificate::from_pem(simulator.ca_pem().expect("an authority").as_bytes()).expect("PEM");
    Client::builder().proxy(Proxy::https(simulator.endpoint()).expect("a proxy")).tls_certs_only([ca])
}

#[tokio::test]
async fn a_client_that_knows_the_proxy_and_the_authority_reaches_the_services_under_their_real_names() {
    let simulator = start().await;
    let client = client(&simulator).build().expect("a client");
    let kms = "https://cloudkms.googleapis.com/v1/projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1/publicKey";
    let response = client.get(kms).send().await.expect("answers");
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "KMS itself answered");
    assert_eq!(response.version(), reqwest::Version::HTTP_2);
    let response = client.get("https://us-docker.pkg.dev/v2/").send().await.expect("answers");
    assert_eq!(response.status(), StatusCode::OK);
    let response = client.post("https://sts.googleapis.com/v1/token").body("").send().await.expect("answers");
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    let log = simulator.audit();
    assert!(log.iter().any(|e| e.service == "proxy" && e.allowed && e.resource == "sts.googleapis.com:443"), "{log:?}");
}

#[tokio::test]
async fn http_1_is_spoken_to_clients_that_know_no_other() {
    let simulator = start().await;
    let client = client(&simulator).http1_only().build().expect("a client");
    let response = client.get("https://www.googleapis.com/v2/").send().await.expect("answers");
    assert_eq!((response.status(), response.version()), (StatusCode::OK, reqwest::Version::HTTP_11));
}

#[tokio::test]
async fn the_proxy_leads_to_no_other_name_and_no_other_port() {
    let simulator = start().await;
    for target in [
        "example.com:443",
        "sts.googleapis.com:80",
        "sts.googleapis.com",
        "sts.googleapis.com.example.com:443",
        "127.0.0.1:443",
        "169.254.169.254:80",
        "accounts.google.com:443",
    ] {
        let before = simulator.audit().len();
        let request = format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n\r\n");
        let answer = raw(&simulator, request.into_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("storage.googleapis.com"), "{target}: {answer}");
        let log = simulator.audit();
        assert_eq!(log.len(), before + 1);
        let entry = &log[before];
        assert!(!entry.allowed && entry.service == "proxy" && entry.resource == target, "{entry:?}");
    }
}

/// Sends bytes to the port and reads what comes back until it closes.
async fn raw(simulator: &Simulator, request: Vec<u8>) -> String {
    let address = simulator.address();
    let read = move || {
        let mut stream = std::net::TcpStream::connect(address).expect("connects");
        stream.write_all(&request).expect("writes");
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    };
    tokio::task::spawn_blocking(read).await.expect("joins")
}

#[tokio::test]
async fn what_starts_like_a_connect_and_is_none_is_refused() {
    let simulator = start().await;
    let long = [b"CONNECT ".as_slice(), &[b'a'; 9000]].concat();
    for request in [
        b"COPY / HTTP/1.1\r\n\r\n".to_vec(),
        b"CONNECT\r\n\r\n".to_vec(),
        b"CONNECT a:443 HTTP/2\r\n\r\n".to_vec(),
        long,
    ] {
        let answer = raw(&simulator, request).await;
        assert!(answer.starts_with("HTTP/1.1 400 ") || answer.is_empty(), "{answer}");
    }
    assert!(simulator.audit().iter().all(|entry| !entry.allowed));
    assert_eq!(reqwest::get(format!("{}/v2/", simulator.endpoint())).await.expect("lives").status(), StatusCode::OK);
}

#[tokio::test]
async fn a_host_that_is_not_served_gets_no_answer_on_a_connection_made_for_one_that_is() {
    let simulator = start().await;
    let client = client(&simulator).http1_only().build().expect("a client");
    for host in ["example.com", "127.0.0.1", "sts.googleapis.com.example.com"] {
        let request = client.get("https://sts.googleapis.com/v2/").header(header::HOST, host);
        let response = request.send().await.expect("answers");
        assert_eq!(response.status(), StatusCode::MISDIRECTED_REQUEST, "{host}");
    }
    // The simulator's own side is not for those who come by a public name.
    let response = client.get("https://storage.googleapis.com/simulator/state").send().await.expect("answers");
    assert_eq!(response.status(), StatusCode::MISDIRECTED_REQUEST);
}

#[tokio::test]
async fn a_server_name_that_is_not_served_gets_no_certificate() {
    let simulator = start().await;
    let ca = Certificate::from_pem(simulator.ca_pem().expect("an authority").as_bytes()).expect("PEM");
    let client =
        Client::builder().tls_certs_only([ca]).resolve("example.com", simulator.address()).build().expect("a client");
    let url = format!("https://example.com:{}/v2/", simulator.address().port());
    assert!(client.get(url).send().await.is_err());
    let last = simulator.audit().pop().expect("an entry");
    assert!(!last.allowed && last.method == "handshake", "{last:?}");
}

#[tokio::test]
async fn a_client_that_trusts_another_simulators_authority_does_not_trust_this_one() {
    let (one, other) = (start().await, start().await);
    let ca = Certificate::from_pem(other.ca_pem().expect("an authority").as_bytes()).expect("PEM");
    let proxy = Proxy::https(one.endpoint()).expect("a proxy");
    let client = Client::builder().proxy(proxy).tls_certs_only([ca]).build().expect("a client");
    assert!(client.get("https://sts.googleapis.com/v2/").send().await.is_err());
}

#[tokio::test]
async fn without_the_table_there_is_neither_tls_nor_a_proxy() {
    let simulator = without_tls().await;
    assert_eq!(simulator.ca_pem(), None);
    let answer =
        raw(&simulator, b"CONNECT sts.googleapis.com:443 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_vec())
            .await;
    assert!(!answer.contains(" 200 "), "{answer}");
}
