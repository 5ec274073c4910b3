//! Reading a request's body within limits.

use core::future::{Future as _, poll_fn};
use core::pin::pin;
use core::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, EXPECT};
use http_body::Body;
use http_body_util::BodyExt;
use plimsoll::Rejection;

use crate::refusal::Refusal;

/// A body that comes with its headers, in one segment or two.
pub(crate) const SMALL_BODY_BYTES: u64 = 16 << 10;

/// How much of a body is read, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimits {
    /// Bytes beyond which a body is refused with 413.
    pub bytes_max: u64,
    /// Time within which the last byte must be in, else 408.
    pub time_max: Duration,
}

impl Default for BodyLimits {
    /// 32 MiB and 30 s: Vault's `max_request_size` and `http_read_timeout`.
    fn default() -> Self {
        Self { bytes_max: 32 << 20, time_max: Duration::from_secs(30) }
    }
}

/// Why a body was not read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// Larger than allowed; known from Content-Length before the first byte
    /// where there is one.
    #[error("request body exceeds {bytes_max} bytes")]
    TooLarge {
        /// The limit.
        bytes_max: u64,
    },
    /// Not there in time.
    #[error("request body not received within {0:?}")]
    TooSlow(Duration),
    /// The client broke off; nobody reads the answer.
    #[error("request body broke off")]
    BrokeOff,
}

/// What of a body may still be on its way when its request is refused.
#[derive(Clone, Copy, Debug)]
pub enum Unread {
    /// Nothing.
    Nothing,
    /// As much as is likely to be here already.
    Little,
    /// More than that, or nobody knows how much.
    Much,
}

impl Unread {
    pub(crate) fn of(body: &impl Body) -> Self {
        if body.is_end_stream() {
            Self::Nothing
        } else if body.size_hint().upper().is_some_and(|bytes| bytes <= SMALL_BODY_BYTES) {
            Self::Little
        } else {
            Self::Much
        }
    }

    /// Whether the connection must close after an answer that leaves the body unread. Not
    /// if what is left is likely to be here already: it is read with the next request. A
    /// client that is refused a hundred times must not connect a hundred times.
    pub(crate) fn must_close(self, headers: &HeaderMap) -> bool {
        match self {
            Self::Nothing => false,
            // Who asks first whether to send a body has not sent it, and may send it yet.
            Self::Little => headers.contains_key(EXPECT),
            Self::Much => true,
        }
    }
}

/// The whole body, each part of it `counted` when it is there.
///
/// # Errors
/// It is too large, too slow, or broke off, or whoever counts refuses.
pub async fn read<B>(
    body: B,
    limits: BodyLimits,
    counted: impl FnMut(u64) -> Result<(), Rejection>,
) -> Result<Bytes, Refusal>
where
    B: Body<Data = Bytes>,
{
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    check_size(body.size_hint().lower(), limits)?;
    let mut collected = pin!(collect(body, limits, counted));
    // Nearly every body is here already, and needs neither a timer nor the room for one.
    let first = poll_fn(|context| Poll::Ready(collected.as_mut().poll(context))).await;
    if let Poll::Ready(collected) = first {
        return collected;
    }
    Box::pin(tokio::time::timeout(limits.time_max, collected))
        .await
        .unwrap_or(Err(BodyError::TooSlow(limits.time_max).into()))
}

/// What `Content-Length` announces.
pub fn announced_size(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Whether an announced size is acceptable.
///
/// # Errors
/// It is not.
pub const fn check_size(bytes: u64, limits: BodyLimits) -> Result<(), BodyError> {
    if bytes > limits.bytes_max {
        return Err(BodyError::TooLarge { bytes_max: limits.bytes_max });
    }
    Ok(())
}

async fn collect<B>(
    body: B,
    limits: BodyLimits,
    mut counted: impl FnMut(u64) -> Result<(), Rejection>,
) -> Result<Bytes, Refusal>
where
    B: Body<Data = Bytes>,
{
    let mut body = pin!(body);
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| BodyError::BrokeOff)?.into_data() else { continue };
        check_size((first.len() + rest.len() + data.len()) as u64, limits)?;
        counted(data.len() as u64)?;
        // Nearly every body is one frame, which is then used as it is.
        if first.is_empty() && rest.is_empty() {
            first = data;
        } else {
            if rest.is_empty() {
                rest.extend_from_slice(&first);
                first = Bytes::new();
            }
            rest.extend_from_slice(&data);
        }
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}
