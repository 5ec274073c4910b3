//! A running listener, and clients that speak byte by byte.

#![allow(clippy::unwrap_used, dead_code)]

use std::{convert::Infallible, future::Future, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use plimsoll_listener::{
    Drained, Limits, Listener, ListenerConfig, ListenerStats, PeerAddr, TlsConfig, TlsReloader,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// Long enough to mean "never" on a busy machine; no test waits for it to pass.
pub(crate) const NEVER: Duration = Duration::from_secs(30);

/// `/held` answers when `release` is notified, and notifies `arrived` first.
#[derive(Clone, Default)]
pub(crate) struct Held {
    pub(crate) arrived: Arc<Notify>,
    pub(crate) release: Arc<Notify>,
}

pub(crate) struct Running {
    pub(crate) addr: SocketAddr,
    pub(crate) tls: Option<TlsReloader>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) held: Held,
    pub(crate) stats: Box<dyn Fn() -> ListenerStats>,
    pub(crate) task: JoinHandle<std::io::Result<Drained>>,
}

pub(crate) fn start(limits: Limits, tls: Option<TlsConfig>) -> Running {
    let mut config = ListenerConfig::new("127.0.0.1:0".parse().unwrap()).with_limits(limits);
    config.tls = tls;
    let listener = Listener::bind(config).unwrap();
    let (held, shutdown) = (Held::default(), CancellationToken::new());
    let service = {
        let held = held.clone();
        tower::service_fn(move |request| answer(request, held.clone()))
    };
    Running {
        addr: listener.local_addr(),
        tls: listener.tls_reloader(),
        stats: Box::new(listener.stats()),
        task: tokio::spawn(listener.serve(service, shutdown.clone())),
        shutdown,
        held,
    }
}

async fn answer(
    request: Request<Incoming>,
    held: Held,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let peer = request.extensions().get::<PeerAddr>().map(|peer| peer.0);
    let text = match request.uri().path() {
        "/peer" => format!("{}", peer.unwrap()),
        "/refuse" => {
            let mut response = Response::new(Full::from("too large"));
            *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
            return Ok(response);
        }
        "/held" => {
            held.arrived.notify_one();
            held.release.notified().await;
            "released".to_owned()
        }
        "/large" => "x".repeat(64 * 1024 * 1024),
        "/panic" => panic!("a service that panics"),
        _ => match request.into_body().collect().await {
            Ok(body) => format!("{} bytes", body.to_bytes().len()),
            Err(_) => "cut short".to_owned(),
        },
    };
    Ok(Response::new(Full::from(text)))
}

/// Connects and sends `text` as it stands.
pub(crate) async fn send(addr: SocketAddr, text: &str) -> TcpStream {
    let mut socket = TcpStream::connect(addr).await.unwrap();
    socket.write_all(text.as_bytes()).await.unwrap();
    socket
}

pub(crate) const GET: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";

/// Reads until the answer contains `end`, and returns all of it.
pub(crate) async fn read_until(socket: &mut (impl AsyncRead + Unpin), end: &str) -> String {
    within(async {
        let mut answer = Vec::new();
        while !String::from_utf8_lossy(&answer).contains(end) {
            let mut space = [0; 4096];
            let bytes = socket.read(&mut space).await.unwrap();
            let so_far = String::from_utf8_lossy(&answer).into_owned();
            assert!(bytes > 0, "closed before {end:?} after {so_far:?}");
            answer.extend_from_slice(&space[..bytes]);
        }
        String::from_utf8(answer).unwrap()
    })
    .await
}

/// Reads to the end, however it ends; true if by a close and not by a reset.
pub(crate) async fn read_to_close(socket: &mut (impl AsyncRead + Unpin)) -> (Vec<u8>, bool) {
    within(async {
        let mut answer = Vec::new();
        let closed = socket.read_to_end(&mut answer).await.is_ok();
        (answer, closed)
    })
    .await
}

/// Fails a test that hangs.
pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    timeout(NEVER, future).await.expect("the test hangs")
}
