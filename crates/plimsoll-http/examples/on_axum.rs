//! An axum service that can be closed, and whose requests are within limits.
//!
//! `cargo run -p plimsoll-http --example on_axum`, then with curl:
//! `POST /upload` with more than a mebibyte is 413, and while `/close` is in force
//! everything is 503 until its minute is over.

use std::error::Error;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Bytes;
use axum::extract::ConnectInfo;
use axum::routing::{get, post};
use plimsoll_http::body::BodyLimits;
use plimsoll_http::identity::IdentityLayer;
use plimsoll_http::limits::BodyLimitsLayer;
use plimsoll_http::maintenance::{Extent, Maintenance, MaintenanceLayer, Plan};

#[expect(clippy::disallowed_methods, reason = "an example has no other clock")]
fn now() -> SystemTime {
    SystemTime::now()
}

/// Everything, for a minute.
fn close(maintenance: &Maintenance) -> &'static str {
    let begin = now();
    match Plan::new(Extent::Full, begin, Some(begin + Duration::from_secs(60)), begin) {
        Ok(plan) => maintenance.announce(plan),
        Err(error) => eprintln!("{error}"),
    }
    "closed for a minute\n"
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let maintenance = Maintenance::default();
    let closing = maintenance.clone();
    let limits = BodyLimits { bytes_max: 1 << 20, time_max: Duration::from_secs(30) };
    let app = Router::new()
        .route("/", get(|| async { "hello\n" }))
        .route("/upload", post(|body: Bytes| async move { format!("{} bytes\n", body.len()) }))
        .route("/close", post(|| async move { close(&closing) }))
        .layer(BodyLimitsLayer::new(limits))
        .layer(MaintenanceLayer::new(maintenance, now))
        .layer(IdentityLayer::new(|extensions| {
            Some(extensions.get::<ConnectInfo<SocketAddr>>()?.0.ip())
        }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    eprintln!("listening on {}", listener.local_addr()?);
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await?;
    Ok(())
}
