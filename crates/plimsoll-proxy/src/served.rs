//! What is told to the gate and to the metrics about a request: once, however it ends.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, StatusCode, response};
use plimsoll::Timestamp;
use plimsoll::opaque::{Outcome, Ticket};
use tokio::runtime::Handle;
use tokio::time::sleep;

use crate::body::{Passage, Passing, QUICK_BYTES_PER_SECOND, UploadState};
use crate::service::Shared;
use crate::upstream::{UpstreamError, UpstreamKind};

/// How often it is looked whether a body moves.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// A request that is at the upstream, until the last byte of its answer is through.
/// Dropped before, it was cancelled, and its place is given back all the same.
///
/// It may lose its place before: a place stands for what the upstream has to do, and
/// slow clients and streams of news would else shut everybody out.
pub(crate) struct Served {
    shared: Arc<Shared>,
    place: Place,
    outcome: Outcome,
    started: Timestamp,
    ended: bool,
}

/// Who has the place.
enum Place {
    None,
    Held(Ticket),
    /// Together with a task that takes it away if the body does not move.
    Watched(Arc<Watched>),
}

/// A place that is held while its answer's body moves.
struct Watched {
    ticket: Mutex<Option<Ticket>>,
    /// Bytes since it was last looked at.
    moved: AtomicU64,
}

impl Watched {
    fn take(&self) -> Option<Ticket> {
        self.ticket.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Served {
    pub(crate) fn new(shared: Arc<Shared>, ticket: Option<Ticket>) -> Self {
        shared.metrics.passing(1);
        let started = shared.clock.now();
        let place = ticket.map_or(Place::None, Place::Held);
        Self { shared, place, outcome: Outcome::Cancelled, started, ended: false }
    }

    /// No answer has come for a while. Returns whether the place is given back.
    pub(crate) fn lasts(&mut self, upload: &UploadState) -> bool {
        let Place::Held(ticket) = &mut self.place else { return true };
        let now = self.shared.clock.now();
        if upload.is_slow(now.since(self.started)) {
            // That says nothing about the upstream.
            self.place = Place::None;
            return true;
        }
        ticket.set_aside(now)
    }

    /// The answer's head is here.
    pub(crate) fn answered(&mut self, kind: UpstreamKind, answer: &response::Parts) {
        self.outcome = outcome(kind, answer);
        let now = self.shared.clock.now();
        self.shared.metrics.answered(now.since(self.started));
        if is_event_stream(answer)
            && let Some(ticket) = self.take_ticket()
        {
            ticket.end(now, self.outcome);
        }
    }

    /// No answer came, and that is the upstream's doing.
    pub(crate) fn failed(mut self, error: UpstreamError) {
        self.end(match error {
            UpstreamError::Late | UpstreamError::ConnectTimeout => Outcome::TimedOut,
            _ => Outcome::Failed,
        });
    }

    fn take_ticket(&mut self) -> Option<Ticket> {
        match core::mem::replace(&mut self.place, Place::None) {
            Place::None => None,
            Place::Held(ticket) => Some(ticket),
            Place::Watched(watched) => watched.take(),
        }
    }

    /// Has the body looked at from time to time, by somebody who does not wait for it.
    fn watch(&self, ticket: Ticket) -> Place {
        let Ok(runtime) = Handle::try_current() else { return Place::Held(ticket) };
        let watched = Watched { ticket: Mutex::new(Some(ticket)), moved: AtomicU64::new(0) };
        let watched = Arc::new(watched);
        let (seen, clock, outcome) = (Arc::downgrade(&watched), self.shared.clock, self.outcome);
        runtime.spawn(async move {
            loop {
                sleep(WATCH_INTERVAL).await;
                let Some(watched) = seen.upgrade() else { return };
                if watched.moved.swap(0, Relaxed) < QUICK_BYTES_PER_SECOND {
                    if let Some(ticket) = watched.take() {
                        ticket.end(clock.now(), outcome);
                    }
                    return;
                }
            }
        });
        Place::Watched(watched)
    }

    fn end(&mut self, outcome: Outcome) {
        if core::mem::replace(&mut self.ended, true) {
            return;
        }
        self.shared.metrics.passed(outcome);
        if let Some(ticket) = self.take_ticket() {
            ticket.end(self.shared.clock.now(), outcome);
        }
    }
}

impl Passing for Served {
    fn moved(&mut self, bytes: u64) {
        self.place = match core::mem::replace(&mut self.place, Place::None) {
            Place::Held(ticket) => self.watch(ticket),
            place => place,
        };
        if let Place::Watched(watched) = &self.place {
            watched.moved.fetch_add(bytes, Relaxed);
        }
    }

    fn ended(mut self: Box<Self>, passage: Passage, bytes: u64) {
        self.shared.metrics.bytes(bytes);
        let outcome = match passage {
            Passage::Complete => self.outcome,
            Passage::Broken => Outcome::Failed,
            Passage::Late => Outcome::TimedOut,
            Passage::ClientGone => Outcome::Cancelled,
        };
        self.end(outcome);
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.end(Outcome::Cancelled);
    }
}

/// Whether the answer is a stream of news: it has begun, and ends when somebody leaves.
fn is_event_stream(answer: &response::Parts) -> bool {
    let media_type = answer.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    media_type.is_some_and(|name| name.starts_with(b"text/event-stream"))
}

/// What an answer says about the load. A 429 of a Vault is a client's quota, and a
/// 503 of one without Retry-After a seal.
fn outcome(kind: UpstreamKind, parts: &response::Parts) -> Outcome {
    let vault = kind == UpstreamKind::Vault;
    match parts.status {
        StatusCode::SERVICE_UNAVAILABLE if vault && !parts.headers.contains_key(RETRY_AFTER) => {
            Outcome::Failed
        }
        StatusCode::SERVICE_UNAVAILABLE => Outcome::Overloaded,
        StatusCode::TOO_MANY_REQUESTS if !vault => Outcome::Overloaded,
        StatusCode::GATEWAY_TIMEOUT => Outcome::TimedOut,
        StatusCode::BAD_GATEWAY => Outcome::Failed,
        _ => Outcome::Answered,
    }
}
