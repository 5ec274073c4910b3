//! A request's way past its quotas.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::Body;
use plimsoll::quota::{Charge, Exceeded, Usage};
use tower_service::Service;

use crate::quota::layer::{Quota, Shared};
use crate::quota::policy::Asked;
use crate::refusal::ratelimit::{Allowance, write_rate_limit};
use crate::refusal::{Throttled, Unexecuted, respond};

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl<S, B, R> Service<Request<B>> for Quota<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    B: Body,
    R: From<Bytes> + Send + 'static,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = BoxFuture<Result<Response<R>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (parts, body) = request.into_parts();
        let asked = self.shared.policy.ask(&parts);
        if asked.windows.is_empty() {
            return Box::pin(self.inner.call(Request::from_parts(parts, body)));
        }
        match self.shared.table.charge((self.shared.clock)(), &asked.windows) {
            Ok(charge) => {
                let called = self.inner.call(Request::from_parts(parts, body));
                let shared = Arc::clone(&self.shared);
                Box::pin(async move { Ok(settle(&shared, &asked, &charge, called.await?)) })
            }
            Err(exceeded) => {
                let unread = !body.is_end_stream();
                let response = refuse(&self.shared, &parts, &asked, &exceeded, unread);
                Box::pin(core::future::ready(Ok(response)))
            }
        }
    }
}

/// Keeps the charge or gives it back, and tells what is left.
fn settle<R>(
    shared: &Shared,
    asked: &Asked,
    charge: &Charge,
    mut response: Response<R>,
) -> Response<R> {
    if response.extensions().get::<Unexecuted>().is_some() {
        shared.table.refund(&asked.windows, charge);
    } else if asked.tells
        && let Some(usage) = charge.usage
    {
        write_usage(response.headers_mut(), &usage);
        write_rate_limit(response.headers_mut(), &[allowance(asked, &usage)]);
    }
    response
}

fn refuse<R: From<Bytes>>(
    shared: &Shared,
    parts: &Parts,
    asked: &Asked,
    exceeded: &Exceeded,
    unread: bool,
) -> Response<R> {
    let quota = name(asked, exceeded.window);
    shared.policy.refused(parts, &quota);
    let named = asked.quotas.get(exceeded.window);
    let path = asked.path.as_deref().unwrap_or_else(|| parts.uri.path());
    let usual = || format!("request path {path:?}: rate limit quota exceeded");
    let message = named.and_then(|named| named.message.as_deref()).map(str::to_owned);
    let throttled = Throttled {
        message: message.unwrap_or_else(usual),
        retry_after: exceeded.retry_after,
        allowances: exceeded.usage.iter().map(|usage| allowance(asked, usage)).collect(),
        quota,
    };
    let face = named.and_then(|named| named.face.as_ref()).unwrap_or(&shared.face);
    let mut response = respond(&**face, &parts.headers, throttled, unread);
    if asked.tells
        && let Some(usage) = exceeded.usage
    {
        write_usage(response.headers_mut(), &usage);
    }
    response
}

fn name(asked: &Asked, window: usize) -> String {
    asked.quotas.get(window).map(|quota| quota.name.to_string()).unwrap_or_default()
}

fn allowance(asked: &Asked, usage: &Usage) -> Allowance {
    let window = asked.windows.iter().nth(usage.window);
    Allowance {
        name: name(asked, usage.window),
        units_max: usage.units_max.into(),
        window: window.map_or(Duration::ZERO, |window| window.limit.interval()),
        remaining: usage.remaining.into(),
        reset: usage.reset,
    }
}

/// The fields that Vault's clients know.
fn write_usage(headers: &mut HeaderMap, usage: &Usage) {
    let reset_s = usage.reset.as_secs() + u64::from(usage.reset.subsec_nanos() > 0);
    headers.insert(LIMIT, HeaderValue::from(usage.units_max));
    headers.insert(REMAINING, HeaderValue::from(usage.remaining));
    headers.insert(RESET, HeaderValue::from(reset_s));
}
