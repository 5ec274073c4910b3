//! What is done while an answer does not come.

use std::time::Duration;

use tokio::time::Instant;

use crate::body::UploadState;
use crate::upstream::pool::Pool;

/// A request that has been on its way for so long is told to last,
const LASTS_AFTER: Duration = Duration::from_secs(1);
/// and again, until nothing is left to be done about it.
const LASTS_INTERVAL: Duration = Duration::from_millis(100);
/// A new connection on which nothing came for so long, and then for twice as long each
/// time, may wait for another one to be closed.
const UNSEEN_AFTER: Duration = Duration::from_millis(50);

/// Told of a request that lasts. Returns whether it need not be told again.
pub(crate) type Lasts<'r> = dyn FnMut() -> bool + Send + 'r;

/// A request that waits for its answer.
pub(super) struct Waiting<'r> {
    upload: &'r UploadState,
    answer_time_max: Duration,
    pool: &'r Pool,
    lasts: &'r mut Lasts<'r>,
    since: Instant,
    lasts_at: Option<Instant>,
    unseen_at: Option<Instant>,
}

impl<'r> Waiting<'r> {
    pub(super) fn new(
        upload: &'r UploadState,
        answer_time_max: Duration,
        pool: &'r Pool,
        lasts: &'r mut Lasts<'r>,
    ) -> Self {
        let since = Instant::now();
        let lasts_at = Some(since + LASTS_AFTER);
        Self { upload, answer_time_max, pool, lasts, since, lasts_at, unseen_at: None }
    }

    /// It is sent now, over a connection that may be a new one.
    pub(super) fn sent(&mut self, is_new: bool) {
        self.since = Instant::now();
        self.unseen_at = is_new.then(|| self.since + UNSEEN_AFTER);
    }

    /// When to look first.
    pub(super) fn first(&self) -> Instant {
        let late = self.since + self.answer_time_max;
        [self.unseen_at, self.lasts_at].into_iter().flatten().chain([late]).min().unwrap_or(late)
    }

    /// For how long it has been waited.
    pub(super) fn waited(&self) -> Duration {
        self.since.elapsed()
    }

    /// Does what is due; then when to look again, or `None` if the upstream has been
    /// waited for long enough. While the client sends, it is the client who is waited for.
    pub(super) fn look(&mut self) -> Option<Instant> {
        let now = Instant::now();
        let since = self.upload.upstream_owes_since();
        let late = since.unwrap_or(now) + self.answer_time_max;
        if since.is_some() && late <= now {
            return None;
        }
        if self.unseen_at.is_some_and(|at| at <= now) {
            let waited = now - self.since;
            self.pool.make_room(waited);
            self.unseen_at = Some(now + waited);
        }
        if self.lasts_at.is_some_and(|at| at <= now) {
            self.lasts_at = if (self.lasts)() { None } else { Some(now + LASTS_INTERVAL) };
        }
        [self.unseen_at, self.lasts_at].into_iter().flatten().chain([late]).min()
    }
}
