//! Connections are served where the configuration says.

#![allow(clippy::unwrap_used)]

mod support;

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use plimsoll_listener::{Listener, ListenerConfig, Workers};
use tokio_util::sync::CancellationToken;

use support::{GET, read_until, send};

async fn thread(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    Ok(Response::new(Full::from(name + "!")))
}

#[tokio::test]
async fn a_connection_is_served_by_a_worker_and_the_next_one_by_another() {
    let workers = Workers::start().unwrap();
    let config = ListenerConfig::new("127.0.0.1:0".parse().unwrap()).with_workers(&workers);
    let listener = Listener::bind(config).unwrap();
    let (addr, shutdown) = (listener.local_addr(), CancellationToken::new());
    let served = workers.first().spawn(listener.serve(tower::service_fn(thread), shutdown.clone()));

    let mut first = send(addr, GET).await;
    assert!(read_until(&mut first, "!").await.ends_with("worker-0!"));
    let mut second = send(addr, GET).await;
    let other = if workers.count() > 1 { "worker-1!" } else { "worker-0!" };
    assert!(read_until(&mut second, "!").await.ends_with(other));

    shutdown.cancel();
    assert_eq!(served.await.unwrap().unwrap().aborted, 0);
}
