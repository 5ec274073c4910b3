//! This crate's animal in the client zoo: `zoo NAME URL/read URL/write ...` asks all
//! targets at once and prints each when it has come to an end. See `interop/zoo`.

#![allow(clippy::print_stdout)]

use http::Request;
use plimsoll_retry::{Client, Retry};
use tokio::task::JoinSet;

async fn ask(target: &str) -> Result<(), Box<dyn std::error::Error>> {
    let (url, kind) = target.rsplit_once('/').ok_or("a target is URL/read or URL/write")?;
    let (method, body) = if kind == "write" { ("POST", r#"{"a":"b"}"#) } else { ("GET", "") };
    let uri = format!("{url}/v1/secret/zoo");
    let request = Request::builder().method(method).uri(uri).body(body)?;
    // A client for each target: they stand for servers of their own.
    Client::new(Retry::default())?.request(request).await?;
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut asking = JoinSet::new();
    let local = tokio::task::LocalSet::new();
    for target in std::env::args().skip(2) {
        let ask = async move {
            if let Err(error) = ask(&target).await {
                eprintln!("{target}: {error}");
            }
            println!("{target}");
        };
        asking.spawn_local_on(ask, &local);
    }
    local.run_until(asking.join_all()).await;
}
