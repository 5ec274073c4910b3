//! The role of a login, where a quota depends on it.
//!
//! It stands in the body, which nobody has read yet when quotas are charged. So the
//! body of a login is read first, but only if there are quotas by role for its mount
//! and if it is short; a login with a long body is one without a role.

use core::convert::Infallible;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll};
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request};
use http_body::Body;
use http_body_util::{Either, Full};
use plimsoll_http::body::{self, BodyLimits};
use plimsoll_http::refusal::{Face, respond};
use plimsoll_http::vault::{ROLE_BODY_BYTES_MAX, api_path, is_login};
use plimsoll_vault::Vault;
use serde_json::Value;
use tokio_util::either as future;
use tower::Service;

use crate::face::HttpResponse;

/// The role that a login asks for.
#[derive(Clone, Debug)]
pub(crate) struct LoginRole(pub(crate) String);

/// A service that knows it.
#[derive(Clone)]
pub(crate) struct Roles<S> {
    pub(crate) inner: S,
    pub(crate) reader: Arc<RoleReader>,
}

/// How it comes to know.
pub(crate) struct RoleReader {
    pub(crate) vault: Arc<Vault>,
    pub(crate) face: Arc<dyn Face>,
    pub(crate) limits: BodyLimits,
}

impl RoleReader {
    /// The path of a request for which the role matters.
    fn login_path(&self, parts: &Parts) -> Option<String> {
        if !matches!(parts.method, Method::POST | Method::PUT) {
            return None;
        }
        let path = api_path(parts.uri.path())?.ok()?;
        let matters = is_login(&path) && self.vault.quota_rules().needs_role(&path);
        matters.then(|| path.into_owned())
    }
}

/// Short, and known to be.
fn is_short(parts: &Parts) -> bool {
    body::announced_size(&parts.headers).is_some_and(|bytes| bytes <= ROLE_BODY_BYTES_MAX as u64)
}

/// What the service behind is asked.
type Inner<B> = Request<Either<B, Full<Bytes>>>;

/// Once the body has been read for the role.
type Read = Pin<Box<dyn Future<Output = Result<HttpResponse, Infallible>> + Send>>;

impl<'s, S, B> Service<Request<B>> for &'s Roles<S>
where
    &'s S: Service<Inner<B>, Response = HttpResponse, Error = Infallible>,
    S: Service<Inner<B>, Response = HttpResponse, Error = Infallible> + Clone + Send + 'static,
    <S as Service<Inner<B>>>::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
{
    type Response = HttpResponse;
    type Error = Infallible;
    type Future = future::Either<<&'s S as Service<Inner<B>>>::Future, Read>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        let mut inner: &'s S = &self.inner;
        inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (parts, body) = request.into_parts();
        let Some(path) = self.reader.login_path(&parts) else {
            let mut inner: &'s S = &self.inner;
            let answer = inner.call(Request::from_parts(parts, Either::Left(body)));
            return future::Either::Left(answer);
        };
        let (inner, reader) = (self.inner.clone(), Arc::clone(&self.reader));
        future::Either::Right(Box::pin(read_role(inner, reader, path, parts, body)))
    }
}

/// Reads the role of a login at `path`, and goes on.
async fn read_role<S, B>(
    mut inner: S,
    reader: Arc<RoleReader>,
    path: String,
    mut parts: Parts,
    body: B,
) -> Result<HttpResponse, Infallible>
where
    S: Service<Inner<B>, Response = HttpResponse, Error = Infallible>,
    B: Body<Data = Bytes>,
{
    let mut whole = Bytes::new();
    let mut left = Some(body);
    if is_short(&parts)
        && let Some(body) = left.take()
    {
        whole = match body::read(body, reader.limits, |_| Ok(())).await {
            Ok(whole) => whole,
            Err(error) => return Ok(respond(&*reader.face, &parts.headers, error, true)),
        };
    }
    let fields = match serde_json::from_slice(&whole) {
        Ok(Value::Object(fields)) => fields,
        _ => Default::default(),
    };
    if let Some(role) = reader.vault.login_role(&path, fields) {
        parts.extensions.insert(LoginRole(role));
    }
    let body = left.map_or_else(|| Either::Right(Full::new(whole)), Either::Left);
    poll_fn(|context| inner.poll_ready(context)).await?;
    inner.call(Request::from_parts(parts, body)).await
}
