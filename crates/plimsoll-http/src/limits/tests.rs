use core::convert::Infallible;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use tower::{Layer, ServiceExt, service_fn};

use super::*;
use crate::body::BodyLimits;

const LIMITS: BodyLimits = BodyLimits { bytes_max: 10, time_max: Duration::from_secs(30) };

/// So many pieces of five bytes, and then nothing any more.
struct Stalling(usize);

impl Body for Stalling {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(left) = self.0.checked_sub(1) else { return Poll::Pending };
        self.0 = left;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from("12345")))))
    }
}

/// Reads all of a body; takes a failed one for its own fault.
async fn read<B>(request: Request<LimitedBody<B>>) -> Result<Response<Full<Bytes>>, Infallible>
where
    LimitedBody<B>: Body<Data = Bytes>,
{
    let mut response = Response::default();
    match request.into_body().collect().await {
        Ok(body) => *response.body_mut() = Full::new(body.to_bytes()),
        Err(_) => *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
    }
    Ok(response)
}

async fn status<B>(request: Request<B>) -> StatusCode
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn core::error::Error + Send + Sync>>,
{
    let headers = HeaderLimitsLayer::new(HeaderLimits::default());
    let service = headers.layer(BodyLimitsLayer::new(LIMITS).layer(service_fn(read)));
    service.oneshot(request).await.expect("infallible").status()
}

#[tokio::test]
async fn what_fits_passes() {
    let request = Request::post("/").body(Full::<Bytes>::from("1234567890")).expect("valid");
    assert_eq!(status(request).await, StatusCode::OK);
}

#[tokio::test]
async fn an_announced_size_is_refused_unread() {
    let request = Request::post("/").header("content-length", 11);
    let request = request.body(Stalling(0)).expect("valid");
    assert_eq!(status(request).await, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_stream_that_grows_too_large_is_413_whatever_the_service_makes_of_it() {
    let request = Request::post("/").body(Stalling(3)).expect("valid");
    assert_eq!(status(request).await, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_stalls_is_408() {
    let request = Request::post("/").body(Stalling(1)).expect("valid");
    assert_eq!(status(request).await, StatusCode::REQUEST_TIMEOUT);
}

#[tokio::test]
async fn a_header_bomb_is_431() {
    let request = || Request::get("/");
    let many = (0..200).fold(request(), |request, i| request.header(format!("x-{i}"), "1"));
    let long = request().header("x-long", "1".repeat(33 << 10));
    for bomb in [many, long] {
        let bomb = bomb.body(Full::<Bytes>::default()).expect("valid");
        assert_eq!(status(bomb).await, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    }
}
