//! The layer and the service it makes.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderName, Method, Request, Response, Uri};
use http_body::Body;
use pin_project_lite::pin_project;
use rand::Rng as _;
use tower_layer::Layer;
use tower_service::Service;

use crate::answer::Answer;
use crate::maintenance::notice::write_notice;
use crate::maintenance::{Maintenance, Phase, Plan};
use crate::refusal::{Face, ProblemFace, Refusal, respond};

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

    /// The window that the answer must announce, if any.
    fn check<B>(&self, request: &Request<B>) -> Result<Option<Arc<Plan>>, Refusal> {
        let Some((announced, phase)) = self.state.current((self.clock)()) else { return Ok(None) };
        let plan = Arc::clone(&announced.plan);
        let remaining = match phase {
            Phase::Ahead(_) => return Ok(Some(plan)),
            Phase::InForce(remaining) => remaining,
            Phase::Over => return Ok(None),
        };
        let access = (self.access)(request.method(), request.uri());
        let lot = rand::rng().random_range(0..100);
        if access == Access::Exempt || !plan.closes(access == Access::Write, lot) {
            return Ok(None);
        }
        let presented = request.headers().get(BYPASS_HEADER);
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
        Maintained { inner, layer: self.clone() }
    }
}

/// A service that can be closed.
#[derive(Clone, Debug)]
pub struct Maintained<S> {
    inner: S,
    layer: MaintenanceLayer,
}

impl<S, B, R> Service<Request<B>> for Maintained<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    B: Body,
    R: From<Bytes>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Answer<Noticed<S::Future>, R>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let face = &self.layer.face;
        match self.layer.check(&request) {
            Ok(plan) => {
                let notice = plan.map(|plan| (plan, Arc::clone(face)));
                Answer::called(Noticed { future: self.inner.call(request), notice })
            }
            Err(refusal) => {
                let unread = !request.body().is_end_stream();
                Answer::refused(respond(&**face, request.headers(), refusal, unread))
            }
        }
    }
}

pin_project! {
    /// Adds the notice of a window that is ahead.
    pub struct Noticed<F> {
        #[pin]
        future: F,
        notice: Option<(Arc<Plan>, Arc<dyn Face>)>,
    }
}

impl<F> fmt::Debug for Noticed<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Noticed").finish_non_exhaustive()
    }
}

impl<F, R, E> Future for Noticed<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let mut output = ready!(this.future.poll(context));
        if let (Ok(response), Some((plan, face))) = (&mut output, this.notice) {
            write_notice(response.headers_mut(), plan, face.status_page());
        }
        Poll::Ready(output)
    }
}
