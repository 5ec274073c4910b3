//! The smallest server on this listener, for measuring what the listener costs.
//!
//! `cargo run --release -p plimsoll-listener --example hello -- 127.0.0.1:8080`

#![allow(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::{convert::Infallible, error::Error};

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use plimsoll_listener::{Listener, ListenerConfig};
use tokio_util::sync::CancellationToken;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let listener = Listener::bind(ListenerConfig::new(addr.parse()?))?;
    println!("listening on {}", listener.local_addr());
    let shutdown = CancellationToken::new();
    tokio::spawn({
        let shutdown = shutdown.clone();
        async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                shutdown.cancel();
            }
        }
    });
    let service = tower::service_fn(|_request| async {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"hello\n"))))
    });
    let drained = listener.serve(service, shutdown).await?;
    println!("{drained:?}");
    Ok(())
}
