//! A proxy, upstreams to put behind it, and clients that write bytes.

pub(crate) mod h2;

use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use http_body_util::combinators::BoxBody;
use hyper::body::Incoming;
use plimsoll_listener::{Listener, ListenerConfig, TlsConfig};
use plimsoll_proxy::config::Config;
use plimsoll_proxy::{ProxyServer, UpstreamKind};
use tokio_util::sync::CancellationToken;

pub(crate) type Body = BoxBody<Bytes, hyper::Error>;

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// A proxy that ends with the test.
pub(crate) struct Proxy {
    server: Option<ProxyServer>,
    pub(crate) address: SocketAddr,
    health: SocketAddr,
}

impl Proxy {
    pub(crate) fn before(upstream: SocketAddr) -> Self {
        Self::with(upstream, |_| {})
    }

    pub(crate) fn with(upstream: SocketAddr, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::new(format!("http://{upstream}").parse().expect("a URL"));
        config.upstream.kind.0 = Some(UpstreamKind::Http);
        change(&mut config);
        Self::start(config)
    }

    pub(crate) fn start(config: Config) -> Self {
        Self::start_with_tls(config, None)
    }

    pub(crate) fn start_with_tls(mut config: Config, tls: Option<TlsConfig>) -> Self {
        config.listeners.truncate(1);
        config.listeners[0].address = ANY;
        config.listeners[0].tls = tls;
        config.health_listen = Some(ANY);
        let server = ProxyServer::start(&config).expect("starts");
        let (address, health) = (server.addresses()[0], server.health_address().expect("one"));
        Self { server: Some(server), address, health }
    }

    pub(crate) fn server(&self) -> &ProxyServer {
        self.server.as_ref().expect("runs")
    }

    /// Stops, and returns when everything accepted is finished.
    pub(crate) fn stop(mut self) {
        self.server.take().expect("runs").stop();
    }

    /// Sends bytes, reads to the end of the connection.
    pub(crate) fn talk(&self, request: &str) -> String {
        talk(self.address, request)
    }

    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = talk(self.health, &get("/metrics", ""));
        let line =
            text.lines().find(|line| line.strip_prefix(name).is_some_and(|l| l.starts_with(' ')));
        let line = line.unwrap_or_else(|| panic!("no {name} in {text}"));
        line.rsplit(' ').next().expect("a value").parse().expect("a number")
    }

    pub(crate) fn health(&self) -> String {
        talk(self.health, &get("/health", ""))
    }

    /// Asks until nothing is at the upstream and nothing is held at any gate.
    pub(crate) fn until_idle(&self) {
        until(|| {
            self.metric("plimsoll_proxy_at_upstream") == 0.0
                && ["logins", "writes", "reads"].iter().all(|gate| {
                    let gate = format!("{{gate=\"upstream.{gate}\"}}");
                    self.metric(&format!("plimsoll_gate_in_flight{gate}")) == 0.0
                        && self.metric(&format!("plimsoll_gate_waiting{gate}")) == 0.0
                })
        });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop();
        }
    }
}

/// Asks again until it is so; a test that never gets there is ended from outside.
pub(crate) fn until(so: impl Fn() -> bool) {
    while !so() {
        std::thread::yield_now();
    }
}

pub(crate) fn get(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: vault.example\r\nConnection: close\r\n{headers}\r\n")
}

pub(crate) fn talk(address: SocketAddr, request: &str) -> String {
    let mut stream = connect(address);
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = Vec::new();
    // A connection that is cut in the middle has said something all the same.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("accepts");
    stream.set_read_timeout(Some(Duration::from_secs(600))).expect("a socket");
    stream
}

/// An upstream that does with each connection what the test says.
pub(crate) fn raw(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind(ANY).expect("a port");
    let address = listener.local_addr().expect("bound");
    let serve = Arc::new(serve);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let serve = Arc::clone(&serve);
            std::thread::spawn(move || serve(stream));
        }
    });
    address
}

