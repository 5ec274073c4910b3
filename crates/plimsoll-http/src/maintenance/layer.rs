//! The layer and the service it makes.

use core::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, Method, Response, Uri};
use rand::Rng as _;
use tower_layer::Layer;

use crate::body::Unread;
use crate::maintenance::notice::Notice;
use crate::maintenance::{Maintenance, Phase};
use crate::refusal::{Face, ProblemFace, Refusal, respond};
use crate::rule::{Rule, Ruled};

/// Carries the bypass token.
pub const BYPASS_HEADER: HeaderName = HeaderName::from_static("plimsoll-maintenance-bypass");

/// What a request is to a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Never closed: health, metrics, whatever ends the window.
    Exempt,
    /// Changes nothing.
    Read,
    /// May change something.
    Write,
}

impl Access {
    /// What the method promises (RFC 9110 9.2.1).
    pub fn of_method(method: &Method) -> Self {
        if method.is_safe() || method.as_str() == "LIST" { Self::Read } else { Self::Write }
    }
}

type Clock = dyn Fn() -> SystemTime + Send + Sync;
type AccessOf = dyn Fn(&Method, &Uri) -> Access + Send + Sync;

/// Refuses what an announced window closes.
#[derive(Clone)]
pub struct MaintenanceLayer {
    state: Maintenance,
    clock: Arc<Clock>,
    access: Arc<AccessOf>,
    face: Arc<dyn Face>,
}

impl MaintenanceLayer {
    /// Acts on what `state` announces, by the time of day of `clock`. Nothing is
    /// exempt, and what the methods promise is believed.
    pub fn new(state: Maintenance, clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self {
            state,
            clock: Arc::new(clock),
            access: Arc::new(|method: &Method, _: &Uri| Access::of_method(method)),
            face: Arc::new(ProblemFace::default()),
        }
    }

    /// Knows what the service's requests do.
    #[must_use]
    pub fn with_access(
        self,
        access: impl Fn(&Method, &Uri) -> Access + Send + Sync + 'static,
    ) -> Self {
        Self { access: Arc::new(access), ..self }
    }

    /// Refuses with this face.
    #[must_use]
    pub fn with_face(self, face: Arc<dyn Face>) -> Self {
        Self { face, ..self }
    }

    /// What the answer must announce, if anything.
    fn check(&self, parts: &Parts) -> Result<Option<Notice>, Refusal> {
        // Mostly nothing is announced, and the time of day of no interest.
        let Some(announced) = self.state.announced() else { return Ok(None) };
        let phase = announced.plan.phase((self.clock)());
        let plan = Arc::clone(&announced.plan);
        let remaining = match phase {
            Phase::Ahead(_) => return Ok(Some(Notice { plan, face: Arc::clone(&self.face) })),
            Phase::InForce(remaining) => remaining,
            Phase::Over => return Ok(None),
        };
        let access = (self.access)(&parts.method, &parts.uri);
        let lot = rand::rng().random_range(0..100);
        if access == Access::Exempt || !plan.closes(access == Access::Write, lot) {
            return Ok(None);
        }
        let presented = parts.headers.get(BYPASS_HEADER);
        if let (Some(bypass), Some(presented)) = (&announced.bypass, presented)
            && bypass.is(presented.as_bytes())
        {
            return Ok(None);
        }
        Err(Refusal::Closed { plan, remaining })
    }
}

impl fmt::Debug for MaintenanceLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MaintenanceLayer").field("state", &self.state).finish_non_exhaustive()
    }
}

impl<S> Layer<S> for MaintenanceLayer {
    type Service = Maintained<S>;

    fn layer(&self, inner: S) -> Maintained<S> {
        Ruled::new(inner, self)
    }
}

/// A service that can be closed.
pub type Maintained<S> = Ruled<S, MaintenanceLayer>;

impl Rule for MaintenanceLayer {
    type Passed = Option<Notice>;

    fn admit<R: From<Bytes>>(
        &self,
        parts: &mut Parts,
        unread: Unread,
    ) -> Result<Option<Notice>, Response<R>> {
        let headers = &parts.headers;
        let refused = |refusal| respond(&*self.face, headers, refusal, unread.must_close(headers));
        self.check(parts).map_err(refused)
    }
}
