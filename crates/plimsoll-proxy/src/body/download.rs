//! A response's body, from the upstream to the client. The request holds its place
//! until the last byte of it is through, as long as they come one after the other.

use core::pin::Pin;
use core::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep};

use super::BrokenBody;
use crate::upstream::{Lease, asleep};

/// How a passage ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passage {
    /// The last byte is through.
    Complete,
    /// The upstream broke off in the middle.
    Broken,
    /// The upstream stopped in the middle.
    Late,
    /// The client went away in the middle.
    ClientGone,
}

/// Told once how the passage of a body ended.
pub(crate) trait Passing: Send + 'static {
    /// So many bytes more came, and more are to come.
    fn moved(&mut self, bytes: u64);

    /// It ended after `bytes`.
    fn ended(self: Box<Self>, passage: Passage, bytes: u64);
}

pin_project! {
    /// The upstream's body, or one of the proxy's own.
    #[derive(Debug)]
    #[project = DownloadProj]
    pub(crate) enum Download {
        Own { body: Full<Bytes> },
        Passed { body: Passed },
    }
}

impl From<Bytes> for Download {
    fn from(body: Bytes) -> Self {
        Self::Own { body: Full::new(body) }
    }
}

impl Download {
    /// The upstream's body, of which more may come over `lease`.
    pub(crate) fn passed(
        body: Incoming,
        lease: Option<Lease>,
        idle_max: Duration,
        passing: Option<Box<dyn Passing>>,
    ) -> Self {
        let passed =
            Passed { body, lease, idle_max, timer: None, bytes: 0, broken: false, passing };
        Self::Passed { body: passed }
    }
}

/// The upstream's body.
pub(crate) struct Passed {
    body: Incoming,
    lease: Option<Lease>,
    idle_max: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    bytes: u64,
    /// It broke off, and whoever reads it is told at the next look.
    broken: bool,
    passing: Option<Box<dyn Passing>>,
}

impl core::fmt::Debug for Passed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Passed").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl Passed {
    fn end(&mut self, passage: Passage) {
        if let (Passage::Complete, Some(lease)) = (passage, self.lease.take()) {
            lease.give_back();
        }
        if let Some(passing) = self.passing.take() {
            passing.ended(passage, self.bytes);
        }
    }

    fn moved(&mut self, bytes: u64) {
        // What is whole with its first piece is not worth a word.
        if let (Some(passing), false) = (&mut self.passing, self.body.is_end_stream()) {
            passing.moved(bytes);
        }
    }

    /// Says so at the next look. At the word hyper drops what it has not written, the
    /// head included, and a client that has read nothing on a connection it kept believes
    /// that the request was never seen, and repeats it. So what came before goes out first.
    fn break_off(&mut self, context: &Context<'_>) {
        self.end(Passage::Broken);
        self.broken = true;
        context.waker().wake_by_ref();
    }

    /// The next piece, moved here first if that is for us to do.
    fn poll_body(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(lease) = &mut self.lease else {
            return Pin::new(&mut self.body).poll_frame(context);
        };
        let piece = Pin::new(&mut self.body).poll_frame(&mut asleep());
        if piece.is_ready() {
            return piece;
        }
        lease.turn(context);
        Pin::new(&mut self.body).poll_frame(&mut asleep())
    }

    fn poll_late(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(self.idle_max)));
        timer.as_mut().poll(context)
    }
}

impl Drop for Passed {
    fn drop(&mut self) {
        // Whoever writes a body need not ask for the end that it knows to be there.
        let complete = self.body.is_end_stream();
        self.end(if complete { Passage::Complete } else { Passage::ClientGone });
    }
}

impl Body for Passed {
    type Data = Bytes;
    type Error = BrokenBody;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenBody>>> {
        if self.broken {
            return Poll::Ready(Some(Err(BrokenBody::UpstreamBroken)));
        }
        match self.poll_body(context) {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
                self.bytes += bytes;
                self.moved(bytes);
                let idle_max = self.idle_max;
                if let Some(timer) = &mut self.timer {
                    timer.as_mut().reset(Instant::now() + idle_max);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(_))) => {
                self.break_off(context);
                Poll::Pending
            }
            Poll::Ready(None) => {
                self.end(Passage::Complete);
                Poll::Ready(None)
            }
            Poll::Pending => {
                self.moved(0);
                self.poll_late(context).map(|()| {
                    self.end(Passage::Late);
                    Some(Err(BrokenBody::UpstreamLate))
                })
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Body for Download {
    type Data = Bytes;
    type Error = BrokenBody;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenBody>>> {
        match self.project() {
            DownloadProj::Own { body } => {
                Pin::new(body).poll_frame(context).map_err(|never| match never {})
            }
            DownloadProj::Passed { body } => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own { body } => body.is_end_stream(),
            Self::Passed { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own { body } => body.size_hint(),
            Self::Passed { body } => body.size_hint(),
        }
    }
}
