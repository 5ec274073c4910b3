//! The gate that ships, driven through its public interface.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use plimsoll::{
    Demand, Mode, Reason, Rejection, Timestamp,
    write::{Batch, Place, Work, WriteGate, WriteGateConfig},
};

use super::{Commit, Controller, Offer, Refusal};

/// The most a server lets a request wait.
const DEADLINE: Duration = Duration::from_secs(30);

/// What the gate's owner and the work in its queue both know.
#[derive(Debug, Default)]
struct Board {
    gone: Vec<bool>,
    turned_away: Vec<(u32, Rejection)>,
}

type Shared = Arc<Mutex<Board>>;

fn open(board: &Shared) -> MutexGuard<'_, Board> {
    board.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug)]
struct Item {
    id: u32,
    board: Shared,
}

impl Work for Item {
    fn is_abandoned(&self) -> bool {
        open(&self.board).gone[self.id as usize]
    }

    fn turned_away(self, rejection: Rejection) {
        open(&self.board).turned_away.push((self.id, rejection));
    }
}

/// When the refused are told to come back. The gate's own appointment is what
/// ships; the others are what it was compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum RetryAfter {
    /// The gate's appointment.
    #[default]
    Appointment,
    /// Always as many seconds.
    Constant(f64),
    /// One second, doubled up to 32 while refusals continue at three or more
    /// per such time, and one less when they end: Kubernetes API priority and
    /// fairness, `dropped_requests_tracker.go`.
    Doubling,
    /// The appointment without its floor and ceiling is not kept: a second,
    /// spread by up to ten.
    Spread(f64),
}

#[derive(Debug, Default)]
struct Doubling {
    seconds: f64,
    since: u64,
    refused: u32,
}

impl Doubling {
    fn next(&mut self, now: u64) -> f64 {
        self.seconds = self.seconds.max(1.0);
        self.refused += 1;
        let elapsed = (now - self.since) as f64 / 1e9;
        if elapsed >= self.seconds {
            if f64::from(self.refused) >= 3.0 * self.seconds {
                self.seconds = (self.seconds * 2.0).min(32.0);
            } else if f64::from(self.refused) < self.seconds {
                self.seconds = (self.seconds - 1.0).max(1.0);
            }
            (self.since, self.refused) = (now, 0);
        }
        self.seconds
    }
}

/// [`WriteGate`] as a [`Controller`].
#[derive(Debug)]
pub struct Shipping {
    gate: WriteGate<Item>,
    board: Shared,
    entries: Vec<Entry>,
    batch: Batch<Item>,
    retry_after: RetryAfter,
    doubling: Doubling,
    spread: super::Chance,
}

#[derive(Debug, Default)]
struct Entry {
    place: Option<Place>,
    offer: Option<Offer>,
}

impl Shipping {
    /// A gate of that configuration that enforces.
    pub fn new(config: WriteGateConfig, retry_after: RetryAfter) -> Self {
        Self {
            gate: WriteGate::new(config, Mode::Enforce, Arc::new(())),
            board: Shared::default(),
            entries: Vec::new(),
            batch: Batch::default(),
            retry_after,
            doubling: Doubling::default(),
            spread: super::Chance::new(0, 7),
        }
    }

    fn refusal(&mut self, now: Timestamp, rejection: Rejection, late: bool) -> Refusal {
        let retry_after = match self.retry_after {
            RetryAfter::Appointment => rejection.retry_after.as_secs_f64(),
            RetryAfter::Constant(seconds) => seconds,
            RetryAfter::Doubling => self.doubling.next(now.as_nanos()),
            RetryAfter::Spread(seconds) => 1.0 + self.spread.unit() * (seconds - 1.0),
        };
        let late = late || rejection.reason == Reason::Displaced;
        Refusal { late, retry_after }
    }
}

impl Controller for Shipping {
    fn arrive(&mut self, now: Timestamp, id: u32, offer: &Offer) -> Result<(), Refusal> {
        let deadline = Some(now + DEADLINE);
        let demand = Demand { class: offer.class, flow: offer.flow, cost: offer.cost, deadline };
        match self.gate.admit(now, &demand) {
            Err(rejection) => Err(self.refusal(now, rejection, false)),
            Ok(place) => {
                let index = id as usize;
                let mut board = open(&self.board);
                if board.gone.len() <= index {
                    board.gone.resize(index + 1, false);
                    self.entries.resize_with(index + 1, Entry::default);
                }
                board.gone[index] = false;
                self.entries[index] = Entry { place: Some(place), offer: Some(*offer) };
                Ok(())
            }
        }
    }

    fn enqueue(&mut self, now: Timestamp, id: u32) -> Result<(), Refusal> {
        let entry = &mut self.entries[id as usize];
        let (Some(place), Some(offer)) = (entry.place.take(), entry.offer) else {
            // The client hung up, and the place went with it.
            return Err(Refusal { late: true, retry_after: 0.0 });
        };
        let item = Item { id, board: Arc::clone(&self.board) };
        let queued = self.gate.enqueue(now, place, offer.cost, item);
        queued.map_err(|(_, rejection)| self.refusal(now, rejection, true))
    }

    fn abandoned(&mut self, _now: Timestamp, id: u32) {
        self.entries[id as usize].place = None;
        open(&self.board).gone[id as usize] = true;
    }

    fn take(&mut self, now: Timestamp, batch: &mut Vec<u32>) {
        self.gate.take(now, false, &mut self.batch);
        batch.extend(self.batch.payloads.iter().map(|item| item.id));
    }

    fn committed(&mut self, now: Timestamp, commit: &Commit<'_>) {
        self.batch.payloads.clear();
        self.gate.committed(now, commit.sample);
    }

    fn turned_away(&mut self, out: &mut Vec<(u32, Refusal)>) {
        let mut turned_away = std::mem::take(&mut open(&self.board).turned_away);
        for (id, rejection) in turned_away.drain(..) {
            // The gate's own time is not needed for what was queued before.
            let retry_after = match self.retry_after {
                RetryAfter::Constant(seconds) => seconds,
                _ => rejection.retry_after.as_secs_f64(),
            };
            out.push((id, Refusal { late: true, retry_after }));
        }
        open(&self.board).turned_away = turned_away;
    }

    fn waiting_units(&self, now: Timestamp) -> u64 {
        self.gate.snapshot(now).waiting_units
    }
}
