//! Uploads of 100 MB that are refused: hyper's client reads the refusal, the server not the
//! upload. `interop/uploads` asks the same of curl, requests and HTTP/2 frame by frame.

use core::convert::Infallible;
use core::pin::Pin;
use core::sync::atomic::{AtomicU64, Ordering};
use core::task::{Context, Poll};
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::support::{ROOT, Running};

const UPLOAD_BYTES: u64 = 100 << 20;
/// Beyond the server's 32 MiB of patience and what the kernels of both sides buffer.
const SENT_BYTES_MAX: u64 = 48 << 20;
const PIECE: Bytes = Bytes::from_static(&[b'x'; 64 << 10]);

/// As much as is announced, as fast as it is taken; knows how much that was.
struct Upload {
    sent: Arc<AtomicU64>,
    /// Between two pieces the client gets to see whether it has been answered: hyper's looks
    /// only when it cannot send.
    looks: bool,
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.looks = !self.looks;
        if self.looks {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let sent = self.sent.fetch_add(PIECE.len() as u64, Ordering::Relaxed);
        Poll::Ready((sent < UPLOAD_BYTES).then(|| Ok(Frame::data(PIECE))))
    }

    fn is_end_stream(&self) -> bool {
        self.sent.load(Ordering::Relaxed) >= UPLOAD_BYTES
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(UPLOAD_BYTES)
    }
}

async fn upload(address: SocketAddr, http2: bool, sent: &Arc<AtomicU64>) -> Response<Incoming> {
    let request = Request::post(format!("http://{address}/v1/secret/data/large"));
    let request = request.header("host", "x").header("x-vault-token", ROOT);
    let request = request.body(Upload { sent: Arc::clone(sent), looks: false }).unwrap();
    let socket = TokioIo::new(TcpStream::connect(address).await.unwrap());
    if http2 {
        let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), socket);
        let (mut sender, connection) = handshake.await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await.unwrap()
    } else {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(socket).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await.unwrap()
    }
}

fn is_refused(server: &Running, status: u16, code: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for http2 in [false, true] {
        let sent = Arc::default();
        let (head, body) = runtime.block_on(async {
            let (head, body) = upload(server.address, http2, &sent).await.into_parts();
            (head, body.collect().await.unwrap().to_bytes())
        });
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(head.status.as_u16(), status, "{body}");
        assert_eq!((&body["code"], &body["executed"]), (&json!(code), &json!(false)));
        let sent = sent.load(Ordering::Relaxed);
        assert!(sent < SENT_BYTES_MAX, "{sent} bytes over HTTP/{}", if http2 { 2 } else { 1 });
    }
}

#[test]
fn a_refused_upload_of_100_mb_is_not_read_and_the_client_sees_why() {
    let server = Running::dev();
    is_refused(&server, 413, "content_too_large");
    server.post("sys/maintenance", &json!({})).is(200);
    is_refused(&server, 503, "maintenance");
}
