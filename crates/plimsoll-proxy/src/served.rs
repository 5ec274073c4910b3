//! What is told to the gate and to the metrics about a request: once, however it ends.

use std::sync::Arc;

use http::header::RETRY_AFTER;
use http::{StatusCode, response};
use plimsoll::Timestamp;
use plimsoll::opaque::{Outcome, Ticket};

use crate::body::{Passage, Passing};
use crate::service::Shared;
use crate::upstream::{UpstreamError, UpstreamKind};

/// A request that is at the upstream, until the last byte of its answer is through.
/// Dropped before, it was cancelled, and its place is given back all the same.
pub(crate) struct Served {
    shared: Arc<Shared>,
    ticket: Option<Ticket>,
    outcome: Outcome,
    started: Timestamp,
    ended: bool,
}

impl Served {
    pub(crate) fn new(shared: Arc<Shared>, ticket: Option<Ticket>) -> Self {
        shared.metrics.passing(1);
        let started = shared.clock.now();
        Self { shared, ticket, outcome: Outcome::Cancelled, started, ended: false }
    }

    /// The answer's head is here.
    pub(crate) fn answered(&mut self, kind: UpstreamKind, answer: &response::Parts) {
        self.outcome = outcome(kind, answer);
        self.shared.metrics.answered(self.shared.clock.now().since(self.started));
    }

    /// No answer came, and that is the upstream's doing.
    pub(crate) fn failed(mut self, error: UpstreamError) {
        self.end(match error {
            UpstreamError::Late | UpstreamError::ConnectTimeout => Outcome::TimedOut,
            _ => Outcome::Failed,
        });
    }

    fn end(&mut self, outcome: Outcome) {
        if core::mem::replace(&mut self.ended, true) {
            return;
        }
        self.shared.metrics.passed(outcome);
        if let Some(ticket) = self.ticket.take() {
            ticket.end(self.shared.clock.now(), outcome);
        }
    }
}

impl Passing for Served {
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
