//! One connection to the upstream, moved on by whoever asks over it.
//!
//! hyper splits a connection into a half that is asked and a half that moves bytes, and
//! the latter is usually a task of its own: every request then wakes that task and is
//! woken by it, often on another thread, which costs more than the request itself. Here
//! the request's own task moves the bytes. What the other half has to say it need not be
//! woken for: it is awake.

use core::future::Future;
use core::pin::{Pin, pin};
use core::task::{Context, Poll, Waker};
use std::future::poll_fn;
use std::thread::{self, ThreadId};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use tokio::task::unconstrained;
use tokio::time::{Sleep, sleep};

use crate::body::Upload;
use crate::upstream::connect::Stream;
use crate::upstream::waiting::Waiting;

/// Why there is no answer.
pub(super) enum Unanswered {
    /// The connection had ended: not one byte of the request was written.
    Unsent(Box<Request<Upload>>),
    /// The answer did not begin in time.
    Late,
    /// Anything else.
    Failed(hyper::Error),
}

/// A connection that is open, or was.
pub(super) struct Wire {
    asking: SendRequest<Upload>,
    /// `None` once it has ended.
    moving: Option<Connection<Stream, Upload>>,
    /// It has not been answered on yet.
    is_new: bool,
    /// Which is woken when something arrives.
    thread: ThreadId,
    /// Rings when an answer may take too long. It stays set from one request to the next: to
    /// set it anew for each would take the timer's lock twice.
    alarm: Pin<Box<Sleep>>,
}

impl Wire {
    /// Speaks HTTP on a stream that is connected.
    pub(super) async fn new(
        http: &Builder,
        stream: Stream,
        answer_time_max: Duration,
    ) -> hyper::Result<Self> {
        let (asking, moving) = http.handshake(stream).await?;
        let alarm = Box::pin(sleep(answer_time_max));
        Ok(Self {
            asking,
            moving: Some(moving),
            is_new: true,
            thread: thread::current().id(),
            alarm,
        })
    }

    /// Moves what can be moved now.
    pub(super) fn turn(&mut self, context: &mut Context<'_>) {
        turn(&mut self.moving, context);
    }

    /// Whether the next request can be sent.
    pub(super) fn is_free(&self) -> bool {
        self.moving.is_some() && self.asking.is_ready()
    }

    /// The thread that is woken when something arrives.
    pub(super) const fn thread(&self) -> ThreadId {
        self.thread
    }

    /// Whether nothing will be moved any more.
    pub(super) const fn has_ended(&self) -> bool {
        self.moving.is_none()
    }

    /// Whether it is free, once what came while nobody looked is taken in.
    pub(super) fn is_still_free(&mut self) -> bool {
        self.turn(&mut asleep());
        self.is_free()
    }

    /// Until the next request can be sent, or never will be.
    pub(super) async fn until_free(&mut self) {
        poll_fn(|context| {
            self.turn(context);
            if self.is_free() || self.has_ended() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Sends a request and waits for the head of its answer.
    pub(super) async fn ask(
        &mut self,
        request: Request<Upload>,
        waiting: &mut Waiting<'_>,
    ) -> Result<Response<Incoming>, Unanswered> {
        waiting.sent(self.is_new);
        let first = waiting.first();
        if self.alarm.deadline() > first {
            self.alarm.as_mut().reset(first);
        }
        let mut answer = pin!(unconstrained(self.asking.try_send_request(request)));
        let (moving, alarm) = (&mut self.moving, &mut self.alarm);
        let answer = poll_fn(|context| {
            turn(moving, context);
            if let Poll::Ready(answer) = answer.as_mut().poll(&mut asleep()) {
                return Poll::Ready(answer.map_err(|mut error| match error.take_message() {
                    Some(request) => Unanswered::Unsent(Box::new(request)),
                    None => Unanswered::Failed(error.into_error()),
                }));
            }
            // Unconstrained: an upstream that says 1xx without end uses up what tokio grants a
            // task at a time, and the alarm would never be asked.
            while pin!(unconstrained(alarm.as_mut())).poll(context).is_ready() {
                match waiting.look() {
                    Some(next) => alarm.as_mut().reset(next),
                    None => return Poll::Ready(Err(Unanswered::Late)),
                }
            }
            Poll::Pending
        });
        let answer = answer.await?;
        self.is_new = false;
        Ok(answer)
    }
}

fn turn(moving: &mut Option<Connection<Stream, Upload>>, context: &mut Context<'_>) {
    if let Some(connection) = moving
        && Pin::new(connection).poll(context).is_ready()
    {
        // With it goes what it has not sent, back to who asked.
        *moving = None;
    }
}

/// For what only moves when this very task moves it.
pub(crate) fn asleep() -> Context<'static> {
    Context::from_waker(Waker::noop())
}
