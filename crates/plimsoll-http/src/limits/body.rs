//! A body that ends at its allowance.

use core::error::Error;
use core::future::Future as _;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};

use crate::body::{BodyError, BodyLimits, check_size};

/// Told by the body, read by the layer when the service has answered.
pub(super) type Exceeded = Arc<OnceLock<BodyError>>;

pin_project! {
    /// A request body within [`BodyLimits`]: beyond them it fails.
    #[derive(Debug)]
    pub struct LimitedBody<B> {
        #[pin]
        body: B,
        #[pin]
        deadline: Sleep,
        limits: BodyLimits,
        read_bytes: u64,
        exceeded: Exceeded,
    }
}

impl<B> LimitedBody<B> {
    pub(super) fn new(body: B, limits: BodyLimits, exceeded: Exceeded) -> Self {
        let deadline = sleep(limits.time_max);
        Self { body, deadline, limits, read_bytes: 0, exceeded }
    }
}

impl<B> Body for LimitedBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.project();
        let fail = |error: BodyError| {
            // The first reason is the true one.
            let _ = this.exceeded.set(error);
            Poll::Ready(Some(Err(error.into())))
        };
        let Poll::Ready(frame) = this.body.poll_frame(context) else {
            ready!(this.deadline.poll(context));
            return fail(BodyError::TooSlow(this.limits.time_max));
        };
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            *this.read_bytes = this.read_bytes.saturating_add(data.len() as u64);
            if let Err(error) = check_size(*this.read_bytes, *this.limits) {
                return fail(error);
            }
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