/// An upstream that never answers, and says of each connection whether it was closed.
pub(crate) fn silent() -> (SocketAddr, mpsc::Receiver<bool>) {
    let (sender, closed) = mpsc::channel();
    let sender = Mutex::new(sender);
    let address = raw(move |mut stream| {
        head(&mut stream);
        // Ends when the proxy closes the connection.
        let end = stream.read(&mut [0]);
        let _ = sender.lock().expect("held by no other").send(end.is_ok_and(|bytes| bytes == 0));
    });
    (address, closed)
}

/// An upstream that answers `done` when it is told to.
pub(crate) fn told() -> (SocketAddr, mpsc::Sender<()>) {
    let (go, wait) = mpsc::channel();
    let wait = Mutex::new(wait);
    let address = raw(move |mut stream| {
        head(&mut stream);
        let _: Result<(), _> = wait.lock().expect("held by no other").recv();
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone");
    });
    (address, go)
}

/// Reads one head.
pub(crate) fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => break,
        }
    }
    String::from_utf8_lossy(&head).into_owned()
}

/// An upstream that answers every request with the same bytes, after its head.
pub(crate) fn saying(answer: &'static str) -> SocketAddr {
    raw(
        move |mut stream| {
            while !head(&mut stream).is_empty() && stream.write_all(answer.as_bytes()).is_ok() {}
        },
    )
}

/// An upstream that sends back what it was sent: each head it reads as a body.
pub(crate) fn mirror() -> SocketAddr {
    raw(|mut stream| {
        loop {
            let head = head(&mut stream);
            if head.is_empty() {
                return;
            }
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let mut body = vec![0; length.map_or(0, |length| length.parse().expect("a number"))];
            if stream.read_exact(&mut body).is_err() {
                return;
            }
            let seen = format!("{head}{}", String::from_utf8_lossy(&body));
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{seen}", seen.len());
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    })
}

/// A proxy before an upstream that counts the requests it reads and reads their bodies
/// as chunks or by length, as it is told.
pub(crate) fn counted() -> (Proxy, impl Fn() -> usize) {
    let count = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&count);
    let upstream = raw(move |mut stream| {
        loop {
            let head = head(&mut stream);
            if head.is_empty() {
                return;
            }
            seen.fetch_add(1, Ordering::SeqCst);
            let lower = head.to_ascii_lowercase();
            let chunked = lower.contains("transfer-encoding: chunked");
            let lengths: Vec<_> =
                lower.lines().filter_map(|line| line.strip_prefix("content-length: ")).collect();
            assert!(lengths.len() + usize::from(chunked) <= 1, "framed twice: {head}");
            if let Some(length) = lengths.first() {
                let mut body = vec![0; length.parse().expect("a number")];
                if stream.read_exact(&mut body).is_err() {
                    return;
                }
            }
            if chunked {
                let mut body = Vec::new();
                let mut byte = [0];
                while !body.ends_with(b"0\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
                    body.push(byte[0]);
                }
                assert!(!body.contains(&b';'), "a chunk extension went through");
            }
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    });
    (Proxy::before(upstream), move || count.load(Ordering::SeqCst))
}

/// Sends back the body it is sent, as it comes.
pub(crate) async fn echo(request: Request<Incoming>) -> Response<Body> {
    Response::new(request.into_body().boxed())
}

/// A real server: hyper.
pub(crate) fn hyper_server<F>(service: fn(Request<Incoming>) -> F) -> SocketAddr
where
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let listener = Listener::bind(ListenerConfig::new(ANY)).expect("a port");
    let address = listener.local_addr();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let service =
            tower::service_fn(
                move |request| async move { Ok::<_, Infallible>(service(request).await) },
            );
        runtime.expect("a runtime").block_on(listener.serve(service, CancellationToken::new()))
    });
    address
}
