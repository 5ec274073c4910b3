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
use plimsoll::capacity::Held;
use plimsoll::cpu::Turn;
use plimsoll::{Class, Demand, Reason, Rejection, Timestamp};
use tokio::sync::SemaphorePermit;
use tower_service::Service;

use crate::body::{self, SMALL_BODY_BYTES};
use crate::door::gates::Gates;
use crate::door::layer::{Door, Shared};
use crate::door::memory::Memory;
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
            let admitted = match admit(&shared, &mut parts, body).await {
                Ok(admitted) => admitted,
                Err(Refused { refusal, unread }) => {
                    return Ok(respond(&*shared.face, &parts.headers, refusal, unread));
                }
            };
            let Admitted { body, turn, _entered } = admitted;
            let work = async { inner.call(Request::from_parts(parts, Full::new(body))).await };
            match (turn, &shared.gates.cpu) {
                (Some(turn), Some(turns)) => turns.run(turn, &*shared.clock, work).await,
                _ => work.await,
            }
        })
    }
}

/// A request that is in.
struct Admitted<'s> {
    body: Bytes,
    turn: Option<Turn>,
    /// Held until the answer is there.
    _entered: Entered<'s>,
}

/// One that is not.
struct Refused {
    refusal: Refusal,
    /// Something of it may still be on its way.
    unread: bool,
}

/// Everything before the service: on the headers, while the body comes, and when it is in.
async fn admit<'s, B: Body<Data = Bytes>>(
    shared: &'s Shared,
    parts: &mut Parts,
    body: B,
) -> Result<Admitted<'s>, Refused> {
    let unread = body::must_close(&parts.headers, &body);
    let refused = |unread| move |refusal| Refused { refusal, unread };
    let now = (shared.clock)();
    let entered = enter(shared, parts, now).map_err(refused(unread))?;
    let memory = memory(shared, &entered, parts, now);
    let memory = memory.map_err(Refusal::from).map_err(refused(unread))?;
    let mut come = 0;
    let count = |bytes: u64| {
        come += bytes;
        match &memory {
            // What fits into the buffers that a connection has anyhow waits for no room
            // that large bodies take.
            Some(memory) if come > SMALL_BODY_BYTES => {
                memory.lock().grow((shared.clock)(), bytes.min(come - SMALL_BODY_BYTES))
            }
            _ => Ok(()),
        }
    };
    let body = body::read(body, shared.limits, count).await.map_err(refused(true))?;
    if let Some(memory) = memory {
        parts.extensions.insert(memory);
    }
    // The last byte is in: now the places are real.
    let turn = take_places(shared, &entered, parts, &body);
    let turn = turn.map_err(Refusal::from).map_err(refused(false))?;
    Ok(Admitted { body, turn, _entered: entered })
}

/// How a request came past its headers.
enum Entered<'s> {
    /// Nothing to ask.
    Open,
    /// One of the reads.
    Read(Class, #[expect(dead_code, reason = "held, not read")] Option<Held>),
    /// The gate would have room.
    Asked(Demand),
    /// One of the few lanes, held until the answer is there.
    Lane(#[expect(dead_code, reason = "held, not read")] SemaphorePermit<'s>),
}

impl Entered<'_> {
    /// As what it asks for a turn; what has a lane has one of few.
    const fn class(&self) -> Option<Class> {
        match self {
            Self::Open => None,
            Self::Read(class, _) => Some(*class),
            Self::Asked(demand) => Some(demand.class),
            Self::Lane(_) => Some(Class::Critical),
        }
    }
}

/// Everything that the headers decide.
fn enter<'s>(shared: &'s Shared, parts: &Parts, now: Timestamp) -> Result<Entered<'s>, Refusal> {
    if let Some(length) = body::announced_size(&parts.headers) {
        body::check_size(length, shared.limits)?;
    }
    let route = shared.classify.classify(parts);
    let Gates { write, cpu, reads, disk, .. } = &shared.gates;
    let peek_cpu = |class| cpu.as_ref().map_or(Ok(()), |turns| turns.gate.peek(now, class));
    let demand = match route {
        Route::Open => return Ok(Entered::Open),
        Route::Read(class) => {
            peek_cpu(class)?;
            let held = reads.as_ref().map(|reads| reads.hold(now, class, 1)).transpose()?;
            return Ok(Entered::Read(class, held));
        }
        Route::Write(demand) | Route::Administration(demand) => demand,
    };
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
    peek_cpu(demand.class)?;
    write.peek(now, &demand)?;
    Ok(Entered::Asked(demand))
}

/// Nothing of the memory gate as yet; open routes are asked for nothing.
fn memory(
    shared: &Shared,
    entered: &Entered<'_>,
    parts: &Parts,
    now: Timestamp,
) -> Result<Option<Memory>, Rejection> {
    let (Some(gate), Some(class)) = (&shared.gates.memory, entered.class()) else {
        return Ok(None);
    };
    let share = shared.gates.memory_share.and_then(|share| share(&parts.extensions));
    gate.hold_within(now, class, 0, share).map(|held| Some(Memory::new(held)))
}

/// Takes the places of a request whose body is in: in the write queue, which travels
/// in its extensions, and at the processors.
fn take_places(
    shared: &Shared,
    entered: &Entered<'_>,
    parts: &mut Parts,
    body: &Bytes,
) -> Result<Option<Turn>, Rejection> {
    let now = (shared.clock)();
    let turn = match (&shared.gates.cpu, entered.class()) {
        (Some(turns), Some(class)) => turns.gate.admit(now, class)?,
        _ => None,
    };
    if let Entered::Asked(demand) = entered {
        let demand = shared.classify.refine(parts, body, *demand);
        let place = shared.gates.write.admit(now, &demand)?;
        parts.extensions.insert(Ticket::new(place));
    }
    Ok(turn)
}
