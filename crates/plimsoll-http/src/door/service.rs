//! A request's way through the door.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use plimsoll::{Demand, Reason};
use tokio::sync::SemaphorePermit;
use tower_service::Service;

use crate::body;
use crate::door::gates::Gates;
use crate::door::layer::{Door, Shared};
use crate::door::route::Route;
use crate::door::ticket::Ticket;
use crate::refusal::{Refusal, respond};

/// A future on the heap: one small allocation a request.
type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl<S, B, R> Service<Request<B>> for Door<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    B: Body<Data = Bytes> + Send + 'static,
    R: From<Bytes> + Send + 'static,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = BoxFuture<Result<Response<R>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The clone stays behind; the instance that was polled ready is used.
        let clone = self.inner.clone();
        let mut inner = core::mem::replace(&mut self.inner, clone);
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            let unread = !body.is_end_stream();
            let entered = match enter(&shared, &parts) {
                Ok(entered) => entered,
                Err(refusal) => return Ok(respond(&*shared.face, &parts.headers, refusal, unread)),
            };
            let body = match body::read(body, shared.limits).await {
                Ok(body) => body,
                Err(error) => return Ok(respond(&*shared.face, &parts.headers, error, true)),
            };
            if let Entered::Asked(demand) = entered {
                // The last byte is in: now the place is real.
                let demand = shared.classify.refine(&parts, &body, demand);
                match shared.gates.write.admit((shared.clock)(), &demand) {
                    Ok(place) => drop(parts.extensions.insert(Ticket::new(place))),
                    Err(rejection) => {
                        return Ok(respond(&*shared.face, &parts.headers, rejection, false));
                    }
                }
            }
            inner.call(Request::from_parts(parts, Full::new(body))).await
        })
    }
}

/// How a request came past its headers.
enum Entered<'s> {
    /// Nothing to ask.
    Open,
    /// The gate would have room.
    Asked(Demand),
    /// One of the few lanes, held until the answer is there.
    Lane(#[expect(dead_code, reason = "held, not read")] SemaphorePermit<'s>),
}

/// Everything that the headers decide.
fn enter<'s>(shared: &'s Shared, parts: &Parts) -> Result<Entered<'s>, Refusal> {
    if let Some(length) = content_length(parts) {
        body::check_size(length, shared.limits)?;
    }
    let route = shared.classify.classify(parts);
    let (Route::Write(demand) | Route::Administration(demand)) = route else {
        return Ok(Entered::Open);
    };
    let now = (shared.clock)();
    let Gates { write, disk } = &shared.gates;
    let refuse = |reason| Refusal::from(write.refuse(now, &demand, reason));
    if shared.classify.forced(parts) {
        return Err(refuse(Reason::Forced));
    }
    if let Some(disk) = disk {
        disk.admit(now, demand.class, || shared.classify.frees(parts))?;
    }
    if matches!(route, Route::Administration(_)) {
        let lane = shared.administration.try_acquire();
        return lane.map(Entered::Lane).map_err(|_| refuse(Reason::Full));
    }
    write.peek(now, &demand)?;
    Ok(Entered::Asked(demand))
}

fn content_length(parts: &Parts) -> Option<u64> {
    parts.headers.get(http::header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
