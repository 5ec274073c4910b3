//! Where a secondary is, for health, metrics and status; and the time of its primary.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use plimsoll::Timestamp;
use plimsoll_daemon::metrics::{Measured, Sample, Summary};
use plimsoll_store::Revision;

use crate::replication::client::Link;
use crate::replication::primary::Primary;

/// How often it is looked whether the server was sealed or unsealed.
pub(super) const LOOK: Duration = Duration::from_millis(50);

/// What a secondary is doing. The names are shown to operators.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing, or not yet.
    #[default]
    Idle,
    /// Taking a snapshot.
    Bootstrapping,
    /// Receiving groups.
    Streaming,
    /// The primary cannot be reached.
    Disconnected(String),
    /// The end: an operator has to decide.
    Failed(String),
}

impl State {
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Bootstrapping => "bootstrapping",
            Self::Streaming => "stream-wals",
            Self::Disconnected(_) => "disconnected",
            Self::Failed(_) => "failed",
        }
    }

    pub(crate) fn reason(&self) -> Option<&str> {
        match self {
            Self::Disconnected(why) | Self::Failed(why) => Some(why),
            _ => None,
        }
    }
}

/// How far one end is behind the other.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lag {
    pub(crate) groups: u64,
    pub(crate) bytes: u64,
    pub(crate) age: Duration,
}

/// A secondary's view of itself.
#[derive(Debug, Default)]
pub(crate) struct Following {
    state: Mutex<State>,
    /// The primary's latest revision, as far as it is known.
    remote: AtomicU64,
    /// Received and not applied: the last revision and length of each group.
    pending: Mutex<VecDeque<(Revision, u64)>>,
    /// When it last had everything that it knew of, in nanoseconds.
    caught_up: AtomicU64,
    /// The primary's wall clock less the one here, in milliseconds.
    ahead_ms: AtomicI64,
    /// To the primary, for what is forwarded.
    pub(super) link: ArcSwapOption<Link>,
    /// While this server is the primary.
    pub(super) primary: ArcSwapOption<Primary>,
}

impl Following {
    pub(crate) fn state(&self) -> State {
        lock(&self.state).clone()
    }

    pub(super) fn set_state(&self, state: State) {
        let mut current = lock(&self.state);
        if *current != state {
            match &state {
                State::Failed(why) => tracing::error!(why, "replication has ended"),
                State::Disconnected(why) => tracing::warn!(why, "replication is interrupted"),
                state => tracing::info!(state = state.name(), "replication"),
            }
            *current = state;
        }
    }

    pub(super) fn is_bootstrapping(&self) -> bool {
        *lock(&self.state) == State::Bootstrapping
    }

    /// Something came that shows where the primary is.
    pub(super) fn heard(&self, revision: Revision, wall: Duration, here: Duration) {
        self.remote.fetch_max(revision, Ordering::Relaxed);
        let ahead = wall.as_millis() as i64 - here.as_millis() as i64;
        self.ahead_ms.store(ahead, Ordering::Relaxed);
    }

    pub(super) fn received(&self, revision: Revision, bytes: u64) {
        lock(&self.pending).push_back((revision, bytes));
    }

    /// Everything up to a revision is visible.
    pub(super) fn applied(&self, revision: Revision, now: Timestamp) {
        let mut pending = lock(&self.pending);
        while pending.front().is_some_and(|&(last, _)| last <= revision) {
            pending.pop_front();
        }
        if revision >= self.remote.load(Ordering::Relaxed) {
            self.caught_up.store(now.as_nanos(), Ordering::Relaxed);
        }
    }

    /// Begins anew: what was received over a connection that is gone was not.
    pub(super) fn forget_pending(&self) {
        lock(&self.pending).clear();
    }

    pub(crate) fn remote(&self) -> Revision {
        self.remote.load(Ordering::Relaxed)
    }

    /// Behind the primary, as of what has been heard from it; the age grows while
    /// nothing is heard.
    pub(crate) fn lag(&self, now: Timestamp) -> Lag {
        let pending = lock(&self.pending);
        let bytes = pending.iter().map(|&(_, bytes)| bytes).sum();
        let caught_up = Timestamp::from_nanos(self.caught_up.load(Ordering::Relaxed));
        Lag { groups: pending.len() as u64, bytes, age: now.since(caught_up) }
    }

    /// Whether this server is a primary.
    pub(crate) fn is_primary(&self) -> bool {
        self.primary.load().is_some()
    }

    /// What dashboards want to know: of a primary its worst secondary.
    pub(crate) fn samples(&self, following: bool, now: Timestamp) -> Vec<Sample> {
        let gauge =
            |name, value| Sample { name, labels: Vec::new(), value: Measured::Gauge(value) };
        let primary = self.primary.load();
        let secondaries = primary.as_ref().map(|primary| primary.connected()).unwrap_or_default();
        let behind = secondaries.iter().map(|secondary| secondary.behind(now));
        let worst = behind.max_by_key(|lag| (lag.age, lag.bytes));
        let Some(lag) = (if following { Some(self.lag(now)) } else { worst }) else {
            return Vec::new();
        };
        let mut samples = vec![
            gauge("plimsoll.replication.lag_groups", lag.groups as f64),
            gauge("plimsoll.replication.lag_bytes", lag.bytes as f64),
            gauge("plimsoll.replication.lag_seconds", lag.age.as_secs_f64()),
        ];
        if !following {
            samples.push(gauge("plimsoll.replication.secondaries", secondaries.len() as f64));
        }
        samples
    }

    /// The primary's wall clock, given the one here.
    pub(crate) fn primary_time(&self, here: Duration) -> Duration {
        let ahead = self.ahead_ms.load(Ordering::Relaxed);
        let by = Duration::from_millis(ahead.unsigned_abs());
        if ahead < 0 { here.saturating_sub(by) } else { here + by }
    }
}

/// A primary's view of one secondary.
#[derive(Debug, Default)]
pub(crate) struct Shipping {
    pub(crate) id: String,
    acked: AtomicU64,
    unacked: Mutex<VecDeque<Unacked>>,
    /// From the commit to the acknowledgement.
    pub(crate) lag: Summary,
}

#[derive(Debug)]
struct Unacked {
    revision: Revision,
    bytes: u64,
    committed: Option<Timestamp>,
}

impl Shipping {
    pub(super) fn new(id: &str, revision: Revision) -> Self {
        Self { id: id.to_owned(), acked: AtomicU64::new(revision), ..Self::default() }
    }

    pub(super) fn sent(&self, revision: Revision, bytes: u64, committed: Option<Timestamp>) {
        lock(&self.unacked).push_back(Unacked { revision, bytes, committed });
    }

    pub(super) fn acked(&self, revision: Revision, now: Timestamp) {
        self.acked.fetch_max(revision, Ordering::Relaxed);
        let mut unacked = lock(&self.unacked);
        while let Some(first) = unacked.front().filter(|first| first.revision <= revision) {
            if let Some(committed) = first.committed {
                self.lag.record(now.since(committed));
            }
            unacked.pop_front();
        }
    }

    pub(crate) fn acked_revision(&self) -> Revision {
        self.acked.load(Ordering::Relaxed)
    }

    pub(crate) fn behind(&self, now: Timestamp) -> Lag {
        let unacked = lock(&self.unacked);
        let oldest = unacked.front().and_then(|first| first.committed);
        Lag {
            groups: unacked.len() as u64,
            bytes: unacked.iter().map(|group| group.bytes).sum(),
            age: oldest.map_or(Duration::ZERO, |committed| now.since(committed)),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
