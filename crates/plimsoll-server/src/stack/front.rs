//! What a listener serves: the stack of the moment.

use core::convert::Infallible;
use core::future::{self, Future};
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::sync::{Arc, OnceLock};

use http::Request;
use hyper::body::Incoming;
use plimsoll_http::door::Door;
use plimsoll_http::idempotency::Idempotency;
use plimsoll_http::maintenance::Maintained;
use plimsoll_http::quota::Quota;
use tokio_util::either::Either;
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

/// What nearly every request gets: no more than the stack's own future.
pub(crate) struct Usual(<&'static ApiService as Service<Request<Incoming>>>::Future);

/// On the heap, since each is rare and its room would be copied with every request.
type Rare = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

impl Future for Usual {
    type Output = Result<Response, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Ok(answer) = ready!(Pin::new(&mut self.0).poll(context));
        Poll::Ready(Ok(answer.map(Outgoing::Whole)))
    }
}

fn rare(answer: impl Future<Output = Response> + Send + 'static) -> Either<Usual, Rare> {
    Either::Right(Box::pin(async { Ok(answer.await) }))
}

impl Service<Request<Incoming>> for Front {
    type Response = Response;
    type Error = Infallible;
    type Future = Either<Usual, Rare>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let Listening { stacks, replication, listener } = &*self.0;
        if let Some(operation) = backup::operation(&request) {
            let stacks = Arc::clone(stacks);
            return rare(async move { backup::answer(&stacks, operation, request).await });
        }
        if replication::is_for(&request)
            && let Some(replication) = replication.get().cloned()
        {
            return rare(async move {
                replication::answer(&replication, request).await.map(Outgoing::Whole)
            });
        }
        let stack = stacks.serving();
        if request.uri().path() == STATUS_PATH {
            let status = maintenance::status(&stack.shared, &request);
            return rare(future::ready(status.map(Outgoing::Whole)));
        }
        // Through a reference: a clone would count a reference for each layer.
        let mut service = &stack.services[*listener];
        Either::Left(Usual(service.call(request)))
    }
}
