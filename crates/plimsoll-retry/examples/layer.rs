//! The layer around hyper's own client, or any other tower service:
//! `cargo run --example layer -- http://127.0.0.1:8200/v1/sys/health`.

#![allow(clippy::print_stdout)]

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy;
use hyper_util::rt::TokioExecutor;
use plimsoll_retry::{Attempts, Retry, RetryLayer};
use tower::{ServiceBuilder, ServiceExt};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let uri = std::env::args().nth(1).ok_or("which address?")?;
    let hyper = legacy::Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let client = ServiceBuilder::new().layer(RetryLayer::new(Retry::default())).service(hyper);

    let response = client.oneshot(Request::get(uri).body(Full::default())?).await?;
    println!("{}", response.status());
    println!("{:?}", response.extensions().get::<Attempts>());
    println!("{}", String::from_utf8_lossy(&response.collect().await?.to_bytes()));
    Ok(())
}
