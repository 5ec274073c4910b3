//! The bodies of answers.

use core::pin::Pin;
use core::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Either, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use tower_service::Service;

use super::Hyper;
use super::error::ClientError;
use crate::retry::{Attempts, Kept};

/// The largest answer that the client reads, in bytes.
pub const RESPONSE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The largest refusal that is read at once; a longer one is cut off.
const REFUSAL_BYTES_MAX: usize = 64 * 1024;

/// Read already, or not yet.
pub(super) type AnswerBody = Either<Full<Bytes>, Incoming>;

/// Reads refusals at once: a request that waits for its next attempt must not
/// occupy a connection, and what the server said is wanted at the end.
#[derive(Clone, Debug)]
pub(super) struct ReadRefusals<S>(pub(super) S);

impl Service<Request<Full<Bytes>>> for ReadRefusals<Hyper> {
    type Response = Response<AnswerBody>;
    type Error = hyper_util::client::legacy::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Service::<Request<Full<Bytes>>>::poll_ready(&mut self.0, context)
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let answered = self.0.request(request);
        Box::pin(async move {
            let response = answered.await?;
            let status = response.status();
            if !(status.is_client_error() || status.is_server_error()) {
                return Ok(response.map(Either::Right));
            }
            let (mut head, body) = response.into_parts();
            head.extensions.insert(Kept);
            // A refusal whose text breaks off or has no end is still a refusal.
            let text = Limited::new(body, REFUSAL_BYTES_MAX).collect().await;
            let text = text.map(|text| text.to_bytes()).unwrap_or_default();
            Ok(Response::from_parts(head, Either::Left(Full::new(text))))
        })
    }
}

pub(super) async fn read(
    response: Response<AnswerBody>,
    attempts: Option<Attempts>,
) -> Result<Response<Bytes>, ClientError> {
    let (head, body) = response.into_parts();
    match Limited::new(body, RESPONSE_BYTES_MAX).collect().await {
        Ok(body) => Ok(Response::from_parts(head, body.to_bytes())),
        Err(error) if error.is::<LengthLimitError>() => Err(ClientError::TooLarge { attempts }),
        Err(source) => Err(ClientError::BrokeOff { source, attempts }),
    }
}
