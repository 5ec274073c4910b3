//! A request's way past its quotas.

use core::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use plimsoll::quota::{Charge, Exceeded, Usage};

use crate::body::Unread;
use crate::quota::layer::{QuotaLayer, Shared};
use crate::quota::policy::Asked;
use crate::refusal::ratelimit::{Allowance, write_rate_limit};
use crate::refusal::{Throttled, Unexecuted, respond};
use crate::rule::{Rule, Settle};

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

impl Rule for QuotaLayer {
    type Passed = Option<Charged>;

    fn admit<R: From<Bytes>>(
        &self,
        parts: &mut Parts,
        unread: Unread,
    ) -> Result<Option<Charged>, Response<R>> {
        let Self(shared) = self;
        let asked = shared.policy.ask(parts);
        if asked.windows.is_empty() {
            return Ok(None);
        }
        match shared.table.charge((shared.clock)(), &asked.windows) {
            Ok(charge) => Ok(Some(Charged { shared: Arc::clone(shared), asked, charge })),
            Err(exceeded) => Err(refuse(shared, parts, &asked, &exceeded, unread)),
        }
    }
}

/// A request that is charged.
pub struct Charged {
    shared: Arc<Shared>,
    asked: Asked,
    charge: Charge,
}

impl fmt::Debug for Charged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Charged").field("asked", &self.asked).finish_non_exhaustive()
    }
}

impl Settle for Charged {
    /// Keeps the charge or gives it back, and tells what is left.
    fn settle<R, E>(self, mut answer: Result<Response<R>, E>) -> Result<Response<R>, E> {
        let Self { shared, asked, charge } = self;
        let Ok(response) = &mut answer else { return answer };
        if response.extensions().get::<Unexecuted>().is_some() {
            shared.table.refund(&asked.windows, &charge);
        } else if asked.tells
            && let Some(usage) = charge.usage
        {
            write_usage(response.headers_mut(), &usage);
            write_rate_limit(response.headers_mut(), &[allowance(&asked, &usage)]);
        }
        answer
    }
}

fn refuse<R: From<Bytes>>(
    shared: &Shared,
    parts: &Parts,
    asked: &Asked,
    exceeded: &Exceeded,
    unread: Unread,
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
    let close = unread.must_close(&parts.headers);
    let mut response = respond(&**face, &parts.headers, throttled, close);
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
