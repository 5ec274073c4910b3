//! What a listener serves: the stack of the moment.

use core::convert::Infallible;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::sync::{Arc, OnceLock};

use http::Request;
use hyper::body::Incoming;
use plimsoll_http::door::Door;
use plimsoll_http::idempotency::Idempotency;
use plimsoll_http::maintenance::Maintained;
use plimsoll_http::quota::Quota;
use tower::Service;

use crate::backup;
use crate::backup::Outgoing;
use crate::maintenance::{self, STATUS_PATH};
use crate::quotas::Roles;
use crate::replication::{self, Replication};
use crate::service::Api;
use crate::stack::Stacks;

/// Everything between a listener and the vault.
pub(crate) type ApiService = Maintained<OpenService>;

/// The same, never closed.
pub(crate) type OpenService = Roles<Quota<Idempotency<Door<Api>>>>;

/// An answer, or a stream that is not kept in memory.
pub(crate) type Response = http::Response<Outgoing>;

/// See the module.
#[derive(Clone)]
pub(crate) struct Front(Arc<Listening>);

/// What the requests of a listener share: cloned as one, for every one of them.
struct Listening {
    stacks: Arc<Stacks>,
    /// As soon as it has started.
    replication: Arc<OnceLock<Arc<Replication>>>,
    listener: usize,
}

impl Front {
    pub(crate) fn new(
        stacks: Arc<Stacks>,
        replication: Arc<OnceLock<Arc<Replication>>>,
        listener: usize,
    ) -> Self {
        Self(Arc::new(Listening { stacks, replication, listener }))
    }
}

impl Listening {
    async fn answer(&self, request: Request<Incoming>) -> Response {
        if let Some(operation) = backup::operation(&request) {
            // Boxed, like what follows: each is rare, and their room would be
            // copied with every request.
            return Box::pin(backup::answer(&self.stacks, operation, request)).await;
        }
        if replication::is_for(&request)
            && let Some(replication) = self.replication.get()
        {
            let answer = Box::pin(replication::answer(replication, request)).await;
            return answer.map(Outgoing::Whole);
        }
        let stack = self.stacks.current();
        if request.uri().path() == STATUS_PATH {
            return maintenance::status(&stack.shared, &request).map(Outgoing::Whole);
        }
        let mut service = stack.services[self.listener].clone();
        let Ok(response) = service.call(request).await;
        response.map(Outgoing::Whole)
    }
}

impl Service<Request<Incoming>> for Front {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let listening = Arc::clone(&self.0);
        Box::pin(async move { Ok(listening.answer(request).await) })
    }
}
