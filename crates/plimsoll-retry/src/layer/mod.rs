//! Retries for any tower service of HTTP requests.

mod replay;
mod service;

pub use self::replay::{CloneBody, Replay, SendOnce};
pub use self::service::{InCharge, RetryService};

use tower_layer::Layer;

use crate::retry::Retry;

/// Retries the requests of a service.
///
/// Requests whose body cannot be cloned need another [`Replay`]:
/// [`RetryLayer::replaying`].
#[derive(Clone, Debug)]
pub struct RetryLayer<R = CloneBody> {
    retry: Retry,
    replay: R,
}

impl RetryLayer {
    /// For bodies that can be cloned.
    pub fn new(retry: Retry) -> Self {
        Self { retry, replay: CloneBody }
    }

    /// For other bodies: [`SendOnce`], or a function that makes a second body of
    /// the first if it can.
    pub fn replaying<R>(retry: Retry, replay: R) -> RetryLayer<R> {
        RetryLayer { retry, replay }
    }
}

impl<S, R: Clone> Layer<S> for RetryLayer<R> {
    type Service = RetryService<S, R>;

    fn layer(&self, inner: S) -> Self::Service {
        RetryService { inner, retry: self.retry.clone(), replay: self.replay.clone() }
    }
}
