//! A request's way through the door.

use core::future::{Future, poll_fn};
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
use tokio::sync::OwnedSemaphorePermit;
use tower_service::Service;

use crate::body::{self, SMALL_BODY_BYTES, Unread};
use crate::door::gates::Gates;
use crate::door::layer::{Door, Shared};
use crate::door::memory::Memory;
use crate::door::route::Route;
use crate::door::ticket::Ticket;
use crate::refusal::{Refusal, respond};
use crate::rule::Answer;

/// A future on the heap: one allocation for every request that came past its headers.
type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A refusal on the headers, or what becomes of the request.
type Answered<R, E> = Answer<BoxFuture<Result<Response<R>, E>>, (), R>;

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
    type Future = Answered<R, S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let Self { inner, shared } = self;
        through(shared, request, || {
            // The clone stays behind; the instance that was polled ready is used.
            let clone = inner.clone();
            core::mem::replace(inner, clone)
        })
    }
}

/// Through a reference: what is refused on its headers needs nothing of its own.
impl<S, B, R> Service<Request<B>> for &Door<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    B: Body<Data = Bytes> + Send + 'static,
    R: From<Bytes> + Send + 'static,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Answered<R, S::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        through(&self.shared, request, || self.inner.clone())
    }
}

/// Decides on the headers there and then; whoever comes past them goes on with a service
/// and a future of his own.
fn through<S, B, R>(
    shared: &Arc<Shared>,
    request: Request<B>,
    inner: impl FnOnce() -> S,
) -> Answered<R, S::Error>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>> + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    B: Body<Data = Bytes> + Send + 'static,
    R: From<Bytes> + Send + 'static,
{
    let (parts, body) = request.into_parts();
    match enter(shared, &parts, (shared.clock)()) {
        Ok(entered) => {
            let passed = pass(Arc::clone(shared), entered, parts, body, inner());
            Answer::awaited(Box::pin(passed), ())
        }
        Err(refusal) => {
            let close = Unread::of(&body).must_close(&parts.headers);
            Answer::refused(respond(&*shared.face, &parts.headers, refusal, close))
        }
    }
}

/// While the body comes, when it is in, and at the service.
async fn pass<S, B, R>(
    shared: Arc<Shared>,
    entered: Entered,
    mut parts: Parts,
    body: B,
    mut inner: S,
) -> Result<Response<R>, S::Error>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>>,
    B: Body<Data = Bytes>,
    R: From<Bytes>,
{
    let (body, turn) = match admit(&shared, &entered, &mut parts, body).await {
        Ok(admitted) => admitted,
        Err(Refused { refusal, unread }) => {
            return Ok(respond(&*shared.face, &parts.headers, refusal, unread));
        }
    };
    poll_fn(|context| inner.poll_ready(context)).await?;
    let work = async { inner.call(Request::from_parts(parts, Full::new(body))).await };
    match (turn, &shared.gates.cpu) {
        (Some(turn), Some(turns)) => turns.run(turn, &*shared.clock, work).await,
        _ => work.await,
    }
}

/// A request that is not admitted after all.
struct Refused {
    refusal: Refusal,
    /// Something of it may still be on its way.
    unread: bool,
}

/// Reads the body and takes the places.
async fn admit<B: Body<Data = Bytes>>(
    shared: &Shared,
    entered: &Entered,
    parts: &mut Parts,
    body: B,
) -> Result<(Bytes, Option<Turn>), Refused> {
    let refused = |unread| move |refusal| Refused { refusal, unread };
    let memory = &entered.memory;
    let mut come = 0;
    let count = |bytes: u64| {
        come += bytes;
        match memory {
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
        parts.extensions.insert(memory.clone());
    }
    // The last byte is in: now the places are real.
    let turn = take_places(shared, &entered.way, parts, &body);
    let turn = turn.map_err(Refusal::from).map_err(refused(false))?;
    Ok((body, turn))
}

/// A request that came past its headers, and what it holds until the answer is there.
struct Entered {
    way: Way,
    memory: Option<Memory>,
}

/// Which way it came.
enum Way {
    /// Nothing to ask.
    Open,
    /// One of the reads.
    Read(Class, #[expect(dead_code, reason = "held, not read")] Option<Held>),
    /// The gate would have room.
    Asked(Demand),
    /// One of the few lanes.
    Lane(#[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit),
}

impl Way {
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
fn enter(shared: &Shared, parts: &Parts, now: Timestamp) -> Result<Entered, Refusal> {
    let way = find_way(shared, parts, now)?;
    let memory = memory(shared, &way, parts, now)?;
    Ok(Entered { way, memory })
}

fn find_way(shared: &Shared, parts: &Parts, now: Timestamp) -> Result<Way, Refusal> {
    if let Some(length) = body::announced_size(&parts.headers) {
        body::check_size(length, shared.limits)?;
    }
    let route = shared.classify.classify(parts, now);
    let Gates { write, cpu, reads, disk, .. } = &shared.gates;
    let peek_cpu = |class| cpu.as_ref().map_or(Ok(()), |turns| turns.gate.peek(now, class));
    let demand = match route {
        Route::Open => return Ok(Way::Open),
        Route::Read(class) => {
            peek_cpu(class)?;
            let held = reads.as_ref().map(|reads| reads.hold(now, class, 1)).transpose()?;
            return Ok(Way::Read(class, held));
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
        let lane = Arc::clone(&shared.administration).try_acquire_owned();
        return lane.map(Way::Lane).map_err(|_| refuse(Reason::Full));
    }
    peek_cpu(demand.class)?;
    write.peek(now, &demand)?;
    Ok(Way::Asked(demand))
}

/// Nothing of the memory gate as yet; open routes are asked for nothing.
fn memory(
    shared: &Shared,
    way: &Way,
    parts: &Parts,
    now: Timestamp,
) -> Result<Option<Memory>, Rejection> {
    let (Some(gate), Some(class)) = (&shared.gates.memory, way.class()) else {
        return Ok(None);
    };
    let share = shared.gates.memory_share.and_then(|share| share(&parts.extensions));
    gate.hold_within(now, class, 0, share).map(|held| Some(Memory::new(held)))
}

/// Takes the places of a request whose body is in: in the write queue, which travels
/// in its extensions, and at the processors.
fn take_places(
    shared: &Shared,
    way: &Way,
    parts: &mut Parts,
    body: &Bytes,
) -> Result<Option<Turn>, Rejection> {
    let now = (shared.clock)();
    let turn = match (&shared.gates.cpu, way.class()) {
        (Some(turns), Some(class)) => turns.gate.admit(now, class)?,
        _ => None,
    };
    if let Way::Asked(demand) = way {
        let demand = shared.classify.refine(parts, body, *demand);
        let place = shared.gates.write.admit(now, &demand)?;
        parts.extensions.insert(Ticket::new(place));
    }
    Ok(turn)
}
