//! The connections that are kept.

use core::task::Context;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
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
/// How long a connection rests before it is used again where the upstream is not known
/// to keep it: one that closes without a word has done so by then.
const REST: Duration = Duration::from_millis(10);
/// Nobody on its own thread needs one that has been idle for so long.
const SPARE: Duration = Duration::from_millis(100);
/// Closed after less than this it was not for being idle.
const IDLE_MIN: Duration = Duration::from_millis(100);
/// How long an upstream is known as one that does that, or has a worker for each connection.
const WARY: Duration = Duration::from_secs(60);
/// Connections that may have to be closed for others, at most.
const UNWANTED_MAX: u32 = 64;
/// A first answer that takes so many usual times does not come for want of a worker.
const UNUSUAL: f64 = 3.0;
/// Weight of a new time to an answer.
const ALPHA: f64 = 0.05;

/// Idle connections, those that were used last at the end.
#[derive(Default)]
pub(super) struct Pool(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    idle: VecDeque<(Instant, Box<Wire>)>,
    /// A task closes what is too old.
    is_watched: bool,
    trust: Trust,
    /// A new connection seemed to wait for another one to be closed then.
    scarce: Option<Instant>,
    /// So many are closed when they are given back.
    unwanted: u32,
    /// Mean seconds to an answer on a connection that was kept.
    usual: f64,
}

/// Whether the upstream keeps a connection of which it did not say that it would not.
#[derive(Clone, Copy, Default)]
enum Trust {
    #[default]
    Unknown,
    Keeps,
    /// It closed one instead, at that time.
    Closes(Instant),
}

impl Kept {
    /// The connection that was used last, or, where it may not have been closed yet, the
    /// one that has rested longest. One of this thread's if there is any, since what arrives
    /// on another's wakes both.
    fn take(&mut self) -> Option<(Instant, Box<Wire>)> {
        let (here, now) = (thread::current().id(), Instant::now());
        let is_scarce = self.scarce.is_some_and(|at| now - at < WARY);
        let rest = if self.keeps() { Duration::ZERO } else { REST };
        let spare = if is_scarce { rest } else { SPARE };
        let ours = self.find(|since, wire| wire.thread() == here && now - since >= rest);
        let found = ours.or_else(|| self.find(|since, _| now - since >= spare))?;
        self.idle.remove(found)
    }

    fn find(&self, fits: impl Fn(Instant, &Wire) -> bool) -> Option<usize> {
        let mut each = self.idle.iter();
        let fits = |(since, wire): &(Instant, Box<Wire>)| fits(*since, wire);
        if self.keeps() { each.rposition(fits) } else { each.position(fits) }
    }

    const fn keeps(&self) -> bool {
        matches!(self.trust, Trust::Keeps)
    }
}

impl Pool {
    /// A connection that is still open, and since when it was idle.
    pub(super) fn take(self: &Arc<Self>) -> Option<(Instant, Lease)> {
        loop {
            let (since, mut wire) = self.with(Kept::take)?;
            if since.elapsed() >= IDLE_MAX {
                continue;
            }
            if wire.is_still_free() {
                return Some((since, self.lease(wire)));
            }
            self.closed(since);
        }
    }

    /// The upstream answered on a connection that was kept, after that time.
    pub(super) fn answered(&self, seconds: f64) {
        self.with(|kept| {
            let weight = if kept.usual > 0.0 { ALPHA } else { 1.0 };
            kept.usual += weight * (seconds - kept.usual);
            match kept.trust {
                Trust::Closes(at) if at.elapsed() < WARY => {}
                _ => kept.trust = Trust::Keeps,
            }
        });
    }

    /// The upstream closed a connection that was kept since then.
    pub(super) fn closed(&self, since: Instant) {
        if since.elapsed() < IDLE_MIN {
            self.with(|kept| kept.trust = Trust::Closes(Instant::now()));
        }
    }

    /// Closes a connection that is kept, for one that waits to be looked at: where each
    /// connection has a worker of the upstream's for itself, who keeps one keeps a worker.
    /// `waited` is how long that one has: nobody's turn if that is usual.
    pub(super) fn make_room(&self, waited: Duration) {
        let idle = self.with(|kept| {
            if waited.as_secs_f64() < UNUSUAL * kept.usual {
                return None;
            }
            kept.scarce = Some(Instant::now());
            let idle = kept.idle.pop_front();
            if idle.is_none() {
                kept.unwanted = (kept.unwanted + 1).min(UNWANTED_MAX);
            }
            idle
        });
        drop(idle);
    }

    /// A connection that is given back here when it is free.
    pub(super) fn lease(self: &Arc<Self>, wire: Box<Wire>) -> Lease {
        Lease { wire, pool: Arc::clone(self) }
    }

    fn put(self: &Arc<Self>, wire: Box<Wire>) {
        // Outside of a runtime everything is about to end.
        let Ok(runtime) = Handle::try_current() else { return };
        let (surplus, watch) = self.with(|kept| {
            if kept.unwanted > 0 {
                kept.unwanted -= 1;
                return (Some((Instant::now(), wire)), false);
            }
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
