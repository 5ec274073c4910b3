//! How the proxy is, on a listener, a thread and a runtime of its own, which share
//! nothing with the main port but the state that they report.

use core::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use plimsoll::opaque::CALLERS_FEW_MAX;
use plimsoll_daemon::metrics::prometheus;
use plimsoll_listener::{Listener, ListenerStats};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::service::Shared;

/// Held over the load line from which the upstream counts as degraded, unless the
/// clients are so few that they all may wait.
const DEGRADED_SATURATION: f64 = 0.75;

/// Reads the counters of one listener.
pub(crate) type Stats = Box<dyn Fn() -> ListenerStats + Send + Sync>;

/// Serves until `shutdown`.
pub(crate) fn spawn(
    listener: Listener,
    shared: Arc<Shared>,
    shutdown: CancellationToken,
) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("health".to_owned()).spawn(move || {
        let service = tower::service_fn(move |request: Request<Incoming>| {
            let response = answer(&shared, request.uri().path());
            async move { Ok::<_, Infallible>(response) }
        });
        if let Err(error) = runtime.block_on(listener.serve(service, shutdown)) {
            tracing::error!(%error, "the health listener ended");
        }
    })
}

fn answer(shared: &Shared, path: &str) -> Response<Full<Bytes>> {
    match path {
        "/health" => text("application/json", health(shared)),
        "/metrics" => {
            let listeners: Vec<_> = shared.listeners.iter().map(|stats| stats()).collect();
            let gates = &shared.settings.load().gates;
            let samples = shared.metrics.collect(gates, &listeners, shared.clock.now());
            text("text/plain; version=0.0.4", prometheus(&samples))
        }
        _ => {
            let mut response = Response::default();
            *response.status_mut() = StatusCode::NOT_FOUND;
            response
        }
    }
}

/// Always 200: a proxy whose upstream is overloaded or gone is itself well, and a
/// balancer that ejects it only moves the load.
fn health(shared: &Shared) -> String {
    let settings = shared.settings.load();
    let now = shared.clock.now();
    let mut gates = serde_json::Map::new();
    let (mut rejecting, mut saturation) = (false, 0.0_f64);
    for named in &settings.gates {
        let at = named.gate.snapshot(now);
        rejecting |= at.reject_fraction > 0.0;
        saturation = saturation.max(at.saturation);
        let gate = json!({
            "limit": at.limit, "in_flight": at.in_flight, "waiting": at.waiting,
            "reject_fraction": at.reject_fraction, "mode": named.gate.mode().name(),
        });
        gates.insert(named.name.to_owned(), gate);
    }
    let load = match saturation {
        _ if rejecting => "overloaded",
        s if s >= DEGRADED_SATURATION && shared.connections() > CALLERS_FEW_MAX => "degraded",
        _ => "ok",
    };
    let errors = shared.metrics.upstream_errors().filter(|(_, count)| *count > 0);
    let errors: serde_json::Map<_, _> =
        errors.map(|(error, count)| (error.to_owned(), count.into())).collect();
    let kind = settings.upstream.kind().map_or("unknown", |kind| kind.name());
    json!({ "load": load, "upstream_kind": kind, "at_upstream": shared.metrics.at_upstream(),
            "upstream_errors": errors, "gates": gates })
    .to_string()
}

fn text(content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
