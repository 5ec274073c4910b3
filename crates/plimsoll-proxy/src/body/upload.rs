//! A request's body, from the client to the upstream.

use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::Version;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};

use super::{BrokenBody, QUICK_BYTES_PER_SECOND};

/// How many bytes buy a client a second more: one that trickles holds a place that
/// others wait for, but a large upload over a slow line must be possible.
const BYTES_PER_SECOND_MIN: u64 = 16 * 1024;

/// What is known of an upload from outside.
#[derive(Debug, Default)]
pub(crate) struct UploadState(Mutex<Progress>);

#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    /// The client has not sent all of it.
    client_owes: bool,
    /// It is waited for right now.
    client_awaited: bool,
    /// So much of it came.
    bytes: u64,
    /// When the upstream was last given something.
    moved: Option<Instant>,
    broken: Option<BrokenBody>,
}

impl UploadState {
    /// Since when nobody but the upstream has been waited for; `None` while the
    /// client is.
    pub(crate) fn upstream_owes_since(&self) -> Option<Instant> {
        let progress = self.get();
        if progress.client_owes { None } else { progress.moved }
    }

    /// Whether the client sends less in a second than who is to hold a place for it.
    pub(crate) fn is_slow(&self, elapsed: Duration) -> bool {
        let progress = self.get();
        progress.client_awaited && progress.bytes < elapsed.as_secs() * QUICK_BYTES_PER_SECOND
    }

    /// Whether the client has not sent all of it yet, or it was not read.
    pub(crate) fn is_unread(&self) -> bool {
        let progress = self.get();
        progress.client_owes || progress.broken.is_some()
    }

    /// What went wrong with it, if that was the client's fault.
    pub(crate) fn broken(&self) -> Option<BrokenBody> {
        self.get().broken
    }

