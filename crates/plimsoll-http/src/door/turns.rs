//! Turns at the processors: what makes the queue for them visible.
//!
//! A runtime polls a request's task as soon as its socket is readable, and a service
//! that works there and then keeps everything behind it waiting where nobody sees it.
//! A turn puts the work off until everything that has arrived meanwhile has been looked at.

use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;
use std::sync::Arc;

use plimsoll::Timestamp;
use plimsoll::cpu::{CpuGate, Turn};
use tokio::sync::Semaphore;

/// The CPU gate and the turns that run behind it, one for each processor. Clones share
/// them.
#[derive(Clone, Debug)]
pub struct Turns {
    pub(super) gate: CpuGate,
    lanes: Arc<Semaphore>,
}

impl Turns {
    /// Turns behind `gate`.
    pub fn new(gate: CpuGate) -> Self {
        let lanes = Arc::new(Semaphore::new(gate.lanes() as usize));
        Self { gate, lanes }
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
        // The runtime looks at its sockets before it comes back: whatever can be refused
        // is refused before this work begins.
        tokio::task::yield_now().await;
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
