//! The service that retries.

use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;

use http::request::Parts;
use http::{HeaderName, HeaderValue, Request, Response};
use tower_service::Service;

use super::replay::Replay;
use crate::retry::{Asked, Patience, Retry, RetryError};
use crate::rules::call::GaveUp;
use crate::rules::safety::{IDEMPOTENCY_KEY, is_repeatable};

/// RFC 7240: how long the client waits for an answer.
const PREFER: HeaderName = HeaderName::from_static("prefer");

/// Marks a request, in its extensions, of which a retry layer is in charge: those
/// below it send it once. Three layers of three attempts would be 27.
#[derive(Clone, Copy, Debug)]
pub struct InCharge;

/// A service whose requests are retried. The response's extensions hold its
/// [`Attempts`](crate::Attempts).
#[derive(Clone, Debug)]
pub struct RetryService<S, R> {
    pub(super) inner: S,
    pub(super) retry: Retry,
    pub(super) replay: R,
}

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl<S, R, B, A> Service<Request<B>> for RetryService<S, R>
where
    S: Service<Request<B>, Response = Response<A>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    R: Replay<B> + Clone + Send + 'static,
    B: Send + 'static,
    A: Send + 'static,
{
    type Response = Response<A>;
    type Error = RetryError<S::Error>;
    type Future = BoxFuture<Result<Response<A>, Self::Error>>;

    /// Always: each attempt waits for the inner service itself, within the
    /// request's patience.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let Self { inner, retry, replay } = self.clone();
        Box::pin(async move {
            let (mut head, body) = request.into_parts();
            let mut spare = replay.replay(&body);
            let asked = prepare(&mut head, &retry, spare.is_some());
            let mut first = Some(body);
            let outcome = retry.run(asked, move |attempt| {
                let again = || spare.as_ref().and_then(|spare| replay.replay(spare));
                let body = first.take().or_else(again).or_else(|| spare.take());
                let request = body.map(|body| to_send(&head, attempt.remaining, body));
                send(inner.clone(), request)
            });
            let (mut response, attempts) = outcome.await.map_err(without_body_gone)?;
            response.extensions_mut().insert(attempts);
            Ok(response)
        })
    }
}

/// What is asked; adds the key and the mark.
fn prepare(head: &mut Parts, retry: &Retry, has_spare: bool) -> Asked {
    let policy = retry.policy();
    let in_charge = head.extensions.insert(InCharge).is_none();
    if policy.keys && in_charge && !is_repeatable(&head.method, &head.headers) {
        head.headers.insert(IDEMPOTENCY_KEY, new_key());
    }
    let mut asked = Asked::new(&head.method, &head.headers);
    if let Some(Patience(patience)) = head.extensions.get() {
        asked = asked.within(*patience);
    }
    if !has_spare {
        asked = asked.body_once();
    }
    if in_charge { asked } else { asked.not_in_charge() }
}

/// A structured field string (RFC 9651) of a random UUID.
fn new_key() -> HeaderValue {
    let key = format!("\"{}\"", uuid::Uuid::new_v4());
    // Hexadecimal digits, hyphens and quotes are all a header value may hold.
    HeaderValue::try_from(key).unwrap_or_else(|_| unreachable!("a UUID is plain ASCII"))
}

fn to_send<B>(head: &Parts, remaining: Duration, body: B) -> Request<B> {
    let mut head = head.clone();
    if !says_wait(&head) {
        // Rounded down: better that the server stops a little early than that it
        // works for nobody.
        let wait = format!("wait={}", remaining.as_secs().max(1));
        if let Ok(wait) = HeaderValue::try_from(wait) {
            head.headers.append(PREFER, wait);
        }
    }
    Request::from_parts(head, body)
}

/// Whether the caller has told the server how long it waits.
fn says_wait(head: &Parts) -> bool {
    let mut preferences = head.headers.get_all(PREFER).iter();
    preferences.any(|value| value.as_bytes().windows(5).any(|part| part == b"wait="))
}

/// The error is none if there was no body left to send.
async fn send<S, B>(
    mut inner: S,
    request: Option<Request<B>>,
) -> Result<S::Response, Option<S::Error>>
where
    S: Service<Request<B>>,
{
    let request = request.ok_or(None)?;
    poll_fn(|context| inner.poll_ready(context)).await.map_err(Some)?;
    inner.call(request).await.map_err(Some)
}

fn without_body_gone<E>(error: RetryError<Option<E>>) -> RetryError<E> {
    match error {
        RetryError::Failed { source: Some(source), attempts } => {
            RetryError::Failed { source, attempts }
        }
        RetryError::Failed { source: None, mut attempts } => {
            attempts.gave_up = Some(GaveUp::BodySpent);
            RetryError::NoAnswer { attempts }
        }
        RetryError::NoAnswer { attempts } => RetryError::NoAnswer { attempts },
    }
}