    fn get(&self) -> Progress {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// A request's body: what has been read of it already, then the rest as it comes.
#[derive(Debug)]
pub(crate) struct Upload {
    first: Bytes,
    rest: Option<Arriving>,
    state: Arc<UploadState>,
    allowance: Allowance,
    timer: Option<Pin<Box<Sleep>>>,
}

/// The part of a body that the client still sends.
#[derive(Debug)]
struct Arriving {
    body: Incoming,
    version: Version,
}

impl Arriving {
    /// Whether what ended was cut off: hyper takes a client's RST_STREAM with NO_ERROR
    /// for the end of its body, and the upstream would take half of it for the whole.
    fn is_cut(&self) -> bool {
        self.version == Version::HTTP_2 && !self.body.is_end_stream()
    }
}

/// How long the client may be waited for in all, how long it has been, and for how
/// many bytes.
#[derive(Clone, Copy, Debug)]
struct Allowance {
    wait_max: Duration,
    waited: Duration,
    since: Option<Instant>,
    bytes: u64,
}

impl Allowance {
    const fn new(wait_max: Duration) -> Self {
        Self { wait_max, waited: Duration::ZERO, since: None, bytes: 0 }
    }

    fn wait(&mut self) -> Instant {
        let since = *self.since.get_or_insert_with(Instant::now);
        let bought = Duration::from_secs(self.bytes / BYTES_PER_SECOND_MIN);
        since + (self.wait_max + bought).saturating_sub(self.waited)
    }

    fn arrived(&mut self, bytes: u64) {
        if let Some(since) = self.since.take() {
            self.waited += since.elapsed();
        }
        self.bytes += bytes;
    }
}

impl Upload {
    /// Nothing to send.
    pub(crate) fn empty() -> (Self, Arc<UploadState>) {
        Self::new(Bytes::new(), None, Allowance::new(Duration::ZERO))
    }

    /// Everything as it comes, over `version`. The client may be waited for `wait_max`
    /// in all.
    pub(crate) fn streamed(
        body: Incoming,
        version: Version,
        wait_max: Duration,
    ) -> (Self, Arc<UploadState>) {
        let rest = (!body.is_end_stream()).then_some(Arriving { body, version });
        Self::new(Bytes::new(), rest, Allowance::new(wait_max))
    }

    /// Reads until the end or until `bytes` are there, then streams the rest.
    ///
    /// # Errors
    /// The client went away or is too slow.
    pub(crate) async fn begun(
        body: Incoming,
        version: Version,
        wait_max: Duration,
        bytes: usize,
    ) -> Result<(Self, Arc<UploadState>), BrokenBody> {
        let mut allowance = Allowance::new(wait_max);
        let mut arriving = Arriving { body, version };
        let mut first = Bytes::new();
        let mut more = BytesMut::new();
        while first.len() + more.len() < bytes {
            let due = allowance.wait();
            let frame = tokio::time::timeout_at(due, arriving.body.frame()).await;
            let Some(frame) = frame.map_err(|_| BrokenBody::ClientSlow)? else {
                if arriving.is_cut() {
                    return Err(BrokenBody::ClientGone);
                }
                break;
            };
            let frame = frame.map_err(|_| BrokenBody::ClientGone)?;
            // Trailers of so short a body say nothing that a Vault reads.
            let Ok(data) = frame.into_data() else { continue };
            allowance.arrived(data.len() as u64);
            // Nearly every body is one frame, which is then used as it is.
            if first.is_empty() {
                first = data;
            } else {
                more.extend_from_slice(&data);
            }
        }
        if !more.is_empty() {
            first = [&first[..], &more[..]].concat().into();
        }
        let rest = (!arriving.body.is_end_stream()).then_some(arriving);
        Ok(Self::new(first, rest, allowance))
    }

    fn new(first: Bytes, rest: Option<Arriving>, allowance: Allowance) -> (Self, Arc<UploadState>) {
        let state = Arc::new(UploadState::default());
        state.set(|progress| {
            progress.moved = Some(Instant::now());
            progress.client_owes = rest.is_some();
        });
        (Self { first, rest, state: Arc::clone(&state), allowance, timer: None }, state)
    }

    /// What has been read of it so far.
    pub(crate) const fn first(&self) -> &Bytes {
        &self.first
    }

    fn moved(&self, client_owes: bool, bytes: usize) {
        let bytes = bytes as u64;
        self.state.set(|progress| {
            progress.moved = Some(Instant::now());
            progress.client_owes = client_owes;
            progress.client_awaited = false;
            progress.bytes += bytes;
        });
    }

    fn broken(&mut self, why: BrokenBody) -> Poll<Option<Result<Frame<Bytes>, BrokenBody>>> {
        self.rest = None;
        self.state.set(|progress| progress.broken = Some(why));
        Poll::Ready(Some(Err(why)))
    }

    /// Ready when the client has been waited for long enough.
    fn poll_too_slow(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let due = self.allowance.wait();
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if timer.deadline() != due {
            timer.as_mut().reset(due);
        }
        timer.as_mut().poll(context)
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = BrokenBody;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenBody>>> {
        if !self.first.is_empty() {
            let first = core::mem::take(&mut self.first);
            self.moved(self.rest.is_some(), first.len());
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        let Some(rest) = &mut self.rest else { return Poll::Ready(None) };
        match Pin::new(&mut rest.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                self.allowance.arrived(bytes as u64);
                self.moved(true, bytes);
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(_))) => self.broken(BrokenBody::ClientGone),
            Poll::Ready(None) if rest.is_cut() => self.broken(BrokenBody::ClientGone),
            Poll::Ready(None) => {
                self.rest = None;
                self.moved(false, 0);
                Poll::Ready(None)
            }
            Poll::Pending => {
                self.state.set(|progress| progress.client_awaited = true);
                ready!(self.poll_too_slow(context));
                self.broken(BrokenBody::ClientSlow)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_empty() && self.rest.as_ref().is_none_or(|rest| rest.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let first = self.first.len() as u64;
        let none = || SizeHint::with_exact(0);
        let rest = self.rest.as_ref().map_or_else(none, |rest| rest.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(first + rest.lower());
        if let Some(upper) = rest.upper() {
            hint.set_upper(first + upper);
        }
        hint
    }
}
