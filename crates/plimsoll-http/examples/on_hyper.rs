//! Plain hyper behind the same layers, over HTTP/1.1 and HTTP/2.
//!
//! `cargo run -p plimsoll-http --example on_hyper`

use std::convert::Infallible;
use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use plimsoll_http::body::BodyLimits;
use plimsoll_http::identity::{Client, IdentityLayer};
use plimsoll_http::limits::BodyLimitsLayer;
use tower::{Layer, service_fn};

/// Counts what it is sent.
async fn count<B: Body>(request: Request<B>) -> Result<Response<Full<Bytes>>, Infallible> {
    let client = Client::of(request.extensions());
    let text = match request.into_body().collect().await {
        Ok(body) => format!("{} bytes from {}\n", body.to_bytes().len(), client.address),
        // Whatever is said here: the layer knows better why the body failed.
        Err(_) => String::new(),
    };
    Ok(Response::new(Full::from(text)))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let limits = BodyLimits { bytes_max: 1 << 20, time_max: Duration::from_secs(30) };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    eprintln!("listening on {}", listener.local_addr()?);
    loop {
        let (socket, peer) = listener.accept().await?;
        let identity = IdentityLayer::new(move |_| Some(peer.ip()));
        let service = identity.layer(BodyLimitsLayer::new(limits).layer(service_fn(count)));
        tokio::spawn(async move {
            let http = auto::Builder::new(TokioExecutor::new());
            let service = TowerToHyperService::new(service);
            if let Err(error) = http.serve_connection(TokioIo::new(socket), service).await {
                eprintln!("{peer}: {error}");
            }
        });
    }
}
