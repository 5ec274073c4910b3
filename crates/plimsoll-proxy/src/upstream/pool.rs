//! The connections that are kept.

use core::task::Context;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

use crate::upstream::wire::Wire;

/// Idle connections that are kept.
const IDLE_CONNECTIONS_MAX: usize = 1024;
/// How long an idle connection is used: less than any common server keeps it.
const IDLE_MAX: Duration = Duration::from_secs(4);
/// How often those that are idle for longer are closed.
const CLOSE_INTERVAL: Duration = Duration::from_secs(1);

/// Idle connections, those that were used last at the end.
#[derive(Default)]
pub(super) struct Pool(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    idle: VecDeque<(Instant, Box<Wire>)>,
    /// A task closes what is too old.
    is_watched: bool,
}

impl Pool {
    /// The connection that was used last, of those that are still open.
    pub(super) fn take(self: &Arc<Self>) -> Option<Lease> {
        loop {
            let (since, mut wire) = self.with(|kept| kept.idle.pop_back())?;
            if since.elapsed() < IDLE_MAX && wire.is_still_free() {
                return Some(self.lease(wire));
            }
        }
    }

    /// A connection that is given back here when it is free.
    pub(super) fn lease(self: &Arc<Self>, wire: Box<Wire>) -> Lease {
        Lease { wire, pool: Arc::clone(self) }
    }

    fn put(self: &Arc<Self>, wire: Box<Wire>) {
        // Outside of a runtime everything is about to end.
        let Ok(runtime) = Handle::try_current() else { return };
        let (surplus, watch) = self.with(|kept| {
            kept.idle.push_back((Instant::now(), wire));
            let is_full = kept.idle.len() > IDLE_CONNECTIONS_MAX;
            let surplus = if is_full { kept.idle.pop_front() } else { None };
            (surplus, !core::mem::replace(&mut kept.is_watched, true))
        });
        // Closed outside the lock.
        drop(surplus);
        if watch {
            runtime.spawn(Arc::clone(self).watch());
        }
    }

    /// Closes what is idle for too long, until nothing is left.
    async fn watch(self: Arc<Self>) {
        loop {
            sleep(CLOSE_INTERVAL).await;
            let (old, is_empty) = self.with(|kept| {
                let old = kept.idle.partition_point(|(since, _)| since.elapsed() >= IDLE_MAX);
                let old: Vec<_> = kept.idle.drain(..old).collect();
                kept.is_watched = !kept.idle.is_empty();
                (old, kept.idle.is_empty())
            });
            drop(old);
            if is_empty {
                return;
            }
        }
    }

    fn with<T>(&self, look: impl FnOnce(&mut Kept) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A connection that one request has for itself. Dropped, it is closed, by which the
/// upstream learns that nobody waits.
pub(crate) struct Lease {
    pub(super) wire: Box<Wire>,
    pool: Arc<Pool>,
}

impl Lease {
    /// Moves what can be moved now.
    pub(crate) fn turn(&mut self, context: &mut Context<'_>) {
        self.wire.turn(context);
    }

    /// Whether nothing is left to be moved.
    pub(super) fn is_free(&self) -> bool {
        self.wire.is_free()
    }

    /// Gives the connection back: at once if it is free, else when it is. Until then it
    /// is moved by a task of its own.
    pub(crate) fn give_back(mut self) {
        if self.is_free() {
            return self.pool.put(self.wire);
        }
        if let (false, Ok(runtime)) = (self.wire.has_ended(), Handle::try_current()) {
            runtime.spawn(async move {
                self.wire.until_free().await;
                if self.is_free() {
                    self.pool.put(self.wire);
                }
            });
        }
    }
}
