//! A TCP proxy on loopback that counts connections and HTTP/1.1 requests and adds a round trip time.
//!
//! Each direction delays what it reads by half the round trip, as a delay line: many bytes in flight do not wait for
//! one another. A new connection's first bytes wait one round trip more, for the handshake which a real network has
//! and loopback has not.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

/// A running proxy; it stops accepting when this is dropped.
#[derive(Debug)]
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

/// What passed through a [`Proxy`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Connections that clients opened.
    pub connections: usize,
    /// Request lines, such as `GET /v2/ HTTP/1.1`, in the order of their arrival.
    pub requests: Vec<String>,
}

#[derive(Debug)]
struct Shared {
    upstream: SocketAddr,
    round_trip_micros: AtomicU64,
    connections: AtomicUsize,
    requests: Mutex<Vec<String>>,
    stopped: AtomicBool,
}

impl Proxy {
    /// Starts one in front of `upstream`, without delay.
    ///
    /// # Panics
    /// When no loopback port can be bound.
    pub fn start(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        let address = listener.local_addr().expect("a bound port");
        let shared = Arc::new(Shared {
            upstream,
            round_trip_micros: AtomicU64::new(0),
            connections: AtomicUsize::new(0),
            requests: Mutex::new(Vec::new()),
            stopped: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if accepting.stopped.load(SeqCst) {
                    return;
                }
                accepting.connections.fetch_add(1, SeqCst);
                let shared = Arc::clone(&accepting);
                thread::spawn(move || shared.serve(client));
            }
        });
        Self { address, shared }
    }

    /// Sets the round trip time that is added from now on.
    pub fn set_round_trip(&self, round_trip: Duration) {
        self.shared.round_trip_micros.store(u64::try_from(round_trip.as_micros()).unwrap_or(u64::MAX), SeqCst);
    }

    /// What passed since the last call.
    ///
    /// # Panics
    /// When a thread of the proxy panicked.
    pub fn take_traffic(&self) -> Traffic {
        Traffic {
            connections: self.shared.connections.swap(0, SeqCst),
            requests: std::mem::take(&mut *self.shared.requests.lock().expect("no thread of the proxy panics")),
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stopped.store(true, SeqCst);
        // Wakes the accepting thread.
        drop(TcpStream::connect(self.address));
    }
}

impl Shared {
    fn round_trip(&self) -> Duration {
        Duration::from_micros(self.round_trip_micros.load(SeqCst))
    }

    fn serve(&self, client: TcpStream) {
        let connected = Instant::now() + self.round_trip();
        let Ok(server) = TcpStream::connect(self.upstream) else { return };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let (Ok(from_client), Ok(from_server)) = (client.try_clone(), server.try_clone()) else { return };
        thread::scope(|scope| {
            let mut lines = RequestLines::default();
            scope.spawn(move || {
                delay(from_client, server, |bytes| {
                    let found = lines.feed(bytes);
                    self.requests.lock().expect("no thread of the proxy panics").extend(found);
                    Instant::now().max(connected) + self.round_trip() / 2
                });
            });
            delay(from_server, client, |_| Instant::now() + self.round_trip() / 2);
        });
    }
}

/// Copies until the end of `from`, each piece at the time that `due` says.
fn delay(mut from: TcpStream, mut to: TcpStream, mut due: impl FnMut(&[u8]) -> Instant) {
    let (sender, pieces) = mpsc::channel::<(Instant, Vec<u8>)>();
    thread::scope(|scope| {
        scope.spawn(move || {
            for (at, bytes) in pieces {
                thread::sleep(at.saturating_duration_since(Instant::now()));
                if to.write_all(&bytes).is_err() {
                    break;
                }
            }
            let _ = to.shutdown(Shutdown::Write);
        });
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            let bytes = &buffer[..length];
            if sender.send((due(bytes), bytes.to_vec())).is_err() {
                break;
            }
        }
        drop(sender);
    });
}

/// Finds the request lines in what a client sends: skips headers and bodies (RFC 9112, sections 2 and 6).
#[derive(Debug, Default)]
struct RequestLines {
    state: State,
    line: Vec<u8>,
    request: Option<String>,
    length: u64,
    chunked: bool,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Head,
    Body(u64),
    ChunkSize,
    Chunk(u64),
    Trailer,
}

