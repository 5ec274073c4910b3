//! Turns at the processors: what makes the queue for them visible.
//!
//! A runtime polls a request's task as soon as its socket is readable, and a service
//! that works there and then keeps everything behind it waiting where nobody sees it.
//! While the gate is not calm a turn puts the work off until what has arrived meanwhile
//! has been looked at: every millisecond, because looking costs a system call and more.

use core::future::{Future, poll_fn};
use core::pin::pin;
use core::sync::atomic::{AtomicU64, Ordering};
use core::task::Poll;
use core::time::Duration;
use std::sync::Arc;

use plimsoll::Timestamp;
use plimsoll::cpu::{CpuGate, Turn};
use tokio::sync::Semaphore;

/// Work that may be done between two looks at the sockets.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// The CPU gate and the turns that run behind it, one for each processor. Clones share
/// them.
#[derive(Clone, Debug)]
pub struct Turns {
    pub(super) gate: CpuGate,
    lanes: Arc<Semaphore>,
    /// When the sockets are to be looked at again, in nanoseconds.
    look_at: Arc<AtomicU64>,
}

impl Turns {
    /// Turns behind `gate`.
    pub fn new(gate: CpuGate) -> Self {
        let lanes = Arc::new(Semaphore::new(gate.lanes() as usize));
        Self { gate, lanes, look_at: Arc::default() }
    }

    /// The gate that gives them out.
    pub const fn gate(&self) -> &CpuGate {
        &self.gate
    }

    /// Does `work` in its turn, which ends when the work first waits for something else.
    /// What is left to do then is little, and others wait for what the request
    /// holds: it is done at once.
    pub(super) async fn run<F: Future>(
        &self,
        mut turn: Turn,
        clock: &(dyn Fn() -> Timestamp + Send + Sync),
        work: F,
    ) -> F::Output {
        // Never closed; if it were, there would be nothing to wait for.
        let lane = self.lanes.acquire().await;
        if clock() >= Timestamp::from_nanos(self.look_at.load(Ordering::Relaxed)) {
            // The runtime looks at its sockets before it comes back: whatever can be
            // refused is refused before this work begins.
            tokio::task::yield_now().await;
            self.look_at.store((clock() + LOOK_EVERY).as_nanos(), Ordering::Relaxed);
        }
        let mut work = pin!(work);
        turn.begin(clock());
        let first = poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await;
        turn.end(clock());
        drop(lane);
        match first {
            Poll::Ready(output) => output,
            Poll::Pending => work.await,
        }
    }
}
