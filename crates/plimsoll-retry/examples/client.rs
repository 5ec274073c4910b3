//! Writes a secret with the ready client, however busy the server is:
//! `VAULT_ADDR=http://127.0.0.1:8200 VAULT_TOKEN=root cargo run --example client`.

#![allow(clippy::print_stdout)]

use std::time::Duration;

use http::Request;
use plimsoll_retry::{Attempts, Client, Policy, Retry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::var("VAULT_ADDR")?;
    let mut policy = Policy::default();
    policy.patience = Duration::from_secs(10);
    let client = Client::new(Retry::new(policy))?;

    // A POST: the client gives it an Idempotency-Key, so that it may be repeated.
    let request = Request::post(format!("{address}/v1/secret/data/example"))
        .header("x-vault-token", std::env::var("VAULT_TOKEN")?)
        .header("content-type", "application/json")
        .body(r#"{"data":{"password":"hunter2"}}"#)?;
    let response = client.request(request).await?;

    println!("{}", response.status());
    if let Some(attempts) = response.extensions().get::<Attempts>() {
        println!("{attempts}");
    }
    println!("{}", String::from_utf8_lossy(response.body()));
    Ok(())
}
