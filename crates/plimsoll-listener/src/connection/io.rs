//! A stream that counts its bytes and closes without destroying an answer.
//!
//! Closing a socket whose receive buffer is not empty makes the kernel send a
//! reset, and a reset makes the client's kernel throw away what it has received
//! and not yet handed over: the answer. So a shutdown closes the write half
//! first and reads on, into nothing, until the client closes too or a limit of
//! bytes or time is reached (RFC 9112 section 9.6).
//!
//! An answer that breaks off must not look whole. Where a length or chunks say where it
//! ends, any close will do. To a client of HTTP/1.0 the close itself may be the end, so
//! there, and only there, it is made a reset.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

use super::{stream::Stream, vitals::Vitals};

/// What a lingering close reads at once.
const DISCARD_BYTES: usize = 16 * 1024;

#[derive(Debug)]
pub(super) struct Lingering {
    inner: Stream,
    vitals: Arc<Vitals>,
    linger: Duration,
    state: State,
    /// How much of a refused upload may still be thrown away.
    discard_bytes_left: u64,
}

#[derive(Debug)]
enum State {
    Open,
    /// The client has closed its side: nothing more will come.
    Ended,
    /// The write half is closed; reading into nothing until the timer fires.
    Discarding(Pin<Box<Sleep>>),
    Done,
}

impl Lingering {
    pub(super) fn new(
        inner: Stream,
        vitals: Arc<Vitals>,
        bytes_max: u64,
        linger: Duration,
    ) -> Self {
        Self { inner, vitals, linger, state: State::Open, discard_bytes_left: bytes_max }
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        if self.vitals.owes_http_10() {
            self.inner.reset_at_close();
        }
    }
}

impl Lingering {
    /// Ready when the client has closed, or has been given all it is due.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let State::Discarding(timer) = &mut self.state else { return Poll::Ready(()) };
        if timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let mut space = [0; DISCARD_BYTES];
        loop {
            let mut buf = ReadBuf::new(&mut space);
            let outcome = ready!(Pin::new(&mut self.inner).poll_read(cx, &mut buf));
            let read_bytes = buf.filled().len() as u64;
            // An error is a reset, or TLS cut short: either way nobody is there.
            if outcome.is_err() || read_bytes == 0 || read_bytes >= self.discard_bytes_left {
                return Poll::Ready(());
            }
            self.discard_bytes_left -= read_bytes;
        }
    }
}

impl AsyncRead for Lingering {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.inner).poll_read(cx, buf))?;
        let read = &buf.filled()[before..];
        if read.is_empty() {
            this.state = State::Ended;
        } else {
            this.vitals.read(read);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Lingering {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.inner).poll_write(cx, buf);
        count_write(&this.vitals, outcome)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.inner).poll_write_vectored(cx, bufs);
        count_write(&this.vitals, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if matches!(this.state, State::Open | State::Ended) {
            ready!(Pin::new(&mut this.inner).poll_shutdown(cx))?;
            let linger = matches!(this.state, State::Open) && this.vitals.unread_likely();
            this.state =
                if linger { State::Discarding(Box::pin(sleep(this.linger))) } else { State::Done };
        }
        ready!(this.poll_discard(cx));
        this.state = State::Done;
        Poll::Ready(Ok(()))
    }
}

fn count_write(vitals: &Vitals, outcome: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
    match outcome {
        Poll::Ready(Ok(bytes)) => vitals.written(bytes),
        Poll::Ready(Err(_)) => {}
        Poll::Pending => vitals.write_blocked(),
    }
    outcome
}
