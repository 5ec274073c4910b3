//! What retrying needs to know of requests and answers.

use core::time::Duration;
use std::time::SystemTime;

use http::{HeaderMap, Method, Response, StatusCode};

use crate::rules::call::GaveUp;
use crate::rules::hint;
use crate::rules::safety;

/// How long this request may take, in place of the policy's patience. Put it into
/// the extensions of a request; a server that calls another passes on what is left
/// of its own caller's.
#[derive(Clone, Copy, Debug)]
pub struct Patience(pub Duration);

/// What is asked, as far as retrying cares.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    pub(super) read: bool,
    pub(super) conditional: bool,
    pub(super) once: Option<GaveUp>,
    pub(super) patience: Option<Duration>,
}

impl Asked {
    /// A request of this method, with these headers.
    pub fn new(method: &Method, headers: &HeaderMap) -> Self {
        let repeatable = safety::is_repeatable(method, headers);
        Self {
            read: safety::is_read(method),
            conditional: safety::is_conditional(headers),
            once: (!repeatable).then_some(GaveUp::NotRepeatable),
            patience: None,
        }
    }

    /// With a patience of its own.
    pub fn within(self, patience: Duration) -> Self {
        Self { patience: Some(patience), ..self }
    }

    /// Another layer retries it: this one neither repeats it nor holds it back.
    pub(crate) fn not_in_charge(self) -> Self {
        Self { once: Some(GaveUp::NotInCharge), ..self }
    }

    /// Its body cannot be sent again.
    pub fn body_once(self) -> Self {
        Self { once: self.once.or(Some(GaveUp::BodySpent)), ..self }
    }
}

/// Marks, in the extensions of a response, that it holds nothing back: it may be
/// kept while its request waits for the next attempt. The connection of any other
/// response is given up for that time, and the response with it.
#[derive(Clone, Copy, Debug)]
pub struct Kept;

/// An answer, as far as retrying cares.
pub trait Reply {
    /// Its status.
    fn status(&self) -> StatusCode;

    /// The wait that it asks for; `now` is the wall clock, for dates.
    fn retry_after(&self, now: SystemTime) -> Option<Duration>;

    /// Whether it may be kept while its request waits; see [`Kept`].
    fn is_kept(&self) -> bool {
        false
    }
}

impl<B> Reply for Response<B> {
    fn status(&self) -> StatusCode {
        self.status()
    }

    fn retry_after(&self, now: SystemTime) -> Option<Duration> {
        hint::retry_after(self.headers(), now)
    }

    fn is_kept(&self) -> bool {
        self.extensions().get::<Kept>().is_some()
    }
}
