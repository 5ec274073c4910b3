//! The future of a layer that lets a request through or refuses it.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use http::Response;
use pin_project_lite::pin_project;

pin_project! {
    /// The service's own answer, or a refusal in its place.
    #[derive(Debug)]
    pub struct Answer<F, R> {
        #[pin]
        called: Option<F>,
        refusal: Option<Response<R>>,
    }
}

impl<F, R> Answer<F, R> {
    /// The service was called.
    pub(crate) const fn called(future: F) -> Self {
        Self { called: Some(future), refusal: None }
    }

    /// It was not.
    pub(crate) const fn refused(response: Response<R>) -> Self {
        Self { called: None, refusal: Some(response) }
    }
}

impl<F, R, E> Future for Answer<F, R>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let answer = self.project();
        match (answer.called.as_pin_mut(), answer.refusal.take()) {
            (Some(future), _) => future.poll(context),
            (None, Some(refusal)) => Poll::Ready(Ok(refusal)),
            // Polled again after completion, against the contract of `Future`.
            (None, None) => Poll::Pending,
        }
    }
}