impl RequestLines {
    fn feed(&mut self, mut bytes: &[u8]) -> Vec<String> {
        let mut found = Vec::new();
        while let Some(&byte) = bytes.first() {
            if let State::Body(left) | State::Chunk(left) = &mut self.state {
                let skipped = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= skipped as u64;
                bytes = &bytes[skipped..];
                match self.state {
                    State::Body(0) => self.state = State::Head,
                    State::Chunk(0) => self.state = State::ChunkSize,
                    _ => {}
                }
                continue;
            }
            bytes = &bytes[1..];
            self.line.push(byte);
            if byte == b'\n' {
                let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).trim_end().to_owned();
                found.extend(self.end_of_line(&line));
            }
        }
        found
    }

    /// Takes in one line that is not part of a body; returns the request line once its head is complete.
    fn end_of_line(&mut self, line: &str) -> Option<String> {
        match self.state {
            State::Head if line.is_empty() => {
                self.state = match (self.chunked, self.length) {
                    (true, _) => State::ChunkSize,
                    (false, 0) => State::Head,
                    (false, length) => State::Body(length),
                };
                (self.chunked, self.length) = (false, 0);
                return self.request.take();
            }
            State::Head if self.request.is_none() => {
                self.request = line.contains(" HTTP/1.").then(|| line.to_owned());
            }
            State::Head => {
                let (name, value) = line.split_once(':').unwrap_or((line, ""));
                match name.to_ascii_lowercase().as_str() {
                    "content-length" => self.length = value.trim().parse().unwrap_or(0),
                    "transfer-encoding" => self.chunked = true,
                    _ => {}
                }
            }
            State::ChunkSize => {
                let size = line.split(';').next().unwrap_or_default().trim();
                self.state = match u64::from_str_radix(size, 16) {
                    Ok(0) | Err(_) => State::Trailer,
                    Ok(size) => State::Chunk(size + 2),
                };
            }
            State::Trailer if line.is_empty() => self.state = State::Head,
            State::Trailer | State::Body(_) | State::Chunk(_) => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TALK: &[u8] = b"GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n\
        PUT /one HTTP/1.1\r\nContent-Length: 23\r\n\r\nGET /no HTTP/1.1\r\n\r\n123\
        PATCH /two HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n14\r\nGET /no HTTP/1.1\r\n\r\n\r\n0\r\n\r\n\
        HEAD /three HTTP/1.1\r\n\r\n";

    #[test]
    fn request_lines_are_found_and_bodies_skipped_however_the_bytes_arrive() {
        let expected = ["GET /v2/ HTTP/1.1", "PUT /one HTTP/1.1", "PATCH /two HTTP/1.1", "HEAD /three HTTP/1.1"];
        for piece in [1, 7, TALK.len()] {
            let mut lines = RequestLines::default();
            let found: Vec<_> = TALK.chunks(piece).flat_map(|bytes| lines.feed(bytes)).collect();
            assert_eq!(found, expected, "in pieces of {piece}");
        }
    }

    #[test]
    fn a_proxy_passes_bytes_on_and_counts() {
        let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Proxy::start(upstream.local_addr().unwrap());
        proxy.set_round_trip(Duration::from_millis(2));
        let server = thread::spawn(move || {
            let (mut connection, _) = upstream.accept().unwrap();
            let mut received = Vec::new();
            let mut buffer = [0; 256];
            while !received.ends_with(b"three HTTP/1.1\r\n\r\n") {
                let length = connection.read(&mut buffer).unwrap();
                received.extend_from_slice(&buffer[..length]);
            }
            connection.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
            received
        });
        let mut client = TcpStream::connect(proxy.address).unwrap();
        client.write_all(TALK).unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).unwrap();
        assert_eq!(answer, b"HTTP/1.1 204 No Content\r\n\r\n");
        assert_eq!(server.join().unwrap(), TALK);
        let traffic = proxy.take_traffic();
        assert_eq!((traffic.connections, traffic.requests.len()), (1, 4));
        assert_eq!(proxy.take_traffic(), Traffic::default());
    }
}
