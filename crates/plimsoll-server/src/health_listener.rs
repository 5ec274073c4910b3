//! Health on a listener, a thread and a runtime of its own.
//!
//! The promise that health answers while everything else is overloaded is about
//! this one: it shares nothing with the main port but the state it reports.

use core::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use http::Request;
use hyper::body::Incoming;
use plimsoll_listener::Listener;
use tokio_util::sync::CancellationToken;

use crate::face::{self, HttpResponse, message};
use crate::maintenance::{self, STATUS_PATH};
use crate::service::{Shared, query};
use crate::stack::Stacks;

/// Serves until `shutdown`.
pub(crate) fn spawn(
    listener: Listener,
    stacks: Arc<Stacks>,
    shutdown: CancellationToken,
) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("health".to_owned()).spawn(move || {
        let service = tower::service_fn(move |request: Request<Incoming>| {
            let response = answer(&stacks.current().shared, &request);
            async move { Ok::<_, Infallible>(response) }
        });
        if let Err(error) = runtime.block_on(listener.serve(service, shutdown)) {
            tracing::error!(%error, "the health listener ended");
        }
    })
}

fn answer(shared: &Shared, request: &Request<Incoming>) -> HttpResponse {
    let query = query(request.uri());
    match request.uri().path() {
        "/v1/sys/health" => shared.health.answer_to(request.method(), query),
        // Whoever can reach this address may read metrics: that is what it is for.
        "/v1/sys/metrics" => {
            shared.metrics_in(face::query(query).get("format").map(String::as_str))
        }
        STATUS_PATH => maintenance::status(shared, request),
        "/metrics" => shared.metrics_in(Some("prometheus")),
        _ => message(404, ""),
    }
}
